package kisifake_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"doorhook/internal/kisi/kisifake"
)

// ear hears what a webhook tells.
type ear struct {
	mu     sync.Mutex
	status int
	heard  []string // object ids
	last   *http.Request
	body   []byte
}

func (e *ear) RoundTrip(r *http.Request) (*http.Response, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.last = r
	e.body, _ = io.ReadAll(r.Body)
	var event struct {
		ObjectID int64 `json:"object_id"`
	}
	_ = json.Unmarshal(e.body, &event)
	e.heard = append(e.heard, fmt.Sprint(event.ObjectID))
	rec := httptest.NewRecorder()
	rec.WriteHeader(e.status)
	return rec.Result(), nil
}

func TestWebhook(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := kisifake.New(kisifake.Options{Rate: -1})
		defer s.Close()
		e := &ear{status: 200}
		w := s.Webhook(kisifake.WebhookOptions{URL: "http://doorhook.example/hooks/kisi", Key: "k", Types: []string{"lock.unlock"}, Transport: e})
		ask(s, "POST", "/locks/22281/unlock", "")
		synctest.Wait()
		var got map[string]any
		if err := json.Unmarshal(e.body, &got); err != nil {
			t.Fatal(err)
		}
		uuid, at := got["uuid"], got["created_at"]
		want := map[string]any{
			"uuid": uuid, "actor_type": "User", "actor_id": 70.0, "actor_name": "Owner", "object_type": "Lock", "object_id": 22281.0,
			"object_name": "Studio A", "organization_id": 3.0, "place_id": 5.0, "success": true, "type": "lock.unlock",
			"error_code": nil, "error_message": nil, "created_at": at,
		}
		if diff := cmp.Diff(want, got); diff != "" || e.last.Method != http.MethodPost || at == nil || len(fmt.Sprint(uuid)) != 36 {
			t.Errorf("%s, uuid %v, at %v (-want +got):\n%s", e.last.Method, uuid, at, diff)
		}
		s.Offline(22281)
		ask(s, "POST", "/locks/22281/unlock", "")
		ask(s, "POST", "/locks/1/unlock", "") // there is none, so nothing happened to it
		s.AddEvent(kisifake.Event{Type: "lock.opened", ObjectID: 22281})
		synctest.Wait()
		if len(e.heard) != 2 || !strings.Contains(string(e.body), `"success":false`) || !strings.Contains(string(e.body), `"error_code":"fac002"`) {
			t.Errorf("heard %v, the last %s", e.heard, e.body)
		}
		if d := w.Deliveries(); len(d) != 2 || d[0].Status != 200 || d[0].UUID != uuid || !w.Idle() {
			t.Errorf("deliveries %+v", d)
		}
	})
}

// TestWebhookSignature is checked against the reference vector's way of computing it.
func TestWebhookSignature(t *testing.T) {
	for encoding, want := range map[string]func([]byte) string{
		"":           func(mac []byte) string { return "sha256=" + hex.EncodeToString(mac) },
		"sha256=hex": func(mac []byte) string { return "sha256=" + hex.EncodeToString(mac) },
		"hex":        hex.EncodeToString,
		"base64":     base64.StdEncoding.EncodeToString,
	} {
		synctest.Test(t, func(t *testing.T) {
			s, e := kisifake.New(kisifake.Options{}), &ear{status: 200}
			defer s.Close()
			s.Webhook(kisifake.WebhookOptions{URL: "http://x.example", Key: "test-secret", Encoding: encoding, Transport: e})
			s.AddEvent(kisifake.Event{ObjectID: 22281})
			synctest.Wait()
			mac := hmac.New(sha256.New, []byte("test-secret"))
			mac.Write(e.body)
			if got := e.last.Header.Get("X-Signature"); got != want(mac.Sum(nil)) {
				t.Errorf("%q: %s", encoding, got)
			}
		})
	}
	synctest.Test(t, func(t *testing.T) {
		s, e := kisifake.New(kisifake.Options{}), &ear{status: 200}
		defer s.Close()
		s.Webhook(kisifake.WebhookOptions{URL: "http://x.example", Transport: e})
		s.AddEvent(kisifake.Event{ObjectID: 22281})
		synctest.Wait()
		if _, there := e.last.Header["X-Signature"]; there {
			t.Error("signed without a key")
		}
	})
}

func TestWebhookGoesWrong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, e := kisifake.New(kisifake.Options{}), &ear{status: 200}
		defer s.Close()
		w := s.Webhook(kisifake.WebhookOptions{URL: "http://x.example", Transport: e})
		heard := func(m kisifake.Misdelivery, want ...string) {
			t.Helper()
			w.Set(m)
			for id := range 3 {
				s.AddEvent(kisifake.Event{ObjectID: int64(id + 1)})
			}
			w.Set(kisifake.Misdelivery{})
			synctest.Wait()
			if !slices.Equal(e.heard, want) {
				t.Errorf("%+v: heard %v, want %v", m, e.heard, want)
			}
			e.heard = nil
		}
		heard(kisifake.Misdelivery{}, "1", "2", "3")
		heard(kisifake.Misdelivery{Copies: 1}, "1", "1", "2", "2", "3", "3")
		heard(kisifake.Misdelivery{Drop: true})
		heard(kisifake.Misdelivery{Hold: true}, "3", "2", "1")
		e.status = 500
		for range 12 {
			w.Deliver(kisifake.Event{ObjectID: 9})
			synctest.Wait()
		}
		if len(e.heard) != 10 || !w.Disabled() {
			t.Errorf("disabled %t after %d errors", w.Disabled(), len(e.heard))
		}
	})
}

func TestEventSetsOfTheFake(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := kisifake.New(kisifake.Options{Rate: 100})
		all := `{"event_set":{}}`
		want(t, ask(s, "POST", "/event_sets", all), 200, `"status":"in_progress"`)
		want(t, ask(s, "POST", "/event_sets", all), 429, "Too many")
		time.Sleep(time.Second)
		id := idOf(t, ask(s, "POST", "/event_sets", all))
		want(t, ask(s, "GET", "/event_sets/"+id, ""), 200, `"events":[]`)
		want(t, ask(s, "GET", "/event_sets/"+id+"?cursor=x", ""), 422, "cursor")
		want(t, ask(s, "GET", "/event_sets/"+id+"?offset=1", ""), 422, "offset")
		time.Sleep(24 * time.Hour)
		want(t, ask(s, "GET", "/event_sets/"+id, ""), 404, "")
		want(t, ask(s, "POST", "/event_sets", `{"event_set":{"interval":"2026-01-01T00:00:00Z/2026-04-02T00:00:01Z"}}`), 422, "90 days")
		time.Sleep(time.Second)
		want(t, ask(s, "POST", "/event_sets", `{"interval":"x"}`), 422, "event_set")
	})
}
