package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"time"
)

// scenario is one way to make things go wrong.
type scenario struct {
	name   string
	rounds int           // of 200
	needs  time.Duration // what a round takes, if there is only one
	doors  int           // how many doorhooks
	run    func(ctx context.Context, a *arena) error
}

// embedded is the scenario without a Redis of its own.
const embedded = "embedded"

func scenarios() []scenario {
	return []scenario{
		{"kill", 200, 0, 2, killed},
		{embedded, 60, 0, 1, killed},
		{"stalled", 4, 0, 2, stalled},
		{"paused", 1, 45 * time.Second, 1, paused},
		{"restarted", 10, 0, 1, restarted},
		{"down", 1, 90 * time.Second, 1, down},
		{"kisi-down", 1, 60 * time.Second, 1, kisiDown},
		{"recovery", 8, 0, 2, recovery},
		{"events", 2, 50 * time.Second, 1, forwarded},
	}
}

// world is what all scenarios share.
type world struct {
	options
	dir      string    // all files, and the evidence
	doorhook string    // the program
	redis    string    // the program
	hasData  bool      // doorhook can keep its embedded Redis in a folder
	stopAt   time.Time // no round begins after
	now      func() time.Time

	printing sync.Mutex
	out      io.Writer
}

// errNoRedis is for tests, which skip without one.
var errNoRedis = errors.New("redis-server is not installed: apt-get install redis-server")

// run plays the scenarios, all at the same time since most of them wait most of
// the time, and prints what they came to.
func run(ctx context.Context, o options, out io.Writer) error {
	if o.short {
		o.rounds = min(o.rounds, 8)
	}
	w := &world{options: o, out: out, now: time.Now}
	w.stopAt = w.now().Add(o.budget - longestSettle)
	ctx, cancel := context.WithTimeoutCause(ctx, o.budget, fmt.Errorf("the time is up: -budget is %s", o.budget))
	defer cancel()
	w.printf("seed %d\n", o.seed)
	if err := w.prepare(ctx); err != nil {
		return errors.Join(err, os.RemoveAll(w.dir))
	}
	chosen := w.choose()
	if len(chosen) == 0 {
		return errors.Join(fmt.Errorf("nothing is run: there is no scenario %q, or no time for it", o.only), os.RemoveAll(w.dir))
	}
	results := make([]result, len(chosen))
	var wg sync.WaitGroup
	for i, sc := range chosen {
		wg.Go(func() { results[i] = w.play(ctx, sc, uint64(i)) })
	}
	wg.Wait()
	return w.report(results)
}

// prepare builds doorhook and finds out what it can do.
func (w *world) prepare(ctx context.Context) (err error) {
	if w.redis, err = exec.LookPath("redis-server"); err != nil {
		return errNoRedis
	}
	if w.dir, err = os.MkdirTemp("", "doorhook-chaos-"); err != nil { // short, since sockets are in it
		return err
	}
	w.doorhook = filepath.Join(w.dir, "doorhook")
	if text, err := exec.CommandContext(ctx, "go", "build", "-o", w.doorhook, "doorhook/cmd/doorhook").CombinedOutput(); err != nil {
		return fmt.Errorf("build doorhook: %w: %s", err, text)
	}
	help, err := exec.CommandContext(ctx, w.doorhook, "serve", "--help").CombinedOutput()
	if err != nil {
		return fmt.Errorf("doorhook serve --help: %w: %s", err, help)
	}
	w.hasData = bytes.Contains(help, []byte("--data"))
	return writeRules(filepath.Join(w.dir, "rules"))
}

// choose gives the scenarios that can be run, and says why the others cannot.
func (w *world) choose() []scenario {
	var chosen []scenario
	for _, sc := range scenarios() {
		switch {
		case w.only != "" && w.only != sc.name, w.short && sc.name != "kill" && sc.name != "events":
		case sc.name == embedded && !w.hasData:
			w.printf("%s: left out: doorhook serve has no --data\n", sc.name)
		case sc.needs+longestSettle > w.budget:
			w.printf("%s: left out: it may need %s, and -budget is %s\n", sc.name, sc.needs+longestSettle, w.budget)
		default:
			chosen = append(chosen, sc)
		}
	}
	return chosen
}

// play gives one scenario its arena.
func (w *world) play(ctx context.Context, sc scenario, stream uint64) result {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	a, err := newArena(ctx, w, sc, stream)
	if err != nil {
		return result{name: sc.name, complaints: []string{"start: " + err.Error()}}
	}
	defer a.close()
	if err = sc.run(ctx, a); err == nil {
		err = a.settle(ctx)
	}
	cut := ctx.Err() != nil
	if err != nil {
		stop() // whoever still sends
	}
	a.senders.Wait()
	switch {
	case cut: // nothing that was found means anything
		a.complaints, a.findings = []string{context.Cause(ctx).Error()}, nil
	case err != nil:
		a.complain("%v", err)
	}
	return a.result(ctx)
}

func (w *world) printf(format string, args ...any) {
	w.printing.Lock()
	defer w.printing.Unlock()
	fmt.Fprintf(w.out, format, args...)
}

// pause waits; false if ctx ended before.
func pause(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// await asks ok until it is true, for as long as limit.
func await(ctx context.Context, limit time.Duration, what string, ok func() bool) error {
	ctx, cancel := context.WithTimeoutCause(ctx, limit, fmt.Errorf("%s did not come within %s", what, limit))
	defer cancel()
	for !ok() {
		if !pause(ctx, 2*time.Millisecond) {
			return context.Cause(ctx)
		}
	}
	return nil
}
