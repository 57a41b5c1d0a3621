package app

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/http/httptrace"
	"os"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"doorhook/internal/action"
	"doorhook/internal/intake"
	"doorhook/internal/kisi"
	"doorhook/internal/kisi/kisifake"
	"doorhook/internal/relay"
	"doorhook/internal/store"
	"doorhook/internal/worker"
)

// tower is a doorhook in fake time: all of it but the web server and the network.
// A bubble's clock starts at midnight of 2000-01-01, UTC.
type tower struct {
	t     *testing.T
	fake  *kisifake.Server
	log   *safeBuffer
	store *store.Store
	in    *intake.Intake
	kisi  *kisi.Client
	stops []func()
	ahead atomic.Int64 // ns, what Redis's clock shows more than this host's
}

const clockRules = `
trigger: t
auth: [{none: true}]
timezone: America/New_York
id: payload.event
booking: payload.booking
version: payload.version
cancelled: payload.status == "cancelled"
let:
  start: time(payload.start)
  end: time(payload.end)
rules:
  - name: room
    when: payload.lock != nil
    at: start - hours(1)
    do: [{schedule: {lock_id: "${payload.lock}", starts_at: "${start}", ends_at: "${end}"}}]
  - name: the link # after the room, in a job
    when: payload.email != nil
    do: [{group_link: {group_id: 32693, email: "${payload.email}", valid_from: "${start - minutes(10)}", valid_until: "${end}"}}]
  - name: door
    when: payload.unlock != nil
    at: start
    do: [{unlock: {lock_id: "${payload.unlock}"}}]
`

// inFakeTime runs f in a bubble with a tower, whose worker f starts.
func inFakeTime(t *testing.T, f func(t *testing.T, w *tower)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := newTower(t, clockRules)
		t.Cleanup(w.close)
		defer func() {
			if t.Failed() {
				t.Log(w.log)
			}
		}()
		f(t, w)
	})
}

func newTower(t *testing.T, text string) *tower {
	t.Helper()
	w := &tower{t: t, log: &safeBuffer{}, fake: kisifake.New(kisifake.Options{Key: canaryKey, Rate: -1})}
	var err error
	if w.store, err = store.Open(t.Context(), store.Options{Now: w.now}); err != nil {
		t.Fatal(err)
	}
	w.in = intake.New(loadRules(t, text), w.store, intake.Options{})
	if w.kisi, err = kisi.New(kisi.Options{APIKey: canaryKey, Transport: wire{w.fake}}); err != nil {
		t.Fatal(err)
	}
	return w
}

// close ends all that was started, workers first.
func (w *tower) close() {
	for _, stop := range w.stops {
		stop()
	}
	w.fake.Close()
	w.store.Close()
}

// now is Redis's clock.
func (w *tower) now() time.Time { return time.Now().Add(time.Duration(w.ahead.Load())) }

// work runs a worker until stop is called, or the tower closes.
func (w *tower) work(edit ...func(*worker.Options, *heldDoer)) (stop func()) {
	w.t.Helper()
	o, d := worker.Options{Poll: 40 * 24 * time.Hour}, heldDoer{Doer: action.New(w.kisi, action.SendOptions{Clock: w.store.Now})}
	for _, e := range edit {
		e(&o, &d)
	}
	wk, err := worker.New(w.store, d, slog.New(slog.NewTextHandler(w.log, nil)), o)
	if err != nil {
		w.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(w.t.Context())
	var wg sync.WaitGroup
	wg.Go(func() { wk.Run(ctx) })
	stop = func() { cancel(); wg.Wait() }
	w.stops = append(w.stops, stop)
	return stop
}

// heldDoer carries actions out, and can be held up in a create without knowing it: ctx
// does not end what a machine that stands still has begun.
type heldDoer struct {
	*action.Doer
	held func(create func() relay.Outcome) relay.Outcome // nil is not held up
}

func (d heldDoer) Create(ctx context.Context, a relay.Action) relay.Outcome {
	if d.held == nil {
		return d.Doer.Create(ctx, a)
	}
	ctx = context.WithoutCancel(ctx)
	return d.held(func() relay.Outcome { return d.Doer.Create(ctx, a) })
}

// wire is the way to the fake Kisi without a network, on which no fake time passes.
type wire struct{ fake *kisifake.Server }

func (w wire) RoundTrip(r *http.Request) (*http.Response, error) {
	httptrace.ContextClientTrace(r.Context()).WroteHeaders()
	asked := r.Clone(r.Context())
	if asked.Body == nil {
		asked.Body = http.NoBody // as a server gives it to a handler
	}
	answer := make(chan *http.Response, 1)
	go func() { // Kisi comes to the end of a request though its client has gone
		rec := httptest.NewRecorder()
		defer func() {
			if recover() != nil { // how a handler breaks the connection
				answer <- nil
			}
		}()
		w.fake.ServeHTTP(rec, asked)
		answer <- rec.Result()
	}()
	select {
	case resp := <-answer:
		if resp == nil {
			return nil, errors.New("connection reset")
		}
		return resp, nil
	case <-r.Context().Done():
		return nil, r.Context().Err()
	}
}

// send gives an event to the intake, as the web server does.
func (w *tower) send(want relay.Status, payload map[string]any) {
	w.t.Helper()
	if got := w.receive(payload); got != want {
		w.t.Fatalf("%v: %s, want %s", payload, got, want)
	}
}

func (w *tower) receive(payload map[string]any) relay.Status {
	w.t.Helper()
	body, err := json.Marshal(payload)
	if err != nil {
		w.t.Fatal(err)
	}
	a, err := w.in.Receive(w.t.Context(), intake.Request{
		Trigger: "t", Method: http.MethodPost, ContentType: "application/json", Body: body,
		Header: map[string][]string{"Authorization": {"Bearer " + canaryToken}},
	})
	if err != nil || len(a.Errors) > 0 {
		w.t.Fatalf("%v: answered %+v (%v)", payload, a, err)
	}
	return a.Status
}

// asked are the requests to Kisi that had an effect, each with when it came.
func (w *tower) asked() []string {
	var out []string
	for _, c := range w.fake.Journal() {
		out = append(out, fmt.Sprintf("%s %s %s", c.At.UTC().Format(toMilli), c.Method, strings.TrimRight(c.Path, "0123456789")))
	}
	return out
}

const toMilli = "2006-01-02 15:04:05.000"

// TestFarAhead takes a booking 400 days out: longer than a timer of 2^31 ms, and a
// worker whose own timers are longer than that too. Nothing is asked of Kisi before
// its time, and then it is asked at once.
func TestFarAhead(t *testing.T) {
	inFakeTime(t, func(t *testing.T, w *tower) {
		w.work()
		start := time.Now().Add(400 * 24 * time.Hour)
		w.send(relay.Accepted, map[string]any{"booking": "b", "lock": 22281, "start": start, "end": start.Add(time.Hour)})
		time.Sleep(time.Until(start.Add(-time.Hour - time.Millisecond)))
		if got := w.asked(); len(got) != 0 {
			t.Errorf("a millisecond before its time: %v", got)
		}
		time.Sleep(time.Second)
		time.Sleep(48 * time.Hour) // it is tidied up
		want := []string{"2001-02-03 23:00:00.000 POST /schedules", "2001-02-05 01:00:00.000 DELETE /schedules/"}
		if diff := cmp.Diff(want, w.asked()); diff != "" {
			t.Errorf("asked of Kisi (-want +got):\n%s", diff)
		}
	})
}

// TestOnTime opens a door soon after it was asked for. Not before its time, and not
// as late as the next look that a worker would take anyway.
func TestOnTime(t *testing.T) {
	for _, after := range []time.Duration{time.Millisecond, 300 * time.Millisecond, 999 * time.Millisecond, 1500 * time.Millisecond, time.Minute + 7*time.Millisecond} {
		t.Run(after.String(), func(t *testing.T) {
			inFakeTime(t, func(t *testing.T, w *tower) {
				w.work(func(o *worker.Options, _ *heldDoer) { o.Poll = 0 })
				time.Sleep(100 * time.Millisecond) // it is between two looks
				at := time.Now().Add(after)
				w.send(relay.Accepted, map[string]any{"event": "e", "unlock": 22290, "start": at, "end": at})
				time.Sleep(2 * time.Minute)
				u := w.fake.Unlocks()
				if len(u) != 1 || u[0].At.Before(at) || u[0].At.After(at.Add(10*time.Millisecond)) {
					t.Errorf("unlocked %+v, want once, at %s", u, at.UTC().Format(toMilli))
				}
			})
		})
	}
}

// TestWasDown stops doorhook before the time of an action and starts another one
// after it. What is still of use is done at once; what is not is expired, and is
// never sent.
func TestWasDown(t *testing.T) {
	in := func(d time.Duration) time.Time { return time.Now().Add(d) }
	unlock := func() (map[string]any, time.Time) {
		return map[string]any{"event": "e", "unlock": 22290, "start": in(time.Hour), "end": in(2 * time.Hour)}, in(time.Hour)
	}
	room := func() (map[string]any, time.Time) { // at is an hour before it starts
		return map[string]any{"booking": "b", "lock": 22281, "start": in(2 * time.Hour), "end": in(3 * time.Hour)}, in(time.Hour)
	}
	tests := []struct {
		name    string
		event   func() (payload map[string]any, at time.Time)
		back    time.Duration // after its time
		inHand  bool          // the one that died had just taken the job
		asked   []string
		expired bool
	}{
		{"an unlock, back in its minute", unlock, 59 * time.Second, false, []string{"2000-01-01 01:00:59.000 POST /locks/22290/unlock"}, false},
		{"an unlock, back after its minute", unlock, time.Minute, false, nil, true},
		{"an unlock, back after a week", unlock, 7 * 24 * time.Hour, false, nil, true},
		{"an unlock in hand: when the lease ends", unlock, time.Second, true, []string{"2000-01-01 01:00:10.000 POST /locks/22290/unlock"}, false},
		{"a schedule, back within its window", room, 2*time.Hour - time.Second, false, []string{"2000-01-01 02:59:59.000 POST /schedules"}, false},
		{"a schedule, back when its window is over", room, 2 * time.Hour, false, nil, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			inFakeTime(t, func(t *testing.T, w *tower) {
				payload, at := tt.event()
				stop := w.work()
				w.send(relay.Accepted, payload)
				time.Sleep(time.Minute)
				stop()
				time.Sleep(time.Until(at))
				if tt.inHand {
					w.claim()
				}
				time.Sleep(tt.back)
				w.work()
				time.Sleep(time.Minute)
				if diff := cmp.Diff(tt.asked, w.asked()); diff != "" {
					t.Errorf("asked of Kisi (-want +got):\n%s", diff)
				}
				var want []relay.Cause
				if tt.expired {
					want = []relay.Cause{relay.ByRelay}
				}
				if diff := cmp.Diff(want, w.letters()); diff != "" {
					t.Errorf("dead letters (-want +got):\n%s", diff)
				}
			})
		})
	}
}

// claim takes what is due in hand, as a doorhook does that dies of it.
func (w *tower) claim() {
	w.t.Helper()
	c, err := w.store.Claim(w.t.Context(), relay.Doors, 10)
	if err != nil || len(c.Jobs) != 1 {
		w.t.Fatalf("claimed %d jobs (%v), want 1", len(c.Jobs), err)
	}
}

// letters are the causes of all dead letters.
func (w *tower) letters() []relay.Cause {
	w.t.Helper()
	letters, err := w.store.Letters(w.t.Context(), 100)
	if err != nil {
		w.t.Fatal(err)
	}
	var causes []relay.Cause
	for _, l := range letters {
		causes = append(causes, l.Cause)
	}
	return causes
}

// TestHostClockIsWrong runs on hosts whose clocks are off. The time is Redis's.
func TestHostClockIsWrong(t *testing.T) {
	for _, ahead := range []time.Duration{-time.Hour, -time.Second, time.Minute, 24 * time.Hour, 26 * 365 * 24 * time.Hour} {
		t.Run(fmt.Sprint("Redis is ahead by ", ahead), func(t *testing.T) {
			inFakeTime(t, func(t *testing.T, w *tower) {
				w.ahead.Store(int64(ahead))
				w.work()
				at := w.now().Add(10 * time.Minute)
				w.send(relay.Accepted, map[string]any{"event": "e", "unlock": 22290, "start": at, "end": at})
				time.Sleep(20 * time.Minute)
				if u := w.fake.Unlocks(); len(u) != 1 || !u[0].At.Add(ahead).Equal(at) {
					t.Errorf("unlocked %v, want once, and when Redis's clock shows %s", u, at)
				}
			})
		})
	}
}

// TestClockJumps sets Redis's clock while jobs wait or are in hand. What is wanted
// comes about in a few minutes at most, once, and nothing is done again when the
// clock is put right.
func TestClockJumps(t *testing.T) {
	const day = 24 * time.Hour
	booking := func(w *tower, more ...any) map[string]any {
		p := map[string]any{"booking": "b", "version": 1, "start": w.now().Add(time.Minute), "end": w.now().Add(3 * day)}
		for i := 0; i+1 < len(more); i += 2 {
			p[more[i].(string)] = more[i+1]
		}
		return p
	}
	// jump works with a Kisi that takes 3 s, and sets the clock in the first of them.
	jump := func(w *tower, by time.Duration) {
		var once sync.Once
		w.work(func(o *worker.Options, d *heldDoer) {
			o.Poll = time.Second
			d.held = func(create func() relay.Outcome) relay.Outcome {
				time.Sleep(time.Second)
				once.Do(func() { w.ahead.Add(int64(by)) })
				time.Sleep(2 * time.Second)
				return create()
			}
		})
	}
	polls := func(o *worker.Options, _ *heldDoer) { o.Poll = time.Second }
	tests := []struct {
		name             string
		do               func(w *tower)
		links, schedules int
		letters          []relay.Cause
	}{
		{"forwards a day: what waited for tomorrow is done, once", func(w *tower) {
			w.work(polls)
			w.send(relay.Accepted, booking(w, "lock", 22281, "start", w.now().Add(day)))
			time.Sleep(time.Minute)
			w.ahead.Add(int64(day))
			time.Sleep(time.Minute)
			w.ahead.Add(-int64(day))
		}, 0, 1, nil},
		{"forwards a day: an unlock that was for today is too late", func(w *tower) {
			w.work(polls)
			w.send(relay.Accepted, booking(w, "unlock", 22290, "start", w.now().Add(time.Hour)))
			time.Sleep(time.Minute)
			w.ahead.Add(int64(day))
		}, 0, 0, []relay.Cause{relay.ByRelay}},
		{"forwards a day, in hand: what its lease was lost with does not stay", func(w *tower) {
			jump(w, day)
			w.send(relay.Accepted, booking(w, "lock", 22281, "email", "a@example.com"))
		}, 1, 1, nil},
		{"back an hour, in hand: both actions are done", func(w *tower) {
			jump(w, -time.Hour)
			w.send(relay.Accepted, booking(w, "lock", 22281, "email", "a@example.com"))
		}, 1, 1, nil},
		{"back an hour, in hand, and the booking changes: both are done", func(w *tower) {
			jump(w, -time.Hour)
			w.send(relay.Accepted, booking(w, "lock", 22281))
			time.Sleep(2 * time.Second)
			w.send(relay.Accepted, booking(w, "lock", 22282, "email", "a@example.com", "version", 2))
		}, 1, 1, nil},
		{"back an hour, in hand, and one action is rejected: the other is done", func(w *tower) {
			jump(w, -time.Hour)
			w.send(relay.Accepted, booking(w, "lock", 4711, "email", "a@example.com")) // the room comes first
		}, 1, 0, []relay.Cause{relay.ByKisi}},
		{"back an hour, in hand of one that died: another takes it up", func(w *tower) {
			w.send(relay.Accepted, booking(w, "lock", 22281))
			w.claim()
			w.ahead.Add(-int64(time.Hour))
			w.work(polls)
		}, 0, 1, nil},
		{"back an hour, in hand of one that died, and the booking changes", func(w *tower) {
			w.send(relay.Accepted, booking(w, "lock", 22281))
			w.claim()
			w.ahead.Add(-int64(time.Hour))
			w.work(polls)
			w.send(relay.Accepted, booking(w, "lock", 22282, "version", 2))
		}, 0, 1, nil},
		{"back an hour, while Kisi breaks", func(w *tower) {
			w.fake.Fail(kisifake.Fault{Method: http.MethodPost, Status: http.StatusServiceUnavailable, Times: 3})
			jump(w, -time.Hour)
			w.send(relay.Accepted, booking(w, "lock", 22281))
		}, 0, 1, nil},
		{"back an hour, between two attempts", func(w *tower) {
			w.fake.Fail(kisifake.Fault{Method: http.MethodPost, Status: http.StatusServiceUnavailable, Times: 3})
			w.work(polls)
			w.send(relay.Accepted, booking(w, "lock", 22281))
			time.Sleep(4 * time.Second)
			w.ahead.Add(-int64(time.Hour))
		}, 0, 1, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			inFakeTime(t, func(t *testing.T, w *tower) {
				tt.do(w)
				time.Sleep(4 * time.Minute)
				l, s := w.fake.GroupLinks(), w.fake.Schedules()
				if len(l) != tt.links || len(s) != tt.schedules || len(w.fake.Unlocks()) != 0 {
					t.Errorf("in Kisi are %d links and %d schedules, and %d unlocks; want %d and %d, and none\n%s",
						len(l), len(s), len(w.fake.Unlocks()), tt.links, tt.schedules, strings.Join(w.asked(), "\n"))
				}
				if diff := cmp.Diff(tt.letters, w.letters()); diff != "" {
					t.Errorf("dead letters (-want +got):\n%s", diff)
				}
			})
		})
	}
}

// TestLeaseRunsOut holds a worker up for longer than its lease, before it asks Kisi
// or while it waits for the answer. Another takes the job over; the one that comes
// late saves nothing, and what it made too much does not stay.
func TestLeaseRunsOut(t *testing.T) {
	const frozen = 15 * time.Second
	tests := []struct {
		name  string
		held  func(create func() relay.Outcome) relay.Outcome
		asked []string
	}{
		{"before it asks", func(create func() relay.Outcome) relay.Outcome { time.Sleep(frozen); return create() }, []string{
			"2000-01-01 00:00:10.000 GET /schedules", "2000-01-01 00:00:10.000 POST /schedules",
			"2000-01-01 00:00:15.000 POST /schedules",
			"2000-01-01 00:00:40.000 GET /schedules", "2000-01-01 00:00:40.000 DELETE /schedules/", "2000-01-01 00:00:40.000 GET /schedules",
		}},
		{"before it has the answer", func(create func() relay.Outcome) relay.Outcome { defer time.Sleep(frozen); return create() }, []string{
			"2000-01-01 00:00:00.000 POST /schedules",
			"2000-01-01 00:00:10.000 GET /schedules",
			"2000-01-01 00:00:40.000 GET /schedules",
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			inFakeTime(t, func(t *testing.T, w *tower) {
				var once atomic.Bool // whichever of the two takes the job over is held up no more
				held := func(create func() relay.Outcome) relay.Outcome {
					if once.Swap(true) {
						return create()
					}
					return tt.held(create)
				}
				w.work(func(_ *worker.Options, d *heldDoer) { d.held = held })
				w.send(relay.Accepted, map[string]any{"booking": "b", "lock": 22281, "start": time.Now(), "end": time.Now().Add(time.Hour)})
				w.work(func(_ *worker.Options, d *heldDoer) { d.held = held })
				time.Sleep(time.Minute)
				if diff := cmp.Diff(tt.asked, w.asked()); diff != "" {
					t.Errorf("asked of Kisi (-want +got):\n%s", diff)
				}
				j, _, err := w.store.Job(t.Context(), "t:booking:b")
				s := w.fake.Schedules()
				if err != nil || len(s) != 1 || len(j.Have) != 1 || j.Have[0].Object != s[0].ID {
					t.Errorf("in Kisi are %+v, and the job has %+v (%v)", s, j.Have, err)
				}
				if n := strings.Count(w.log.String(), relay.ErrLeaseLost.Error()); n != 1 {
					t.Errorf("the log says %d times that a lease was lost, want once", n)
				}
			})
		})
	}
}

// TestClockChanges sends times without a zone, of a venue in New York, from the two
// days on which its clocks change, and looks at what reaches Kisi and when. The host
// is somewhere else: the test runs itself again for each place.
func TestClockChanges(t *testing.T) {
	const elsewhere = "DOORHOOK_TEST_ELSEWHERE"
	if offset := os.Getenv(elsewhere); offset != "" {
		if got := time.Now().Format("-07:00"); got != offset {
			t.Fatalf("this host is at %s, want %s", got, offset)
		}
		for _, c := range clockChanges {
			t.Run(c.name, c.check)
		}
		return
	}
	for zone, offset := range map[string]string{"Asia/Kolkata": "+05:30", "Pacific/Honolulu": "-10:00", "UTC": "+00:00"} {
		t.Run(zone, func(t *testing.T) {
			t.Parallel()
			cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestClockChanges$", "-test.v")
			cmd.Env = append(os.Environ(), "TZ="+zone, elsewhere+"="+offset)
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Errorf("%v\n%s", err, out)
			}
		})
	}
}

type clockChange struct {
	name       string
	start, end any // as they are sent
	want       told
}

// told is what Kisi is told about one booking, in UTC.
type told struct {
	starts, ends string
	at           string // when it is told, an hour before the start
	validFrom    string // of the link, ten minutes before the start
}

var clockChanges = []clockChange{
	{
		"the last hour before the gap", "2000-04-02T01:00:00", "2000-04-02T01:45:00",
		told{"2000-04-02 06:00", "2000-04-02 06:45", "2000-04-02 05:00", "2000-04-02 05:50"},
	},
	{
		"a start in the gap: with the offset after it, which is earlier", "2000-04-02T02:30:00", "2000-04-02T04:00:00",
		told{"2000-04-02 06:30", "2000-04-02 08:00", "2000-04-02 05:30", "2000-04-02 06:20"},
	},
	{
		"an end in the gap: with the offset before it, which is later", "2000-04-02T01:00:00", "2000-04-02T02:30:00",
		told{"2000-04-02 06:00", "2000-04-02 07:30", "2000-04-02 05:00", "2000-04-02 05:50"},
	},
	{
		"over the gap: an hour less", "2000-04-02 01:30", "2000-04-02 03:30",
		told{"2000-04-02 06:30", "2000-04-02 07:30", "2000-04-02 05:30", "2000-04-02 06:20"},
	},
	{
		"the night of the gap", "2000-04-01 22:00", "2000-04-02 09:00",
		told{"2000-04-02 03:00", "2000-04-02 13:00", "2000-04-02 02:00", "2000-04-02 02:50"},
	},
	{
		"soon after the gap: an hour before it is on the other side", "2000-04-02T03:15", "2000-04-02T05:00",
		told{"2000-04-02 07:15", "2000-04-02 09:00", "2000-04-02 06:15", "2000-04-02 07:05"},
	},
	{
		"in the fold: from the first to the second", "2000-10-29T01:30:00", "2000-10-29T01:50:00",
		told{"2000-10-29 05:30", "2000-10-29 06:50", "2000-10-29 04:30", "2000-10-29 05:20"},
	},
	{
		"in the fold, with an offset: the second", "2000-10-29T01:30:00-05:00", "2000-10-29T01:50:00-05:00",
		told{"2000-10-29 06:30", "2000-10-29 06:50", "2000-10-29 05:30", "2000-10-29 06:20"},
	},
	{
		"over the fold: an hour more", "2000-10-29 01:30", "2000-10-29 02:30",
		told{"2000-10-29 05:30", "2000-10-29 07:30", "2000-10-29 04:30", "2000-10-29 05:20"},
	},
	{
		"the day of the fold", "2000-10-29", "2000-10-30",
		told{"2000-10-29 04:00", "2000-10-30 05:00", "2000-10-29 03:00", "2000-10-29 03:50"},
	},
	{
		"with a zone of its own, in its gap",
		map[string]any{"dateTime": "2000-03-26T01:30:00", "timeZone": "Europe/London"},
		"2000-03-25 22:00",
		told{"2000-03-26 00:30", "2000-03-26 03:00", "2000-03-25 23:30", "2000-03-26 00:20"},
	},
	{
		"in summer", "2000-07-01T09:00:00", "2000-07-01T10:00:00",
		told{"2000-07-01 13:00", "2000-07-01 14:00", "2000-07-01 12:00", "2000-07-01 12:50"},
	},
}

func (c clockChange) check(t *testing.T) {
	inFakeTime(t, func(t *testing.T, w *tower) {
		w.work()
		w.send(relay.Accepted, map[string]any{"booking": "b", "lock": 22281, "email": "a@example.com", "start": c.start, "end": c.end})
		time.Sleep(365 * 24 * time.Hour)
		var got told
		for _, call := range w.fake.Journal() {
			var body struct {
				Schedule  kisi.Schedule  `json:"schedule"`
				GroupLink kisi.GroupLink `json:"group_link"`
			}
			if call.Method != http.MethodPost {
				continue
			}
			if err := json.Unmarshal(call.Body, &body); err != nil {
				t.Fatal(err)
			}
			switch call.Path {
			case "/schedules":
				got.starts, got.ends, got.at = toMinute(body.Schedule.StartsAt), toMinute(body.Schedule.EndsAt), toMinute(call.At)
			case "/group_links":
				got.validFrom = toMinute(body.GroupLink.ValidFrom)
			}
		}
		if got != c.want {
			t.Errorf("Kisi was told %+v,\nwant %+v", got, c.want)
		}
	})
}

func toMinute(t time.Time) string { return t.UTC().Format("2006-01-02 15:04") }
