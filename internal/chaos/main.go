// Command chaos kills doorhook, Redis and the way to Kisi while bookings come in,
// and counts what was lost, doubled or late. It knows doorhook from outside only:
// real processes, the rule file, HTTP. The pretend Kisi lives in this process, so it
// outlives every kill and is the judge.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/signal"
	"syscall"
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop)
	os.Exit(command(ctx, os.Args[1:], os.Stdout)) //nolint:forbidigo // this is a main
}

// options are the flags.
type options struct {
	rounds  int
	seed    uint64
	budget  time.Duration
	only    string
	short   bool
	verbose bool
}

// command gives the exit code: 0 nothing was lost, doubled or late; 1 something
// was, or it could not be found out; 2 usage.
func command(ctx context.Context, args []string, out io.Writer) int {
	o := options{}
	flags := flag.NewFlagSet("chaos", flag.ContinueOnError)
	flags.SetOutput(out)
	flags.IntVar(&o.rounds, "rounds", 200, "`rounds` of the kill scenario; the others have theirs in proportion")
	flags.Uint64Var(&o.seed, "seed", rand.Uint64(), "plans the messages, the faults and the moments; by default another every time")
	flags.DurationVar(&o.budget, "budget", 9*time.Minute, "no more than this `time`, whatever is left to do")
	flags.StringVar(&o.only, "run", "", "this `scenario` alone")
	flags.BoolVar(&o.short, "short", false, "a few rounds of the kill scenario, without faults that take doorhook half a minute to clear up")
	flags.BoolVar(&o.verbose, "v", false, "say what happens as it happens")
	if err := flags.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return 0
		}
		return 2
	}
	if err := run(ctx, o, out); err != nil {
		fmt.Fprintln(out, "chaos:", err)
		return 1
	}
	return 0
}
