package store

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"doorhook/internal/relay"

	"github.com/redis/go-redis/v9"
)

// gate holds script calls until they may go on, and notes how many events each carried.
type gate struct {
	redis.Hook

	arrived chan struct{}
	open    chan struct{}
	mu      sync.Mutex
	events  []int
}

func newGate(s *Store) *gate {
	g := &gate{arrived: make(chan struct{}, 1000), open: make(chan struct{})}
	s.rdb.AddHook(g)
	s.accepting.slow, s.settling.slow = time.Hour, time.Hour
	return g
}

func (g *gate) DialHook(next redis.DialHook) redis.DialHook { return next }

func (g *gate) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return next
}

func (g *gate) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		if cmd.Name() != "evalsha" {
			return next(ctx, cmd)
		}
		n := 0
		for _, arg := range cmd.Args() {
			if text, ok := arg.(*string); ok && strings.HasPrefix(*text, "seen:skedda:") {
				n++
			}
		}
		g.mu.Lock()
		g.events = append(g.events, n)
		g.mu.Unlock()
		g.arrived <- struct{}{}
		select {
		case <-g.open:
		case <-ctx.Done():
			return ctx.Err()
		}
		return next(ctx, cmd)
	}
}

// crowd has many accept at a time, while the first calls are held.
type crowd struct {
	wg       sync.WaitGroup
	mu       sync.Mutex
	receipts map[string]relay.Receipt
	errs     map[string]error
}

func (c *crowd) accept(ctx context.Context, s *Store, p relay.Plan) {
	c.wg.Go(func() {
		r, err := s.Accept(ctx, event(p.EventID), p)
		c.mu.Lock()
		defer c.mu.Unlock()
		c.receipts[p.EventID], c.errs[p.EventID] = r, err
	})
}

func newCrowd() *crowd {
	return &crowd{receipts: map[string]relay.Receipt{}, errs: map[string]error{}}
}

// waits blocks until so many wait for a call to end.
func waits(t *testing.T, g *group, n int) {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); ; time.Sleep(time.Millisecond) {
		g.mu.Lock()
		got := len(g.waiting)
		g.mu.Unlock()
		if got == n {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("%d wait, want %d", got, n)
		}
	}
}

// held starts as many accepts as go at once, and holds them.
func (c *crowd) held(t *testing.T, s *Store) *gate {
	t.Helper()
	g := newGate(s)
	c.accept(ctx, s, of1("first"))
	<-g.arrived
	return g
}

// of1 is an event with a booking of its own.
func of1(id string) relay.Plan {
	return relay.Plan{EventID: id, Booking: id, Rules: []relay.Match{match("open", `{"n":1}`)}}
}

func TestManyAcceptsTravelTogether(t *testing.T) {
	each(t, func(t *testing.T, b *bed) {
		s, c := b.open(t), newCrowd()
		if err := b.rdb.LPush(ctx, b.key("job:skedda:booking:broken"), "x").Err(); err != nil {
			t.Fatal(err)
		}
		accept(t, s, of1("old"))
		g := c.held(t, s)
		for i := range 20 {
			c.accept(ctx, s, of1(fmt.Sprint("e", i)))
		}
		c.accept(ctx, s, of1("old"))
		c.accept(ctx, s, of1("broken"))
		waits(t, &s.accepting, 22)
		close(g.open)
		c.wg.Wait()
		if slices.Max(g.events) < 20 || len(g.events) > 1+2 {
			t.Errorf("the calls carried %v events", g.events)
		}
		for id, r := range c.receipts {
			want := relay.Receipt{Status: relay.Accepted, JobID: "skedda:booking:" + id, EventID: id, Changes: 1}
			switch id {
			case "old":
				want.Status = relay.Duplicate
			case "broken":
				want = relay.Receipt{}
			}
			if r != want {
				t.Errorf("%s: %+v", id, r)
			}
			if err := c.errs[id]; (err != nil) != (id == "broken") || errors.Is(err, relay.ErrUnavailable) {
				t.Errorf("%s: %v", id, err)
			}
		}
		if err := c.errs["broken"]; err == nil || !strings.Contains(err.Error(), "WRONGTYPE") {
			t.Errorf("what is broken: %v", err)
		}
		if got := len(claim(t, s, 100).Jobs); got != 20+1+1 {
			t.Errorf("%d jobs wait", got)
		}
	})
}

// TestNobodyWaitsForOthers gives callers deadlines of their own, and sends what is heavy
// by itself, while all calls are held.
func TestNobodyWaitsForOthers(t *testing.T) {
	each(t, func(t *testing.T, b *bed) {
		s, c := b.open(t), newCrowd()
		g := c.held(t, s)
		soon, cancel := context.WithTimeout(ctx, 20*time.Millisecond)
		defer cancel()
		if _, err := s.Accept(soon, event("late"), of1("late")); !errors.Is(err, relay.ErrUnavailable) || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("whose time is over: %v", err)
		}
		big := of1("big")
		big.Rules = []relay.Match{match("open", `"`+strings.Repeat("x", heavy)+`"`)}
		c.accept(ctx, s, big)
		<-g.arrived
		c.accept(ctx, s, of1("small"))
		waits(t, &s.accepting, 2) // and the one that has gone
		close(g.open)
		c.wg.Wait()
		if n, err := b.rdb.Exists(ctx, b.key("seen:skedda:late")).Result(); n != 0 || err != nil {
			t.Errorf("who had gone was accepted: %d, %v", n, err)
		}
		for _, id := range []string{"big", "small"} {
			if r := c.receipts[id]; r.Status != relay.Accepted {
				t.Errorf("%s: %+v, %v", id, r, c.errs[id])
			}
		}
	})
}

// TestAHungCallHoldsUpNobody but those whose part it carries.
func TestAHungCallHoldsUpNobody(t *testing.T) {
	each(t, func(t *testing.T, b *bed) {
		s, c := b.open(t), newCrowd()
		g := newGate(s)
		s.accepting.slow = 5 * time.Millisecond
		for i := range 3 { // each is slow in its turn
			c.accept(ctx, s, of1(fmt.Sprint("hung", i)))
			<-g.arrived
		}
		close(g.open)
		c.wg.Wait()
		for id, err := range c.errs {
			if err != nil {
				t.Errorf("%s: %v", id, err)
			}
		}
		accept(t, s, of1("afterwards"))
	})
}

// TestABatchIsBounded sends more than one call may carry, by number and by weight.
func TestABatchIsBounded(t *testing.T) {
	g := &group{}
	for i := range 300 {
		size := 10
		if i >= 2*mostTogether {
			size = heavy
		}
		g.waiting = append(g.waiting, &errand{ctx: ctx, size: size})
	}
	var got []int
	for batch := g.next(); batch != nil; batch = g.next() {
		size := 0
		for _, e := range batch {
			size += e.size
		}
		if size > mostWeight {
			t.Errorf("a call of %d bytes", size)
		}
		got = append(got, len(batch))
	}
	want := []int{mostTogether, mostTogether}
	for n := 300 - 2*mostTogether; n > 0; n -= mostWeight / heavy {
		want = append(want, min(n, mostWeight/heavy))
	}
	if !slices.Equal(got, want) {
		t.Errorf("calls of %v, want %v", got, want)
	}
}

func TestManyFinishesTravelTogether(t *testing.T) {
	each(t, func(t *testing.T, b *bed) {
		s := b.open(t)
		for i := range 30 {
			accept(t, s, of1(fmt.Sprint("e", i)))
		}
		jobs := claim(t, s, 100).Jobs
		jobs[7].Token = "another's"
		g := newGate(s)
		var wg sync.WaitGroup
		errs := make([]error, len(jobs))
		settle := func(i int) {
			wg.Go(func() {
				if i%2 == 0 {
					_, errs[i] = s.Save(ctx, jobs[i])
				} else {
					errs[i] = s.Finish(ctx, jobs[i], time.Time{}, []relay.DeadLetter{{ID: fmt.Sprint("l", i), Error: "no"}})
				}
			})
		}
		settle(0)
		<-g.arrived
		for i := 1; i < len(jobs); i++ {
			settle(i)
		}
		waits(t, &s.settling, len(jobs)-1)
		close(g.open)
		wg.Wait()
		if n := len(g.events); n > 1+2 {
			t.Errorf("%d calls", n)
		}
		for i, err := range errs {
			if lost := errors.Is(err, relay.ErrLeaseLost); lost != (i == 7) || err != nil && !lost {
				t.Errorf("job %d: %v", i, err)
			}
		}
		letters, err := s.Letters(ctx, 100)
		if err != nil || len(letters) != len(jobs)/2-1 {
			t.Errorf("%d letters, %v", len(letters), err)
		}
	})
}

// TestSinceAWorkerFirstTookIt: the same until one lets the job go.
func TestSinceAWorkerFirstTookIt(t *testing.T) {
	each(t, func(t *testing.T, b *bed) {
		s := b.open(t)
		accept(t, s, of1("e"))
		first := b.clock.Now()
		at := func(what string, want time.Time) relay.Job {
			t.Helper()
			j := claimOne(t, s)
			if !j.Since.Equal(want) {
				t.Errorf("%s: since %s, want %s", what, j.Since, want)
			}
			return j
		}
		at("first", first)
		b.clock.add(s.Lease() + time.Second)
		j := at("after a crash", first)
		if _, err := s.Save(ctx, j); err != nil {
			t.Fatal(err)
		}
		b.clock.add(s.Lease() + time.Second)
		j = at("after another", first)
		finish(t, s, j, b.clock.Now())
		b.clock.add(time.Second)
		at("after it was let go of", b.clock.Now())
	})
}

// TestWhoCameIsBroken is a fault of those events alone that tell of it.
func TestWhoCameIsBroken(t *testing.T) {
	each(t, func(t *testing.T, b *bed) {
		s, c := b.open(t), newCrowd()
		if err := b.rdb.Set(ctx, b.key("opened"), "x", 0).Err(); err != nil {
			t.Fatal(err)
		}
		g := c.held(t, s)
		came := of1("came")
		came.Opened = &relay.Opened{Lock: 5, At: b.clock.Now()}
		c.accept(ctx, s, came)
		for i := range 3 {
			c.accept(ctx, s, of1(fmt.Sprint("e", i)))
		}
		waits(t, &s.accepting, 4)
		close(g.open)
		c.wg.Wait()
		for id, err := range c.errs {
			if (err != nil) != (id == "came") {
				t.Errorf("%s: %v", id, err)
			}
		}
		if n := b.rdb.Exists(ctx, b.key("seen:skedda:came"), b.key("job:skedda:booking:came")).Val(); n != 0 {
			t.Errorf("what was refused left %d keys", n)
		}
		if got := len(claim(t, s, 100).Jobs); got != 4 {
			t.Errorf("%d jobs wait, want 4", got)
		}
	})
}

// TestCloseKeepsNobodyWaiting for a call that another is to make, and nobody is let in
// afterwards.
func TestCloseKeepsNobodyWaiting(t *testing.T) {
	each(t, func(t *testing.T, b *bed) {
		s, c := open(t, b.options()), newCrowd()
		g := c.held(t, s)
		told := make(chan error, 5)
		for i := range cap(told) {
			id := fmt.Sprint("e", i)
			c.wg.Go(func() {
				_, err := s.Accept(ctx, event(id), of1(id))
				told <- err
			})
		}
		waits(t, &s.accepting, cap(told))
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		for range cap(told) {
			select {
			case err := <-told:
				if !errors.Is(err, relay.ErrUnavailable) {
					t.Error(err)
				}
			case <-time.After(s.patience / 2):
				t.Fatal("somebody waits still")
			}
		}
		close(g.open)
		c.wg.Wait()
		if _, err := s.Accept(ctx, event("late"), of1("late")); !errors.Is(err, relay.ErrUnavailable) {
			t.Errorf("afterwards: %v", err)
		}
	})
}

// TestAReplayTravelsWithOthers: what a replay says of its event is not said of the next one.
func TestAReplayTravelsWithOthers(t *testing.T) {
	each(t, func(t *testing.T, b *bed) {
		s, c := b.open(t), newCrowd()
		g := c.held(t, s)
		c.wg.Go(func() {
			if r, err := s.Replay(ctx, event("again"), of1("again"), relay.Replay{Place: "1-1"}); err != nil || r.Status != relay.Accepted {
				t.Errorf("%+v, %v", r, err)
			}
		})
		waits(t, &s.accepting, 1)
		c.accept(ctx, s, relay.Plan{EventID: "fails", Fatal: true, Problems: []relay.Problem{{Message: "nothing could be decided"}}})
		waits(t, &s.accepting, 2)
		close(g.open)
		c.wg.Wait()
		letters, err := s.Letters(ctx, 10)
		if err != nil || len(letters) != 1 || letters[0].Place == "" || letters[0].Place == "1-1" {
			t.Errorf("%+v, %v", letters, err)
		}
	})
}
