// Package app puts doorhook together: it checks the settings, makes the parts,
// starts and stops them in order. It is the only package that knows them all.
package app

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"doorhook/internal/action"
	"doorhook/internal/intake"
	"doorhook/internal/kisi"
	"doorhook/internal/relay"
	"doorhook/internal/rules"
	"doorhook/internal/store"
	"doorhook/internal/web"
	"doorhook/internal/worker"
)

// stopGrace is how long requests under way get when doorhook stops. What was
// accepted is safe in any case.
const stopGrace = 10 * time.Second

// App is a doorhook that is ready to run.
type App struct {
	log     *slog.Logger
	store   *store.Store
	kisi    *kisi.Client
	workers []*worker.Worker // one for each lane
	web     *web.Server
	ln      net.Listener
	admin   *web.Admin   // nil without a listener of its own
	adminLn net.Listener // nil as well
	useKey  time.Duration

	happenings   *happenings
	catchup      *catchup
	catchupEvery time.Duration

	reloader *reloader
	reload   <-chan os.Signal
}

// New makes a doorhook: rules loaded, Redis reached, address bound. Close it, or
// Run it, which closes it.
func New(ctx context.Context, s Settings) (*App, error) {
	s = s.withDefaults()
	if err := s.check(); err != nil {
		return nil, err
	}
	set, err := rules.Load(s.Rules, s.RulesDir, s.Getenv)
	if err != nil {
		return nil, err
	}
	a := &App{log: s.Log, useKey: s.Kisi.UseKey, catchupEvery: s.Catchup, reload: s.Reload, happenings: newHappenings(s.Log)}
	if err := a.build(ctx, s, set); err != nil {
		return nil, errors.Join(err, a.Close())
	}
	a.announce(s, set)
	return a, nil
}

func (a *App) build(ctx context.Context, s Settings, set *rules.Set) (err error) {
	if a.store, err = store.Open(ctx, s.storeOptions()); err != nil {
		return err
	}
	as := s.kisiOptions(a.store)
	as.OnDown = a.kisiDown
	if a.kisi, err = kisi.New(as); err != nil {
		return err
	}
	s.Log.InfoContext(ctx, "kisi", "as", as)
	if err := a.hire(s); err != nil {
		return err
	}
	in := intake.New(set, a.store, intake.Options{
		Describe: action.Describe, Tell: a.happenings.tell, BodyLimit: s.BodyLimit, MaxAge: cmp.Or(s.Dedup, week),
	})
	a.happenings.hand = in.Happened
	a.reloader = newReloader(s, set, func(old, set *rules.Set) {
		in.Use(set)
		a.announceRules(set)
		a.announceGone(old, set)
	})
	a.reloader.tell = a.happenings.tell
	a.catchup = &catchup{store: a.store, events: a.kisi.Events, hooks: a.kisi.Integrations, in: in, log: s.Log, pause: pauseFor}
	op := &Operator{settings: s, store: a.store, intake: in, kisi: a.kisi, inUse: &a.reloader.inUse}
	proxies, err := s.proxies()
	if err != nil {
		return err
	}
	a.web = web.New(in, op, a.ready, web.Options{BodyLimit: s.BodyLimit, TrustedProxies: proxies, AdminToken: s.AdminToken, Log: s.Log, Grace: stopGrace})
	return a.listen(ctx, s)
}

// listen takes the addresses.
func (a *App) listen(ctx context.Context, s Settings) (err error) {
	var lc net.ListenConfig
	if a.ln, err = lc.Listen(ctx, "tcp", s.Listen); err != nil {
		return fmt.Errorf("listen on %s: %w%s", s.Listen, err, whose(err))
	}
	if s.AdminListen == "" {
		return nil
	}
	a.admin = web.NewAdmin(s.AdminToken)
	if a.adminLn, err = lc.Listen(ctx, "tcp", s.AdminListen); err != nil {
		return fmt.Errorf("listen on %s for profiles: %w%s", s.AdminListen, err, whose(err))
	}
	s.Log.InfoContext(ctx, "profiles", "url", "http://"+a.adminLn.Addr().String()+"/debug/pprof/")
	return nil
}

// whose says what to do about an address that cannot be taken since it is.
func whose(err error) string {
	if errors.Is(err, syscall.EADDRINUSE) {
		return "; another program has it, a doorhook that still runs perhaps: end that, or choose another address"
	}
	return ""
}

// hire makes a worker for each lane, so that no door waits for a message.
func (a *App) hire(s Settings) error {
	allow, err := s.sendAllow()
	if err != nil {
		return err
	}
	doer := action.New(a.kisi, action.SendOptions{
		Env:   func(name string) string { return a.reloader.inUse.Load().Env(name) },
		Allow: allow, UserAgent: "doorhook/" + s.Version, Transport: s.Receiver, Clock: a.store.Now,
	})
	for _, o := range []worker.Options{{Lane: relay.Doors}, {Lane: relay.Messages, Concurrency: action.AtOnce}} {
		o.Lease, o.StepTimeout, o.Tidy = s.Lease, s.stepTimeout(), s.Tidy
		o.Limits = func(trigger string) (*relay.Limits, bool) { return a.reloader.inUse.Load().Limits(trigger) }
		o.Told = func() bool { return len(kisiTriggers(a.reloader.inUse.Load(), "")) > 0 }
		o.Fill, o.Tell = a.fill, a.happenings.tell
		w, err := worker.New(a.store, doer, s.Log, o)
		if err != nil {
			return err
		}
		a.workers = append(a.workers, w)
	}
	return nil
}

// fill computes what of act was left for later, by the rules in use.
func (a *App) fill(_ context.Context, act relay.Action, p *relay.Person) (relay.Action, error) {
	ev, err := intake.EventOf(act.Later.Event)
	if err != nil {
		return act, fmt.Errorf("read the event of %s: %w", act.Key, err)
	}
	return a.reloader.inUse.Load().Fill(act, ev, p)
}

// kisiOptions say how to talk to Kisi; a store has what all processes share.
func (s Settings) kisiOptions(st *store.Store) kisi.Options {
	k := s.Kisi
	o := kisi.Options{
		URL: k.URL, APIKey: k.APIKey.Reveal(), Email: k.Email, Password: k.Password.Reveal(), Domain: k.Domain,
		Integration: k.Integration, Contact: k.Contact, UserAgent: "doorhook/" + s.Version, Timeout: k.Timeout,
	}
	if st == nil {
		return o
	}
	o.Logins = st
	if k.Rate > 0 {
		o.Wait = func(ctx context.Context) error { return st.Turn(ctx, k.Rate) }
	}
	return o
}

func (a *App) ready(ctx context.Context) error { return a.store.Ping(ctx) }

// unreachable says that Kisi does not answer: to several doorhooks at a time, or by and
// by, it is one thing that happens.
func unreachable(why error, now time.Time) relay.Happening {
	return relay.Happening{
		Type: relay.KisiUnreachable, ID: now.UTC().Truncate(10 * time.Minute).Format(time.RFC3339), At: now,
		Says: map[string]any{"error": why.Error()},
	}
}

// kisiDown is told once that Kisi is down, and once that it is up again.
func (a *App) kisiDown(down bool, why error) {
	if down {
		a.log.Error("kisi does not answer: what is due waits", "err", why)
		a.happenings.tell(unreachable(why, time.Now()))
		return
	}
	a.log.Info("kisi answers again")
}

func (a *App) announce(s Settings, set *rules.Set) {
	switch {
	case s.Data != "":
		a.log.Info("the embedded Redis keeps everything in a folder", "folder", s.Data)
	case a.store.Embedded():
		a.log.Warn("the embedded Redis keeps everything in memory: a restart forgets all bookings; set DOORHOOK_DATA or DOORHOOK_REDIS for more than a trial")
	}
	a.announceRules(set)
}

func (a *App) announceRules(set *rules.Set) {
	a.log.Info("rules", "revision", set.Revision())
	for _, w := range set.Warnings() {
		a.log.Warn("a rule file says what is probably not meant", "at", w.Place(), "warning", w.Message)
	}
	for _, name := range set.Triggers() {
		url := a.URL() + "/hooks/" + name
		if t, ok := set.Trigger(name); !ok {
			url = "none: it tells of what happens to doorhook itself"
		} else if open(t) {
			a.log.Warn("anybody may call this trigger: its auth is none", "trigger", name)
		}
		a.log.Info("trigger", "url", url, "rules", set.Rules(name), "limits", cmp.Or(set.LimitsText(name), "none"))
		for _, l := range set.LeftOut(name) {
			why := []any{"trigger", name, "rule", l.Rule, "not_set", strings.Join(l.Missing, ", ")}
			if l.Grants {
				a.log.Warn(leftOutGrants, why...)
				continue
			}
			a.log.Info("this rule is left out: what it needs is not set", why...)
		}
	}
}

const leftOutGrants = "this rule is left out: what it needs is not set; " + rules.TakesBack

// open reports whether anybody may call t.
func open(t relay.Trigger) bool {
	return slices.ContainsFunc(t.Auth, func(a relay.Auth) bool { return a.Kind == "none" })
}

// announceGone tells of the triggers of old that are not in set.
func (a *App) announceGone(old, set *rules.Set) {
	for _, name := range old.Triggers() {
		if !set.Has(name) {
			a.log.Warn("this trigger is gone: what its bookings were given stays, and no message changes or cancels it", "trigger", name)
		}
	}
}

// URL is where it listens.
func (a *App) URL() string { return "http://" + a.ln.Addr().String() }

// Run serves until ctx ends, then stops in this order: no new events, no new
// claims, the steps under way end and are saved, Redis is let go.
func (a *App) Run(ctx context.Context) error {
	a.log.InfoContext(ctx, "ready", "url", a.URL())
	working, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	var wg sync.WaitGroup
	for _, w := range a.workers {
		wg.Go(func() { w.Run(working) })
	}
	watched := make(chan struct{})
	go func() {
		defer close(watched)
		a.reloader.watch(working, a.reload)
	}()
	if a.useKey > 0 {
		wg.Go(func() { useKey(working, a.kisi, a.useKey, a.log, a.happenings.tell) })
	}
	if a.catchupEvery > 0 {
		wg.Go(func() { a.catchup.keepUp(working, a.catchupEvery, a.reloader.inUse.Load) })
	}
	telling, hush := context.WithCancel(context.WithoutCancel(ctx))
	told := make(chan struct{})
	go func() {
		defer close(told)
		a.happenings.run(telling)
	}()
	served := make(chan struct{})
	go func() {
		defer close(served)
		a.serveAdmin(telling)
	}()
	err := a.web.Serve(ctx, a.ln)
	stop()
	wg.Wait()
	hush() // after all that have something to tell, and before the store
	<-told
	<-served
	select {
	case <-watched:
	case <-time.After(time.Second): // a network drive that hangs is not waited for: a look leaves nothing to save
	}
	a.log.InfoContext(ctx, "stopped")
	return errors.Join(err, a.Close())
}

// serveAdmin serves profiles until ctx ends: while doorhook stops, too, since that may be
// what takes long.
func (a *App) serveAdmin(ctx context.Context) {
	if a.admin == nil {
		return
	}
	if err := a.admin.Serve(ctx, a.adminLn); err != nil {
		a.log.ErrorContext(ctx, "profiles are served no more", "err", err)
	}
}

// Close lets go of what New took. It may be called twice.
func (a *App) Close() error {
	var errs []error
	for _, ln := range []net.Listener{a.ln, a.adminLn} {
		if ln == nil {
			continue
		}
		if err := ln.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
			errs = append(errs, err)
		}
	}
	a.ln, a.adminLn = nil, nil
	if a.kisi != nil {
		a.kisi.Close()
	}
	if a.store != nil {
		errs = append(errs, a.store.Close())
		a.store = nil
	}
	return errors.Join(errs...)
}
