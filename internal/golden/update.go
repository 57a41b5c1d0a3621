package golden

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"time"

	"go.yaml.in/yaml/v4"

	"doorhook/internal/rules"
)

// edit puts lines into the place of others.
type edit struct {
	from, to int // lines, counted from 0; to is left alone
	lines    []string
}

// Update writes what came of the cases in results into their files: all of it for a
// case that wants nothing yet, and for others the parts that differ. Nothing else in
// a file changes. It names the cases that it changed.
func (s *Suite) Update(results []Result) ([]Result, error) {
	var changed []Result
	for _, f := range s.files {
		var edits []edit
		for _, r := range results {
			if s.file(r.File) != f || r.Err != nil || r.OK() {
				continue
			}
			more, err := f.edits(r)
			if err != nil {
				return changed, err
			}
			edits, changed = append(edits, more...), append(changed, r)
		}
		if len(edits) == 0 {
			continue
		}
		if err := s.rewrite(f, f.text, f.apply(edits), results); err != nil {
			return changed, err
		}
	}
	return changed, nil
}

// rewrite saves text as the new f in the place of was, if it says what it is to say and
// nothing else.
func (s *Suite) rewrite(f *file, was, text []byte, results []Result) error {
	again, mistakes := parse(s.dir, f.name, text, s.set)
	sound := len(mistakes) == 0 && len(again.cases) == len(f.cases)
	for i := 0; sound && i < len(f.cases); i++ {
		was, is := f.cases[i], again.cases[i]
		sound = was.Name == is.Name && reflect.DeepEqual(was.story, is.story)
		for _, r := range results {
			if r.of == was && r.Err == nil {
				sound = sound && is.want != nil && len(is.compare(r.outcome)) == 0
			}
		}
	}
	if !sound {
		return fmt.Errorf("%s is written in a way that --update cannot change safely, and was left as it is: "+
			"write each case as a block, one key a line, and not within { }", f.shown)
	}
	if err := s.save(f, was, text); err != nil {
		return err
	}
	*f = *again
	return nil
}

// save writes text in the place of was, unless somebody has changed that meanwhile.
func (s *Suite) save(f *file, was, text []byte) error {
	name := filepath.Join(s.dir, f.name)
	now, err := os.ReadFile(name)
	switch {
	case err != nil && !errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("read the cases again: %w", err)
	case !bytes.Equal(now, was):
		return fmt.Errorf("%s has changed since it was read, and was left as it is: run it again", f.shown)
	}
	if err := os.WriteFile(name, text, 0o644); err != nil {
		return fmt.Errorf("write the cases: %w", err)
	}
	return nil
}

// edits are what makes the case of r say what came of it.
func (f *file) edits(r Result) ([]edit, error) {
	c := r.of
	if c.node.Style&yaml.FlowStyle != 0 {
		return nil, fmt.Errorf("%s:%d: the case %q stands within { }: write it as a block, one key a line, so that there is room for what it wants", f.shown, c.Line, c.Name)
	}
	if c.want == nil {
		return []edit{f.insert(c, field{"want", wanted(r.outcome)})}, nil
	}
	if c.want.entry.Node.Style&yaml.FlowStyle != 0 {
		var parts []part
		for _, p := range c.want.parts {
			parts = append(parts, p.named(r.outcome))
		}
		return []edit{f.replace(c.want.entry, field{"want", shown(parts, r.outcome.zone)})}, nil
	}
	var edits []edit
	for _, p := range c.want.parts {
		if slices.ContainsFunc(r.Differences, func(d Difference) bool { return d.Part == p.name }) {
			got := p.named(r.outcome)
			edits = append(edits, f.replace(p.entry, field{got.name, got.value}))
		}
	}
	return edits, nil
}

// wanted are the parts that a case is given; no dead letters are not worth a line.
func wanted(out outcome) fields {
	return shown(slices.DeleteFunc(slices.Clone(out.parts), func(p part) bool { return p.name == "dead" && len(p.value.([]any)) == 0 }), out.zone)
}

func shown(parts []part, zone *time.Location) fields {
	out := fields{}
	for _, p := range parts {
		out = append(out, field{p.name, plain(p.value, zone)})
	}
	return out
}

// replace writes f in the place of what stands under e.
func (f *file) replace(e rules.Entry, by field) edit {
	from, col := e.Key.Line-1, e.Key.Column-1
	lines := write(strings.Repeat(" ", col), by)
	lines[0] = f.line(from)[:col] + lines[0][col:] // it may be behind the dash of its list
	return edit{from, f.end(from, col+1, e.Node.Kind == yaml.SequenceNode), lines}
}

// insert writes one more key at the end of c, or where it stands with nothing in it.
func (f *file) insert(c *Case, one field) edit {
	col := c.node.Column - 1
	for i := 0; i+1 < len(c.node.Content); i += 2 {
		if k := c.node.Content[i]; k.Value == one.name {
			return f.replace(rules.Entry{Name: k.Value, Key: k, Node: c.node.Content[i+1]}, one)
		}
	}
	end := f.end(c.node.Line-1, col, false)
	return edit{end, end, write(strings.Repeat(" ", col), one)}
}

// end is the line after the last one that belongs to what begins in line from: those
// with at least indent spaces in front, and for a list also those that begin with its
// dash one space before. Blank lines at its end stay behind it.
func (f *file) end(from, indent int, list bool) int {
	all := f.lines()
	last := from
	for i := from + 1; i < len(all); i++ {
		text := strings.TrimLeft(all[i], " ")
		has := len(all[i]) - len(text)
		switch text = strings.TrimRight(text, "\r"); {
		case text == "":
		case has >= indent, list && has == indent-1 && (text == "-" || strings.HasPrefix(text, "- ")):
			last = i
		case strings.HasPrefix(text, "#"): // between lines of it, or behind them
		default:
			return last + 1
		}
	}
	return last + 1
}

func (f *file) lines() []string { return strings.Split(string(f.text), "\n") }

func (f *file) line(i int) string { return f.lines()[i] }

// apply gives the text with edits, whose lines end as those of the text do.
func (f *file) apply(edits []edit) []byte {
	all := f.lines()
	eol := ""
	if strings.HasSuffix(all[0], "\r") {
		eol = "\r"
	}
	slices.SortFunc(edits, func(a, b edit) int { return cmp.Or(b.from-a.from, b.to-a.to) }) // from below, so that lines keep their numbers
	for _, e := range edits {
		lines := slices.Clone(e.lines)
		for i := range lines {
			lines[i] += eol
		}
		if e.to == len(all) { // the text has no line end after its last line
			lines = append(lines, "")
			if e.from == len(all) {
				all[e.from-1] += eol
			}
		}
		all = slices.Replace(all, e.from, e.to, lines...)
	}
	return []byte(strings.Join(all, "\n"))
}
