package store

import (
	"context"
	"fmt"
	"net"
	"testing"
	"time"

	"doorhook/internal/relay"

	"github.com/redis/go-redis/v9"
	"pgregory.net/rapid"
)

func redisZ(member string) redis.Z { return redis.Z{Score: 1, Member: member} }

// world is what a property test believes, beside the store that it checks.
type world struct {
	b       *bed
	s       *Store
	trigger string
	n       int // events sent
	version int // highest seen
	gone    bool
	want    string
	granted []time.Time
	changes int64
	inHand  []relay.Job
}

// grantsAMinute is how many actions the trigger of a world may be granted.
const grantsAMinute = 5

// TestAnyOrderEndsWithTheLastVersion sends versions in any order while workers
// claim, save, finish, die and come late. Whatever happened, the newest event that
// granted no more than its trigger may is what is wanted in the end, and a worker has
// seen it.
func TestAnyOrderEndsWithTheLastVersion(t *testing.T) {
	each(t, func(t *testing.T, b *bed) {
		s, n := b.open(t), 0
		rapid.Check(t, func(t *rapid.T) {
			n++
			w := &world{b: b, s: s, version: -1, trigger: fmt.Sprintf("t%d", n)}
			booking := fmt.Sprintf("b%d", n)
			t.Repeat(map[string]func(*rapid.T){
				"accept": func(t *rapid.T) { w.accept(t, booking) },
				"claim":  w.claim,
				"save":   w.save,
				"finish": w.finish,
				"wait":   func(t *rapid.T) { b.clock.add(time.Duration(rapid.IntRange(0, 12).Draw(t, "s")) * time.Second) },
			})
			w.settle(t, booking)
		})
	})
}

func (w *world) accept(t *rapid.T, booking string) {
	w.n++
	v := rapid.IntRange(0, 5).Draw(t, "version")
	p := relay.Plan{EventID: fmt.Sprintf("%s-%d", booking, w.n), Booking: booking, GrantsPerMinute: grantsAMinute}
	p.Version = new(float64(v))
	wants, asks := "", 0
	if p.Cancelled = rapid.IntRange(0, 4).Draw(t, "cancelled") == 0; !p.Cancelled {
		args := fmt.Sprintf(`{"n":%d}`, rapid.IntRange(1, 3).Draw(t, "args"))
		asks = rapid.IntRange(1, 2).Draw(t, "actions")
		m := relay.Match{Rule: "open"}
		for range asks {
			m.Actions = append(m.Actions, action("open", args))
		}
		p.Rules = []relay.Match{m}
		wants = want(relay.Job{Want: m.Actions})
	}
	ev := event(p.EventID)
	ev.Trigger = w.trigger
	r, err := w.s.Accept(ctx, ev, p)
	if err != nil {
		t.Fatal(err)
	}
	if wants == w.want {
		asks = 0
	}
	expect := relay.Accepted
	switch {
	case v < w.version || v == w.version && w.gone && !p.Cancelled:
		expect = relay.Stale
	case asks > 0 && w.grants()+asks > grantsAMinute:
		expect = relay.Failed
	default:
		w.version, w.gone, w.want = v, p.Cancelled, wants
		w.changes++
		for range asks {
			w.granted = append(w.granted, w.b.clock.Now())
		}
	}
	if r.Status != expect || r.Changes != w.changes || (r.Error != "") != (expect == relay.Failed) {
		t.Fatalf("version %d: %s after %d changes, want %s after %d", v, r.Status, r.Changes, expect, w.changes)
	}
}

// grants counts those of the last minute.
func (w *world) grants() int {
	n := 0
	for _, at := range w.granted {
		if w.b.clock.Now().Sub(at) < time.Minute {
			n++
		}
	}
	return n
}

func (w *world) claim(t *rapid.T) {
	c, err := w.s.Claim(ctx, relay.Doors, 10)
	if err != nil {
		t.Fatal(err)
	}
	for _, j := range c.Jobs {
		if w.holders(t) > 0 {
			t.Fatal("two workers hold one job")
		}
		w.inHand = append(w.inHand, j)
	}
}

// holders counts who could still write: at most the newest claim.
func (w *world) holders(t *rapid.T) int {
	n := 0
	for _, j := range w.inHand {
		if _, err := w.s.Save(ctx, j); err == nil {
			n++
		}
	}
	return n
}

func (w *world) save(t *rapid.T) {
	if len(w.inHand) == 0 {
		t.Skip("nothing in hand") // rapid draws another action of the history; the test goes on
	}
	j := rapid.SampledFrom(w.inHand).Draw(t, "job")
	if changed, err := w.s.Save(ctx, j); err == nil && changed != (j.Changes != w.changes) {
		t.Fatalf("save said changed %v at %d of %d", changed, j.Changes, w.changes)
	}
}

func (w *world) finish(t *rapid.T) {
	if len(w.inHand) == 0 {
		t.Skip("nothing in hand") // rapid draws another action of the history; the test goes on
	}
	i := rapid.IntRange(0, len(w.inHand)-1).Draw(t, "job")
	var next time.Time
	if rapid.Bool().Draw(t, "again") {
		next = w.b.clock.Now().Add(time.Second)
	}
	_ = w.s.Finish(ctx, w.inHand[i], next, nil) // those that came late lose their lease
	w.inHand = append(w.inHand[:i], w.inHand[i+1:]...)
}

// settle lets one last worker see all there is to do.
func (w *world) settle(t *rapid.T, booking string) {
	w.b.clock.add(time.Minute)
	for range 3 {
		c, err := w.s.Claim(ctx, relay.Doors, 10)
		if err != nil {
			t.Fatal(err)
		}
		for _, j := range c.Jobs {
			if err := w.s.Finish(ctx, j, time.Time{}, nil); err != nil {
				t.Fatal(err)
			}
		}
	}
	if w.changes == 0 {
		return
	}
	j, ok, err := w.s.Job(ctx, w.trigger+":booking:"+booking)
	if err != nil || !ok || want(j) != w.want || j.Changes != w.changes || j.Worked != w.changes {
		t.Fatalf("job %+v (%v, %v), want %s after %d changes", j, ok, err, w.want, w.changes)
	}
}

// counter counts the commands that are sent.
type counter struct{ commands []string }

func (c *counter) DialHook(next redis.DialHook) redis.DialHook {
	return func(ctx context.Context, network, addr string) (net.Conn, error) { return next(ctx, network, addr) }
}

func (c *counter) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		c.commands = append(c.commands, cmd.Name())
		return next(ctx, cmd)
	}
}

func (c *counter) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		for _, cmd := range cmds {
			c.commands = append(c.commands, cmd.Name())
		}
		return next(ctx, cmds)
	}
}

func TestEachCallIsOneRoundTrip(t *testing.T) {
	each(t, func(t *testing.T, b *bed) {
		s, c := b.open(t), &counter{}
		s.rdb.AddHook(c)
		problems := []relay.Problem{{Rule: "r", Message: "no"}}
		for round := range 2 { // in the first the scripts are new to the server
			c.commands = nil
			p := booking(fmt.Sprintf("e%d", round), version(1), `{}`)
			p.Problems, p.GrantsPerMinute = problems, 10
			accept(t, s, p)
			j := claimOne(t, s)
			if _, err := s.Save(ctx, j); err != nil {
				t.Fatal(err)
			}
			finish(t, s, j, time.Time{}, relay.DeadLetter{ID: "a"}, relay.DeadLetter{ID: "b"})
		}
		if got := fmt.Sprint(c.commands); got != "[evalsha evalsha evalsha evalsha]" {
			t.Errorf("accept, claim, save, finish: %s", got)
		}
	})
}
