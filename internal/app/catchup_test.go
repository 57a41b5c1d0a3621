package app

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/fstest"
	"time"

	"doorhook/internal/rules"

	"github.com/alicebob/miniredis/v2"
	"github.com/google/go-cmp/cmp"

	"doorhook/internal/intake"
	"doorhook/internal/kisi"
	"doorhook/internal/kisi/kisifake"
	"doorhook/internal/relay"
)

// inbox takes events in, each once.
type inbox struct {
	mu    sync.Mutex
	known map[string]bool
	took  []string
	err   error
}

func (i *inbox) Take(_ context.Context, _ string, payload any) (intake.Answer, error) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.err != nil {
		return intake.Answer{}, i.err
	}
	raw, _ := payload.(json.RawMessage)
	var e struct{ UUID string }
	if err := json.Unmarshal(raw, &e); err != nil {
		return intake.Answer{}, err
	}
	if i.known[e.UUID] {
		return intake.Answer{Status: relay.Duplicate}, nil
	}
	i.known[e.UUID] = true
	i.took = append(i.took, e.UUID)
	if strings.HasPrefix(e.UUID, "bad") {
		return intake.Answer{Status: relay.Failed}, nil
	}
	return intake.Answer{Status: relay.Accepted}, nil
}

func (w *tower) catchup(in takes) *catchup {
	return &catchup{store: w.store, events: w.kisi.Events, hooks: w.kisi.Integrations, in: in, log: slog.New(slog.NewTextHandler(w.log, nil)), pause: pauseFor}
}

// happened makes things happen so long ago.
func (w *tower) happened(ago map[string]time.Duration) {
	for uuid, d := range ago {
		w.fake.AddEvent(kisifake.Event{UUID: uuid, ObjectID: 22281, At: time.Now().Add(-d)})
	}
}

// TestKisiTriggers: as long as the key of one is not set, Kisi cannot call it, and there is
// nothing to catch up with unless somebody asks for it.
func TestKisiTriggers(t *testing.T) {
	fsys := fstest.MapFS{
		"kisi.yaml":  {Data: []byte("trigger: kisi\nfrom: kisi\nauth: {hmac: \"kisi:${env.KEY}\"}\n")},
		"other.yaml": {Data: []byte("trigger: other\nauth: {none: true}\n")},
	}
	for key, want := range map[string][]string{"": {}, "k": {"kisi"}} {
		set, err := rules.Load(fsys, "rules", func(string) string { return key })
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, kisiTriggers(set, "")); diff != "" {
			t.Errorf("with the key %q (-want +got):\n%s", key, diff)
		}
		if diff := cmp.Diff([]string{"kisi"}, kisiTriggers(set, "kisi")); diff != "" {
			t.Errorf("asked for, with the key %q (-want +got):\n%s", key, diff)
		}
		if got := kisiTriggers(set, "other"); len(got) != 0 {
			t.Errorf("Kisi calls %v", got)
		}
	}
}

// TestCatchingUp reads what happened, the oldest first, and takes in what is new.
func TestCatchingUp(t *testing.T) {
	inFakeTime(t, func(t *testing.T, w *tower) {
		in := &inbox{known: map[string]bool{"known": true}}
		w.happened(map[string]time.Duration{"now": time.Second, "a": time.Minute, "known": 2 * time.Minute, "bad": 3 * time.Minute, "old": 30 * time.Hour, "older": 50 * time.Hour})
		c := w.catchup(in)
		since := time.Now().Add(-48 * time.Hour)
		got, mine, err := c.since(t.Context(), "t", since, true)
		want := relay.CaughtUp{Trigger: "t", From: since, Until: got.Until, Read: 4, New: 2, Duplicates: 1, Failed: 1}
		if diff := cmp.Diff(want, got); diff != "" || !mine || err != nil {
			t.Errorf("%t, %v (-want +got):\n%s", mine, err, diff)
		}
		if diff := cmp.Diff([]string{"old", "bad", "a"}, in.took); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
		if mark, err := w.store.CaughtUp(t.Context(), "t"); err != nil || !mark.Equal(got.Until) || time.Since(mark) < settling {
			t.Errorf("the mark is %s, want %s (%v)", mark, got.Until, err)
		}
	})
}

// TestCatchingUpKeepsItsPlace tries again what fails, and after a run that failed all
// the same the next begins where the last good one ended.
func TestCatchingUpKeepsItsPlace(t *testing.T) {
	inFakeTime(t, func(t *testing.T, w *tower) {
		in := &inbox{known: map[string]bool{}}
		w.happened(map[string]time.Duration{"a": time.Minute})
		c := w.catchup(in)
		w.fake.Fail(kisifake.Fault{Path: "/event_sets", Status: 500, Times: 2})
		if err := c.run(t.Context(), "t", time.Time{}); err != nil || len(in.took) != 1 {
			t.Errorf("a failure that passes: took %v (%v)", in.took, err)
		}
		mark, _ := w.store.CaughtUp(t.Context(), "t")
		w.happened(map[string]time.Duration{"b": -time.Minute})
		time.Sleep(time.Hour)
		w.fake.Fail(kisifake.Fault{Path: "/event_sets", Status: 500, Times: -1})
		if err := c.run(t.Context(), "t", mark); err == nil {
			t.Error("Kisi was broken")
		}
		w.fake.Heal()
		for _, why := range []error{relay.ErrUnavailable, relay.ErrBusy} {
			in.err = fmt.Errorf("not taken: %w", why)
			if err := c.run(t.Context(), "t", mark); !errors.Is(err, why) {
				t.Errorf("%v: %v", why, err)
			}
		}
		in.err = nil
		if now, _ := w.store.CaughtUp(t.Context(), "t"); !now.Equal(mark) {
			t.Errorf("the mark moved from %s to %s", mark, now)
		}
		if err := c.run(t.Context(), "t", mark); err != nil || len(in.took) != 2 {
			t.Errorf("took %v (%v)", in.took, err)
		}
		if !strings.Contains(w.log.String(), "kisi did not deliver all that happened: look at its webhook") {
			t.Error("it was not said that an event was not delivered")
		}
	})
}

// TestCatchingUpNotTooFar stays within the time in which a repeat is known as one.
func TestCatchingUpNotTooFar(t *testing.T) {
	inFakeTime(t, func(t *testing.T, w *tower) {
		in := &inbox{known: map[string]bool{}}
		const week = 7 * 24 * time.Hour
		w.happened(map[string]time.Duration{"forgotten": week - 30*time.Minute, "known": week - 90*time.Minute})
		c := w.catchup(in)
		if err := c.check(time.Now().Add(-week)); !errors.Is(err, relay.ErrTooFarBack) || !strings.Contains(err.Error(), "window is 7d (DOORHOOK_DEDUP)") {
			t.Errorf("a week: %v", err)
		}
		if err := c.check(time.Now().Add(-week + time.Hour)); err != nil {
			t.Errorf("an hour less: %v", err)
		}
		if err := c.run(t.Context(), "t", time.Now().Add(-30*24*time.Hour)); err != nil || strings.Join(in.took, " ") != "known" {
			t.Errorf("after a month: took %v (%v)", in.took, err)
		}
		if !strings.Contains(w.log.String(), "could be taken for new") {
			t.Error("it was not said")
		}
	})
}

// TestCatchingUpAfterAJump: what was noted while Redis's clock was ahead says nothing of
// what happens after it is put right.
func TestCatchingUpAfterAJump(t *testing.T) {
	inFakeTime(t, func(t *testing.T, w *tower) {
		set := loadRules(t, kisiRules)
		in := &inbox{known: map[string]bool{}}
		c := w.catchup(in)
		rounds := 0
		c.pause = func(ctx context.Context, _ time.Duration) error {
			w.ahead.Store(0)
			switch rounds++; rounds {
			case 1:
				w.ahead.Store(int64(3 * time.Hour))
				return nil
			case 2:
				w.happened(map[string]time.Duration{"lost": -time.Minute})
			case 3:
				return context.Canceled
			}
			return pauseFor(ctx, time.Hour)
		}
		c.keepUp(t.Context(), time.Hour, func() *rules.Set { return set })
		if diff := cmp.Diff([]string{"lost"}, in.took); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	})
}

// TestCatchingUpWithAllRules takes nothing in, straight at Redis, that a rule which is left
// out there would never see.
func TestCatchingUpWithAllRules(t *testing.T) {
	fake := kisifake.New(kisifake.Options{Rate: -1})
	url, err := fake.Start("")
	if err != nil {
		t.Fatal(err)
	}
	defer fake.Close()
	fake.AddEvent(kisifake.Event{UUID: "lost", ObjectID: 22281, At: time.Now().Add(-time.Minute)})
	const text = `
trigger: kisi
from: kisi
auth: [{hmac: "kisi:${env.KEY}"}]
rules:
  - name: hand on
    needs: EVENTS_URL
    do:
      - send: {url: "${env.EVENTS_URL}", json: "${payload}"}
`
	env := map[string]string{"KEY": "key"}
	op, err := Operate(t.Context(), Settings{
		Redis: "redis://" + miniredis.RunT(t).Addr(), Rules: fstest.MapFS{"t.yaml": {Data: []byte(text)}}, RulesDir: "rules",
		Getenv: func(name string) string { return env[name] }, Kisi: Kisi{URL: url, APIKey: kisifake.DefaultKey, Rate: -1},
	})
	if err != nil {
		t.Fatal(err)
	}
	defer op.Close()
	got, err := op.Catchup(t.Context(), time.Now().Add(-time.Hour), "")
	if err == nil || !strings.Contains(err.Error(), "hand on (EVENTS_URL is not set)") {
		t.Errorf("without the variable: %+v, %v", got, err)
	}
	env["EVENTS_URL"] = "https://hooks.example.com/x"
	if got, err = op.Catchup(t.Context(), time.Now().Add(-time.Hour), ""); err != nil || len(got) != 1 || got[0].New != 1 {
		t.Errorf("with it: %+v, %v", got, err)
	}
}

// TestCatchingUpWithMany holds a bounded number of events and keeps their order.
func TestCatchingUpWithMany(t *testing.T) {
	inFakeTime(t, func(t *testing.T, w *tower) {
		const n = mostHeld + 500
		for i := range n {
			w.fake.AddEvent(kisifake.Event{UUID: fmt.Sprintf("%05d", i), ObjectID: 22281, At: time.Now().Add(time.Duration(i-n-20) * time.Second)})
		}
		in := &inbox{known: map[string]bool{}}
		got, _, err := w.catchup(in).since(t.Context(), "t", time.Now().Add(-24*time.Hour), true)
		if err != nil || got.New != n || got.Failed != 0 || len(in.took) != n {
			t.Fatalf("%+v (%v)", got, err)
		}
		for i, uuid := range in.took {
			if uuid != fmt.Sprintf("%05d", i) {
				t.Fatalf("number %d is %s", i, uuid)
			}
		}
	})
}

// TestCatchingUpWithTheWebhook misses nothing that the webhook was not to tell.
func TestCatchingUpWithTheWebhook(t *testing.T) {
	at := func(url string, types ...string) kisi.Integration {
		return kisi.Integration{Type: "event_webhook", URL: url, Types: types}
	}
	for want, hooks := range map[string][]kisi.Integration{
		"":                        {},
		"lock.unlock":             {at("https://d.example/hooks/kisi?token=x", "lock.unlock"), at("https://d.example/hooks/other", "login.create"), {Type: "sso"}},
		"lock.opened lock.unlock": {at("https://d.example/in/abc", "lock.unlock"), at("https://d.example/in/def", "lock.opened", "lock.unlock")},
		" ":                       {at("https://d.example/hooks/kisi", "lock.unlock"), at("https://d.example/hooks/kisi")},
	} {
		c := &catchup{hooks: func(context.Context) ([]kisi.Integration, error) { return hooks, nil }}
		if got := strings.Join(c.types(t.Context(), "kisi"), " "); got != strings.TrimSpace(want) {
			t.Errorf("%+v: %q, want %q", hooks, got, want)
		}
	}
	inFakeTime(t, func(t *testing.T, w *tower) {
		in := &inbox{known: map[string]bool{}}
		w.fake.Webhook(kisifake.WebhookOptions{URL: "http://d.example/hooks/t", Types: []string{"lock.unlock"}, Transport: hooked{w}}).Set(kisifake.Misdelivery{Drop: true})
		w.happened(map[string]time.Duration{"a": time.Minute})
		w.fake.AddEvent(kisifake.Event{UUID: "nobody asked", Type: "login.create", At: time.Now().Add(-time.Minute)})
		if got, _, err := w.catchup(in).since(t.Context(), "t", time.Now().Add(-time.Hour), true); err != nil || got.New != 1 || got.Read != 1 {
			t.Errorf("%+v (%v)", got, err)
		}
	})
}

// TestCatchingUpForbidden is not tried again and again.
func TestCatchingUpForbidden(t *testing.T) {
	inFakeTime(t, func(t *testing.T, w *tower) {
		w.fake.Forbid(canaryKey, "events_read")
		err := w.catchup(&inbox{}).run(t.Context(), "t", time.Time{})
		if err == nil || !strings.Contains(err.Error(), "events_read") {
			t.Errorf("got %v", err)
		}
		asked := 0
		for _, call := range w.fake.Journal() {
			if call.Method == http.MethodPost {
				asked++
			}
		}
		if asked != 1 {
			t.Errorf("asked %d times", asked)
		}
	})
}
