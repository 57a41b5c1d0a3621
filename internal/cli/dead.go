package cli

import (
	"cmp"
	"context"
	"fmt"

	"doorhook/internal/relay"
)

type deadCmd struct {
	askFlags
	limitFlag
}

// causes tell in words who was at fault.
var causes = map[relay.Cause]string{
	relay.ByKisi:     "rejected by Kisi",
	relay.ByRelay:    "doorhook or the network",
	relay.ByRule:     "a rule failed",
	relay.ByReceiver: "not taken by the receiver",
}

// Run lists dead letters.
func (c deadCmd) Run(ctx context.Context, env Env) error {
	return listing[relay.DeadLetter]{
		name: "dead", empty: "no dead letters",
		get: func(op operator) ([]relay.DeadLetter, error) { return op.Letters(ctx, c.Limit) },
		show: func(letters []relay.DeadLetter) {
			for _, l := range letters {
				fmt.Fprintf(env.Out, "%s  %s: %s\n", toSecond(l.At), clean(cmp.Or(l.Rule, l.Trigger)), causes[l.Cause])
				fmt.Fprintf(env.Out, "    %s\n    doorhook replay %s\n", clean(l.Error), clean(quoted(l.ID)))
			}
		},
	}.run(ctx, env, c.askFlags, c.settings())
}

type replayCmd struct {
	askFlags
	keepFlags
	rulesFlag
	IDs []string `arg:"" optional:"" name:"id" help:"The dead letters, as doorhook dead names them."`
	All bool     `help:"Replay all of them, the oldest first."`
}

// Help says whose rules count.
func (replayCmd) Help() string {
	return `The event of each is planned again, by a doorhook that runs with the rules it was started with, or, straight at Redis, with the rule files here. What is over is not sent, and what the booking changed since is not undone. Straight at Redis, give the settings that serve has.`
}

// Run replays dead letters.
func (c replayCmd) Run(ctx context.Context, env Env) error {
	if c.All == (len(c.IDs) > 0) {
		return usageError("say what to replay: the dead letters by their names, or --all")
	}
	failed := 0
	err := listing[relay.Replayed]{
		name: "replayed", empty: "no dead letters",
		get: func(op operator) ([]relay.Replayed, error) {
			all, err := op.Replay(ctx, c.IDs)
			for _, r := range all {
				if r.Status == relay.Failed {
					failed++
				}
			}
			return all, err
		},
		show: func(all []relay.Replayed) {
			rows := [][]string{{"DEAD LETTER", "STATUS", "JOB", "NOTE"}}
			for _, r := range all {
				rows = append(rows, []string{quoted(r.ID), string(r.Status), job(r.JobID), r.Note})
			}
			table(env.Out, rows...)
		},
	}.run(ctx, env, c.askFlags, c.rulesFlag.add(c.keepFlags.add(c.settings()), env))
	if err == nil && failed > 0 {
		err = fmt.Errorf("%s could not be replayed", count(failed, "dead letter"))
	}
	return err
}
