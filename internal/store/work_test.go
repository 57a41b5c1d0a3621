package store

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"doorhook/internal/relay"

	"github.com/google/go-cmp/cmp"
)

func held(object int64) []relay.Held {
	at := time.Date(2026, 3, 4, 9, 0, 0, 1, time.UTC)
	return []relay.Held{{
		Action: action("open", `{"n":1}`), Object: object, Old: []int64{5, 6}, Locks: []int64{1}, State: relay.Done,
		Changes: 1, Attempts: 2, TriedAt: at, Unsure: true, RetryAt: at, Error: "<no>",
	}}
}

func TestSaveAndFinishKeepHave(t *testing.T) {
	each(t, func(t *testing.T, b *bed) {
		s := b.open(t)
		accept(t, s, booking("e1", nil, `{"n":1}`))
		j := claimOne(t, s)
		j.Have = held(7)
		if changed, err := s.Save(ctx, j); changed || err != nil {
			t.Fatalf("save: %v, %v", changed, err)
		}
		if diff := cmp.Diff(held(7), job(t, s, b1).Have); diff != "" {
			t.Errorf("saved (-want +got):\n%s", diff)
		}
		j.Have = held(8)
		tried := []relay.Attempt{{At: held(8)[0].TriedAt, Action: "open/0", Step: "create", Result: "unsure", Error: "<no>"}}
		j.Attempts = tried
		finish(t, s, j, time.Time{})
		got := job(t, s, b1)
		if diff := cmp.Diff(tried, got.Attempts); diff != "" {
			t.Errorf("attempts (-want +got):\n%s", diff)
		}
		if diff := cmp.Diff(held(8), got.Have); diff != "" || got.Worked != 1 {
			t.Errorf("finished, worked %d (-want +got):\n%s", got.Worked, diff)
		}
		accept(t, s, booking("e2", nil, `{"n":1}`))
		j = claimOne(t, s)
		j.Have = nil
		finish(t, s, j, time.Time{})
		if got := job(t, s, b1); got.Have != nil || got.Worked != 2 {
			t.Errorf("have %v, worked %d", got.Have, got.Worked)
		}
	})
}

func TestClaimOrderAndLimit(t *testing.T) {
	each(t, func(t *testing.T, b *bed) {
		s := b.open(t)
		if c := claimNone(t, s); !c.Next.IsZero() || !c.Now.Equal(b.clock.Now()) {
			t.Errorf("empty: %+v", c)
		}
		for i := range 3 {
			p := relay.Plan{EventID: fmt.Sprint(i), Booking: fmt.Sprint(i), Rules: []relay.Match{match("open", `{}`)}}
			accept(t, s, p)
			b.clock.add(time.Second)
		}
		c := claim(t, s, 2)
		if len(c.Jobs) != 2 || c.Jobs[0].Booking != "0" || c.Jobs[1].Booking != "1" || c.Jobs[0].Token == c.Jobs[1].Token {
			t.Errorf("claimed %+v", c.Jobs)
		}
		if !c.Next.Equal(b.clock.Now().Add(-time.Second)) {
			t.Errorf("next %s: a third is due", c.Next)
		}
		for _, n := range []int{0, -1} {
			if c := claim(t, s, n); len(c.Jobs) != 0 {
				t.Errorf("asked for %d, got %d", n, len(c.Jobs))
			}
		}
		if c = claim(t, s, 10); len(c.Jobs) != 1 || !c.Next.Equal(b.clock.Now().Add(s.Lease())) {
			t.Errorf("claimed %d, next %s", len(c.Jobs), c.Next)
		}
	})
}

func TestClaimManyAtOnce(t *testing.T) {
	each(t, func(t *testing.T, b *bed) {
		s := b.open(t)
		pipe := b.rdb.Pipeline()
		for i := range mostAtOnce + 1 {
			id := fmt.Sprintf("skedda:event:%d", i)
			pipe.HSet(ctx, b.key("job:"+id), "head", "1 - 0-0 0 0  ")
			pipe.ZAdd(ctx, b.key("due"), redisZ(id))
		}
		if _, err := pipe.Exec(ctx); err != nil {
			t.Fatal(err)
		}
		if c := claim(t, s, 1<<30); len(c.Jobs) != mostAtOnce {
			t.Errorf("claimed %d", len(c.Jobs))
		}
	})
}

func TestNoTwoWorkersHoldOneJob(t *testing.T) {
	each(t, func(t *testing.T, b *bed) {
		stores := []*Store{b.open(t), b.open(t)}
		const jobs = 60
		for i := range jobs {
			accept(t, stores[0], relay.Plan{EventID: fmt.Sprint(i), Booking: fmt.Sprint(i), Rules: []relay.Match{match("open", `{}`)}})
		}
		var mu sync.Mutex
		var got []string
		var wg sync.WaitGroup
		for i := range 20 {
			wg.Go(func() {
				c, err := stores[i%2].Claim(ctx, relay.Doors, 7)
				if err != nil {
					t.Error(err)
				}
				mu.Lock()
				defer mu.Unlock()
				for _, j := range c.Jobs {
					got = append(got, j.ID)
				}
			})
		}
		wg.Wait()
		slices.Sort(got)
		if n := len(slices.Compact(slices.Clone(got))); n != jobs || len(got) != jobs {
			t.Errorf("%d claims of %d jobs, want %d of each", len(got), n, jobs)
		}
	})
}

func TestLeaseRunsOut(t *testing.T) {
	each(t, func(t *testing.T, b *bed) {
		s := b.open(t)
		accept(t, s, booking("e1", nil, `{}`))
		first := claimOne(t, s)
		b.clock.add(s.Lease() - time.Millisecond)
		claimNone(t, s)
		if _, err := s.Save(ctx, first); err != nil { // renews
			t.Fatal(err)
		}
		b.clock.add(s.Lease() - time.Millisecond)
		claimNone(t, s)
		if _, err := s.Save(ctx, first); err != nil { // the renewed one holds too
			t.Fatal(err)
		}
		b.clock.add(s.Lease())
		first.Have = held(7)
		loses(t, s, first) // in time's hands, though nobody has taken it yet
		second := claimOne(t, s)
		loses(t, s, first)
		if second.Have != nil || second.Token == first.Token {
			t.Errorf("second got %+v", second)
		}
		finish(t, s, second, time.Time{})
		loses(t, s, second) // let go
		if letters, err := s.Letters(ctx, 10); err != nil || len(letters) != 0 {
			t.Errorf("who lost the lease left letters: %v, %v", letters, err)
		}
	})
}

func loses(t *testing.T, s *Store, j relay.Job) {
	t.Helper()
	if _, err := s.Save(ctx, j); !errors.Is(err, relay.ErrLeaseLost) {
		t.Errorf("save: %v", err)
	}
	if err := s.Finish(ctx, j, time.Time{}, []relay.DeadLetter{{ID: "x"}}); !errors.Is(err, relay.ErrLeaseLost) {
		t.Errorf("finish: %v", err)
	}
}

func TestAcceptLeavesAJobInHandAlone(t *testing.T) {
	each(t, func(t *testing.T, b *bed) {
		s := b.open(t)
		accept(t, s, booking("e1", version(1), `{"n":1}`))
		j := claimOne(t, s)
		b.clock.add(time.Second)
		accept(t, s, booking("e2", version(1), `{"n":2}`)) // an equal version is a change too
		claimNone(t, s)
		j.Have = held(7)
		if changed, err := s.Save(ctx, j); !changed || err != nil {
			t.Errorf("save: changed %v, error %v", changed, err)
		}
		claimNone(t, s)
		finish(t, s, j, b.clock.Now().Add(time.Hour))
		if got := job(t, s, b1); got.Worked != 1 || got.Changes != 2 {
			t.Errorf("worked %d of %d", got.Worked, got.Changes)
		}
		j = claimOne(t, s)
		if got := want(j); got != `open{"n":2}` || len(j.Have) != 1 {
			t.Errorf("claimed %s %+v", got, j.Have)
		}
	})
}

func TestAcceptAfterALostLeaseIsDueAtOnce(t *testing.T) {
	each(t, func(t *testing.T, b *bed) {
		s := b.open(t)
		accept(t, s, booking("e1", nil, `{"n":1}`))
		claimOne(t, s)
		b.clock.add(time.Minute)
		accept(t, s, booking("e2", nil, `{"n":2}`))
		claimOne(t, s)
	})
}

func TestWaitingJobs(t *testing.T) {
	each(t, func(t *testing.T, b *bed) {
		s := b.open(t)
		accept(t, s, booking("e1", nil, `{"n":1}`))
		next := b.clock.Now().Add(time.Hour).Add(100 * time.Microsecond)
		finish(t, s, claimOne(t, s), next)
		up := next.Truncate(time.Millisecond).Add(time.Millisecond)
		if c := claimNone(t, s); !c.Next.Equal(up) {
			t.Errorf("next %s, want %s: never before its time", c.Next, up)
		}
		accept(t, s, booking("e2", nil, `{"n":2}`)) // comes up earlier
		finish(t, s, claimOne(t, s), next)
		first := b.clock.Now()
		accept(t, s, booking("e3", nil, `{"n":3}`))
		b.clock.add(time.Second)
		accept(t, s, booking("e4", nil, `{"n":4}`)) // keeps the earlier score
		if score, err := b.rdb.ZScore(ctx, b.key("due"), b1).Result(); err != nil || int64(score) != first.UnixMilli() {
			t.Errorf("score %.0f, want %d (%v)", score, first.UnixMilli(), err)
		}
		finish(t, s, claimOne(t, s), b.clock.Now().Add(-time.Hour)) // overdue
		claimOne(t, s)
	})
}

func TestRetention(t *testing.T) {
	each(t, func(t *testing.T, b *bed) {
		o := b.options()
		o.Retention = 20 * day
		s := open(t, o)
		ttl := func(step string, least, most time.Duration) {
			t.Helper()
			if got := b.rdb.PTTL(ctx, b.key("job:"+b1)).Val(); got < least || got > most {
				t.Errorf("%s: job expires in %s", step, got)
			}
		}
		const never = -1
		accept(t, s, booking("e1", nil, `{}`))
		ttl("new", never, never)
		finish(t, s, claimOne(t, s), b.clock.Now())
		ttl("waiting", never, never)
		finish(t, s, claimOne(t, s), time.Time{})
		ttl("at rest", 20*day-time.Minute, 20*day)
		b.clock.add(time.Hour)
		if c := claimNone(t, s); !c.Next.IsZero() {
			t.Errorf("at rest, but due at %s", c.Next)
		}
		accept(t, s, booking("e2", nil, `{}`))
		ttl("revived", never, never)
		j := claimOne(t, s)
		j.Have = []relay.Held{{Object: 7}}
		finish(t, s, j, time.Time{})
		ttl("standing", never, never)
		if got := b.rdb.PTTL(ctx, b.key("seen:skedda:e2")).Val(); got < 7*day-time.Minute || got > 7*day {
			t.Errorf("seen expires in %s", got)
		}
	})
}

func TestForgottenJobLeavesNothingDue(t *testing.T) {
	each(t, func(t *testing.T, b *bed) {
		s := b.open(t)
		accept(t, s, booking("e1", nil, `{}`))
		b.rdb.Del(ctx, b.key("job:"+b1))
		if c := claimNone(t, s); !c.Next.IsZero() {
			t.Errorf("next %s", c.Next)
		}
	})
}

func TestPoisonDoesNotBlock(t *testing.T) {
	each(t, func(t *testing.T, b *bed) {
		s := b.open(t)
		for _, id := range []string{"have", "want", "changes", "version", "head", "type", "good"} {
			accept(t, s, relay.Plan{EventID: id, Booking: id, Rules: []relay.Match{match("open", `{}`)}})
		}
		key := func(id string) string { return b.key("job:skedda:booking:" + id) }
		b.rdb.HSet(ctx, key("have"), "have", "{")
		b.rdb.HSet(ctx, key("want"), "want:open", "nonsense")
		b.rdb.HSet(ctx, key("changes"), "head", "many - 0-0 0 0  ")
		b.rdb.HSet(ctx, key("version"), "head", "1 new 0-0 0 0  ")
		b.rdb.HSet(ctx, key("head"), "head", "new")
		b.rdb.Del(ctx, key("type"))
		b.rdb.LPush(ctx, key("type"), "x")
		c, err := s.Claim(ctx, relay.Doors, 10)
		if len(c.Jobs) != 1 || c.Jobs[0].Booking != "good" {
			t.Fatalf("claimed %+v", c.Jobs)
		}
		for _, id := range []string{"have", "want", "changes", "version", "head", "type"} {
			if err == nil || !strings.Contains(err.Error(), "skedda:booking:"+id) {
				t.Errorf("the error does not name %s: %v", id, err)
			}
		}
		if errors.Is(err, relay.ErrUnavailable) {
			t.Error("poison passes for an outage")
		}
		claimNone(t, s) // put off, not spinning
		b.clock.add(s.Lease())
		if c, err := s.Claim(ctx, relay.Doors, 10); err == nil || len(c.Jobs) != 1 {
			t.Errorf("after a lease: %d jobs, error %v", len(c.Jobs), err)
		}
		if _, _, err := s.Job(ctx, "skedda:booking:have"); err == nil {
			t.Error("read a job that cannot be read")
		}
	})
}

func TestLetters(t *testing.T) {
	each(t, func(t *testing.T, b *bed) {
		o := b.options()
		o.LetterTTL = time.Hour
		s := open(t, o)
		a := action("open", `{"n":1}`)
		letter := func(id string) relay.DeadLetter {
			return relay.DeadLetter{ID: id, At: b.clock.Now(), Cause: relay.ByKisi, Trigger: "skedda", JobID: b1, Action: &a, Error: "404"}
		}
		ids := func(limit int) string {
			t.Helper()
			letters, err := s.Letters(ctx, limit)
			if err != nil {
				t.Fatal(err)
			}
			var out []string
			for _, l := range letters {
				out = append(out, l.ID)
			}
			return strings.Join(out, " ")
		}
		put := func(event string, letters ...relay.DeadLetter) {
			t.Helper()
			accept(t, s, booking(event, nil, `{}`))
			finish(t, s, claimOne(t, s), time.Time{}, letters...)
		}
		put("e1", letter("a"))
		b.clock.add(time.Minute)
		put("e2", letter("b"), letter("c"))
		if got := ids(10); got != "c b a" {
			t.Errorf("letters %s", got)
		}
		if got := ids(2); got != "c b" {
			t.Errorf("two letters %s", got)
		}
		if got := ids(0); got != "" {
			t.Errorf("no letters %s", got)
		}
		b.clock.add(time.Minute)
		put("e3", letter("a")) // replaced
		if got := ids(10); got != "a c b" {
			t.Errorf("letters %s", got)
		}
		all, err := s.Letters(ctx, 1)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff([]relay.DeadLetter{letter("a")}, all); diff != "" {
			t.Errorf("letter (-want +got):\n%s", diff)
		}
		b.clock.add(time.Hour)
		put("e4", letter("d"))
		if members := b.rdb.ZRange(ctx, b.key("dead"), 0, -1).Val(); len(members) != 1 {
			t.Errorf("members that have expired stay: %v", members)
		}
		if ttl := b.rdb.PTTL(ctx, b.key("letter:d")).Val(); ttl <= 0 || ttl > time.Hour {
			t.Errorf("letter expires in %s", ttl)
		}
		b.rdb.Set(ctx, b.key("letter:d"), "{", 0)
		b.clock.add(time.Second)
		put("e5", letter("e"))
		if got, err := s.Letters(ctx, 10); len(got) != 1 || err == nil {
			t.Errorf("with a broken one: %v, %v", got, err)
		}
	})
}

// TestAdopt gives an object that looks like two jobs' own to the one that has it.
func TestAdopt(t *testing.T) {
	each(t, func(t *testing.T, b *bed) {
		s := b.open(t)
		accept(t, s, booking("e1", nil, `{"n":1}`))
		a := claimOne(t, s)
		a.Have = []relay.Held{{Action: relay.Action{Key: "k", Kind: relay.Schedule}, Object: 7, Old: []int64{8}}}
		if _, err := s.Save(ctx, a); err != nil {
			t.Fatal(err)
		}
		other := relay.Job{ID: "skedda:booking:b2"}
		for _, tt := range []struct {
			who  relay.Job
			kind relay.Kind
			of   []int64
			want int64
		}{
			{other, relay.Schedule, []int64{7, 8}, 0},
			{other, relay.Schedule, []int64{7, 9}, 9},
			{other, relay.GroupLink, []int64{7}, 7}, // links and schedules are counted apart
			{a, relay.Schedule, []int64{9, 7}, 7},
			{other, relay.Schedule, nil, 0},
		} {
			if got, err := s.Adopt(ctx, tt.who, tt.kind, tt.of); err != nil || got != tt.want {
				t.Errorf("%s adopts %d of %v (%v), want %d", tt.who.ID, got, tt.of, err, tt.want)
			}
		}
		a.Have[0].Object = 10
		if err := s.Finish(ctx, a, time.Time{}, nil); err != nil {
			t.Fatal(err)
		}
		if got, err := s.Adopt(ctx, other, relay.Schedule, []int64{10}); err != nil || got != 0 {
			t.Errorf("adopted %d (%v), which was saved when the job was let go", got, err)
		}
	})
}

// TestALaneIsNoList that Redis would read through.
func TestALaneIsNoList(t *testing.T) {
	b := newBed(t, sharedServer(t))
	s := b.open(t)
	accept(t, s, message("m"))
	accept(t, s, booking("e", nil, `{}`))
	for _, key := range []string{"due", "due-messages"} {
		if got, err := b.rdb.ObjectEncoding(ctx, b.key(key)).Result(); got != "skiplist" || err != nil {
			t.Errorf("%s is a %s, %v", key, got, err)
		}
	}
}
