package cli

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/lmittmann/tint"

	"doorhook/internal/app"
	"doorhook/internal/relay"
)

// rulesFlag is shared by all commands that read rules.
type rulesFlag struct {
	Rules string `default:"rules" variable:"DOORHOOK_RULES" placeholder:"DIR" help:"Folder of the rule files (DOORHOOK_RULES); default rules."`
}

// serveCmd has no flag for a secret: other users of the machine can read command lines.
type serveCmd struct {
	rulesFlag
	Listen      string `variable:"DOORHOOK_LISTEN" placeholder:"HOST:PORT" help:"Where to listen (DOORHOOK_LISTEN); default 127.0.0.1:8080, or all addresses at $$PORT."`
	AdminListen string `variable:"DOORHOOK_ADMIN_LISTEN" placeholder:"HOST:PORT" help:"Where to serve Go's profiles at /debug/pprof/, as 127.0.0.1:6060 (DOORHOOK_ADMIN_LISTEN); nowhere by default."`
	Redis       string `variable:"DOORHOOK_REDIS,REDIS_URL" placeholder:"URL" help:"Redis (DOORHOOK_REDIS): redis://, rediss://, redis-sentinel:// or redis-cluster://; without it, an embedded one."`
	Data        string `variable:"DOORHOOK_DATA" placeholder:"DIR" help:"Folder in which the embedded Redis keeps everything (DOORHOOK_DATA); without it, a restart forgets all bookings."`
	RedisPrefix string `default:"doorhook" variable:"DOORHOOK_REDIS_PREFIX" placeholder:"NAME" help:"First part of every key (DOORHOOK_REDIS_PREFIX), to share one Redis; default doorhook."`
	kisiFlags
	keepFlags
	Tidy      period   `variable:"DOORHOOK_TIDY" placeholder:"TIME" help:"How long after its end a schedule or link is deleted in Kisi (DOORHOOK_TIDY); default 24h."`
	Catchup   interval `default:"1h" variable:"DOORHOOK_CATCHUP" placeholder:"TIME" help:"How often to ask Kisi for events that its webhook did not deliver (DOORHOOK_CATCHUP), for rule files with from: kisi; 0 or off never does; default 1h."`
	BodyLimit int      `default:"1048576" variable:"DOORHOOK_BODY_LIMIT" placeholder:"BYTES" help:"Largest body of a trigger (DOORHOOK_BODY_LIMIT); default 1048576."`
	Proxies   string   `name:"trusted-proxies" variable:"DOORHOOK_TRUSTED_PROXIES" placeholder:"ADDRESSES" help:"Proxies that are believed when they say in X-Forwarded-For who calls: addresses and networks with commas between (DOORHOOK_TRUSTED_PROXIES); none by default."`
	SendAllow string   `variable:"DOORHOOK_SEND_ALLOW" placeholder:"ADDRESSES" help:"Private addresses that send may send to (DOORHOOK_SEND_ALLOW), as 10.0.0.7,192.168.0.0/16; default none."`
	Lease     period   `default:"10s" variable:"DOORHOOK_LEASE" placeholder:"TIME" help:"How long a worker holds a job, so how long one that died delays it (DOORHOOK_LEASE); default 10s."`
	LogFormat string   `default:"auto" enum:"auto,text,json" variable:"DOORHOOK_LOG_FORMAT" placeholder:"FORMAT" help:"text, json, or auto: text on a terminal (DOORHOOK_LOG_FORMAT)."`
}

// Help names the settings that are secrets.
func (serveCmd) Help() string {
	return `A rule file that is changed takes effect within a second; with a mistake in any, the rules in use stay, and the log says why. SIGHUP asks for a look at once.

Secrets come from the environment alone: KISI_API_KEY, or KISI_EMAIL with KISI_PASSWORD (and KISI_DOMAIN); DOORHOOK_ADMIN_TOKEN, needed to listen (--listen, --admin-listen) on an address that can be reached from outside; and those that the rule files name as ${env.NAME}.`
}

// Run serves until a signal comes.
func (c serveCmd) Run(ctx context.Context, env Env) error {
	fsys, err := openRules(c.Rules)
	if err != nil {
		return err
	}
	hangup := make(chan os.Signal, 1)
	signal.Notify(hangup, syscall.SIGHUP)
	defer signal.Stop(hangup)
	settings := c.keepFlags.add(c.kisiFlags.add(app.Settings{
		Rules: fsys, RulesDir: c.Rules, Getenv: env.Getenv, Reload: hangup,
		Listen: listenAt(c.Listen, env), AdminToken: adminToken(env), AdminListen: c.AdminListen, BodyLimit: c.BodyLimit, TrustedProxies: c.Proxies,
		Redis: c.Redis, Data: c.Data, Prefix: c.RedisPrefix, Lease: c.Lease.duration(), Tidy: c.Tidy.duration(), SendAllow: c.SendAllow,
		Version: env.Version, Log: newLog(env.Err, c.LogFormat),
	}, env))
	settings.Kisi.UseKey, settings.Catchup = app.UseKey, time.Duration(c.Catchup)
	a, err := app.New(ctx, settings)
	if err != nil {
		return err
	}
	return a.Run(ctx)
}

func adminToken(env Env) relay.Secret { return relay.Secret(env.Getenv("DOORHOOK_ADMIN_TOKEN")) }

// listenAt honours PORT, which platforms set that route to the process from outside.
func listenAt(address string, env Env) string {
	if port := env.Getenv("PORT"); address == "" && port != "" {
		return "0.0.0.0:" + port
	}
	return cmp.Or(address, app.DefaultListen)
}

func newLog(w io.Writer, format string) *slog.Logger {
	if format == "json" || format == "auto" && !terminal(w) {
		return slog.New(slog.NewJSONHandler(w, nil))
	}
	return slog.New(tint.NewTextHandler(w, &tint.Options{TimeFormat: time.TimeOnly, NoColor: !terminal(w) || os.Getenv("NO_COLOR") != ""}))
}

func terminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	if !ok {
		return false
	}
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}

func openRules(dir string) (fs.FS, error) {
	info, err := os.Stat(dir)
	switch {
	case err != nil:
		return nil, fmt.Errorf("there is no folder of rules at %q: say where it is with --rules or DOORHOOK_RULES (%w)", dir, err)
	case !info.IsDir():
		return nil, fmt.Errorf("%q is a file: --rules takes the folder it is in", dir)
	}
	return os.DirFS(dir), nil
}
