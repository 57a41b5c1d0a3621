//go:build linux

package main

import (
	"bytes"
	"context"
	"fmt"
	"hash/maphash"
	"net"
	"strconv"
	"sync"
	"time"

	"github.com/valyala/fasthttp"
)

// sink receives what is handed on, and knows each event and each message of a run again.
type sink struct {
	url string
	web *fasthttp.Server

	mu       sync.Mutex
	run      []byte // what an event of the run has before its number
	times    []uint8
	messages map[uint64]struct{} // hashes of the webhook-ids
	seed     maphash.Seed
	got      ledger
	arrivals chan arrival // nil unless somebody waits for each
}

// ledger is what was handed on of a run.
type ledger struct {
	Events   int // different ones
	Again    int // deliveries of one that was there already
	Messages int // different webhook-ids
	Last     time.Time
}

// arrival is when an event came first.
type arrival struct {
	n  int
	at time.Time
}

func newSink(ctx context.Context) (*sink, error) {
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	s := &sink{url: "http://" + l.Addr().String() + "/", seed: maphash.MakeSeed()}
	s.expect("")
	s.web = &fasthttp.Server{NoDefaultServerHeader: true, NoDefaultDate: true, Handler: func(c *fasthttp.RequestCtx) {
		s.receive(time.Now(), c.PostBody(), c.Request.Header.Peek("Webhook-Id"))
	}}
	go func() { _ = s.web.Serve(l) }() // ends with the listener
	return s, nil
}

func (s *sink) close() { _ = s.web.Shutdown() }

// expect begins a run: what comes of another one is not counted.
func (s *sink) expect(run string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.run, s.times, s.messages = fmt.Appendf(nil, `"uuid":"%s-`, run), nil, map[uint64]struct{}{}
	s.got, s.arrivals = ledger{}, nil
}

// watch gives each event of the run as it comes first.
func (s *sink) watch() <-chan arrival {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.arrivals = make(chan arrival, 1024)
	return s.arrivals
}

func (s *sink) receive(at time.Time, body, message []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, after, ok := bytes.Cut(body, s.run)
	number, _, closed := bytes.Cut(after, []byte(`"`))
	n, err := strconv.Atoi(string(number))
	if !ok || !closed || err != nil {
		return
	}
	s.messages[maphash.Bytes(s.seed, message)] = struct{}{}
	s.got.Messages = len(s.messages)
	if n >= len(s.times) {
		s.times = append(s.times, make([]uint8, n-len(s.times)+1)...)
	}
	if s.times[n]++; s.times[n] > 1 {
		s.times[n] = 2 // more is not told apart
		s.got.Again++
		return
	}
	s.got.Events++
	s.got.Last = at
	select {
	case s.arrivals <- arrival{n, at}:
	default:
	}
}

func (s *sink) ledger() ledger {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.got
}

// How long the sink waits for the next event before what has not come is lost, and for
// what comes again after the last.
const (
	lostAfter   = 15 * time.Second
	doubledTill = 200 * time.Millisecond
)

// settled waits until so many different events have come, or no more come.
func (s *sink) settled(ctx context.Context, want int, lost time.Duration) ledger {
	last, since := 0, time.Now()
	for ctx.Err() == nil {
		got := s.ledger().Events
		if got >= want || time.Since(since) > lost {
			break
		}
		if got > last {
			last, since = got, time.Now()
		}
		time.Sleep(5 * time.Millisecond)
	}
	time.Sleep(doubledTill)
	return s.ledger()
}

// lost and doubled are how many of want events never came, or came more than once, or
// under a webhook-id of another.
func (l ledger) lost(want int) int { return max(0, want-l.Events) }

func (l ledger) doubled(want int) int {
	return l.Again + max(0, l.Events-want) + max(0, l.Events-l.Messages)
}

func (l ledger) check(want int) error {
	if l.lost(want) == 0 && l.doubled(want) == 0 {
		return nil
	}
	return fmt.Errorf("of %d events %d were lost and %d doubled (%d came, %d again, with %d different webhook-ids)",
		want, l.lost(want), l.doubled(want), l.Events, l.Again, l.Messages)
}
