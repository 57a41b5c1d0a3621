package store

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
)

const (
	// slowCall is how long a call may take before the next one stops waiting for its end:
	// a connection that hangs holds up nobody else. Usually one call is under way, since
	// with more of them each would carry less.
	slowCall = 20 * time.Millisecond
	// mostTogether is how many may travel in one call, and mostWeight how many bytes:
	// Redis serves nobody else meanwhile.
	mostTogether = 128
	mostWeight   = 256 << 10
	// heavy is what travels alone, and at once.
	heavy = 32 << 10
)

// group sends what many callers ask for at a time in few script calls. While few ask,
// each is sent at once and by itself.
//
// Every caller is answered for what it asked, and waits no longer than its own context
// says. What it asked for may happen after it has gone, as with any call whose answer
// is lost.
type group struct {
	store  *Store
	script script
	keys   []string // for all
	common []string // arguments for all, after the time
	slow   time.Duration

	mu      sync.Mutex
	waiting []*errand
	under   bool // a call is under way, and is not slow
	closed  bool
	sending sync.WaitGroup // grows only while it is not closed
}

// errand is what one caller asks for.
type errand struct {
	ctx  context.Context //nolint:containedctx // others look whether it still waits
	args []string        // the first says how many they are; an item's own
	size int             // bytes
	done chan struct{}

	answer string
	err    error
}

func newErrand(ctx context.Context, args []string) *errand {
	e := &errand{ctx: ctx, args: args}
	for _, a := range args {
		e.size += len(a)
	}
	return e
}

// do has one caller's part done, and gives the answer to it.
func (g *group) do(ctx context.Context, args []string) (string, error) {
	e := newErrand(ctx, args)
	if e.size > heavy {
		g.send(ctx, []*errand{e})
		return e.answer, e.err
	}
	g.mu.Lock()
	if g.closed {
		g.mu.Unlock()
		return "", redis.ErrClosed
	}
	if g.under {
		e.done = make(chan struct{})
		g.waiting = append(g.waiting, e)
		g.mu.Unlock()
		return e.wait()
	}
	g.under = true
	g.mu.Unlock()
	if g.turn(func() { g.send(ctx, []*errand{e}) }) {
		g.goOn() //nolint:contextcheck // with others, who have their own
	}
	return e.answer, e.err
}

// turn makes a call and reports whether its turn lasted until its end: when it is slow,
// others go on.
func (g *group) turn(call func()) bool {
	late := time.AfterFunc(g.slow, g.goOn)
	call()
	return late.Stop()
}

// goOn sends what waits, unless nothing does.
func (g *group) goOn() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if batch := g.next(); batch != nil {
		g.sending.Go(func() { g.work(batch) })
	}
}

// close refuses what waits, and what is yet to come, and waits for what is under way.
func (g *group) close() {
	g.mu.Lock()
	g.closed = true
	for _, e := range g.waiting {
		e.err = redis.ErrClosed
		close(e.done)
	}
	g.waiting = nil
	g.mu.Unlock()
	g.sending.Wait()
}

func (e *errand) wait() (string, error) {
	select {
	case <-e.done:
		return e.answer, e.err
	case <-e.ctx.Done():
		return "", e.ctx.Err()
	}
}

// work sends batch, and what has come to wait meanwhile, until nothing waits.
func (g *group) work(batch []*errand) {
	for batch != nil {
		mine := g.turn(func() { g.send(context.Background(), batch) })
		for _, e := range batch {
			close(e.done)
		}
		if !mine {
			return // somebody else goes on
		}
		g.mu.Lock()
		batch = g.next()
		g.mu.Unlock()
	}
}

// next takes what may travel together of what waits. Where nothing does it is nil, and no
// call is under way any more. It wants mu.
func (g *group) next() []*errand {
	var batch []*errand
	size, n := 0, 0
	for _, e := range g.waiting {
		if len(batch) == mostTogether || size+e.size > mostWeight {
			break
		}
		n++
		if e.ctx.Err() == nil { // or nobody waits for it
			batch = append(batch, e)
			size += e.size
		}
	}
	g.waiting = append(g.waiting[:0], g.waiting[n:]...)
	g.under = len(batch) > 0
	return batch
}

// send makes one script call of batch and notes each one's answer.
func (g *group) send(ctx context.Context, batch []*errand) {
	n := 1 + len(g.common)
	for _, e := range batch {
		n += len(e.args)
	}
	args := append(make([]any, 0, n), g.store.clock.arg())
	for i := range g.common {
		args = append(args, &g.common[i]) // the client takes pointers, which cost nothing
	}
	for _, e := range batch {
		for i := range e.args {
			args = append(args, &e.args[i])
		}
	}
	reply, err := g.store.ask(ctx, g.script, g.keys, args)
	for i, e := range batch {
		if e.err = err; err == nil {
			e.answer, e.err = g.part(reply, i)
		}
	}
	if err == nil {
		g.store.woke(str(reply, 1))
	}
}

// part is the answer to errand i.
func (g *group) part(reply []any, i int) (string, error) {
	answer := str(reply, 2+i)
	if answer == "" {
		return "", fmt.Errorf("Redis gave too little: %v", reply) //nolint:staticcheck // it has a capital
	}
	if why, is := strings.CutPrefix(answer, "error 0 "); is {
		return "", answerError(why)
	}
	return answer, nil
}

// answerError is what Redis said of one part of a script.
type answerError string

func (e answerError) Error() string { return string(e) }

// RedisError says that Redis has answered.
func (answerError) RedisError() {}
