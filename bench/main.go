//go:build linux

// Command bench measures doorhook as a user would run it: a process of its own, a real
// Redis, loopback alone. In the same run it measures the ceilings: Fiber with nothing
// behind it, and Fiber with one SET NX EX. The ratios are what counts; the rest is about
// this machine.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // after the first signal, a second one kills
	os.Exit(command(ctx, os.Args[1:], os.Stdout))
}

// options are the flags.
type options struct {
	duration time.Duration
	rounds   int
	soak     time.Duration
	short    bool
	json     string
	against  string
	only     string
	doorhook string
	profile  string
}

// longestSoak bounds what is remembered of each event.
const longestSoak = time.Hour

// command gives the exit code: 0 measured, whatever came of it; 1 something could not be
// measured, a request failed, or an event was lost or doubled; 2 usage.
func command(ctx context.Context, args []string, out io.Writer) int {
	if len(args) == 3 && args[0] == "ceiling" { // the bench starts itself as this
		if err := ceiling(ctx, args[1], args[2]); err != nil {
			fmt.Fprintln(out, "bench:", err)
			return 1
		}
		return 0
	}
	o, err := readFlags(args, out)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return 0
	case err != nil:
		return 2
	}
	if err := run(ctx, o, out); err != nil {
		fmt.Fprintln(out, "bench:", err)
		return 1
	}
	return 0
}

func readFlags(args []string, out io.Writer) (o options, err error) {
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	flags.SetOutput(out)
	flags.DurationVar(&o.duration, "for", 3*time.Second, "how long each `time` is measured")
	flags.IntVar(&o.rounds, "rounds", 5, "how many `times`; medians are shown")
	flags.DurationVar(&o.soak, "soak", 0, "watch the memory for this `time`, too, under a mixed load; 10m is what the figure is about")
	flags.BoolVar(&o.short, "short", false, "everything for a moment, which tells nothing but that it can be measured")
	flags.StringVar(&o.json, "json", "", "write what was measured to this `file`")
	flags.StringVar(&o.against, "against", "", "compare with such a `file`")
	flags.StringVar(&o.only, "run", "", "this `measurement` alone, as accept")
	flags.StringVar(&o.doorhook, "doorhook", "", "measure this `program`; by default the one of this tree, which is built first")
	flags.StringVar(&o.profile, "profile", "", "write the CPU profile of doorhook in the row of -run to this `file`, as accept.pprof, and what it allocated to accept.allocs.pprof; of several rounds, the last")
	if err := flags.Parse(args); err != nil {
		return o, err
	}
	switch {
	case flags.NArg() > 0:
		err = fmt.Errorf("%q: there are flags alone; -h has them", flags.Arg(0))
	case o.duration <= 0 || o.rounds < 1 || o.soak < 0 || o.soak > longestSoak:
		err = fmt.Errorf("-for and -rounds are more than nothing, and -soak is at most %s", longestSoak)
	case o.profile != "" && !slices.Contains(profilable(), o.only):
		err = fmt.Errorf("-profile is of one row, named with -run: %s", strings.Join(profilable(), "; "))
	}
	if err != nil {
		fmt.Fprintln(out, "bench:", err)
	}
	return o, err
}
