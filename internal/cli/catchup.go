package cli

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"doorhook/internal/relay"
)

type catchupCmd struct {
	askFlags
	keepFlags
	rulesFlag
	kisiFlags
	Since   moment `required:"" placeholder:"TIME" help:"How far back, such as 24h, or since when, such as 2026-10-09T12:00:00Z."`
	Trigger string `placeholder:"NAME" help:"Of this trigger alone; default all whose rule file says from: kisi."`
}

// Help says what it does and what it cannot do.
func (catchupCmd) Help() string {
	return `Kisi's webhook loses an event now and then. This asks Kisi for all that happened and takes in what did not come; what did is a duplicate, and nothing happens twice. What is over is not made up for: an unlock that came an hour late opens nothing.

serve does the same every hour (--catchup). Straight at Redis, give the settings that serve has.`
}

// moment is a time, or how long ago it was.
type moment struct {
	at  time.Time
	ago time.Duration
}

// UnmarshalText reads either.
func (m *moment) UnmarshalText(text []byte) error {
	var ago period
	if ago.UnmarshalText(text) == nil {
		m.ago = ago.duration()
		return nil
	}
	var err error
	if m.at, err = time.Parse(time.RFC3339, string(text)); err != nil {
		return errMoment
	}
	return nil
}

var errMoment = errors.New("it takes a length of time such as 24h or 2d, or a time with its zone such as 2026-10-09T12:00:00Z")

func (m moment) since(now time.Time) time.Time {
	if m.ago > 0 {
		return now.Add(-m.ago)
	}
	return m.at
}

// Run catches up.
func (c catchupCmd) Run(ctx context.Context, env Env) error {
	since := c.Since.since(time.Now())
	if time.Now().Before(since) {
		return usageError("--since: " + toSecond(since) + " has not come yet")
	}
	s := c.kisiFlags.add(c.rulesFlag.add(c.keepFlags.add(c.settings()), env), env)
	failed := 0
	err := listing[relay.CaughtUp]{
		name: "caught_up", empty: "no trigger is called by Kisi",
		get: func(op operator) ([]relay.CaughtUp, error) {
			all, err := op.Catchup(ctx, since, c.Trigger)
			for _, one := range all {
				failed += one.Failed
			}
			return all, err
		},
		show: func(all []relay.CaughtUp) {
			rows := [][]string{{"TRIGGER", "FROM", "UNTIL", "READ", "NEW", "DUPLICATES", "FAILED"}}
			for _, one := range all {
				rows = append(rows, []string{
					one.Trigger, toSecond(one.From), toSecond(one.Until),
					strconv.Itoa(one.Read), strconv.Itoa(one.New), strconv.Itoa(one.Duplicates), strconv.Itoa(one.Failed),
				})
			}
			table(env.Out, rows...)
		},
	}.run(ctx, env, c.askFlags, s)
	switch {
	case errors.Is(err, relay.ErrTooFarBack), errors.Is(err, relay.ErrNotKisi):
		return usageError(err.Error())
	case err == nil && failed > 0:
		err = fmt.Errorf("%s could not be taken in: doorhook dead says why", count(failed, "event"))
	}
	return err
}
