package store

import (
	"encoding/json"
	"fmt"
	"math"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"doorhook/internal/relay"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

// step is one event and what the store has to say and to want after it.
type step struct {
	plan   relay.Plan
	status relay.Status
	want   string // what b1 wants afterwards
}

func TestAcceptSequences(t *testing.T) {
	received := float64(newTestClock().Now().UnixMicro())
	both := relay.Plan{EventID: "both", Booking: "b1", Rules: []relay.Match{match("a", `{"n":1}`), match("b", `{"n":1}`)}}
	undecided := relay.Plan{EventID: "half", Booking: "b1", Rules: []relay.Match{match("a", `{"n":2}`)}, Undecided: []string{"b"}}
	timed := func(id string, v float64) relay.Plan {
		p := booking(id, new(v), `{"n":9}`)
		p.Timed = true
		return p
	}
	for name, steps := range map[string][]step{
		"a repeat changes nothing": {
			{booking("e1", nil, `{"n":1}`), relay.Accepted, `open{"n":1}`},
			{booking("e2", nil, `{"n":2}`), relay.Accepted, `open{"n":2}`},
			{booking("e1", nil, `{"n":1}`), relay.Duplicate, `open{"n":2}`},
		},
		"without an identity nothing is a repeat": {
			{booking("", nil, `{"n":1}`), relay.Accepted, `open{"n":1}`},
			{booking("", nil, `{"n":1}`), relay.Accepted, `open{"n":1}`},
		},
		"older is stale, and remembered": {
			{booking("e2", version(2), `{"n":2}`), relay.Accepted, `open{"n":2}`},
			{booking("e1", version(1), `{"n":1}`), relay.Stale, `open{"n":2}`},
			{booking("e1", version(1), `{"n":1}`), relay.Duplicate, `open{"n":2}`},
			{booking("e3", version(3), `{"n":3}`), relay.Accepted, `open{"n":3}`},
		},
		"equal is not lost": {
			{booking("e1", version(1), `{"n":1}`), relay.Accepted, `open{"n":1}`},
			{booking("e2", version(1), `{"n":2}`), relay.Accepted, `open{"n":2}`},
		},
		"fractions and signs count": {
			{booking("e1", new(-1.5), `{"n":1}`), relay.Accepted, `open{"n":1}`},
			{booking("e2", new(-1.6), `{"n":2}`), relay.Stale, `open{"n":1}`},
			{booking("e3", new(-1.4), `{"n":3}`), relay.Accepted, `open{"n":3}`},
		},
		"neighbours below 2^53 are told apart": {
			{booking("e1", version(maxVersion-1), `{"n":1}`), relay.Accepted, `open{"n":1}`},
			{booking("e2", version(maxVersion-2), `{"n":2}`), relay.Stale, `open{"n":1}`},
		},
		"without a version arrival decides, and the version stays": {
			{booking("e5", version(5), `{"n":5}`), relay.Accepted, `open{"n":5}`},
			{booking("e?", nil, `{"n":0}`), relay.Accepted, `open{"n":0}`},
			{booking("e4", version(4), `{"n":4}`), relay.Stale, `open{"n":0}`},
		},
		"a cancellation wants nothing": {
			{both, relay.Accepted, `a{"n":1} b{"n":1}`},
			{cancel("c", nil), relay.Accepted, ``},
		},
		"a cancellation that overtakes its creation": {
			{cancel("c", version(2)), relay.Accepted, ``},
			{booking("e1", version(1), `{"n":1}`), relay.Stale, ``},
		},
		"a cancellation without a version overtakes its versioned creation": {
			{cancel("c", nil), relay.Accepted, ``},
			{booking("e1", version(1), `{"n":1}`), relay.Stale, ``},
			{booking("e2", version(2), `{"n":2}`), relay.Stale, ``},
		},
		"a time before the cancellation was received is stale, one after it is not": {
			{cancel("c", nil), relay.Accepted, ``},
			{timed("e1", received), relay.Stale, ``},
			{booking("e1b", new(received+1), `{"n":1}`), relay.Stale, ``}, // a number, not a time
			{timed("e2", received+1), relay.Accepted, `open{"n":9}`},
		},
		"after a tombstone the stored version must be exceeded": {
			{booking("e3", version(3), `{"n":3}`), relay.Accepted, `open{"n":3}`},
			{cancel("c", nil), relay.Accepted, ``},
			{booking("e3b", version(3), `{"n":3}`), relay.Stale, ``},
			{booking("e4", version(4), `{"n":4}`), relay.Accepted, `open{"n":4}`},
			{booking("e4b", version(4), `{"n":5}`), relay.Accepted, `open{"n":5}`}, // the tombstone is gone
		},
		"without versions a booking can be made again": {
			{cancel("c", nil), relay.Accepted, ``},
			{booking("e1", nil, `{"n":1}`), relay.Accepted, `open{"n":1}`},
		},
		"of two with one version the cancellation counts": {
			{cancel("c", version(1)), relay.Accepted, ``},
			{booking("e1", version(1), `{"n":1}`), relay.Stale, ``},
			{booking("e2", version(2), `{"n":2}`), relay.Accepted, `open{"n":2}`},
			{cancel("c2", version(2)), relay.Accepted, ``},
		},
		"what could not be decided stays, what no longer matches goes": {
			{both, relay.Accepted, `a{"n":1} b{"n":1}`},
			{undecided, relay.Accepted, `a{"n":2} b{"n":1}`},
			{booking("e", nil, `{"n":3}`), relay.Accepted, `open{"n":3}`},
		},
		"an undecided rule keeps what it wanted even where a part of it matched": {
			{both, relay.Accepted, `a{"n":1} b{"n":1}`},
			{
				relay.Plan{EventID: "e", Booking: "b1", Rules: []relay.Match{match("b", `{"n":7}`)}, Undecided: []string{"b"}},
				relay.Accepted, `b{"n":1}`,
			},
		},
		"a cancellation drops what is undecided too": {
			{both, relay.Accepted, `a{"n":1} b{"n":1}`},
			{relay.Plan{EventID: "c", Booking: "b1", Cancelled: true, Undecided: []string{"b"}}, relay.Accepted, ``},
		},
		"a booking that asks for nothing is ignored, and its version remembered": {
			{booking("e2", version(2), ""), relay.Ignored, ``},
			{booking("e1", version(1), `{"n":1}`), relay.Stale, ``},
		},
		"asking for nothing where something was wanted is a change": {
			{booking("e1", nil, `{"n":1}`), relay.Accepted, `open{"n":1}`},
			{booking("e2", nil, ""), relay.Accepted, ``},
			{booking("e3", nil, ""), relay.Ignored, ``},
		},
		"a rule that matched without an action wants nothing": {
			{booking("e1", nil, `{"n":1}`), relay.Accepted, `open{"n":1}`},
			{relay.Plan{EventID: "e2", Booking: "b1", Rules: []relay.Match{{Rule: "open"}}}, relay.Accepted, ``},
		},
	} {
		t.Run(name, func(t *testing.T) {
			each(t, func(t *testing.T, b *bed) { play(t, b, steps) })
		})
	}
}

func play(t *testing.T, b *bed, steps []step) {
	s := b.open(t)
	var changes int64
	for i, st := range steps {
		r := accept(t, s, st.plan)
		if r.Status == relay.Accepted || r.Status == relay.Ignored {
			changes++
		}
		wantReceipt := relay.Receipt{Status: st.status, JobID: b1, EventID: st.plan.EventID, Changes: changes}
		if diff := cmp.Diff(wantReceipt, r); diff != "" {
			t.Errorf("step %d: receipt (-want +got):\n%s", i, diff)
		}
		if got := want(job(t, s, b1)); got != st.want {
			t.Errorf("step %d: wants %s, want %s", i, got, st.want)
		}
	}
}

func TestAcceptKeepsAWholeJob(t *testing.T) {
	each(t, func(t *testing.T, b *bed) {
		s := b.open(t)
		at := time.Date(2026, 3, 4, 12, 30, 0, 500, time.UTC)
		args := relay.Encode(map[string]any{"name": `<Ada> & "Bob" é 12345678901234567890`, "big": int64(1)<<62 + 1, "e": []int{}})
		a := relay.Action{Key: "k/0", Rule: "z", Kind: relay.GroupLink, Args: args, At: at, NotAfter: at.Add(1), Ends: at.Add(2)}
		second := a
		second.Key = "k/1"
		p := relay.Plan{EventID: "e1", Booking: "b1", Version: new(1.25), Rules: []relay.Match{{Rule: "z", Actions: []relay.Action{a, second}}, match("a", `{}`)}}
		accept(t, s, p)
		expect := relay.Job{
			ID: b1, Trigger: "skedda", Booking: "b1", EventID: "e1", Version: new(1.25), Changes: 1, ChangedAt: time.Date(2026, 3, 4, 10, 0, 0, 0, time.UTC),
			ReceivedAt: time.Date(2026, 3, 4, 10, 0, 0, 0, time.UTC),
			Want:       []relay.Action{action("a", `{}`), a, second},
		}
		read := job(t, s, b1)
		if read.Record == "" || !read.DueAt.Equal(expect.ChangedAt) {
			t.Errorf("record %q, due at %s", read.Record, read.DueAt)
		}
		expect.Record, expect.Place, read.DueAt = read.Record, read.Record, time.Time{}
		if diff := cmp.Diff(expect, read); diff != "" {
			t.Errorf("job (-want +got):\n%s", diff)
		}
		got := claimOne(t, s)
		if got.Token == "" {
			t.Error("claimed without a token")
		}
		got.Token, expect.Since = "", b.clock.Now()
		if diff := cmp.Diff(expect, got); diff != "" {
			t.Errorf("claimed (-want +got):\n%s", diff)
		}
	})
}

func TestAcceptWithoutBooking(t *testing.T) {
	each(t, func(t *testing.T, b *bed) {
		s := b.open(t)
		r := accept(t, s, relay.Plan{EventID: "e1", Rules: []relay.Match{match("open", `{}`)}})
		if r != (relay.Receipt{Status: relay.Accepted, JobID: "skedda:event:e1", EventID: "e1", Changes: 1}) {
			t.Errorf("receipt %+v", r)
		}
		if r = accept(t, s, relay.Plan{EventID: "e2"}); r != (relay.Receipt{Status: relay.Ignored, EventID: "e2"}) {
			t.Errorf("receipt of nothing %+v", r)
		}
		if r = accept(t, s, relay.Plan{EventID: "e2"}); r != (relay.Receipt{Status: relay.Duplicate, EventID: "e2"}) {
			t.Errorf("receipt of nothing again %+v", r)
		}
		if _, ok, err := s.Job(ctx, "skedda:event:e2"); ok || err != nil {
			t.Errorf("an ignored event left a job: %v, %v", ok, err)
		}
		if got := b.statuses(t); got != "accepted ignored" {
			t.Errorf("events: %s", got)
		}
		if c := claim(t, s, 10); len(c.Jobs) != 1 {
			t.Errorf("%d jobs due, want 1", len(c.Jobs))
		}
	})
}

func TestFatalLeavesOnlyARecordAndLetters(t *testing.T) {
	each(t, func(t *testing.T, b *bed) {
		s := b.open(t)
		p := relay.Plan{EventID: "e1", Booking: "b1", Fatal: true, Problems: []relay.Problem{
			{Where: "skedda.yaml:3:5", Expr: "x", Message: "no x"},
			{Where: "skedda.yaml:4:5", Expr: "y", Message: "no y"},
			{Rule: "open", Where: "skedda.yaml:9:5", Expr: "z", Message: "no z"},
		}}
		for range 2 { // a repeat replaces its letters
			if r := accept(t, s, p); r != (relay.Receipt{Status: relay.Failed, EventID: "e1"}) {
				t.Errorf("receipt %+v", r)
			}
		}
		letters, err := s.Letters(ctx, 10)
		if err != nil || len(letters) != 3 {
			t.Fatalf("%d letters, error %v", len(letters), err)
		}
		events := 0
		for _, l := range letters {
			if l.Event != nil {
				events++
				var ev relay.Event
				if err := json.Unmarshal(l.Event, &ev); err != nil || ev.ID != "e1" || ev.Headers["X-Secret"] != "canary" {
					t.Errorf("letter %s cannot be replayed: %v %+v", l.ID, err, ev)
				}
			}
			if l.Cause != relay.ByRule || l.Problem == nil || l.Error != l.Problem.Error() || l.JobID != b1 || !l.At.Equal(b.clock.Now()) {
				t.Errorf("letter %+v", l)
			}
		}
		if events != 1 {
			t.Errorf("the event is kept %d times", events)
		}
		if got := b.statuses(t); got != "failed failed" {
			t.Errorf("events: %s", got)
		}
		for _, key := range b.all(t) {
			if strings.HasPrefix(key, "seen:") || strings.HasPrefix(key, "job:") || key == "due" {
				t.Errorf("left %s", key)
			}
		}
	})
}

func TestProblemsOfAnAcceptedEventBecomeLetters(t *testing.T) {
	each(t, func(t *testing.T, b *bed) {
		s := b.open(t)
		p := booking("e1", version(2), `{}`)
		p.Undecided = []string{"other"}
		p.Problems = []relay.Problem{{Rule: "other", Where: "f:1:1", Message: "no"}}
		accept(t, s, p)
		accept(t, s, p) // duplicate
		old := p
		old.EventID, old.Version = "e0", version(1)
		accept(t, s, old) // stale
		letters, err := s.Letters(ctx, 10)
		if err != nil || len(letters) != 1 || letters[0].JobID != b1 || letters[0].EventID != "e1" {
			t.Errorf("letters %+v, error %v", letters, err)
		}
		if got := b.statuses(t); got != "accepted stale" {
			t.Errorf("events: %s", got)
		}
	})
}

func TestEventRecords(t *testing.T) {
	each(t, func(t *testing.T, b *bed) {
		s := b.open(t)
		accept(t, s, booking("e1", version(1), `{}`))
		big := event("e2")
		big.Payload = strings.Repeat("x", keptEvent)
		if _, err := s.Accept(ctx, big, booking("e2", version(2), `{}`)); err != nil {
			t.Fatal(err)
		}
		got, err := s.Events(ctx, "", 10)
		if err != nil {
			t.Fatal(err)
		}
		whole, err := json.Marshal(event("e1"))
		if err != nil {
			t.Fatal(err)
		}
		now := b.clock.Now().UTC().Truncate(time.Millisecond)
		expect := []relay.Record{
			{At: now, Trigger: "skedda", EventID: "e2", Status: relay.Accepted, JobID: b1, Rules: "open", Size: got[0].Size},
			{At: now, Trigger: "skedda", EventID: "e1", Status: relay.Accepted, JobID: b1, Rules: "open", Event: whole},
		}
		if diff := cmp.Diff(expect, got, cmpopts.IgnoreFields(relay.Record{}, "ID")); diff != "" || got[0].Size <= keptEvent {
			t.Errorf("records (-want +got), size %d:\n%s", got[0].Size, diff)
		}
		if rest, err := s.Events(ctx, got[0].ID, 10); err != nil || len(rest) != 1 || rest[0].EventID != "e1" {
			t.Errorf("after the first: %v, %v", rest, err)
		}
		if j := job(t, s, b1); j.Record != got[0].ID {
			t.Errorf("the job's newest event is at %q, want %q", j.Record, got[0].ID)
		}
		for place, want := range map[string]string{got[1].ID: "e1", "1-1": ""} {
			if one, ok, err := s.Event(ctx, place); err != nil || ok != (want != "") || one.EventID != want {
				t.Errorf("the event at %s: %v, %v, %v", place, one, ok, err)
			}
		}
	})
}

func TestEventsAreBounded(t *testing.T) {
	each(t, func(t *testing.T, b *bed) {
		o := b.options()
		o.Events = 10
		s := open(t, o)
		for i := range 300 {
			accept(t, s, relay.Plan{EventID: fmt.Sprint(i)})
		}
		// Redis trims whole nodes of up to 100 entries.
		if n := len(b.records(t)); n < 10 || n > 120 {
			t.Errorf("%d events kept", n)
		}
	})
}

func TestLongIdentitiesAreHashedWhole(t *testing.T) {
	each(t, func(t *testing.T, b *bed) {
		s := b.open(t)
		long := strings.Repeat("é\n {x}:", 1000)
		for i, end := range []string{"a", "b"} {
			p := relay.Plan{EventID: long + end, Booking: long + end, Rules: []relay.Match{match("open", fmt.Sprintf(`{"n":%d}`, i))}}
			if r := accept(t, s, p); r.Status != relay.Accepted || r.JobID != "skedda:booking:"+long+end {
				t.Fatalf("%s: %s", end, r.Status)
			}
			if r := accept(t, s, p); r.Status != relay.Duplicate || r.Changes != 1 {
				t.Errorf("%s again: %s", end, r.Status)
			}
		}
		c := claim(t, s, 10)
		if len(c.Jobs) != 2 {
			t.Fatalf("%d jobs", len(c.Jobs))
		}
		for _, j := range c.Jobs {
			finish(t, s, j, time.Time{})
		}
		for _, key := range b.all(t) {
			if len(key) > 300 {
				t.Errorf("a key of %d bytes", len(key))
			}
		}
	})
}

func TestShort(t *testing.T) {
	edge := strings.Repeat("x", longest)
	if short(edge) != edge || short(edge+"x") == edge+"x" {
		t.Error("the edge is not at 256 bytes")
	}
	if hash := short(edge + "x"); short(hash) == hash {
		t.Error("an identity that looks like a hash passes for another's")
	}
}

func TestUnusableVersions(t *testing.T) {
	s := open(t, Options{})
	for _, v := range []float64{math.NaN(), math.Inf(1), math.Inf(-1), maxVersion, -maxVersion} {
		if _, err := s.Accept(ctx, event("e"), booking("e", &v, `{}`)); err == nil {
			t.Errorf("version %v was accepted", v)
		}
	}
}

func TestOneOfManyRepeatsIsAccepted(t *testing.T) {
	each(t, func(t *testing.T, b *bed) {
		stores := []*Store{b.open(t), b.open(t)}
		var accepted, duplicate atomic.Int64
		var wg sync.WaitGroup
		for i := range 100 {
			wg.Go(func() {
				r, err := stores[i%2].Accept(ctx, event("e1"), booking("e1", version(1), `{}`))
				switch {
				case err != nil:
					t.Error(err)
				case r.Status == relay.Accepted:
					accepted.Add(1)
				case r.Status == relay.Duplicate && r.JobID == b1:
					duplicate.Add(1)
				}
			})
		}
		wg.Wait()
		if accepted.Load() != 1 || duplicate.Load() != 99 {
			t.Errorf("%d accepted, %d duplicates", accepted.Load(), duplicate.Load())
		}
	})
}

func TestDedupEnds(t *testing.T) {
	each(t, func(t *testing.T, b *bed) {
		o := b.options()
		o.DedupTTL = 30 * time.Millisecond
		s := open(t, o)
		accept(t, s, booking("e1", nil, `{}`))
		time.Sleep(60 * time.Millisecond)
		if r := accept(t, s, booking("e1", nil, `{}`)); r.Status != relay.Accepted {
			t.Errorf("after its time: %s", r.Status)
		}
	})
}

func TestTwoPrefixesDoNotMeet(t *testing.T) {
	each(t, func(t *testing.T, b *bed) {
		one, o := b.open(t), b.options()
		o.Prefix += "-other"
		other := open(t, o)
		accept(t, one, booking("e1", nil, `{}`))
		if c := claimNone(t, other); !c.Next.IsZero() {
			t.Error("sees the other's jobs")
		}
		if r := accept(t, other, booking("e1", nil, `{}`)); r.Status != relay.Accepted || r.Changes != 1 {
			t.Errorf("receipt %+v", r)
		}
	})
}
