//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// bench is one run of everything.
type bench struct {
	options
	out      io.Writer
	sizes    sizes
	patience time.Duration // with events that do not come
	dir      string
	program  string // doorhook
	self     string
	shipped  string // the folder of rules
	sink     *sink
	drawn    int

	machine machine
	rows    []row
	figures []figure
	soaked  *soaked
	peak    int64 // the most memory that any doorhook had
	failed  []string
}

// row is one line of the table.
type row struct {
	Name    string  `json:"name"`
	Rounds  []round `json:"rounds"`
	Median  round   `json:"median"`
	Spread  float64 `json:"spread"` // of the requests a second, as a share
	ceiling string
}

// errWrong is that something could not be measured, failed, or was lost or doubled; what
// it was has been said.
var errWrong = errors.New("not everything could be measured, or something went wrong")

func run(ctx context.Context, o options, out io.Writer) (err error) {
	old, err := saved(o.against)
	if err != nil {
		return err
	}
	b := &bench{options: o, out: out, sizes: o.sizes(), patience: lostAfter, figures: required()}
	if o.short {
		b.patience = lostAfter / 4
	}
	defer func() { err = errors.Join(err, os.RemoveAll(b.dir)) }()
	if err := b.prepare(ctx); err != nil {
		return err
	}
	defer b.sink.close()
	b.machine = b.describe(ctx)
	b.printMachine()
	if err := b.everything(ctx); err != nil {
		if ctx.Err() != nil {
			return errors.New("it was interrupted")
		}
		return err
	}
	b.conclude()
	b.print(old)
	if err := b.save(); err != nil {
		return err
	}
	if len(b.failed) > 0 {
		return errWrong
	}
	return nil
}

func (b *bench) prepare(ctx context.Context) (err error) {
	if _, err := exec.LookPath("redis-server"); err != nil {
		return fmt.Errorf("the bench needs a Redis to measure with: install redis-server (%w)", err)
	}
	if b.dir, err = os.MkdirTemp("", "doorhook-bench-"); err != nil {
		return err
	}
	if b.self, err = os.Executable(); err != nil {
		return err
	}
	where, err := exec.CommandContext(ctx, "go", "list", "-f", "{{.Dir}}", "doorhook").Output()
	if err != nil {
		return fmt.Errorf("look for the rules: call the bench in doorhook's folder (%w)", err)
	}
	home := strings.TrimSpace(string(where))
	b.shipped = filepath.Join(home, "rules")
	if err := b.build(ctx, home); err != nil {
		return err
	}
	b.sink, err = newSink(ctx)
	return err
}

// build builds doorhook as it is released: with the flags of make build, but that it can
// do without make. home is doorhook's folder.
func (b *bench) build(ctx context.Context, home string) (err error) {
	if b.options.doorhook != "" {
		b.program, err = filepath.Abs(b.options.doorhook)
		return err
	}
	b.program = filepath.Join(b.dir, "doorhook")
	cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-ldflags", "-s -w",
		"-pgo", filepath.Join(home, "cmd", "doorhook", "release.pgo"), "-o", b.program, "doorhook/cmd/doorhook")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if text, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("build doorhook: %w: %s", err, text)
	}
	return nil
}

// everything measures all, or what was asked for. What cannot be measured is said, and
// the others are measured all the same.
func (b *bench) everything(ctx context.Context) error {
	asked, found := b.asked()
	if !found {
		return fmt.Errorf("-run %q: there is %s", b.only, strings.Join(b.names(), "; "))
	}
	rounds := b.rounds
	if len(asked) == 0 && !b.wants(idle) {
		rounds = 0
	}
	for n := range rounds {
		for _, w := range order(asked, n) {
			b.row(ctx, n, w.name, w.ceiling, func() (round, error) { return b.measure(ctx, w) })
		}
		if b.wants(idle) {
			b.row(ctx, n, idle, "", func() (round, error) { return b.latency(ctx) })
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		b.ratios(n)
		fmt.Fprintf(b.out, "round %d of %d\n", n+1, rounds)
	}
	for _, o := range b.singles() {
		if !b.wants(o.name) || ctx.Err() != nil {
			continue
		}
		fmt.Fprintf(b.out, "%s\n", o.name)
		if err := o.measure(ctx); err != nil {
			b.fail(o.name, err)
		}
	}
	return ctx.Err()
}

// single is what is measured once, not in each round.
type single struct {
	name    string
	measure func(context.Context) error
}

func (b *bench) singles() []single {
	all := []single{{"waiting jobs", b.waiting}, {"finished events", b.finished}, {"start", b.startup}}
	if b.soak > 0 {
		all = append(all, single{"soak", b.soakMemory})
	}
	return all
}

func (b *bench) names() (names []string) {
	for _, w := range workloads() {
		names = append(names, w.name)
	}
	names = append(names, idle)
	for _, o := range b.singles() {
		names = append(names, o.name)
	}
	return names
}

func (b *bench) wants(name string) bool { return b.only == "" || b.only == name }

// asked are the workloads that are wanted, with the ceilings that they need.
func (b *bench) asked() (asked []workload, found bool) {
	all := workloads()
	for _, w := range all {
		needed := slices.ContainsFunc(all, func(o workload) bool { return b.wants(o.name) && o.ceiling == w.name })
		if b.wants(w.name) || needed {
			asked = append(asked, w)
		}
	}
	return asked, b.only == "" || slices.Contains(b.names(), b.only)
}

// order turns round in every second round, so that it is not always the same that is
// measured first, and what is compared stays together.
func order(all []workload, round int) []workload {
	all = slices.Clone(all)
	if round%2 == 1 {
		slices.Reverse(all)
	}
	return all
}

// row measures round n of a row.
func (b *bench) row(ctx context.Context, n int, name, ceiling string, measure func() (round, error)) {
	if ctx.Err() != nil {
		return
	}
	r, err := measure()
	if err != nil {
		b.fail(name, err)
		return
	}
	i := slices.IndexFunc(b.rows, func(r row) bool { return r.Name == name })
	if i < 0 {
		i, b.rows = len(b.rows), append(b.rows, row{Name: name, ceiling: ceiling})
	}
	r.n = n
	b.rows[i].Rounds = append(b.rows[i].Rounds, r)
}

func (b *bench) fail(name string, err error) {
	if errors.Is(err, context.Canceled) {
		return
	}
	b.failed = append(b.failed, name+": "+err.Error())
	fmt.Fprintf(b.out, "%s: %v\n", name, err)
}

// ratios compares the rows of a round with their ceilings.
func (b *bench) ratios(n int) {
	speed := map[string]float64{}
	for _, r := range b.rows {
		if last := r.Rounds[len(r.Rounds)-1]; last.n == n {
			speed[r.Name] = last.Load.PerSecond
		}
	}
	for i := range b.rows {
		r := &b.rows[i]
		if base := speed[r.ceiling]; base > 0 && speed[r.Name] > 0 {
			r.Rounds[len(r.Rounds)-1].Ratio = speed[r.Name] / base
		}
	}
}
