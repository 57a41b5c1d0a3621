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
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	os.Exit(command(ctx, os.Args[1:], os.Stdout))
}

// options are the flags.
type options struct {
	duration time.Duration
	rounds   int
	json     string
	against  string
	only     string
}

// command gives the exit code: 0 measured, 1 could not, 2 usage.
func command(ctx context.Context, args []string, out io.Writer) int {
	if len(args) == 3 && args[0] == "ceiling" { // the bench starts itself as this
		if err := ceiling(args[1], args[2]); err != nil {
			fmt.Fprintln(out, "bench:", err)
			return 1
		}
		return 0
	}
	o := options{}
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	flags.SetOutput(out)
	flags.DurationVar(&o.duration, "for", 5*time.Second, "how long each `time` is measured")
	flags.IntVar(&o.rounds, "rounds", 5, "how many `times`; medians are shown")
	flags.StringVar(&o.json, "json", "", "write what was measured to this `file`")
	flags.StringVar(&o.against, "against", "", "compare with such a `file`")
	flags.StringVar(&o.only, "run", "", "this `row` alone, as accept")
	if err := flags.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return 0
		}
		return 2
	}
	if err := run(ctx, o, out); err != nil {
		fmt.Fprintln(out, "bench:", err)
		return 1
	}
	return 0
}
