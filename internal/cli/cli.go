// Package cli is the command line: commands, flags and exit codes.
package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/alecthomas/kong"

	"doorhook/internal/rules"
)

// Exit codes. They are part of the contract.
const (
	exitOK       = 0
	exitFailed   = 1
	exitUsage    = 2
	exitBadRules = 3
)

// Env is what a command may touch besides its arguments.
type Env struct {
	In       io.Reader
	Out, Err io.Writer
	Lookup   func(string) (string, bool) // of the environment
	Version  string
}

// Getenv is the value of a variable; "" if it is not set.
func (e Env) Getenv(name string) string {
	v, _ := e.Lookup(name)
	return v
}

// resolve gives flags the variables that their tags name. Unlike kong's own way
// it takes a variable that is set to nothing for one that is not set, as it
// comes out of compose files, except where nothing means something.
func (e Env) resolve(_ *kong.Context, _ *kong.Path, flag *kong.Flag) (any, error) {
	for name := range strings.SplitSeq(flag.Tag.Get("variable"), ",") {
		if v, ok := e.Lookup(name); ok && (v != "" || flag.Tag.Has("blank")) {
			return v, nil
		}
	}
	return nil, nil
}

// commands are all there are.
type commands struct {
	Serve    serveCmd    `cmd:"" help:"Receive triggers and open doors."`
	Demo     demoCmd     `cmd:"" help:"Show the whole job on this machine: embedded Redis, a pretend Kisi, your rules. Opens no real door."`
	Check    checkCmd    `cmd:"" help:"Check all rule files and report every mistake; --online asks Kisi, too."`
	Test     testCmd     `cmd:"" help:"Run the golden cases beside the rules; --update writes them, --record makes one of an event."`
	Explain  explainCmd  `cmd:"" help:"Explain what the rules make of an event: every rule, every value, and the requests as curl."`
	Shadow   shadowCmd   `cmd:"" help:"Compare other rules with those in use, over the events of the last days."`
	Init     initCmd     `cmd:"" help:"Ask Kisi for your doors and write a rule file for them."`
	Schema   schemaCmd   `cmd:"" help:"Print the JSON Schema of rule files, for editors."`
	Jobs     jobsCmd     `cmd:"" help:"What bookings ask for and how far it has got; --waiting for what is to come."`
	Events   eventsCmd   `cmd:"" help:"List what came in."`
	Dead     deadCmd     `cmd:"" help:"List what was given up, and why."`
	Replay   replayCmd   `cmd:"" help:"Plan what was given up again, with today's rules."`
	Catchup  catchupCmd  `cmd:"" help:"Take in what happened in Kisi and did not come."`
	Doctor   doctorCmd   `cmd:"" help:"Examine everything doorhook depends on."`
	Kisifake kisifakeCmd `cmd:"" help:"Serve a pretend Kisi to try rules against."`
	Version  versionCmd  `cmd:"" help:"Print the version."`
}

const description = `doorhook turns bookings into open doors: a trigger comes in, your rules say which door and when, doorhook makes the Kisi calls and keeps them true.

Exit codes: 0 ok, 1 failed, 2 usage, 3 bad rules.`

// quit carries an exit code out of kong, which would call os.Exit.
type quit int

// Main runs the command that args name and returns its exit code.
func Main(ctx context.Context, args []string, env Env) (code int) {
	defer func() {
		if p := recover(); p != nil {
			q, ok := p.(quit)
			if !ok {
				panic(p)
			}
			code = int(q)
		}
	}()
	var c commands
	parser, err := kong.New(&c,
		kong.Name("doorhook"), kong.Description(description), kong.UsageOnError(), kong.ConfigureHelp(kong.HelpOptions{Compact: true}),
		kong.Writers(env.Out, env.Err), kong.Exit(func(code int) { panic(quit(code)) }), kong.BindTo(ctx, (*context.Context)(nil)), kong.Resolvers(kong.ResolverFunc(env.resolve)),
	)
	if err != nil {
		fmt.Fprintln(env.Err, "doorhook:", err)
		return exitFailed
	}
	if len(args) == 0 {
		args = []string{"--help"}
	}
	command, err := parser.Parse(args)
	if err != nil {
		fmt.Fprintln(env.Err, "doorhook:", err)
		fmt.Fprintln(env.Err, "Run doorhook --help for what there is.")
		return exitUsage
	}
	return exitCode(env, command.Run(env))
}

// usageError is a command that cannot be meant as it stands.
type usageError string

func (e usageError) Error() string { return string(e) }

// exitCode says what went wrong and gives the code for it.
func exitCode(env Env, err error) int {
	var bad rules.Errors
	switch {
	case err == nil:
		return exitOK
	case errors.As(err, &bad):
		fmt.Fprintln(env.Err, bad)
		where := "the rules"
		if _, ok := errors.AsType[untested](err); ok {
			where = "the rules and the cases; no case was run"
		}
		fmt.Fprintf(env.Err, "doorhook: %s in %s\n", count(len(bad), "mistake"), where)
		return exitBadRules
	}
	// What went wrong may quote what a sender chose: one line, and no more.
	fmt.Fprintln(env.Err, "doorhook:", clean(strings.ReplaceAll(err.Error(), "\n", "; ")))
	if _, usage := errors.AsType[usageError](err); usage {
		return exitUsage
	}
	if _, strict := errors.AsType[strictError](err); strict {
		return exitBadRules
	}
	return exitFailed
}

func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}
