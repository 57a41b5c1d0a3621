package shadow

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"doorhook/internal/relay"
	"doorhook/internal/store"
)

var noon = time.Date(2030, 5, 14, 12, 0, 0, 0, time.UTC)

// plans is a set of rules that has an answer to each event, by its id.
type plans map[string]relay.Plan

func (p plans) Has(trigger string) bool { return trigger == "t" }

func (p plans) Plan(ev relay.Event) relay.Plan { return p[ev.ID] }

func match(rule string, n int) relay.Match {
	args := relay.Encode(map[string]any{"n": n})
	return relay.Match{Rule: rule, Actions: []relay.Action{{Key: rule + "#1", Rule: rule, Kind: relay.Schedule, Args: args}}}
}

// TestFoldIsAccept takes random histories to the store and to a book. What a booking
// wants is the same in both after every event.
func TestFoldIsAccept(t *testing.T) {
	now, n := noon, 0
	s, err := store.Open(t.Context(), store.Options{Now: func() time.Time { return now }})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	rapid.Check(t, func(t *rapid.T) {
		n++
		b, trigger := newBook(), fmt.Sprintf("t%d", n)
		for i := range rapid.IntRange(1, 25).Draw(t, "events") {
			now = now.Add(time.Second)
			e := planned{id: fmt.Sprintf("drawn-%d", i), trigger: trigger, at: now, plan: drawPlan(t, i, now)}
			ev := relay.Event{ID: e.id, Trigger: trigger, ReceivedAt: now}
			if e.plan.EventID != "" {
				ev.ID = e.plan.EventID
			}
			receipt, err := s.Accept(t.Context(), ev, e.plan)
			if err != nil {
				t.Fatal(err)
			}
			b.accept(e)
			id := e.job()
			job, exists, err := s.Job(t.Context(), id)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(job.Want, b.actions(id)); diff != "" || exists != (b.jobs[id] != nil) {
				t.Fatalf("event %d (%s): job %t, in the book %t; wanted (-store +book):\n%s", i, receipt.Status, exists, b.jobs[id] != nil, diff)
			}
		}
	})
}

// drawPlan is what rules may make of an event: of one of two bookings or of none, with
// an identity that may come again, with any kind of version.
func drawPlan(t *rapid.T, n int, now time.Time) relay.Plan {
	pick := func(label string, of ...string) string { return rapid.SampledFrom(of).Draw(t, label) }
	p := relay.Plan{
		EventID: pick("id", "", "", "e1", "e2", fmt.Sprint("e", n)),
		Booking: pick("booking", "", "b1", "b1", "b2"),
		Fatal:   rapid.IntRange(0, 9).Draw(t, "fatal") == 0,
	}
	if p.Booking != "" {
		p.Cancelled = rapid.IntRange(0, 3).Draw(t, "cancelled") == 0
		switch pick("version", "none", "number", "time") {
		case "number":
			p.Version = new(float64(rapid.IntRange(-1, 3).Draw(t, "number")))
		case "time":
			p.Version, p.Timed = new(float64(now.Add(time.Duration(rapid.IntRange(-3, 1).Draw(t, "seconds"))*time.Second).UnixMicro())), true
		}
	}
	for _, rule := range []string{"a", "b", "c"} {
		switch pick(rule, "no", "yes", "fails", "half") {
		case "yes":
			p.Rules = append(p.Rules, match(rule, n))
		case "fails":
			p.Undecided = append(p.Undecided, rule)
		case "half":
			p.Rules, p.Undecided = append(p.Rules, match(rule, n)), append(p.Undecided, rule)
		}
	}
	return p
}

func event(id string, minutes int) relay.Event {
	return relay.Event{ID: id, Trigger: "t", ReceivedAt: noon.Add(time.Duration(minutes) * time.Minute)}
}

// booking is a plan for b1.
func booking(rules ...relay.Match) relay.Plan { return relay.Plan{Booking: "b1", Rules: rules} }

func TestCompare(t *testing.T) {
	cancel := relay.Plan{Booking: "b1", Cancelled: true}
	fails := relay.Plan{Booking: "b1", Undecided: []string{"a"}, Problems: []relay.Problem{{Rule: "a", Where: "t.yaml:1:1", Message: "no"}}}
	fatal := relay.Plan{Fatal: true, Problems: []relay.Problem{{Where: "t.yaml:2:2", Message: "who?"}}}
	later := match("a", 1)
	later.Actions[0].At = noon
	timed := func(d time.Duration) relay.Plan {
		p := booking(match("a", 1))
		p.Version, p.Timed = new(float64(noon.Add(d).UnixMicro())), true
		return p
	}
	tests := []struct {
		name     string
		old, new []relay.Plan // of e0, e1, …, a minute apart
		want     string
	}{
		{"the same", []relay.Plan{booking(match("a", 1))}, []relay.Plan{booking(match("a", 1))}, ""},
		{"only with the old", []relay.Plan{booking(match("a", 1), match("b", 1))}, []relay.Plan{booking(match("b", 1))}, "t:booking:b1 of 1: -a#1"},
		{"only with the new", []relay.Plan{booking()}, []relay.Plan{booking(match("a", 1))}, "t:booking:b1 of 1: +a#1"},
		{"a field", []relay.Plan{booking(match("a", 1))}, []relay.Plan{booking(match("a", 2))}, "t:booking:b1 of 1: ~a#1 n 1→2"},
		{"when Kisi is told", []relay.Plan{booking(match("a", 1))}, []relay.Plan{booking(later)}, "t:booking:b1 of 1: ~a#1 at <nil>→2030-05-14T12:00:00Z"},
		{"it came to the same in the end", []relay.Plan{booking(match("a", 1)), booking(match("a", 3))}, []relay.Plan{booking(match("a", 2)), booking(match("a", 3))}, ""},
		{"what is cancelled wants nothing", []relay.Plan{booking(match("a", 1)), cancel}, []relay.Plan{booking(match("a", 2)), cancel}, ""},
		{"a cancellation not seen", []relay.Plan{booking(match("a", 1)), cancel}, []relay.Plan{booking(match("a", 1)), booking(match("a", 1))}, "t:booking:b1 of 2: +a#1"},
		{"a rule that fails now keeps what it wanted", []relay.Plan{booking(match("a", 1)), booking(match("a", 2))}, []relay.Plan{booking(match("a", 1)), fails}, "t:booking:b1 of 2: ~a#1 n 2→1 fails a t.yaml:1:1: no"},
		{"a rule that failed before", []relay.Plan{fails}, []relay.Plan{booking()}, "t:booking:b1 of 1: mends a t.yaml:1:1: no"},
		{"older than the cancellation, or as old", []relay.Plan{cancel, timed(0)}, []relay.Plan{cancel, timed(time.Microsecond)}, "t:booking:b1 of 2: +a#1"},
		{"a rule that fails with both", []relay.Plan{fails}, []relay.Plan{fails}, ""},
		{"nothing decided is about the booking all the same", []relay.Plan{booking(match("a", 1))}, []relay.Plan{fatal}, "t:booking:b1 of 1: -a#1 fails  t.yaml:2:2: who?"},
		{"a cancellation that lost its booking", []relay.Plan{cancel}, []relay.Plan{{Cancelled: true}}, "t:booking:b1 of 1: fails  a cancellation needs a booking"},
		{
			"another booking",
			[]relay.Plan{booking(match("a", 1))},
			[]relay.Plan{{Booking: "B1", Rules: []relay.Match{match("a", 1)}}},
			"e0: b1→B1; t:booking:B1 of 1: +a#1; t:booking:b1 of 1: -a#1",
		},
		{
			"events that stand for themselves, the newest first",
			[]relay.Plan{{Rules: []relay.Match{match("a", 1)}}, {Rules: []relay.Match{match("a", 1)}}},
			[]relay.Plan{{}, {}},
			"t:event:e1 of 1: -a#1; t:event:e0 of 1: -a#1",
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			old, next := plans{}, plans{}
			var events []relay.Event
			for i := range tt.old {
				ev := event(fmt.Sprint("e", i), i)
				old[ev.ID], next[ev.ID] = tt.old[i], tt.new[i]
				events = append(events, ev)
			}
			slices.Reverse(events)
			if got := say(Compare(old, next, slices.Values(events))); got != tt.want {
				t.Errorf("got  %s\nwant %s", got, tt.want)
			}
		})
	}
}

// say is a report on one line.
func say(r Report) (text string) {
	part := func(format string, args ...any) { text += fmt.Sprintf(format, args...) }
	for _, n := range r.Renamed {
		part("%s: %s→%s", n.EventID, n.Old, n.New)
	}
	for _, d := range r.Differences {
		if text != "" {
			part("; ")
		}
		part("%s of %d:", d.Job, d.Events)
		for _, a := range d.OnlyOld {
			part(" -%s", a.Key)
		}
		for _, a := range d.OnlyNew {
			part(" +%s", a.Key)
		}
		for _, c := range d.Changed {
			part(" ~%s", c.Old.Key)
			for _, f := range c.Fields {
				part(" %s %v→%v", f.Name, f.Old, f.New)
			}
		}
		for _, f := range d.Broken {
			part(" fails %s %s", f.Rule, f.Message)
		}
		for _, f := range d.Mended {
			part(" mends %s %s", f.Rule, f.Message)
		}
	}
	return text
}

// only is a set of rules with one trigger, which has the name.
type only string

func (o only) Has(trigger string) bool { return trigger == string(o) }

func (o only) Plan(ev relay.Event) relay.Plan {
	return relay.Plan{Booking: "b", Rules: []relay.Match{match("r", 1)}}
}

// TestTriggers counts the events of triggers that a set does not have.
func TestTriggers(t *testing.T) {
	var events []relay.Event
	for i, trigger := range []string{"both", "gone", "added", "nobody's", "gone"} {
		events = append(events, relay.Event{ID: fmt.Sprint(i), Trigger: trigger, ReceivedAt: noon.Add(-time.Duration(i) * time.Hour)})
	}
	r := Compare(only("gone"), only("added"), slices.Values(events))
	want := Report{
		Events: 5, Bookings: 2, From: noon.Add(-4 * time.Hour), To: noon, Renamed: []Renamed{},
		Unknown: map[string]int{"both": 1, "nobody's": 1}, OnlyOld: map[string]int{"gone": 2}, OnlyNew: map[string]int{"added": 1},
	}
	if got := say(r); got != "gone:booking:b of 2: -r#1; added:booking:b of 1: +r#1" {
		t.Error(got)
	}
	r.Differences = nil
	if diff := cmp.Diff(want, r); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
