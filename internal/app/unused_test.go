package app

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"doorhook/internal/intake"
	"doorhook/internal/kisi/kisifake"
	"doorhook/internal/relay"
	"doorhook/internal/worker"
)

// quarterHour are rules by which a booking has lock 22281 for an hour and loses it if
// nobody has come after a quarter, and by which Kisi says who came.
type quarterHour struct{}

func (quarterHour) Trigger(name string) (relay.Trigger, bool) {
	return relay.Trigger{Name: name, From: "json", Auth: []relay.Auth{{Kind: "none"}}}, true
}

func (quarterHour) Alias(string) (relay.Trigger, bool) { return relay.Trigger{}, false }

func (quarterHour) Has(string) bool { return true }

func (quarterHour) Plan(ev relay.Event) relay.Plan {
	payload, _ := ev.Payload.(map[string]any)
	text := func(name string) string { s, _ := payload[name].(string); return s }
	if ev.Trigger == "kisi" {
		at, _ := time.Parse(time.RFC3339, text("created_at"))
		lock, _ := payload["object_id"].(int)
		p := relay.Plan{EventID: text("uuid")}
		if payload["success"] == true {
			p.Opened = &relay.Opened{Lock: int64(lock), At: at}
		}
		return p
	}
	start, _ := time.Parse(time.RFC3339, text("start"))
	a := relay.Action{
		Key: "room#1", Rule: "room", Kind: relay.Schedule, NotAfter: start.Add(time.Hour), Ends: start.Add(time.Hour), Unused: start.Add(15 * time.Minute),
		Args: relay.Encode(map[string]any{"lock_id": 22281, "consequence": "unlock", "override": false, "name": "b", "starts_at": start, "ends_at": start.Add(time.Hour)}),
	}
	if text("status") == "cancelled" {
		return relay.Plan{Booking: text("booking"), Cancelled: true}
	}
	return relay.Plan{Booking: text("booking"), Rules: []relay.Match{{Rule: "room", Actions: []relay.Action{a}}}}
}

// hooked takes what Kisi's webhook sends to the intake of a tower.
type hooked struct{ *tower }

func (h hooked) RoundTrip(r *http.Request) (*http.Response, error) {
	defer r.Body.Close()
	var body json.RawMessage
	if err := json.NewDecoder(r.Body).Decode(&body); err != nil {
		return nil, err
	}
	rec := httptest.NewRecorder()
	if _, err := h.in.Receive(r.Context(), intake.Request{Trigger: "kisi", Method: r.Method, ContentType: "application/json", Body: body}); err != nil {
		rec.WriteHeader(http.StatusInternalServerError)
	}
	return rec.Result(), nil
}

// TestUnusedIsTakenBack follows a booking from its message to the end of its window,
// with a Kisi that tells of who comes, or does not.
func TestUnusedIsTakenBack(t *testing.T) {
	const minute = time.Minute
	comes := func(after time.Duration) func(*tower, *kisifake.Webhook) {
		return func(w *tower, _ *kisifake.Webhook) {
			time.AfterFunc(after, func() { w.fake.AddEvent(kisifake.Event{ObjectID: 22281}) })
		}
	}
	tests := []struct {
		name   string
		setup  func(*tower, *kisifake.Webhook)
		late   time.Duration // the worker is down until then
		stands bool
		asked  bool // Kisi, whether anybody came
	}{
		{name: "nobody comes", asked: true},
		{name: "somebody comes", setup: comes(10 * minute), stands: true},
		{name: "at the very beginning", setup: comes(5 * minute), stands: true},
		{name: "at the very end", setup: comes(20*minute - time.Nanosecond), stands: true},
		{
			name: "in the last second, and Kisi tells of it late", stands: true,
			setup: func(w *tower, _ *kisifake.Webhook) {
				at := time.Now().Add(20*minute - time.Second)
				time.AfterFunc(20*minute+3*time.Second, func() { w.fake.AddEvent(kisifake.Event{ObjectID: 22281, At: at}) })
			},
		},
		{name: "before the window", setup: comes(5*minute - time.Second), asked: true},
		{name: "after it was taken back", setup: comes(21 * minute), asked: true},
		{name: "doorhook was down, and somebody came meanwhile", setup: comes(25 * minute), late: 30 * minute, stands: true, asked: false},
		{
			name: "the message is lost", stands: true, asked: true,
			setup: func(w *tower, hook *kisifake.Webhook) {
				hook.Set(kisifake.Misdelivery{Drop: true})
				comes(10*minute)(w, hook)
			},
		},
		{
			name: "messages come twice and in the wrong order", stands: true,
			setup: func(w *tower, hook *kisifake.Webhook) {
				hook.Set(kisifake.Misdelivery{Copies: 2, Hold: true})
				comes(2*minute)(w, hook)
				comes(10*minute)(w, hook)
				time.AfterFunc(12*minute, func() { hook.Set(kisifake.Misdelivery{}) })
			},
		},
		{
			name: "the door did not open for them", asked: true,
			setup: func(w *tower, _ *kisifake.Webhook) {
				time.AfterFunc(10*minute, func() { w.fake.AddEvent(kisifake.Event{ObjectID: 22281, Failed: true}) })
			},
		},
		{
			name: "the key may not read events", asked: true,
			setup: func(w *tower, _ *kisifake.Webhook) { w.fake.Forbid(canaryKey, "events_read") },
		},
		{
			name: "Kisi does not answer for as long as the window lasts", stands: true, asked: true,
			setup: func(w *tower, _ *kisifake.Webhook) {
				w.fake.Fail(kisifake.Fault{Path: "/event_sets", Status: 503, Code: "f50300", Times: -1})
			},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			inFakeTime(t, func(t *testing.T, w *tower) {
				w.in = intake.New(quarterHour{}, w.store, intake.Options{})
				hook := w.fake.Webhook(kisifake.WebhookOptions{URL: "http://doorhook.example", Transport: hooked{w}})
				run := func() { w.work(func(o *worker.Options, _ *heldDoer) { o.Poll = time.Hour }) }
				start := time.Now().Add(5 * minute)
				if tt.late == 0 {
					run()
				} else {
					stop := w.work()
					time.AfterFunc(time.Second, stop)
				}
				w.send(relay.Accepted, map[string]any{"booking": "b", "start": start.Format(time.RFC3339)})
				if tt.setup != nil {
					tt.setup(w, hook)
				}
				if tt.late > 0 {
					time.Sleep(tt.late)
					run()
				}
				time.Sleep(time.Until(start.Add(30 * minute)))
				asked := false
				for _, call := range w.fake.Journal() {
					asked = asked || call.Path == "/event_sets"
				}
				if n := len(w.fake.Schedules()); n == 1 != tt.stands || asked != tt.asked {
					t.Errorf("%d schedules, asked %t; want standing %t, asked %t", n, asked, tt.stands, tt.asked)
				}
				w.send(relay.Accepted, map[string]any{"booking": "b", "start": start.Format(time.RFC3339)})
				time.Sleep(minute)
				if n := len(w.fake.Schedules()); n == 1 != tt.stands {
					t.Errorf("sent again: %d schedules, want standing %t", n, tt.stands)
				}
				moved := time.Now().Add(time.Hour)
				w.send(relay.Accepted, map[string]any{"booking": "b", "start": moved.Format(time.RFC3339)})
				time.Sleep(minute)
				if n := len(w.fake.Schedules()); n != 1 {
					t.Errorf("moved: %d schedules", n)
				}
				if strings.Contains(w.log.String(), "panicked") {
					t.Error("it panicked")
				}
			})
		})
	}
}

// moment is something that happens to a booking at a minute: a message that it begins at
// another one, or 0 that it is cancelled, or that somebody comes to its door.
type moment struct {
	at, start int
	comes     bool
}

// TestUnusedHistories moves a booking about, cancels and repeats it, and has people come
// or not, while Kisi fails now and then, its messages get lost and doorhook starts anew. A door is taken back
// exactly if nobody came to it in time.
func TestUnusedHistories(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		turns := map[int]moment{}
		for range rapid.IntRange(1, 12).Draw(rt, "turns") {
			at := rapid.IntRange(0, 86).Draw(rt, "minute")
			turns[at] = moment{at, rapid.SampledFrom([]int{0, 30, 30, 45, 45, 60}).Draw(rt, "start"), rapid.Bool().Draw(rt, "comes")}
		}
		told := rapid.Bool().Draw(rt, "told")
		restarts := rapid.Bool().Draw(rt, "restarts")
		var faults []kisifake.Fault
		for range rapid.IntRange(0, 2).Draw(rt, "faults") {
			f := kisifake.Fault{Path: "/event_sets", Status: 503, Times: rapid.IntRange(1, 2).Draw(rt, "times")}
			if rapid.Bool().Draw(rt, "deletes") {
				f.Path, f.Method = "", http.MethodDelete
			}
			faults = append(faults, f)
		}
		want, got := standsAfter(turns), ""
		synctest.Test(t, func(t *testing.T) {
			w := newTower(t, testRules)
			defer w.close()
			w.in = intake.New(quarterHour{}, w.store, intake.Options{})
			hook := w.fake.Webhook(kisifake.WebhookOptions{URL: "http://doorhook.example", Transport: hooked{w}})
			hook.Set(kisifake.Misdelivery{Drop: !told})
			for _, f := range faults {
				w.fake.Fail(f)
			}
			stop, began := w.work(), time.Now()
			for minute := range 88 {
				switch moment, ok := turns[minute]; {
				case !ok:
				case moment.comes:
					time.Sleep(40 * time.Second) // later than any look, however often Kisi fails
					w.fake.AddEvent(kisifake.Event{ObjectID: 22281})
				case moment.start == 0:
					time.Sleep(50 * time.Second)
					w.receive(map[string]any{"booking": "b", "status": "cancelled"})
				default:
					time.Sleep(50 * time.Second)
					w.receive(map[string]any{"booking": "b", "start": began.Add(time.Duration(moment.start) * time.Minute).Format(time.RFC3339)})
				}
				if restarts {
					stop()
					stop = w.work()
				}
				time.Sleep(time.Until(began.Add(time.Duration(minute+1) * time.Minute)))
			}
			for _, s := range w.fake.Schedules() {
				got += fmt.Sprint(s.StartsAt.Sub(began))
			}
			if got != want {
				t.Log(w.log.String())
			}
		})
		if got != want {
			rt.Fatalf("in Kisi: %q, want %q; %v", got, want, turns)
		}
	})
}

// standsAfter is when what stands in the end begins; "" is nothing.
func standsAfter(turns map[int]moment) string {
	start, made, gone := 0, 0, false
	came := func(from, until int) bool {
		for at := from; at <= until; at++ {
			if turns[at].comes {
				return true
			}
		}
		return false
	}
	for minute := range 88 {
		if start > 0 && minute == start+15 && made < minute && !came(start, minute-1) {
			gone = true
		}
		switch moment, ok := turns[minute]; {
		case !ok || moment.comes || moment.start == start && start > 0:
		default:
			start, made, gone = moment.start, minute, false
		}
	}
	if start == 0 || gone {
		return ""
	}
	return fmt.Sprint(time.Duration(start) * time.Minute)
}
