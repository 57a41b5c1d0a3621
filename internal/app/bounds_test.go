package app

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"doorhook/internal/relay"
	"doorhook/internal/store"
	"doorhook/internal/worker"
)

// TestBounded lets many events come, half of them repeats, and then waits until all
// of it may be forgotten. What is left is the list of the newest events, and nothing
// that grows.
//
// There are 10,000; with DOORHOOK_TEST_EVENTS=100000, ten times as many.
func TestBounded(t *testing.T) {
	t.Parallel()
	const (
		kept    = 1000             // events in the list
		forget  = 20 * time.Second // events' identities, jobs, objects and letters; no machine pauses between an event and its repeat for so long
		oneKept = 1500             // bytes of an event in the list, at most
	)
	events := 10_000
	if text := os.Getenv("DOORHOOK_TEST_EVENTS"); text != "" {
		var err error
		if events, err = strconv.Atoi(text); err != nil {
			t.Fatal(err)
		}
	}
	server := realRedis(t)
	s, err := store.Open(t.Context(), store.Options{URL: server.url, Events: kept, DedupTTL: forget, Retention: forget, LetterTTL: forget})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	before := server.memory(t)
	started := time.Now()
	repeated := workOff(t, s, events)
	waitFor(t, "the end of the work", func() bool { return server.number(t, "ZCOUNT", "{doorhook}:due", "-inf", "(inf") == 0 })
	took, keys, dead := time.Since(started), server.number(t, "DBSIZE"), server.number(t, "ZCARD", "{doorhook}:dead")
	t.Logf("%d events were worked off in %s; then there were %d keys, and %d kB in use", events, took.Round(time.Millisecond), keys, (server.memory(t)-before)>>10)
	if repeated != events/2 || dead == 0 || keys < 100 {
		t.Errorf("%d events were repeats, %d dead letters and %d keys: this test shows nothing", repeated, dead, keys)
	}

	waitFor(t, "the end of what may be forgotten", func() bool { return len(remembered(t, server)) == 0 })
	fatal := relay.Plan{EventID: "last", Fatal: true, Problems: []relay.Problem{{Message: "nothing could be decided"}}}
	if _, err := s.Accept(t.Context(), relay.Event{ID: "last", Trigger: "t"}, fatal); err != nil { // with a letter old ones go
		t.Fatal(err)
	}
	all := server.number(t, "EVAL", `return #redis.call("KEYS", "*")`, "0")
	if got := remembered(t, server); len(got) != 1 || all > 10 {
		t.Errorf("left are %v, and %d keys in all", got, all)
	}
	if n := server.number(t, "ZCARD", "{doorhook}:dead"); n != 1 {
		t.Errorf("%d dead letters are listed, want the last one", n)
	}
	if n := server.number(t, "XLEN", "{doorhook}:events"); n < kept || n > kept+kept/5 {
		t.Errorf("%d events are listed, want about %d", n, kept)
	}
	if grown := server.memory(t) - before; grown > kept*oneKept+512<<10 {
		t.Errorf("Redis uses %d kB more than before", grown>>10)
	}
}

// remembered are the keys of what was, by name.
func remembered(t *testing.T, s redisServer) []string {
	t.Helper()
	return strings.Fields(s.ask(t, "EVAL", `
local found = {}
for _, key in ipairs(redis.call("KEYS", "*")) do
  if string.match(key, ":seen:") or string.match(key, ":job:") or string.match(key, ":object:") or string.match(key, ":letter:") then
    found[#found + 1] = key
  end
end
return table.concat(found, " ")`, "0"))
}

// workOff has a doorhook without rules and without Kisi take so many events and carry
// out what they ask for, and reports how many of them were repeats.
func workOff(t *testing.T, s *store.Store, events int) (repeated int) {
	const senders = 16
	w, err := worker.New(s, &latch{}, slog.New(slog.DiscardHandler), worker.Options{Concurrency: 32})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	var working, sending sync.WaitGroup
	working.Go(func() { w.Run(ctx) })
	t.Cleanup(func() { stop(); working.Wait() })
	var repeats atomic.Int64
	for first := range senders {
		sending.Go(func() {
			for i := range events / 2 {
				if i/perBooking%senders != first { // all of a booking comes in order, from one sender
					continue
				}
				ev, p := eventNumber(i)
				for range 2 {
					r, err := s.Accept(ctx, ev, p)
					if err != nil {
						t.Error(err)
						return
					}
					if r.Status == relay.Duplicate {
						repeats.Add(1)
					}
				}
			}
		})
	}
	sending.Wait()
	return int(repeats.Load())
}

// perBooking is how many events of eventNumber lie between a booking and the next.
const perBooking = 20

// eventNumber is event i of a busy place: mostly doors that are opened once, some of
// which Kisi refuses; and bookings that are made and cancelled.
func eventNumber(i int) (relay.Event, relay.Plan) {
	ev := relay.Event{ID: fmt.Sprint("e", i), Trigger: "t", ReceivedAt: time.Now(), Payload: map[string]any{"n": i, "text": strings.Repeat("x", 200)}}
	p := relay.Plan{EventID: ev.ID}
	a := relay.Action{Key: "r", Rule: "r", Kind: relay.Unlock, Args: relay.Encode(map[string]any{"lock_id": i})}
	if i%10 == 0 {
		p.Booking = fmt.Sprint("b", i/perBooking)
		p.Version = new(float64(i%perBooking + 1))
		p.Cancelled = i%perBooking == perBooking/2
		a.Kind, a.Ends = relay.Schedule, time.Now().Add(time.Hour)
	}
	if !p.Cancelled {
		p.Rules = []relay.Match{{Rule: "r", Actions: []relay.Action{a}}}
	}
	return ev, p
}

// latch is a Kisi that says yes at once, and no to every hundredth.
type latch struct{ made atomic.Int64 }

func (l *latch) Create(_ context.Context, a relay.Action) relay.Outcome {
	n := l.made.Add(1)
	if n%100 == 0 {
		return relay.Outcome{Verdict: relay.Rejected, Err: errors.New("no such lock")}
	}
	if a.Kind == relay.Unlock {
		n = 0 // it leaves nothing behind
	}
	return relay.Outcome{Verdict: relay.OK, Object: n}
}

func (*latch) Change(context.Context, relay.Action, int64) relay.Outcome {
	return relay.Outcome{Verdict: relay.OK}
}

func (*latch) Revoke(context.Context, relay.Action, int64) relay.Outcome {
	return relay.Outcome{Verdict: relay.OK}
}

func (*latch) Find(context.Context, relay.Action, time.Time, []int64) relay.Outcome {
	return relay.Outcome{Verdict: relay.OK}
}

func (*latch) Person(context.Context, int64) (*relay.Person, relay.Outcome) {
	return nil, relay.Outcome{Verdict: relay.OK}
}

func (*latch) Doors(context.Context, []int64) relay.Outcome { return relay.Outcome{Verdict: relay.OK} }

func (*latch) Came(context.Context, []int64, time.Time, time.Time) relay.Outcome {
	return relay.Outcome{Verdict: relay.OK}
}

func (*latch) Locks(context.Context, relay.Action) relay.Outcome {
	return relay.Outcome{Verdict: relay.OK}
}

// ask sends one command to a Redis, without a client: app knows none.
func (s redisServer) ask(t testing.TB, args ...string) string {
	t.Helper()
	c, err := net.Dial("unix", strings.TrimPrefix(s.url, "unix://"))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	fmt.Fprintf(c, "*%d\r\n", len(args))
	for _, a := range args {
		fmt.Fprintf(c, "$%d\r\n%s\r\n", len(a), a)
	}
	r := bufio.NewReader(c)
	line, err := r.ReadString('\n')
	if err != nil || line[0] == '-' {
		t.Fatalf("%v: %s %v", args, line, err)
	}
	if line[0] != '$' {
		return strings.TrimSpace(line[1:])
	}
	n, _ := strconv.Atoi(strings.TrimSpace(line[1:]))
	text := make([]byte, n)
	if _, err := io.ReadFull(r, text); err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// number is for commands that answer with one.
func (s redisServer) number(t testing.TB, args ...string) int {
	t.Helper()
	n, err := strconv.Atoi(s.ask(t, args...))
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// memory is how much memory Redis has in use, in bytes, without the buffers of its
// connections, which come and go.
func (s redisServer) memory(t testing.TB) int {
	t.Helper()
	info := s.ask(t, "INFO", "memory")
	number := func(name string) int {
		_, rest, _ := strings.Cut(info, "\n"+name+":")
		text, _, _ := strings.Cut(rest, "\r\n")
		n, err := strconv.Atoi(text)
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	return number("used_memory") - number("mem_clients_normal")
}
