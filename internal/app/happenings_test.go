package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/fstest"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"doorhook/internal/intake"
	"doorhook/internal/relay"
	"doorhook/internal/rules"
	"doorhook/internal/worker"
)

// wall notes what is told.
type wall struct {
	mu   sync.Mutex
	told []string
	err  error
	held chan struct{} // until it is closed, nothing is taken; nil takes all
}

func (w *wall) hand(_ context.Context, ev relay.Event) error {
	if w.held != nil {
		<-w.held
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	p, _ := ev.Payload.(map[string]any)
	w.told = append(w.told, fmt.Sprintf("%s of %s: %v, %v in all", ev.ID, ev.Trigger, p["error"], p["count"]))
	return w.err
}

func (w *wall) take() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	told := w.told
	w.told = nil
	return told
}

func dead(n int) relay.Happening {
	return relay.Happening{Type: relay.ActionDead, ID: fmt.Sprint("t:", n), At: time.Now(), Says: map[string]any{"error": fmt.Sprint("no ", n)}}
}

// happeningsOn runs happenings that are told on w, until stop is called.
func happeningsOn(t *testing.T, w *wall) (n *happenings, log *safeBuffer, stop func()) {
	t.Helper()
	log = &safeBuffer{}
	n = newHappenings(slog.New(slog.NewTextHandler(log, nil)))
	n.hand = w.hand
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	wg.Go(func() { n.run(ctx) })
	stop = sync.OnceFunc(func() { cancel(); wg.Wait() })
	t.Cleanup(stop)
	return n, log, stop
}

// TestThousandLetters are told in a handful of messages.
func TestThousandLetters(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &wall{}
		n, _, stop := happeningsOn(t, w)
		expect := func(after time.Duration, want ...string) {
			t.Helper()
			time.Sleep(after)
			synctest.Wait()
			if diff := cmp.Diff(want, w.take()); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		}
		n.tell(dead(0))
		expect(0, "action.dead:t:0 of doorhook: no 0, 1 in all")
		for i := range 1000 {
			n.tell(dead(i)) // the first is told already
			time.Sleep(time.Millisecond)
		}
		expect(0)
		n.tell(relay.Happening{Type: relay.KeyFailing, ID: "h", Says: map[string]any{"error": "401"}})
		expect(0, "key.failing:h of doorhook: 401, 1 in all")
		expect(time.Minute, "action.dead:t:999+998 of doorhook: no 999, 999 in all")
		n.tell(dead(1000))
		expect(time.Second)
		expect(time.Minute, "action.dead:t:1000 of doorhook: no 1000, 1 in all")
		expect(time.Hour)
		n.tell(dead(1001))
		expect(0, "action.dead:t:1001 of doorhook: no 1001, 1 in all")
		n.tell(dead(1002))
		stop()
		expect(0, "action.dead:t:1002 of doorhook: no 1002, 1 in all")
	})
}

// TestTellingNeverWaits: neither a store that hangs nor one that is gone holds anybody
// up, and what is not told is logged.
func TestTellingNeverWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &wall{err: errors.New("the store cannot be reached"), held: make(chan struct{})}
		n, log, stop := happeningsOn(t, w)
		before := time.Now()
		for i := range mostWaiting + 10 {
			n.tell(dead(i))
			synctest.Wait()
		}
		if took := time.Since(before); took != 0 {
			t.Errorf("it waited for %s", took)
		}
		close(w.held)
		time.Sleep(2 * time.Minute)
		w.mu.Lock()
		w.err = nil
		w.mu.Unlock()
		n.tell(dead(-1))
		time.Sleep(2 * time.Minute)
		stop()
		for _, want := range []string{"is not told", "the store cannot be reached", "untold=9"} {
			if !strings.Contains(log.String(), want) {
				t.Errorf("%q is not in the log:\n%s", want, log)
			}
		}
	})
}

// TestTellingAfterAnOutage: what the store could not take in is told when it can.
func TestTellingAfterAnOutage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &wall{err: fmt.Errorf("accept: %w", relay.ErrUnavailable)}
		n, _, _ := happeningsOn(t, w)
		n.tell(dead(0))
		n.tell(dead(1))
		time.Sleep(30 * time.Second)
		w.mu.Lock()
		w.err, w.told = nil, nil
		w.mu.Unlock()
		time.Sleep(tellPause)
		synctest.Wait()
		if diff := cmp.Diff([]string{"action.dead:t:1+1 of doorhook: no 1, 2 in all"}, w.take()); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	})
}

// alerting are rules whose trigger doorhook asks for an unlock of a lock for each thing
// that happens.
type alerting struct {
	*rules.Set
	lock int
}

func (a alerting) Has(string) bool { return true }

func (a alerting) Plan(ev relay.Event) relay.Plan {
	if ev.Trigger != relay.Own {
		return a.Set.Plan(ev)
	}
	u := relay.Action{Key: "alert#0", Rule: "alert", Kind: relay.Unlock, Args: relay.Encode(map[string]any{"lock_id": a.lock})}
	return relay.Plan{Rules: []relay.Match{{Rule: "alert", Actions: []relay.Action{u}}}}
}

func loadRules(t *testing.T, text string) *rules.Set {
	t.Helper()
	set, err := rules.Load(fstest.MapFS{"t.yaml": {Data: []byte(text)}}, "rules", func(string) string { return canaryToken })
	if err != nil {
		t.Fatal(err)
	}
	return set
}

// tellsItself makes w a doorhook that tells its own trigger what happens.
func (w *tower) tellsItself(lock int) {
	w.t.Helper()
	n := newHappenings(slog.New(slog.NewTextHandler(w.log, nil)))
	w.in = intake.New(alerting{loadRules(w.t, testRules), lock}, w.store, intake.Options{Tell: n.tell})
	n.hand = w.in.Happened
	ctx, cancel := context.WithCancel(w.t.Context())
	var wg sync.WaitGroup
	wg.Go(func() { n.run(ctx) })
	w.work(func(o *worker.Options, _ *heldDoer) { o.Poll, o.Tell = time.Hour, n.tell })
	w.stops = append(w.stops, func() { cancel(); wg.Wait() })
}

// ownEvents are the payloads of the events of what happened, the oldest first.
func (w *tower) ownEvents() []map[string]any {
	w.t.Helper()
	records, err := w.store.Events(w.t.Context(), "", 1000)
	if err != nil {
		w.t.Fatal(err)
	}
	var all []map[string]any
	for _, r := range records {
		if r.Trigger != relay.Own {
			continue
		}
		ev, err := intake.EventOf(r.Event)
		if err != nil {
			w.t.Fatal(err)
		}
		p, _ := ev.Payload.(map[string]any)
		all = append([]map[string]any{p}, all...)
	}
	return all
}

// TestHappensOnce: what is given up is told once, as an event of doorhook's own, and what
// becomes of that event is not told.
func TestHappensOnce(t *testing.T) {
	for name, lock := range map[string]int{"an alert that comes through": 22290, "an alert that fails": 4711} {
		t.Run(name, func(t *testing.T) {
			inFakeTime(t, func(t *testing.T, w *tower) {
				w.tellsItself(lock)
				w.receive(map[string]any{"event": "e1", "unlock": 1})
				time.Sleep(10 * time.Minute)
				want := []map[string]any{{
					"type": "action.dead", "at": "2000-01-01T00:00:00Z", "id": "t:event:e1:1:unlock#1/1", "count": 1,
					"cause": "kisi", "trigger": "t", "event_id": "e1", "job_id": "t:event:e1", "rule": "unlock", "action": "unlock",
				}}
				got := w.ownEvents()
				if len(got) == 1 {
					if text := fmt.Sprint(got[0]["error"]); !strings.Contains(text, "no such door") {
						t.Errorf("the error is %s", text)
					}
					delete(got[0], "error")
				}
				if diff := cmp.Diff(want, got); diff != "" {
					t.Errorf("(-want +got):\n%s", diff)
				}
				if letters := len(w.letters()); letters != 1+map[int]int{4711: 1}[lock] {
					t.Errorf("%d dead letters", letters)
				}
			})
		})
	}
}

// TestRulesThatFailAreTold, once for each rule, and not for an event that comes twice.
func TestRulesThatFailAreTold(t *testing.T) {
	inFakeTime(t, func(t *testing.T, w *tower) {
		w.tellsItself(22290)
		for range 2 {
			_, _ = w.in.Receive(t.Context(), intake.Request{
				Trigger: "t", Method: "POST", ContentType: "application/json", Body: []byte(`{"event":"e1","broken":true}`),
				Header: map[string][]string{"Authorization": {"Bearer " + canaryToken}},
			})
			time.Sleep(2 * time.Minute)
		}
		got := w.ownEvents()
		if len(got) != 1 || got[0]["cause"] != "rule" || got[0]["rule"] != "broken" || got[0]["id"] != "t:rule:broken:event:e1" {
			t.Errorf("told %v", got)
		}
		if text := fmt.Sprint(got); strings.Contains(text, "canary") {
			t.Errorf("a secret is told: %s", text)
		}
	})
}

// TestManyDeadLettersAreFewEvents runs it all: a thousand rejected actions.
func TestManyDeadLettersAreFewEvents(t *testing.T) {
	inFakeTime(t, func(t *testing.T, w *tower) {
		w.tellsItself(22290)
		for i := range 1000 {
			w.receive(map[string]any{"event": fmt.Sprint("e", i), "unlock": 1})
		}
		time.Sleep(time.Hour)
		got, count := w.ownEvents(), 0
		for _, p := range got {
			n, _ := p["count"].(int)
			count += n
		}
		if len(got) < 2 || len(got) > 10 || count < 1000-mostWaiting {
			t.Errorf("%d events that stand for %d", len(got), count)
		}
	})
}

// TestToldOfKisiAndRules: the other things that happen say what is wrong, and no secret.
func TestToldOfKisiAndRules(t *testing.T) {
	at := time.Date(2026, 5, 14, 10, 59, 0, 0, time.UTC)
	mistakes := errors.New("one.yaml:1:1: no")
	for _, tt := range []struct {
		h, again relay.Happening
		kind     string
		says     map[string]any
		same     bool // within two minutes
	}{
		{unreachable(mistakes, at), unreachable(mistakes, at.Add(30*time.Second)), "kisi.unreachable", map[string]any{"error": mistakes.Error()}, true},
		{failing(mistakes, at), failing(mistakes, at.Add(2*time.Minute)), "key.failing", map[string]any{"error": mistakes.Error()}, false},
		{refused(mistakes, "new", "old", at), refused(mistakes, "new", "old", at.Add(30*time.Second)), "rules.refused", map[string]any{"error": mistakes.Error(), "revision": "old"}, true},
		{refused(mistakes, "new", "old", at), refused(mistakes, "newer", "old", at), "rules.refused", map[string]any{"error": mistakes.Error(), "revision": "old"}, false},
	} {
		if diff := cmp.Diff(tt.says, tt.h.Says); tt.h.Type != tt.kind || tt.h.At != at || diff != "" {
			t.Errorf("%+v (-want +got):\n%s", tt.h, diff)
		}
		if tt.h.ID == "" || (tt.h.ID == tt.again.ID) != tt.same {
			t.Errorf("%s: %s, and again %s", tt.kind, tt.h.ID, tt.again.ID)
		}
	}
}
