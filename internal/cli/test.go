package cli

import (
	"context"
	"errors"
	"fmt"
	"regexp"

	"doorhook/internal/golden"
	"doorhook/internal/relay"
	"doorhook/internal/rules"
)

type testCmd struct {
	rulesFlag
	askFlags
	Only   string `name:"run" placeholder:"REGEXP" help:"Only the cases whose names match."`
	Update bool   `help:"Write into the cases what comes of them, where they want nothing yet or something else."`
	Record string `placeholder:"EVENT" help:"Make a case of an event that doorhook events lists, without the personal data in it."`
	Into   string `placeholder:"FILE" help:"The file in the rules folder that the recorded case goes into; default TRIGGER_test.yaml."`
}

// Help says what a case is.
func (testCmd) Help() string {
	return `A case is an event and what has to come of it, in a file *_test.yaml beside the rules. Write one with a payload alone, run doorhook test --update, and read what it says. All is done in this process, on a clock of its own and with a pretend Kisi; no secret has to be set.`
}

// Run runs the cases, or makes one.
func (c testCmd) Run(ctx context.Context, env Env) error {
	only, err := c.check()
	if err != nil {
		return err
	}
	if _, err := openRules(c.Rules); err != nil {
		return err
	}
	suite, err := golden.Load(c.Rules)
	if err != nil {
		return c.refused(env, err)
	}
	if c.Record != "" {
		return c.record(ctx, env, suite)
	}
	if suite.Files() == 0 {
		c.explain(env)
	}
	return c.test(ctx, env, suite, only)
}

func (c testCmd) check() (*regexp.Regexp, error) {
	switch {
	case c.Into != "" && c.Record == "":
		return nil, usageError("--into says where a recorded case goes: it takes --record EVENT")
	case c.Record != "" && (c.Update || c.Only != ""):
		return nil, usageError("--record makes one case; --update and --run are for those there are")
	case c.Only == "":
		return nil, nil
	}
	only, err := regexp.Compile(c.Only)
	if err != nil {
		return nil, usageError(fmt.Sprintf("--run takes a regular expression, and %q is none: %v", c.Only, err))
	}
	return only, nil
}

// untested is why no case was run.
type untested struct{ error }

func (e untested) Unwrap() error { return e.error }

// refused prints mistakes as JSON too, if that is asked for.
func (c testCmd) refused(env Env, err error) error {
	err = untested{err}
	bad, ok := errors.AsType[rules.Errors](err)
	if !ok || !c.JSON {
		return err
	}
	mistakes := []mistake{}
	for _, e := range bad {
		mistakes = append(mistakes, mistake{e.File, e.Line, e.Col, e.Message, e.Source})
	}
	return errors.Join(printJSON(env.Out, map[string]any{"ok": false, "mistakes": mistakes}), err)
}

// explain says how to begin. A folder without cases is not wrong.
func (c testCmd) explain(env Env) {
	fmt.Fprintf(env.Err, `There is no file of cases in %s yet. Write one, for example %s/first_test.yaml:

    trigger: NAME                     # of the rule file
    now: 2026-11-22T16:00:00Z         # when the event comes in
    cases:
      - name: a booking gets its link
        payload: {booking_id: 1}      # what the sender sends

and run doorhook test --update. Or make one of an event that came in: doorhook test --record EVENT.
`, c.Rules, c.Rules)
}

func (c testCmd) test(ctx context.Context, env Env, suite *golden.Suite, only *regexp.Regexp) error {
	results := suite.Run(ctx, only)
	if only != nil && len(results) == 0 {
		return usageError(fmt.Sprintf("no case has a name that matches %q", c.Only))
	}
	report := testReport{out: env.Out, colours: colours(env), all: only == nil}
	var failed error
	if c.Update {
		changed, err := suite.Update(results)
		report.updated, failed = changed, err
		results = suite.Run(ctx, only) // what was written has to hold
	}
	report.results, report.untouched = results, suite.Untouched(results)
	if c.JSON {
		failed = errors.Join(failed, report.printJSON())
	} else if suite.Files() > 0 {
		report.print()
	}
	if n := report.failed(); n > 0 && failed == nil {
		failed = fmt.Errorf("%d of %s failed", n, count(len(results), "case"))
	}
	return failed
}

// record makes a case of an event.
func (c testCmd) record(ctx context.Context, env Env, suite *golden.Suite) error {
	op, err := c.operator(ctx, env, c.settings())
	if err != nil {
		return err
	}
	defer op.Close()
	kept, err := find(ctx, op, c.Record)
	if err != nil {
		return err
	}
	made, err := suite.Record(ctx, kept, c.Into)
	if err != nil {
		return err
	}
	if made.Before != "" {
		fmt.Fprintf(env.Err, "WARNING: without the personal data the rules decide otherwise, so this case is not what happened. Edit its payload by hand.\n"+
			"    as it came:      %s\n    as the case has it: %s\n", clean(made.Before), clean(made.After))
	}
	if c.JSON {
		return printJSON(env.Out, made)
	}
	fmt.Fprintf(env.Out, "%s:%d: the case %q was added.\n", made.File, made.Line, clean(made.Name))
	fmt.Fprintf(env.Out, "Replaced: %s, %s, %s.\n", count(made.People, "e-mail"), count(made.Phones, "phone number"), count(made.Texts, "text"))
	fmt.Fprintln(env.Out, "Read it before you commit it: whether nothing else in it speaks of a person, and whether what it wants is right. It wants what comes of it today.")
	return nil
}

// find looks for an event by its id, or by its place in the list.
func find(ctx context.Context, op operator, name string) (relay.Record, error) {
	const page = 1000
	for before := ""; ; {
		events, err := op.Events(ctx, before, page)
		if err != nil {
			return relay.Record{}, err
		}
		for _, e := range events {
			if before = e.ID; e.EventID == name || e.ID == name {
				return e, nil
			}
		}
		if len(events) < page {
			return relay.Record{}, fmt.Errorf("there is no event %q, or not any more: doorhook events --json lists them, with event_id and id", name)
		}
	}
}
