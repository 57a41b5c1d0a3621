package intake

import (
	"context"
	"errors"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"doorhook/internal/relay"

	"github.com/google/go-cmp/cmp"
)

// book is a rulebook of one trigger, and of a plan that does not depend on the event.
type book struct {
	trigger relay.Trigger
	plan    relay.Plan
	saw     *relay.Event
	asked   func() // called when the trigger is looked up
}

func (b book) Trigger(name string) (relay.Trigger, bool) {
	if b.asked != nil {
		b.asked()
	}
	return b.trigger, name == b.trigger.Name
}

func (b book) Alias(path string) (relay.Trigger, bool) {
	return b.trigger, b.trigger.Alias != "" && path == b.trigger.Alias.Reveal()
}

func (b book) Has(name string) bool { return name == b.trigger.Name }

func (b book) Plan(ev relay.Event) relay.Plan {
	if b.saw != nil {
		*b.saw = ev
	}
	return b.plan
}

// shelf is a store of one job.
type shelf struct {
	mu       sync.Mutex
	now      func() time.Time
	accepted []relay.Event
	receipt  relay.Receipt
	err      error
	looks    int
	job      func(look int) (relay.Job, bool, error)
	onAccept func(ctx context.Context)
}

func (s *shelf) Accept(ctx context.Context, ev relay.Event, p relay.Plan) (relay.Receipt, error) {
	if s.onAccept != nil {
		s.onAccept(ctx)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err != nil {
		return relay.Receipt{}, s.err
	}
	s.accepted = append(s.accepted, ev)
	r := s.receipt
	if r.Status == "" {
		r = relay.Receipt{Status: relay.Accepted, JobID: relay.JobID(ev, p), EventID: ev.ID, Changes: 1}
	}
	return r, nil
}

func (s *shelf) Job(_ context.Context, _ string) (relay.Job, bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.looks++
	if s.job == nil {
		return relay.Job{}, false, nil
	}
	return s.job(s.looks)
}

func (s *shelf) Now() time.Time {
	if s.now != nil {
		return s.now()
	}
	return noon
}

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func open(name string) relay.Trigger {
	return relay.Trigger{Name: name, From: "json", Auth: []relay.Auth{{Kind: "none"}}}
}

func options() Options {
	return Options{NewID: func() string { return "evt_drawn" }}
}

func unlock(rule string) relay.Action {
	return relay.Action{Key: rule + "#0", Rule: rule, Kind: relay.Unlock, Args: relay.Encode(map[string]int{"lock_id": 1})}
}

func planOf(actions ...relay.Action) relay.Plan {
	var p relay.Plan
	for _, a := range actions {
		p.Rules = append(p.Rules, relay.Match{Rule: a.Rule, Actions: []relay.Action{a}})
	}
	return p
}

func jsonRequest(body string) Request {
	return Request{Trigger: "skedda", Method: "POST", ContentType: "application/json", Body: []byte(body)}
}

func TestReceive(t *testing.T) {
	booked := planOf(unlock("front"), unlock("back"))
	booked.Respond = []relay.NamedValue{{Name: "lock_id", Value: 7}}
	named := booked
	named.EventID, named.Booking = "their-id", "42"
	late := planOf(unlock("front"))
	late.Rules[0].Actions[0].NotAfter = noon
	broken := booked
	broken.Problems = []relay.Problem{{Rule: "side", Where: "a.yaml:3:1", Message: "no lock"}, {Rule: "top", Where: "a.yaml:9:1", Message: "no time"}}
	clash := planOf()
	clash.Respond = []relay.NamedValue{
		{Name: "status", Value: "open"},
		{Name: "error", Value: "none"},
		{Name: "when", Value: noon},
		{Name: "bad", Value: func() {}},
		{Name: "none", Value: nil},
	}

	tests := []struct {
		name    string
		plan    relay.Plan
		receipt relay.Receipt
		query   string
		want    string
	}{
		{
			name: "an event is accepted", plan: booked,
			want: `{"status":"accepted","event_id":"evt_drawn","job_id":"skedda:event:evt_drawn","rules":"front, back","actions":2,"lock_id":7}`,
		},
		{
			name: "the rules name the event", plan: named,
			want: `{"status":"accepted","event_id":"their-id","job_id":"skedda:booking:42","rules":"front, back","actions":2,"lock_id":7}`,
		},
		{
			name: "nothing matched", receipt: relay.Receipt{Status: relay.Ignored},
			want: `{"status":"ignored","event_id":"evt_drawn","actions":0}`,
		},
		{
			name: "a stale event does not wait", receipt: relay.Receipt{Status: relay.Stale, JobID: "j"}, query: "wait=20",
			want: `{"status":"stale","event_id":"evt_drawn","job_id":"j","actions":0}`,
		},
		{
			name: "too late", plan: late,
			want: `{"status":"accepted","event_id":"evt_drawn","job_id":"skedda:event:evt_drawn","rules":"front","actions":1,"error":"front: its time is over; nothing will be sent"}`,
		},
		{
			name: "some rules failed", plan: broken,
			want: `{"status":"accepted","event_id":"evt_drawn","job_id":"skedda:event:evt_drawn","rules":"front, back","actions":2,` +
				`"error":"rule \"side\": a.yaml:3:1: no lock; rule \"top\": a.yaml:9:1: no time","lock_id":7}`,
		},
		{
			name: "ours win, and one bad field does no harm", plan: clash,
			want: `{"status":"accepted","event_id":"evt_drawn","job_id":"skedda:event:evt_drawn","actions":0,"when":"2026-03-01T12:00:00Z","bad":null,"none":null}`,
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			in := New(book{trigger: open("skedda"), plan: tt.plan}, &shelf{receipt: tt.receipt}, options())
			req := jsonRequest(`{"a":1}`)
			req.Query, _ = url.ParseQuery(tt.query)
			a, err := in.Receive(t.Context(), req)
			if err != nil {
				t.Fatal(err)
			}
			if got := encode(t, a); got != tt.want {
				t.Errorf("got  %s\nwant %s", got, tt.want)
			}
		})
	}
}

func encode(t *testing.T, a Answer) string {
	t.Helper()
	b, err := a.MarshalJSON()
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestReceiveRefuses(t *testing.T) {
	guarded := open("skedda")
	guarded.Auth = []relay.Auth{{Kind: "bearer", Secret: "s3cret"}}
	cancel := relay.Plan{Cancelled: true}
	fatal := relay.Plan{Fatal: true, Cancelled: true, Problems: []relay.Problem{{Where: "a.yaml:2:1", Message: "booking is nil"}}}

	tests := []struct {
		name     string
		book     book
		down     bool
		req      Request
		want     error
		accepted int
	}{
		{name: "unknown trigger", book: book{trigger: open("other")}, req: jsonRequest(`{`), want: ErrUnknownTrigger},
		{name: "auth comes before reading", book: book{trigger: guarded}, req: jsonRequest(`{`), want: ErrUnauthorized},
		{name: "unreadable", book: book{trigger: open("skedda")}, req: jsonRequest(`{`), want: &UnreadableError{}},
		{name: "unsupported", book: book{trigger: open("skedda")}, req: Request{Trigger: "skedda", ContentType: "text/html", Body: []byte("<p>")}, want: ErrUnsupported},
		{name: "bad wait", book: book{trigger: open("skedda")}, req: Request{Trigger: "skedda", Query: url.Values{"wait": {"soon"}}}, want: &UnreadableError{}},
		{name: "a cancellation of nothing in particular", book: book{trigger: open("skedda"), plan: cancel}, req: jsonRequest(`{}`), want: &UndecidedError{}},
		{name: "no rule could be evaluated, which is recorded", book: book{trigger: open("skedda"), plan: fatal}, req: jsonRequest(`{}`), want: &UndecidedError{}, accepted: 1},
		{name: "no rule could be evaluated and the store is down", book: book{trigger: open("skedda"), plan: fatal}, down: true, req: jsonRequest(`{}`), want: relay.ErrUnavailable},
		{name: "the store is down", book: book{trigger: open("skedda")}, down: true, req: jsonRequest(`{}`), want: relay.ErrUnavailable},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			store := &shelf{}
			if tt.down {
				store.err = relay.ErrUnavailable
			}
			_, err := New(tt.book, store, options()).Receive(t.Context(), tt.req)
			if !isKind(err, tt.want) {
				t.Errorf("got %v (%T), want %T", err, err, tt.want)
			}
			if len(store.accepted) != tt.accepted {
				t.Errorf("%d events went to the store, want %d", len(store.accepted), tt.accepted)
			}
		})
	}
}

func isKind(err, want error) bool {
	switch want.(type) {
	case *UnreadableError:
		var e *UnreadableError
		return errors.As(err, &e)
	case *UndecidedError:
		var e *UndecidedError
		return errors.As(err, &e) && e.Error() != ""
	}
	return errors.Is(err, want)
}

func TestDryRunSendsNothing(t *testing.T) {
	at := relay.Action{Key: "k", Rule: "front", Kind: relay.Schedule, At: noon, NotAfter: noon.Add(time.Hour)}
	p := planOf(at, unlock("back"))
	p.Respond = []relay.NamedValue{{Name: "lock_id", Value: 7}}
	p.Problems = []relay.Problem{{Where: "a.yaml:3:1", Message: "no lock"}}
	p.Cancelled = true
	store := &shelf{}
	o := options()
	o.Describe = func(a relay.Action) []string {
		if a.Kind == relay.Unlock {
			return nil
		}
		return []string{"POST /schedules"}
	}
	in := New(book{trigger: open("skedda"), plan: p}, store, o)
	for _, query := range []string{"dry_run", "dry_run=1", "dry_run=true", "dry_run=yes&wait=5"} {
		req := jsonRequest(`{}`)
		req.Query, _ = url.ParseQuery(query)
		a, err := in.Receive(t.Context(), req)
		if err != nil {
			t.Fatal(query, err)
		}
		want := `{"status":"dry_run","event_id":"evt_drawn","rules":"front, back","actions":2,` +
			`"plan":[{"rule":"front","kind":"schedule","at":"2026-03-01T12:00:00Z","not_after":"2026-03-01T13:00:00Z","requests":["POST /schedules"]},` +
			`{"rule":"back","kind":"unlock","requests":[]}],"problems":["a.yaml:3:1: no lock","a cancellation needs a booking"],"lock_id":7}`
		if got := encode(t, a); got != want {
			t.Errorf("%s:\ngot  %s\nwant %s", query, got, want)
		}
	}
	if len(store.accepted) != 0 {
		t.Error("a dry run was accepted")
	}
}

func TestWishes(t *testing.T) {
	tests := []struct {
		query string
		want  wishes
		bad   bool
	}{
		{query: ""},
		{query: "wait=10", want: wishes{wait: 10 * time.Second}},
		{query: "wait=0"},
		{query: "wait=1500ms", want: wishes{wait: 1500 * time.Millisecond}},
		{query: "wait=9999999999999", want: wishes{wait: 9223372036 * time.Second}},
		{query: "wait=99999999999999999999", bad: true},
		{query: "wait=-1", bad: true},
		{query: "wait=-1s", bad: true},
		{query: "wait=1.5", bad: true},
		{query: "wait=", bad: true},
		{query: "wait", bad: true},
		{query: "wait=1&wait=2", bad: true},
		{query: "dry_run=0"},
		{query: "dry_run=no"},
		{query: "dry_run=ture", bad: true},
		{query: "dry_run=0&dry_run=1", bad: true},
	}
	for _, tt := range tests {
		t.Run(tt.query, func(t *testing.T) {
			query, _ := url.ParseQuery(tt.query)
			got, err := wishesOf(Request{Query: query})
			if (err != nil) != tt.bad || !tt.bad && got != tt.want {
				t.Errorf("got %v, %v", got, err)
			}
		})
	}
}

func TestEventKeepsNoCredentials(t *testing.T) {
	trigger := open("skedda")
	trigger.Auth = append(trigger.Auth, relay.Auth{Kind: "query", Name: "token", Secret: "canary"}, relay.Auth{Kind: "header", Name: "x-door-key", Secret: "canary"})
	var saw relay.Event
	req := jsonRequest(`{"wait":"in the body it means nothing"}`)
	req.Query, _ = url.ParseQuery("token=canary&wait=0&dry_run=0&room=A&tag=x&tag=y")
	req.Header = map[string][]string{
		"Authorization": {"Bearer canary"}, "Cookie": {"canary"}, "Proxy-Authorization": {"canary"},
		"X-Signature": {"canary"}, "X-Kisi-Signature": {"canary"}, "X-Hub-Signature-256": {"canary"}, "X-Door-Key": {"canary"},
		"Idempotency-Key": {"k1"}, "Accept": {"a", "b"}, "X-Latin": {"caf\xe9"},
	}
	in := New(book{trigger: trigger, saw: &saw}, &shelf{}, options())
	if _, err := in.Receive(t.Context(), req); err != nil {
		t.Fatal(err)
	}
	want := relay.Event{
		ID: "evt_drawn", Trigger: "skedda", ReceivedAt: noon,
		Headers: map[string]any{"Idempotency-Key": "k1", "Accept": "a, b", "X-Latin": "caf\uFFFD"},
		Query:   map[string]any{"room": "A", "tag": []any{"x", "y"}},
		Payload: map[string]any{"wait": "in the body it means nothing", "room": "A", "tag": []any{"x", "y"}},
	}
	if diff := cmp.Diff(want, saw); diff != "" {
		t.Error(diff)
	}
}

// TestSecretInAnAddress is a proxy that puts the whole address into a header.
func TestSecretInAnAddress(t *testing.T) {
	const token = "s3cret/token+for=doors"
	trigger := open("skedda")
	trigger.Auth = []relay.Auth{{Kind: "query", Name: "token", Secret: token}}
	req := jsonRequest(`{}`)
	req.Query = url.Values{"token": {token}, "back": {"/hooks/skedda?token=" + token}}
	req.Header = map[string][]string{
		"X-Forwarded-Uri": {"/hooks/skedda?token=" + url.QueryEscape(token)}, "X-Original-Url": {"https://doors.example/hooks/skedda?a=1&token=" + token},
		"Referer": {"https://doors.example/?token=s3cret/token%2Bfor=doors"}, "X-Request-Id": {"1"},
	}
	ev, err := Event(req, trigger, "1", noon)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(map[string]any{"X-Request-Id": "1"}, ev.Headers); diff != "" {
		t.Error(diff)
	}
	if len(ev.Query) > 0 {
		t.Errorf("it sees %v", ev.Query)
	}
}

// A swap between auth and plan would apply one set's rules to another set's callers.
func TestOneRulebookServesAWholeRequest(t *testing.T) {
	var first, second relay.Event
	var in *Intake
	old := book{trigger: open("skedda"), saw: &first}
	old.asked = func() { in.Use(book{trigger: open("skedda"), saw: &second}) }
	in = New(old, &shelf{}, options())
	for range 2 {
		if _, err := in.Receive(t.Context(), jsonRequest(`{}`)); err != nil {
			t.Fatal(err)
		}
		if second.ID == "" && first.ID == "" {
			t.Fatal("nobody planned")
		}
		if first.ID == "" {
			t.Fatal("the new rules planned what the old ones had let in")
		}
	}
	if second.ID == "" {
		t.Error("the new rules were never used")
	}
}

func TestAcceptOutlivesItsCaller(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	store := &shelf{onAccept: func(ctx context.Context) {
		if ctx.Err() != nil {
			t.Error("the store was told to stop")
		}
		if _, ok := ctx.Deadline(); !ok {
			t.Error("the store may take for ever")
		}
	}}
	if _, err := New(book{trigger: open("skedda")}, store, Options{}).Receive(ctx, jsonRequest(`{}`)); err != nil {
		t.Fatal(err)
	}
	if id := store.accepted[0].ID; !strings.HasPrefix(id, "evt_") || len(id) != 24 || strings.ToLower(id) != id {
		t.Errorf("drew the id %q", id)
	}
}
