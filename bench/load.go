//go:build linux

package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/valyala/fasthttp"
)

// load is a way to send requests.
type load struct {
	url, header string
	events      events

	connections int
	duration    time.Duration
	count       int // of new events, after which it ends; 0 is no limit
	rate        int // requests a second, whatever the answers do; 0 sends the next when one is answered
	duplicates  int // of 100 requests, how many repeat an earlier one
}

// measured is what a load came to.
type measured struct {
	Requests   int           `json:"requests"`
	Errors     int           `json:"errors"`
	New        int           `json:"new"`        // events that were sent for the first time
	Duplicates int           `json:"duplicates"` // answers that say so
	Busy       int           `json:"busy,omitempty"`
	Seconds    float64       `json:"seconds"`
	PerSecond  float64       `json:"per_second"`
	P50        time.Duration `json:"p50_ns"`
	P99        time.Duration `json:"p99_ns"`
	P999       time.Duration `json:"p999_ns"`
	First      string        `json:"first_error,omitempty"`
}

// check says what went wrong: a request that failed, or an event that was accepted twice
// or never.
func (m measured) check() error {
	switch accepted := m.Requests - m.Errors - m.Duplicates; {
	case m.Requests == 0:
		return errors.New("nothing was sent")
	case m.Errors > 0:
		return fmt.Errorf("%d of %d requests failed, the first with: %s", m.Errors, m.Requests, m.First)
	case accepted != m.New:
		return fmt.Errorf("%d events were sent, and %d accepted", m.New, accepted)
	}
	return nil
}

// sending is a load under way.
type sending struct {
	load
	client    *fasthttp.HostClient
	took      histogram
	next, new atomic.Int64 // requests, and events among them
	failed    atomic.Int64
	again     atomic.Int64 // answers that say duplicate
	busy      atomic.Int64
	first     atomic.Pointer[string]
}

// run sends until the time is over, or ctx. Latency counts from when a request was meant
// to be sent, so that a stall counts for all who would have come during it.
func (l load) run(ctx context.Context) measured {
	s := &sending{load: l, client: l.client()}
	defer s.client.CloseIdleConnections()
	started := time.Now()
	var wg sync.WaitGroup
	for c := range l.connections {
		wg.Go(func() { s.connection(ctx, started, rand.New(rand.NewPCG(uint64(c), 1))) })
	}
	wg.Wait()
	return s.measured(time.Since(started))
}

func (l load) client() *fasthttp.HostClient {
	return &fasthttp.HostClient{Addr: hostOf(l.url), MaxConns: l.connections, ReadTimeout: 10 * time.Second, WriteTimeout: 10 * time.Second}
}

func (s *sending) measured(over time.Duration) measured {
	m := measured{
		Requests: int(s.took.n.Load()), Errors: int(s.failed.Load()), New: int(s.new.Load()), Duplicates: int(s.again.Load()), Busy: int(s.busy.Load()),
		Seconds: over.Seconds(), P50: s.took.at(0.5), P99: s.took.at(0.99), P999: s.took.at(0.999),
	}
	m.PerSecond = float64(m.Requests-m.Errors) / m.Seconds
	if text := s.first.Load(); text != nil {
		m.First = *text
	}
	return m
}

// connection sends one request after the other.
func (s *sending) connection(ctx context.Context, started time.Time, random *rand.Rand) {
	end := started.Add(s.duration)
	for ctx.Err() == nil {
		meant := s.meant(started, s.next.Add(1)-1)
		if meant.After(end) || time.Now().After(end.Add(s.duration)) {
			return
		}
		time.Sleep(time.Until(meant))
		n, ok := s.draw(random)
		if !ok {
			return
		}
		if err := s.send(ctx, n); err != nil {
			s.failed.Add(1)
			text := err.Error()
			s.first.CompareAndSwap(nil, &text)
		}
		s.took.add(time.Since(meant))
	}
}

// meant is when request n is to be sent: at a fixed rate, or now.
func (s *sending) meant(started time.Time, n int64) time.Time {
	if s.rate == 0 {
		return time.Now()
	}
	return started.Add(time.Duration(n) * time.Second / time.Duration(s.rate))
}

// recent is from how many of the newest events one is repeated.
const recent = 10_000

// draw is the number of the event that is sent next; false is the end. Each number is
// drawn once as new, so as many have to be accepted.
func (s *sending) draw(random *rand.Rand) (int, bool) {
	if known := int(s.new.Load()); known > 0 && random.IntN(100) < s.duplicates {
		return known - 1 - random.IntN(min(known, recent)), true
	}
	n := int(s.new.Add(1) - 1)
	if s.count > 0 && n >= s.count {
		s.new.Add(-1)
		return 0, false
	}
	return n, true
}

// A sender that is told to come again does, for a while. doorhook says after how many
// seconds; who measures comes sooner.
const (
	busyPause = 50 * time.Millisecond
	busyLimit = 30 * time.Second
)

var errBusy = errors.New("503: busy")

func (s *sending) send(ctx context.Context, n int) error {
	body, credential := s.events(n)
	for started := time.Now(); ; {
		err := s.post(body, credential)
		if !errors.Is(err, errBusy) || ctx.Err() != nil || time.Since(started) > busyLimit {
			return err
		}
		s.busy.Add(1)
		time.Sleep(busyPause)
	}
}

func (s *sending) post(body, credential []byte) error {
	req, resp := fasthttp.AcquireRequest(), fasthttp.AcquireResponse()
	defer fasthttp.ReleaseRequest(req)
	defer fasthttp.ReleaseResponse(resp)
	req.SetRequestURI(s.url)
	req.Header.SetMethod(fasthttp.MethodPost)
	req.Header.SetContentType("application/json")
	req.Header.SetBytesV(s.header, credential)
	req.SetBody(body)
	err := s.client.Do(req, resp)
	switch {
	case err != nil:
		return err
	case resp.StatusCode() == http.StatusServiceUnavailable && len(resp.Header.Peek("Retry-After")) > 0:
		return fmt.Errorf("%w: %.200s", errBusy, resp.Body())
	case resp.StatusCode() != http.StatusOK:
		return fmt.Errorf("%d: %.200s", resp.StatusCode(), resp.Body())
	}
	return s.understand(resp.Body())
}

// understand reads what became of an event. An event that was put aside as stale was
// taken too, and yet it is not what was meant to be measured.
func (s *sending) understand(answer []byte) error {
	_, after, _ := bytes.Cut(answer, []byte(`"status":"`))
	switch status, _, _ := bytes.Cut(after, []byte(`"`)); string(status) {
	case "accepted", "ignored":
		return nil
	case "duplicate":
		s.again.Add(1)
		return nil
	}
	return fmt.Errorf("200: %.200s", answer)
}

func hostOf(url string) string {
	u := fasthttp.AcquireURI()
	defer fasthttp.ReleaseURI(u)
	_ = u.Parse(nil, []byte(url)) // the bench made it
	return string(u.Host())
}
