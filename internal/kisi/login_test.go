package kisi_test

import (
	"context"
	"errors"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"doorhook/internal/kisi"
	"doorhook/internal/kisi/kisifake"

	"github.com/google/go-cmp/cmp"
)

// account is who may sign in.
func account() kisifake.Options {
	return kisifake.Options{Email: "owner@example.com", Password: "canary-password", Domain: "hq"}
}

// signedIn is a client with a sign-in.
func signedIn(t *testing.T, url string, l kisi.Logins) *kisi.Client {
	t.Helper()
	return client(t, url, kisi.Options{Email: "owner@example.com", Password: "canary-password", Domain: "hq", Logins: l})
}

// together calls do n times at once.
func together(n int, do func()) {
	var wg sync.WaitGroup
	begin := make(chan struct{})
	for range n {
		wg.Go(func() {
			<-begin
			do()
		})
	}
	close(begin)
	wg.Wait()
}

func TestFiftyRequestsSignInOnce(t *testing.T) {
	s, url := start(t, account())
	shared := &memory{}
	one, other := signedIn(t, url, shared), signedIn(t, url, shared)
	use := func() {
		_, err := one.CurrentLogin(t.Context())
		if err := errors.Join(err, other.Unlock(t.Context(), lockA)); err != nil {
			t.Error(err)
		}
	}
	together(50, use)
	if shared.signIns != 1 || len(s.Logins()) != 1 {
		t.Fatalf("signed in %d times, and Kisi knows %d logins", shared.signIns, len(s.Logins()))
	}

	s.Revoke(s.Logins()[0])
	together(50, use)
	if shared.signIns != 2 || len(s.Logins()) != 1 {
		t.Errorf("after the login was revoked: signed in %d times, and Kisi knows %d logins", shared.signIns-1, len(s.Logins()))
	}
}

func TestSignInBody(t *testing.T) {
	s, url := start(t, account())
	if _, err := signedIn(t, url, &memory{}).CurrentLogin(t.Context()); err != nil {
		t.Fatal(err)
	}
	body := string(s.Journal()[0].Body)
	for _, want := range []string{`"type":"api"`, `"name":"doorhook"`, `"expire":true`, `"email":"owner@example.com"`, `"domain":"hq"`} {
		if !strings.Contains(body, want) {
			t.Errorf("%s lacks %s", body, want)
		}
	}
}

func TestWrongPassword(t *testing.T) {
	s, url := start(t, account())
	c := client(t, url, kisi.Options{Email: "owner@example.com", Password: "wrong", Logins: &memory{}})
	e := failure(t, c.Unlock(t.Context(), lockA))
	if e.Op != "POST /logins" || e.Status != 401 || e.Code != "afc516" || !e.Unsent {
		t.Errorf("got %+v", e)
	}
	if len(s.Journal()) != 1 {
		t.Errorf("made %d requests", len(s.Journal()))
	}
}

// Kisi refuses what it has just signed in: that is final, not a reason to go round.
func TestSecondRefusalIsFinal(t *testing.T) {
	s, url := start(t, account())
	c := signedIn(t, url, &memory{})
	s.Fail(kisifake.Fault{Path: "/locks", Status: 401, Times: -1})
	if e := failure(t, c.Unlock(t.Context(), lockA)); e.Status != 401 || e.Unsent {
		t.Errorf("got %+v", e)
	}
	if len(s.Journal()) != 4 { // in, refused, in, refused
		t.Errorf("made %d requests", len(s.Journal()))
	}
}

func TestRefusedKeyIsFinal(t *testing.T) {
	s, c := site(t)
	s.Revoke(kisifake.DefaultKey)
	if e := failure(t, c.Unlock(t.Context(), lockA)); e.Status != 401 || len(s.Journal()) != 1 {
		t.Errorf("got %v after %d requests", e, len(s.Journal()))
	}
}

func TestSignInHangs(t *testing.T) {
	s, url := start(t, account())
	c := signedIn(t, url, &memory{})
	s.Fail(kisifake.Fault{Path: "/logins", Then: kisifake.Reset})
	e := failure(t, c.Unlock(t.Context(), lockA))
	if e.Op != "POST /logins" || e.Status != 0 || !e.Unsent {
		t.Errorf("got %+v: the unlock was surely not sent", e)
	}
}

// broken cannot keep anything.
type broken struct{}

func (broken) Login(context.Context, string, string, func(context.Context) (string, error)) (string, error) {
	return "", errors.New("connection refused")
}

func TestNowhereToShare(t *testing.T) {
	_, url := start(t, account())
	e := failure(t, signedIn(t, url, broken{}).Unlock(t.Context(), lockA))
	if e.Status != 0 || !e.Unsent || !strings.Contains(e.Error(), "share the sign-in to Kisi: connection refused") {
		t.Errorf("got %v", e)
	}
}

func TestKeptLoginIsSealed(t *testing.T) {
	s, url := start(t, account())
	shared := &memory{}
	if _, err := signedIn(t, url, shared).CurrentLogin(t.Context()); err != nil {
		t.Fatal(err)
	}
	for name, text := range shared.kept {
		for _, hidden := range []string{s.Logins()[0], "canary-password", "owner@example.com"} {
			if strings.Contains(name+text, hidden) {
				t.Errorf("%s = %s holds %s", name, text, hidden)
			}
		}
	}
}

func TestKeptLoginThatCannotBeOpened(t *testing.T) {
	for name, text := range map[string]string{"not sealed": "plain", "no base64": "v1.?", "too short": "v1.AAAA", "another's": "v1." + strings.Repeat("A", 80)} {
		t.Run(name, func(t *testing.T) {
			_, url := start(t, account())
			shared := &memory{}
			if _, err := signedIn(t, url, shared).CurrentLogin(t.Context()); err != nil {
				t.Fatal(err)
			}
			for account := range maps.Clone(shared.kept) {
				shared.kept[account] = text
			}
			if _, err := signedIn(t, url, shared).CurrentLogin(t.Context()); err != nil {
				t.Fatal(err)
			}
			if shared.signIns != 2 || slices.Contains(slices.Collect(maps.Values(shared.kept)), text) {
				t.Errorf("signed in %d times", shared.signIns)
			}
		})
	}
}

func TestCurrentLogin(t *testing.T) {
	date := time.Date(2026, 10, 10, 9, 0, 0, 0, time.UTC)
	for name, tt := range map[string]struct {
		body, date string
		want       kisi.Login
	}{
		"all of it": {
			`{"id":1,"type":"api","name":null,"primary":false,"expire":true,"email":"owner@example.com","user_id":77,
				"user":{"id":77,"resource_type":"User","email":"owner@example.com","name":"Owner"},
				"created_at":"2026-01-02T03:04:05Z","last_used_at":"2026-10-09T08:07:06Z","secret":"canary"}`,
			"Sat, 10 Oct 2026 09:00:00 GMT",
			kisi.Login{
				Email: "owner@example.com", UserID: 77, Type: "api", Expires: true, Now: date,
				CreatedAt: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC), LastUsedAt: time.Date(2026, 10, 9, 8, 7, 6, 0, time.UTC),
			},
		},
		"never used": {`{"type":"device","last_used_at":null}`, "", kisi.Login{Type: "device"}},
		"nothing":    {`{}`, "soon", kisi.Login{}},
	} {
		t.Run(name, func(t *testing.T) {
			c := answering(t, func(w http.ResponseWriter, _ *http.Request) {
				w.Header()["Date"] = nil // or the server adds its own
				if tt.date != "" {
					w.Header().Set("Date", tt.date)
				}
				_, _ = w.Write([]byte(tt.body))
			})
			got, err := c.CurrentLogin(t.Context())
			if diff := cmp.Diff(tt.want, got); err != nil || diff != "" {
				t.Error(err, diff)
			}
		})
	}
	_, c := site(t)
	if got, err := c.CurrentLogin(t.Context()); err != nil || got.Email != "owner@example.com" || got.Type != "api" || got.CreatedAt.IsZero() || got.Now.IsZero() {
		t.Errorf("the fake says %+v, %v", got, err)
	}
	c = answering(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(`[]`)) })
	if _, err := c.CurrentLogin(t.Context()); err == nil {
		t.Error("a list passed for a login")
	}
}
