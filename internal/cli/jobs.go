package cli

import (
	"context"
	"fmt"
	"io"
	"strconv"
	"time"

	"doorhook/internal/relay"
)

type jobsCmd struct {
	List listJobsCmd `cmd:"" default:"withargs" help:"List what bookings ask for and how far it has got, the last changed first."`
	Show showJobCmd  `cmd:"" help:"Show one of them, with every attempt."`
}

type listJobsCmd struct {
	askFlags
	limitFlag
	Waiting bool `help:"Only those that have something to come, the next first."`
}

// Run lists jobs.
func (c listJobsCmd) Run(ctx context.Context, env Env) error {
	l := listing[relay.Job]{
		name: "jobs", empty: "no jobs",
		get: func(op operator) ([]relay.Job, error) { return op.Recent(ctx, c.Limit) },
		show: func(jobs []relay.Job) {
			rows := [][]string{{"JOB", "CHANGED", "STANDS", "NEXT LOOK"}}
			for _, j := range jobs {
				rows = append(rows, []string{job(j.ID), toSecond(j.ChangedAt), summary(j, time.Now()), toSecond(j.DueAt)})
			}
			table(env.Out, rows...)
		},
	}
	if c.Waiting {
		l.empty = "nothing is waiting"
		l.get = func(op operator) ([]relay.Job, error) { return op.Waiting(ctx, c.Limit) }
	}
	return l.run(ctx, env, c.askFlags, c.settings())
}

type showJobCmd struct {
	askFlags
	ID string `arg:"" help:"The job, as jobs and the answers to triggers name it."`
}

// Run shows a job.
func (c showJobCmd) Run(ctx context.Context, env Env) error {
	op, err := c.operator(ctx, env, c.settings())
	if err != nil {
		return err
	}
	defer op.Close()
	found, ok, err := op.Job(ctx, c.ID)
	switch {
	case err != nil:
		return err
	case !ok:
		return fmt.Errorf("there is no job %s, or not any more: one at rest is forgotten after the retention", c.ID)
	case c.JSON:
		return printJSON(env.Out, map[string]any{"job": found})
	}
	showJob(env.Out, found, time.Now())
	return nil
}

// job is the id of a job as jobs show takes it; not every event has one.
func job(id string) string {
	if id == "" {
		return ""
	}
	return quoted(id)
}

func showJob(out io.Writer, j relay.Job, now time.Time) {
	rows := [][]string{{"job", job(j.ID)}, {"trigger", j.Trigger}}
	add := func(name, value string) {
		if value != "" {
			rows = append(rows, []string{name, value})
		}
	}
	add("booking", j.Booking)
	add("event", fmt.Sprintf("%s, accepted %s (the newest of %d)", j.EventID, toSecond(j.ChangedAt), j.Changes))
	add("version", version(j.Version))
	add("revision", j.Revision)
	add("next look", toSecond(j.DueAt))
	add("stands", summary(j, now))
	table(out, rows...)
	showStandings(out, "WANTED", standings(j, now))
	showStandings(out, "NOT WANTED", leftovers(j))
	showAttempts(out, j.Attempts)
}

// version is a number, or a time in microseconds, which are far larger.
func version(v *float64) string {
	switch {
	case v == nil:
		return ""
	case *v > 1e14:
		return toSecond(time.UnixMicro(int64(*v)))
	}
	return strconv.FormatFloat(*v, 'f', -1, 64)
}

func showStandings(out io.Writer, title string, all []standing) {
	if len(all) == 0 {
		return
	}
	rows := [][]string{{title, "IN KISI", "WHAT", "BY RULE", "ERROR"}}
	for _, s := range all {
		state := s.state
		switch {
		case s.until.IsZero():
		case s.state == "waiting":
			state += " until " + toSecond(s.until)
		default:
			state += ", again at " + toSecond(s.until)
		}
		rows = append(rows, []string{state, number(s.object), what(s.action), s.action.Rule, s.fault})
	}
	fmt.Fprintln(out)
	table(out, rows...)
}

func showAttempts(out io.Writer, all []relay.Attempt) {
	if len(all) == 0 {
		return
	}
	rows := [][]string{{"ATTEMPT", "STEP", "RESULT", "IN KISI", "TOOK", "ACTION", "ERROR"}}
	for _, a := range all {
		result := a.Result
		if a.Times > 1 {
			result += fmt.Sprintf(" ×%d until %s", a.Times, toSecond(a.Last))
		}
		took := time.Duration(a.TookMS) * time.Millisecond
		rows = append(rows, []string{toSecond(a.At), a.Step, result, number(a.Object), took.String(), a.Action, a.Error})
	}
	fmt.Fprintln(out)
	table(out, rows...)
}

func number(n int64) string {
	if n == 0 {
		return ""
	}
	return strconv.FormatInt(n, 10)
}
