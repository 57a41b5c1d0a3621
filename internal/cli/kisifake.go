package cli

import (
	"context"
	"fmt"
	"net/url"

	"doorhook/internal/app"
	"doorhook/internal/relay"
)

type kisifakeCmd struct {
	Listen  string `default:"127.0.0.1:8090" placeholder:"HOST:PORT" help:"Where to listen; default 127.0.0.1:8090."`
	Webhook string `placeholder:"URL" help:"Tell this address of each unlock, as Kisi's event webhook does; signed if KISI_WEBHOOK_KEY is set."`
}

// Run serves a pretend Kisi until a signal comes.
func (c kisifakeCmd) Run(ctx context.Context, env Env) error {
	if u, err := url.Parse(c.Webhook); c.Webhook != "" && (err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https") {
		return usageError("--webhook takes an address such as http://127.0.0.1:8080/hooks/kisi")
	}
	if err := app.ServeFake(ctx, c.Listen, c.Webhook, relay.Secret(env.Getenv("KISI_WEBHOOK_KEY")), env.Out); err != nil {
		return fmt.Errorf("pretend Kisi: %w", err)
	}
	return nil
}
