package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"doorhook/internal/app"
	"doorhook/internal/relay"
)

// askFlags say which doorhook to ask.
type askFlags struct {
	URL         string `name:"url" variable:"DOORHOOK_URL" placeholder:"URL" help:"A doorhook that runs, as http://127.0.0.1:8080 (DOORHOOK_URL); it wants DOORHOOK_ADMIN_TOKEN from the environment."`
	Redis       string `variable:"DOORHOOK_REDIS,REDIS_URL" placeholder:"URL" help:"Or its Redis (DOORHOOK_REDIS), if there is no URL."`
	RedisPrefix string `default:"doorhook" variable:"DOORHOOK_REDIS_PREFIX" placeholder:"NAME" help:"First part of every key in that Redis (DOORHOOK_REDIS_PREFIX); default doorhook."`
	JSON        bool   `help:"Print JSON instead of a text for people."`
}

// limitFlag bounds a list.
type limitFlag struct {
	Limit int `default:"50" placeholder:"N" help:"How many at most, up to 1000; default 50."`
}

// Validate is called by kong.
func (f limitFlag) Validate() error {
	if f.Limit < 1 || f.Limit > 1000 {
		return usageError("--limit takes a number from 1 to 1000")
	}
	return nil
}

// operator is whoever answers.
type operator interface {
	relay.Operator
	Close() error
}

// errNowhere is for those who did not say where to ask.
const errNowhere = usageError("say which doorhook to ask: set DOORHOOK_URL (or --url) and DOORHOOK_ADMIN_TOKEN for one that runs, " +
	"or DOORHOOK_REDIS (or --redis) for its Redis; an embedded Redis can only be asked through its doorhook, at the URL")

// operator reaches the doorhook at the URL, or else the Redis that s names.
func (f askFlags) operator(ctx context.Context, env Env, s app.Settings) (operator, error) {
	switch {
	case f.URL != "":
		return newClient(f.URL, adminToken(env))
	case f.Redis != "":
		return app.Operate(ctx, s)
	}
	return nil, errNowhere
}

func (f askFlags) settings() app.Settings {
	return app.Settings{Redis: f.Redis, Prefix: f.RedisPrefix}
}

// listing is a command that answers with a list.
type listing[T any] struct {
	name  string // in JSON
	empty string // what to say when there is nothing
	get   func(operator) ([]T, error)
	show  func([]T)
}

// run asks and prints. A list that is not whole is printed, and is an error.
func (l listing[T]) run(ctx context.Context, env Env, f askFlags, s app.Settings) error {
	op, err := f.operator(ctx, env, s)
	if err != nil {
		return err
	}
	defer op.Close()
	list, err := l.get(op)
	return l.print(env, f, list, err)
}

// print prints what was answered.
func (l listing[T]) print(env Env, f askFlags, list []T, err error) error {
	if err != nil && len(list) == 0 {
		return err
	}
	switch {
	case f.JSON:
		answer := map[string]any{l.name: list}
		if err != nil {
			answer["error"] = err.Error()
		}
		return errors.Join(err, printJSON(env.Out, answer))
	case len(list) == 0:
		fmt.Fprintln(env.Out, l.empty)
	default:
		l.show(list)
	}
	return err
}

// keepFlags say how long what is remembered, and how much may wait. Whoever writes to
// Redis has to know.
type keepFlags struct {
	Dedup         period   `variable:"DOORHOOK_DEDUP" placeholder:"TIME" help:"How long an event that comes again is a duplicate (DOORHOOK_DEDUP); default 7d."`
	Retention     period   `variable:"DOORHOOK_RETENTION" placeholder:"TIME" help:"How long a booking at rest is remembered (DOORHOOK_RETENTION), not shorter than --dedup; default 7d, or as --dedup."`
	DeadRetention period   `variable:"DOORHOOK_DEAD_RETENTION" placeholder:"TIME" help:"How long a dead letter is kept (DOORHOOK_DEAD_RETENTION); default 30d."`
	Events        int64    `default:"10000" variable:"DOORHOOK_EVENTS" placeholder:"N" help:"How many events are listed, about (DOORHOOK_EVENTS); default 10000."`
	MaxWaiting    int64    `default:"100000" variable:"DOORHOOK_MAX_WAITING" placeholder:"N" help:"How many jobs may be due and not begun before triggers are answered 503 (DOORHOOK_MAX_WAITING); what cancels or changes a booking is taken all the same; 0 is any number; default 100000."`
	MaxWaitingAge interval `default:"1h" variable:"DOORHOOK_MAX_WAITING_AGE" placeholder:"TIME" help:"How long a job may be due and not begun before that (DOORHOOK_MAX_WAITING_AGE); 0 or off is any time; default 1h."`
}

func (f keepFlags) add(s app.Settings) app.Settings {
	s.Dedup, s.Retention, s.DeadRetention, s.Events = f.Dedup.duration(), f.Retention.duration(), f.DeadRetention.duration(), f.Events
	s.MaxWaiting, s.MaxWaitingAge = orAny(f.MaxWaiting), orAny(time.Duration(f.MaxWaitingAge))
	return s
}

// orAny is limit, or, if it is 0, less than any.
func orAny[T int64 | time.Duration](limit T) T {
	if limit == 0 {
		return -1
	}
	return limit
}

// kisiFlags say which Kisi to talk to, but for the secrets.
type kisiFlags struct {
	KisiURL         string `name:"kisi-url" default:"https://api.kisi.io" variable:"KISI_URL" placeholder:"URL" help:"Kisi's API (KISI_URL); default https://api.kisi.io."`
	KisiIntegration string `default:"Skedda" variable:"KISI_INTEGRATION" blank:"" placeholder:"NAME" help:"X-Kisi-Integration-Identifier (KISI_INTEGRATION); empty omits it; default Skedda."`
	KisiContact     string `variable:"KISI_CONTACT" placeholder:"EMAIL" help:"X-Kisi-Integration-Contact (KISI_CONTACT)."`
	KisiRate        int    `default:"5" variable:"KISI_RATE" placeholder:"N" help:"Requests a second that Kisi takes from your user (KISI_RATE); default 5."`
}

func (f kisiFlags) add(s app.Settings, env Env) app.Settings {
	s.Kisi = app.Kisi{
		URL: f.KisiURL, APIKey: relay.Secret(env.Getenv("KISI_API_KEY")),
		Email: env.Getenv("KISI_EMAIL"), Password: relay.Secret(env.Getenv("KISI_PASSWORD")), Domain: env.Getenv("KISI_DOMAIN"),
		Integration: f.KisiIntegration, Contact: f.KisiContact, Rate: f.KisiRate,
	}
	return s
}

// Validate is called by kong.
func (f kisiFlags) Validate() error {
	if f.KisiRate < 1 {
		return usageError("--kisi-rate (KISI_RATE) takes a whole number from 1 on")
	}
	return nil
}

// add names the rules without looking whether they are there.
func (f rulesFlag) add(s app.Settings, env Env) app.Settings {
	s.Rules, s.RulesDir, s.Getenv = os.DirFS(f.Rules), f.Rules, env.Getenv
	return s
}
