package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"doorhook/internal/kisi/kisifake"
)

// How long doorhook gets to put everything right once nothing goes wrong any more,
// and how long nothing may happen then: a create that got no answer is looked for
// twice, the second time half a minute later.
const (
	settleTime    = 75 * time.Second
	stillness     = 35 * time.Second
	longestSettle = 2 * settleTime
)

// arena is one scenario's own world: doorhooks between a Redis and a Kisi.
type arena struct {
	*world
	scenario scenario
	dir      string
	rand     *rand.Rand // for the scenario's own goroutine
	book     *book
	fake     *kisifake.Server
	redis    *redisServer // nil with the embedded Redis
	sink     *sink        // receives what doorhook hands on
	doors    []*process
	client   *http.Client
	senders  sync.WaitGroup
	called   chan chan struct{} // offers each call of Kisi; whoever takes one closes it to have it answered

	rounds, kills int // so far

	mu         sync.Mutex
	calls      []kisifake.Call
	complaints []string // what is wrong beside the bookings
	remarks    []string
	findings   []finding

	eventFindings []finding // about Kisi's events
}

func newArena(ctx context.Context, w *world, sc scenario, stream uint64) (*arena, error) {
	a := &arena{
		world: w, scenario: sc, dir: filepath.Join(w.dir, sc.name), rand: rand.New(rand.NewPCG(w.seed, stream)),
		book:   &book{now: w.now, rand: rand.New(rand.NewPCG(w.seed+1, stream))},
		client: &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 64}}, called: make(chan chan struct{}),
	}
	if err := os.Mkdir(a.dir, 0o700); err != nil {
		return nil, err
	}
	if err := a.open(ctx); err != nil {
		a.close()
		return nil, err
	}
	return a, nil
}

// open starts Kisi, then Redis, then the doorhooks.
func (a *arena) open(ctx context.Context) error {
	a.fake = kisifake.New(site(a.note))
	url, err := a.fake.Start("") //nolint:contextcheck // it serves until Close
	if err != nil {
		return err
	}
	if a.sink, err = newSink(); err != nil {
		return err
	}
	if a.scenario.name != embedded {
		if a.redis, err = newRedis(a.world.redis, filepath.Join(a.dir, "redis")); err != nil {
			return err
		}
		if err := a.redis.start(ctx); err != nil {
			return err
		}
	}
	for i := range a.scenario.doors {
		p, err := a.newDoor(string(rune('a'+i)), url)
		if err != nil {
			return err
		}
		a.doors = append(a.doors, p)
		p.start(ctx)
		if err := p.serving(ctx); err != nil {
			return err
		}
	}
	return nil
}

// newDoor is a doorhook. Its contact tells the pretend Kisi which one calls.
func (a *arena) newDoor(name, kisiURL string) (*process, error) {
	log, err := os.Create(filepath.Join(a.dir, name+".log"))
	if err != nil {
		return nil, err
	}
	p := newProcess(name, log, []string{"DOORHOOK_TOKEN=" + token, "KISI_API_KEY=" + kisifake.DefaultKey, "KISI_WEBHOOK_KEY=" + webhookKey, "EVENTS_URL=" + a.sink.url},
		a.doorhook, "serve", "--rules", filepath.Join(a.world.dir, "rules"), "--listen", "127.0.0.1:0", "--log-format", "json",
		"--kisi-url", kisiURL, "--kisi-rate", "200", "--kisi-contact", name, "--send-allow", "127.0.0.1")
	if a.redis == nil {
		p.command = append(p.command, "--data", filepath.Join(a.dir, "data"))
	} else {
		p.command = append(p.command, "--redis", "unix://"+a.redis.socket)
	}
	return p, nil
}

// close ends everything. It may be called with half of it started.
func (a *arena) close() {
	for _, p := range a.doors {
		p.kill()
		p.log.Close()
	}
	if a.redis != nil {
		a.redis.kill()
		a.redis.log.Close()
	}
	a.fake.Close()
	if a.sink != nil {
		a.sink.close()
	}
	a.client.CloseIdleConnections()
}

// note keeps a call of Kisi, which has done what was asked and not yet answered, and
// offers it to whoever waits for one.
func (a *arena) note(c kisifake.Call) {
	if len(c.Answer) > 1<<10 {
		c.Answer = nil // a list
	}
	a.mu.Lock()
	a.calls = append(a.calls, c)
	a.mu.Unlock()
	call := make(chan struct{})
	select {
	case a.called <- call:
		<-call
	default:
	}
}

// kisiCalls are the calls so far that ok accepts.
func (a *arena) kisiCalls(ok func(kisifake.Call) bool) []kisifake.Call {
	a.mu.Lock()
	defer a.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(a.calls), func(c kisifake.Call) bool { return !ok(c) })
}

func caller(c kisifake.Call) string { return c.Header.Get("X-Kisi-Integration-Contact") }

// kill ends a program and counts it.
func (a *arena) kill(p *process) {
	a.kills++
	p.kill()
}

// more counts the rounds, and reports whether there is to be another.
func (a *arena) more(ctx context.Context) bool {
	rounds := max(a.scenario.rounds*a.options.rounds/200, 1)
	switch {
	case a.rounds >= rounds || ctx.Err() != nil:
		return false
	case a.now().After(a.stopAt):
		a.remark("stopped after %d of %d rounds: the time is up", a.rounds, rounds)
		return false
	}
	a.rounds++
	return true
}

// complain notes what is wrong beside the bookings.
func (a *arena) complain(format string, args ...any) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.complaints = append(a.complaints, fmt.Sprintf(format, args...))
}

// remark notes something for the report.
func (a *arena) remark(format string, args ...any) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.remarks = append(a.remarks, fmt.Sprintf(format, args...))
}

func (a *arena) sayf(format string, args ...any) {
	if a.verbose {
		a.printf("%s %s: %s\n", clock(a.now()), a.scenario.name, fmt.Sprintf(format, args...))
	}
}

// settle has nothing go wrong any more, waits until every message is accepted and
// all is right and still, or the time for that is over, and keeps what is wrong then.
func (a *arena) settle(ctx context.Context) error {
	a.fake.Heal()
	a.senders.Wait()
	a.sayf("nothing goes wrong any more, and all messages are accepted")
	still := stillness
	if a.short {
		still = 2 * time.Second
	}
	for calm := time.Duration(0); ; {
		started := time.Now()
		a.findings = append(a.book.judge(a.state()), a.eventFindings...)
		if right := len(a.findings) == 0; !right && calm > settleTime || right && (a.idle() > still || calm > longestSettle) {
			return nil
		}
		if !pause(ctx, 100*time.Millisecond) {
			return context.Cause(ctx)
		}
		calm += time.Since(started)
	}
}

// idle is how long ago Kisi was last called.
func (a *arena) idle() time.Duration {
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.calls) == 0 {
		return longestSettle
	}
	return a.now().Sub(a.calls[len(a.calls)-1].At)
}
