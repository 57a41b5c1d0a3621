package cli

import (
	"context"
	"fmt"

	"doorhook/internal/app"
)

type kisifakeCmd struct {
	Listen string `default:"127.0.0.1:8090" placeholder:"HOST:PORT" help:"Where to listen; default 127.0.0.1:8090."`
}

// Run serves a pretend Kisi until a signal comes.
func (c kisifakeCmd) Run(ctx context.Context, env Env) error {
	if err := app.ServeFake(ctx, c.Listen, env.Out); err != nil {
		return fmt.Errorf("pretend Kisi: %w", err)
	}
	return nil
}
