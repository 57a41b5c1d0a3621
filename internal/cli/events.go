package cli

import (
	"context"

	"doorhook/internal/relay"
)

type eventsCmd struct {
	askFlags
	limitFlag
}

// Run lists events.
func (c eventsCmd) Run(ctx context.Context, env Env) error {
	return listing[relay.Record]{
		name: "events", empty: "no events",
		get: func(op operator) ([]relay.Record, error) { return op.Events(ctx, "", c.Limit) },
		show: func(events []relay.Record) {
			rows := [][]string{{"RECEIVED", "TRIGGER", "EVENT", "STATUS", "JOB", "REVISION", "RULES"}}
			for _, e := range events {
				rows = append(rows, []string{toSecond(e.At), e.Trigger, e.EventID, string(e.Status), job(e.JobID), e.Revision, e.Rules})
			}
			table(env.Out, rows...)
		},
	}.run(ctx, env, c.askFlags, c.settings())
}
