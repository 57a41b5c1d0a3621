package cli

import (
	"context"
	"fmt"
	"io/fs"
	"net"
	"os"

	"doorhook"
	"doorhook/internal/app"
)

type demoCmd struct {
	rulesFlag
	Listen string `default:"127.0.0.1:8080" variable:"DOORHOOK_LISTEN" placeholder:"HOST:PORT" help:"Where to listen (DOORHOOK_LISTEN); default 127.0.0.1:8080, or any free port if that is taken."`
	Exit   bool   `help:"End when the story is told."`
}

// Run plays the demo with the rules there are, or with the starter rules that
// are part of the program.
func (c demoCmd) Run(ctx context.Context, env Env) error {
	fsys, dir, err := c.rules(env)
	if err != nil {
		return err
	}
	d := app.Demo{Rules: fsys, RulesDir: dir, Exit: c.Exit, Out: env.Out, Version: env.Version}
	if !c.Exit && free(ctx, c.Listen) {
		d.Listen = c.Listen
	}
	return app.RunDemo(ctx, d)
}

func (c demoCmd) rules(env Env) (fs.FS, string, error) {
	if _, err := os.Stat(c.Rules); err == nil || c.Rules != "rules" {
		fsys, err := openRules(c.Rules)
		return fsys, c.Rules, err
	}
	fmt.Fprintln(env.Err, "There is no folder rules/ here, so these are the starter rules of the program.")
	fsys, err := fs.Sub(doorhook.Rules, "rules")
	return fsys, "rules", err
}

func free(ctx context.Context, address string) bool {
	var lc net.ListenConfig
	ln, err := lc.Listen(ctx, "tcp", address)
	return err == nil && ln.Close() == nil
}
