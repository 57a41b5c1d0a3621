package cli

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"iter"
	"maps"
	"slices"
	"time"

	"doorhook/internal/intake"
	"doorhook/internal/relay"
	"doorhook/internal/rules"
	"doorhook/internal/shadow"
)

type shadowCmd struct {
	askFlags
	rulesFlag
	limitFlag
	Dir      string `arg:"" name:"dir" help:"Folder of the rule files to compare with those in use (--rules)."`
	Days     int    `default:"7" placeholder:"N" help:"How many days of events to plan; default 7."`
	ExitCode bool   `help:"Exit with 1 if a booking would differ, as git diff does."`
}

// Help says what is compared.
func (shadowCmd) Help() string {
	return `Plans the recorded events with both folders of rules and lists the bookings that would want something else in the end. It changes nothing, asks Kisi nothing and needs no secret of the rules.`
}

// Validate is called by kong.
func (c shadowCmd) Validate() error {
	if c.Days < 1 {
		return usageError("--days takes a number from 1 on")
	}
	return c.limitFlag.Validate()
}

// shadowed is a report with what it could not look at.
type shadowed struct {
	Old string `json:"old_rules"`
	New string `json:"new_rules"`
	shadow.Report
	Unkept  int `json:"unkept"`  // events that were too large to be kept
	Refused int `json:"refused"` // events that a limit refused when they came in
}

// Run compares.
func (c shadowCmd) Run(ctx context.Context, env Env) error {
	old, err := planning(c.Rules, env)
	if err != nil {
		return err
	}
	next, err := planning(c.Dir, env)
	if err != nil {
		return err
	}
	op, err := c.operator(ctx, env, c.settings())
	if err != nil {
		return err
	}
	defer op.Close()
	out := shadowed{Old: c.Rules, New: c.Dir}
	out.Report = shadow.Compare(peopled{old}, peopled{next}, kept(records(ctx, op), time.Now().AddDate(0, 0, -c.Days), &out, &err))
	if err != nil {
		return err
	}
	if c.JSON {
		err = printJSON(env.Out, out)
	} else {
		out.print(newPainter(env.Out), c.Limit, func(trigger string) rules.Clock {
			if next.Has(trigger) {
				return next.Clock(trigger)
			}
			return old.Clock(trigger)
		})
	}
	if n := len(out.Differences); err == nil && c.ExitCode && n > 0 {
		return fmt.Errorf("%d would differ", n)
	}
	return err
}

// peopled are rules to which a person is given in the place of the one behind an event, whom
// only Kisi knows, so that what a message says of people is compared as well.
type peopled struct{ *rules.Set }

// Plan is what the rules make of ev.
func (s peopled) Plan(ev relay.Event) relay.Plan {
	p := s.Set.Plan(ev)
	for _, m := range p.Rules {
		for i, a := range m.Actions {
			if a.Later == nil {
				continue
			}
			person := &relay.Person{ID: a.Later.User, Email: "${person.email}", Name: "${person.name}"}
			if whole, err := s.Fill(a, ev, person); err == nil {
				m.Actions[i] = whole
			}
		}
	}
	return p
}

// kept are the events of records, as far back as since. It counts in out those that were too
// large to be kept, and those that never had an effect; an error ends them.
func kept(records iter.Seq2[relay.Record, error], since time.Time, out *shadowed, failed *error) iter.Seq[relay.Event] {
	return func(yield func(relay.Event) bool) {
		for r, err := range records {
			switch {
			case err != nil:
				*failed = err
				return
			case r.At.Before(since):
				return
			case r.Status == relay.Failed && r.Rules != "": // rules were at one about it, and a limit was not
				out.Refused++
				continue
			case r.Event == nil:
				out.Unkept++
				continue
			}
			ev, err := intake.EventOf(r.Event)
			if err != nil {
				*failed = fmt.Errorf("event %s: %w", r.EventID, err)
				return
			}
			if !yield(ev) {
				return
			}
		}
	}
}

func (s shadowed) print(p painter, limit int, clock func(trigger string) rules.Clock) {
	p.line(0, "%s", s.summary())
	if s.Unkept > 0 {
		p.line(0, "%s too large to be kept, and not in this comparison.", were(s.Unkept))
	}
	if s.Refused > 0 {
		p.line(0, "%s refused by a limit, and not in this comparison.", were(s.Refused))
	}
	for _, k := range []struct {
		what map[string]int
		who  string
	}{
		{s.Unknown, "neither has"},
		{s.OnlyOld, s.New + " does not have"},
		{s.OnlyNew, s.Old + " does not have"},
	} {
		for _, trigger := range slices.Sorted(maps.Keys(k.what)) {
			p.line(0, "%s for the trigger %q, which %s.", were(k.what[trigger]), trigger, k.who)
		}
	}
	s.renamed(p)
	for _, d := range s.Differences[:min(len(s.Differences), limit)] {
		p.gap()
		showDifference(p, d, clock(d.Trigger))
	}
	if more := len(s.Differences) - limit; more > 0 {
		p.gap()
		p.line(0, "… and %d more (--limit)", more)
	}
}

func were(n int) string {
	if n == 1 {
		return "1 event was"
	}
	return fmt.Sprintf("%d events were", n)
}

func (s shadowed) summary() string {
	if s.Events == 0 {
		return "There are no events to compare with."
	}
	about := count(s.Bookings, "booking")
	if s.Alone > 0 {
		about += fmt.Sprintf(" and %d without a booking", s.Alone)
	}
	differ := "none would differ"
	if n := len(s.Differences); n > 0 {
		differ = fmt.Sprintf("%d would differ", n)
	}
	return fmt.Sprintf("%s of %s from %s to %s: %s.", count(s.Events, "event"), about, toMinute(s.From), toMinute(s.To), differ)
}

const mostExamples = 5

func (s shadowed) renamed(p painter) {
	if len(s.Renamed) == 0 {
		return
	}
	p.line(0, "%s about another booking with %s:", were(len(s.Renamed)), s.New)
	for _, n := range s.Renamed[:min(len(s.Renamed), mostExamples)] {
		p.line(2, "%s: %s → %s", n.EventID, cmp.Or(n.Old, "none"), cmp.Or(n.New, "none"))
	}
	if more := len(s.Renamed) - mostExamples; more > 0 {
		p.line(2, "… and %d more", more)
	}
}

const mostRows = 20 // of one booking

// showDifference shows one booking.
func showDifference(p painter, d shadow.Difference, clock rules.Clock) {
	p.line(0, "%s  (%s, the newest %s of %s)", job(d.Job), count(d.Events, "event"), d.EventID, clock.Time(d.At))
	var rows [][]string
	add := func(word string, a relay.Action) {
		rows = append(rows, []string{word, a.Rule, title(a)})
		if a.Kind != relay.Send {
			rows = append(rows, []string{"", "", window(clock, a)})
		}
	}
	for _, a := range d.OnlyOld {
		add("only old", a)
	}
	for _, a := range d.OnlyNew {
		add("only new", a)
	}
	for _, c := range d.Changed {
		rows = append(rows, []string{"changed", c.Old.Rule, title(c.Old)})
		for _, f := range c.Fields {
			rows = append(rows, []string{"", "", fmt.Sprintf("%s: %s → %s", f.Name, field(clock, f.Old), field(clock, f.New))})
		}
	}
	for _, f := range d.Broken {
		rows = append(rows, []string{"fails now", f.Rule, f.Message})
	}
	for _, f := range d.Mended {
		rows = append(rows, []string{"failed before", f.Rule, f.Message})
	}
	p.rows(2, rows[:min(len(rows), mostRows)]...)
	if more := len(rows) - mostRows; more > 0 {
		p.line(2, "… and %d more lines (--json has all)", more)
	}
}

// field is a value of an action; a time is shown as people at the venue read it.
func field(clock rules.Clock, v any) string {
	text, ok := v.(string)
	if !ok {
		if v == nil {
			return "none"
		}
		b, _ := json.Marshal(v) // it came as JSON
		return short(string(b), 200)
	}
	if t, err := time.Parse(time.RFC3339, text); err == nil {
		return clock.Time(t)
	}
	return short(text, 200)
}
