package cli

import (
	"context"
	"fmt"
	"io"

	"doorhook/internal/app"
	"doorhook/internal/relay"
)

type doctorCmd struct {
	askFlags
	keepFlags
	rulesFlag
	kisiFlags
	Listen string `variable:"DOORHOOK_LISTEN" placeholder:"HOST:PORT" help:"Where serve is to listen (DOORHOOK_LISTEN)."`
}

// Help says who looks.
func (doctorCmd) Help() string {
	return `With a URL, the doorhook there examines itself. Without one, this command examines what serve would find here, with the same settings.`
}

// Run examines.
func (c doctorCmd) Run(ctx context.Context, env Env) error {
	checks, err := c.examine(ctx, env)
	l := listing[relay.Check]{name: "checks", show: func(checks []relay.Check) { showChecks(env.Out, checks) }}
	if err := l.print(env, c.askFlags, checks, err); err != nil {
		return err
	}
	failed := 0
	for _, k := range checks {
		if k.Health == relay.Sick {
			failed++
		}
	}
	if failed > 0 {
		return fmt.Errorf("%d of %s failed", failed, count(len(checks), "check"))
	}
	return nil
}

func showChecks(out io.Writer, checks []relay.Check) {
	var rows [][]string
	for _, k := range checks {
		rows = append(rows, []string{string(k.Health), k.Name, k.Says})
		if k.Advice != "" {
			rows = append(rows, []string{"", "", "→ " + k.Advice})
		}
	}
	table(out, rows...)
}

func (c doctorCmd) examine(ctx context.Context, env Env) ([]relay.Check, error) {
	if c.URL != "" {
		op, err := c.operator(ctx, env, app.Settings{})
		if err != nil {
			return nil, err
		}
		defer op.Close()
		return op.Doctor(ctx)
	}
	s := c.kisiFlags.add(c.rulesFlag.add(c.keepFlags.add(c.settings()), env), env)
	s.Listen, s.AdminToken, s.Version = listenAt(c.Listen, env), adminToken(env), env.Version
	return app.Examine(ctx, s), nil
}
