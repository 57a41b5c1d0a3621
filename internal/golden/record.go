package golden

import (
	"context"
	"encoding/json"
	"fmt"
	"path"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v4"

	"doorhook/internal/intake"
	"doorhook/internal/relay"
)

// Recorded is a case that was made of an event.
type Recorded struct {
	File   string `json:"file"`
	Line   int    `json:"line"`
	Name   string `json:"name"`
	People int    `json:"addresses"` // e-mail addresses that were replaced
	Phones int    `json:"phones"`
	Texts  int    `json:"texts"`
	// Before and After are what the rules decide on the event as it came and as the
	// case has it, if that is not the same.
	Before string `json:"before,omitempty"`
	After  string `json:"after,omitempty"`
}

// Record makes a case of a recorded event, without the personal data in it, and adds
// it to the file into in the folder of the rules; "" is the one of its trigger. What
// it wants is what comes of it today.
func (s *Suite) Record(ctx context.Context, kept relay.Record, into string) (Recorded, error) {
	ev, err := eventOf(kept)
	if err != nil {
		return Recorded{}, err
	}
	if !s.set.Has(ev.Trigger) {
		return Recorded{}, fmt.Errorf("no rule file in %s has the trigger %q, which this event is for", s.dir, ev.Trigger)
	}
	if into == "" {
		into = ev.Trigger + "_test.yaml"
	}
	if !isCaseFile(into) || path.Base(filepath.ToSlash(into)) != into {
		return Recorded{}, fmt.Errorf("%q cannot be a file of cases: give a name that ends in _test.yaml, without a folder; it goes into %s", into, s.dir)
	}
	was := s.set.Plan(ev)
	r := newRedactor(s.set.Literals(ev.Trigger))
	r.keep(was.EventID, was.Booking)
	clean := r.event(ev)
	clean.ReceivedAt = clean.ReceivedAt.In(s.set.Zone(ev.Trigger)) // as the rules show it
	out := Recorded{File: path.Join(s.dir, into), People: len(r.people), Phones: len(r.phones), Texts: r.texts}
	if was, is := decision(was), decision(s.set.Plan(clean)); was != is {
		out.Before, out.After = was, is
	}
	c, err := s.add(ctx, into, clean, r.text(ev.ID, label))
	if err == nil {
		out.Line, out.Name = c.Line, c.Name
	}
	return out, err
}

func eventOf(kept relay.Record) (relay.Event, error) {
	if kept.Event == nil {
		why := "is not kept"
		if kept.Size > 0 {
			why = fmt.Sprintf("was too large to be kept (%d bytes)", kept.Size)
		}
		return relay.Event{}, fmt.Errorf("the event %s %s, so no case can be made of it: have it sent again, or write its payload into a case by hand", kept.EventID, why)
	}
	ev, err := intake.EventOf(kept.Event)
	if err != nil {
		return ev, fmt.Errorf("the recorded event %s cannot be read: %w", kept.EventID, err)
	}
	return ev, nil
}

// decision is what p does to which doors and when, without whom it is for.
func decision(p relay.Plan) string {
	out := fields{{"booking", filled(p.Booking)}, {"cancelled", p.Cancelled}, {"rules", p.RuleNames()}, {"problems", number(int64(len(p.Problems)))}}
	if p.Version != nil {
		out = append(out, field{"version", json.Number(strconv.FormatFloat(*p.Version, 'f', -1, 64))})
	}
	for _, a := range p.Actions() {
		one := slices.DeleteFunc(args(a), func(f field) bool { return f.name == "name" || f.name == "phone" || f.name == "email" })
		out = append(out, field{string(a.Kind), one})
	}
	return string(encode(out))
}

// add writes a case of ev into a file.
func (s *Suite) add(ctx context.Context, into string, ev relay.Event, id string) (*Case, error) {
	i := slices.IndexFunc(s.files, func(f *file) bool { return f.name == into })
	if i < 0 {
		s.files = append(s.files, &file{name: into, shown: path.Join(s.dir, into)})
		i = len(s.files) - 1
	}
	was := s.files[i]
	name := was.free("recorded " + id)
	text, err := was.with(ev, name)
	if err != nil {
		return nil, err
	}
	draft, mistakes := parse(s.dir, into, text, s.set)
	if len(mistakes) > 0 || !prefixed(draft.cases, was.cases) {
		return nil, fmt.Errorf("%s is written in a way to which no case can be added safely, and was left as it is: add the case by hand, or name another file with --into", was.shown)
	}
	c := draft.cases[len(draft.cases)-1]
	result := Result{File: was.shown, Name: name, Line: c.Line, of: c}
	if result.run(ctx, s.set); result.Err != nil {
		return nil, s.unfinished(draft, was.text, result)
	}
	edits, err := draft.edits(result)
	if err != nil {
		return nil, err
	}
	return c, s.rewrite(draft, was.text, draft.apply(edits), []Result{result})
}

// unfinished saves a case that does not run as it stands: a person has to say more.
func (s *Suite) unfinished(f *file, was []byte, r Result) error {
	if err := s.save(f, was, f.text); err != nil {
		return err
	}
	return fmt.Errorf("%s:%d: the case was added, and does not run yet: %w", f.shown, r.Line, r.Err)
}

// prefixed reports whether all begins with the cases in first, and has one more.
func prefixed(all, first []*Case) bool {
	for i := range first {
		if i >= len(all) || all[i].Name != first[i].Name || !reflect.DeepEqual(all[i].story, first[i].story) {
			return false
		}
	}
	return len(all) == len(first)+1
}

// free is name, with a number behind it if a case has it already.
func (f *file) free(name string) string {
	taken := func(name string) bool {
		return slices.ContainsFunc(f.cases, func(c *Case) bool { return c.Name == name })
	}
	if !taken(name) {
		return name
	}
	for n := 2; ; n++ {
		if next := fmt.Sprintf("%s (%d)", name, n); !taken(next) {
			return next
		}
	}
}

// trigger is the trigger of all cases in f, if the file names one.
func (f *file) trigger() string {
	if e, ok := f.keys["trigger"]; ok {
		return e.Node.Value
	}
	return ""
}

// with is the text of f with one more case at its end.
func (f *file) with(ev relay.Event, name string) ([]byte, error) {
	c := caseOf(ev, name, f.trigger())
	switch {
	case f.text == nil:
		c = caseOf(ev, name, ev.Trigger)
		lines := append([]string{"# Cases of the rules beside them: doorhook test runs them.", ""}, block("", fields{{"trigger", ev.Trigger}, {"cases", []any{c}}})...)
		return []byte(strings.Join(lines, "\n") + "\n"), nil
	case len(f.list.Content) == 0:
		return f.apply([]edit{f.replace(f.keys["cases"], field{"cases", []any{c}})}), nil
	case f.list.Style&yaml.FlowStyle != 0:
		return nil, fmt.Errorf("%s: its cases stand within [ ]: write them as a block, one `- name:` after the other, so that one can be added", f.shown)
	}
	last := f.cases[len(f.cases)-1]
	end := f.end(last.Line-1, last.node.Column-1, false)
	return f.apply([]edit{{end, end, block(f.line(f.list.Line - 1)[:f.list.Column-1], []any{c})}}), nil
}

// caseOf is a case of one event.
func caseOf(ev relay.Event, name, trigger string) fields {
	c := fields{{"name", name}}
	if ev.Trigger != trigger {
		c = append(c, field{"trigger", ev.Trigger})
	}
	c = append(c, field{"now", stamp(ev.ReceivedAt)})
	if len(ev.Headers) > 0 {
		c = append(c, field{"headers", valueOf(ev.Headers)})
	}
	if len(ev.Query) > 0 {
		c = append(c, field{"query", valueOf(ev.Query)})
	}
	return append(c, field{"payload", valueOf(ev.Payload)})
}

// valueOf is a part of an event as a value, with its fields in the order of names.
func valueOf(v any) any { return decode(encode(v)) }
