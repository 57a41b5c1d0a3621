package golden

import (
	"errors"
	"fmt"
	"net/url"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"go.yaml.in/yaml/v4"

	"doorhook/internal/kisi/kisifake"
	"doorhook/internal/rules"
)

// Case is a story of one or more events, and what has to come of it.
type Case struct {
	Name string
	Line int // of its file

	story
	want *want      // nil if nobody has said yet
	node *yaml.Node // for its place in the file
}

// story is what happens in a case.
type story struct {
	events []event // in order; the answer and the actions wanted are those of the last
	until  time.Time
	groups map[int64][]int64 // the locks of groups
	users  []kisifake.User
	faults []kisifake.Fault
}

// event is a request as it comes in.
type event struct {
	trigger     string
	now         time.Time
	contentType string
	body        []byte
	headers     map[string][]string
	query       url.Values
}

// want is what has to come of a case: parts of what comes of it.
type want struct {
	entry rules.Entry
	parts []part
}

// part is one part of what comes of a case.
type part struct {
	name  string
	value any
	entry rules.Entry // where it is wanted
}

// file is a file of cases.
type file struct {
	name  string // in its folder
	shown string // in messages
	text  []byte
	cases []*Case
	list  *yaml.Node // of the cases; nil if there is none
	keys  map[string]rules.Entry
}

var (
	fileKeys  = []string{"trigger", "now", "kisi", "cases"}
	eventKeys = []string{"trigger", "now", "payload", "file", "headers", "query"}
	caseKeys  = append([]string{"name", "before", "until", "kisi", "want"}, eventKeys...)
	partNames = []string{"answer", "actions", "requests", "kisi", "dead"}
)

// isCaseFile reports whether the rules take a file of that name for cases.
func isCaseFile(name string) bool {
	return (strings.HasSuffix(name, "_test.yaml") || strings.HasSuffix(name, "_test.yml")) && !strings.HasPrefix(name, ".")
}

// reader reads one file of cases.
type reader struct {
	*rules.Strict
	dir string
	set *rules.Set // nil if the rules are wrong: then no trigger is known
}

// parse reads the cases in text, the file name in the folder dir. A mistake at the top
// of the file is one, however many cases it is read for.
func parse(dir, name string, text []byte, set *rules.Set) (*file, rules.Errors) {
	f, errs := parseAll(dir, name, text, set)
	return f, slices.CompactFunc(errs, func(a, b *rules.Error) bool { return *a == *b })
}

func parseAll(dir, name string, text []byte, set *rules.Set) (*file, rules.Errors) {
	f := &file{name: name, shown: path.Join(dir, name), text: text, keys: map[string]rules.Entry{}}
	strict, root := rules.ReadStrict(dir, name, text, "a file of cases", "trigger:, now: and cases:")
	r := &reader{Strict: strict, dir: dir, set: set}
	if root == nil {
		return f, r.Errors()
	}
	for _, e := range r.Entries(root, "a file of cases", fileKeys) {
		f.keys[e.Name] = e
	}
	e, ok := f.keys["cases"]
	if !ok {
		r.Errorf(root, "cases: is missing")
		return f, r.Errors()
	}
	f.list = e.Node
	lines := map[string]int{}
	for _, n := range r.Items(e.Node, "cases") {
		c := r.oneCase(n, f.keys)
		if line, again := lines[c.Name]; again && c.Name != "" {
			r.Errorf(n, `the case "%s" has the name of the one in line %d`, c.Name, line)
		}
		lines[c.Name] = n.Line
		f.cases = append(f.cases, c)
	}
	return f, r.Errors()
}

func (r *reader) oneCase(n *yaml.Node, outer map[string]rules.Entry) *Case {
	c := &Case{Line: n.Line, node: n, story: story{groups: map[int64][]int64{}}}
	keys := r.keys(n, "a case", caseKeys)
	if n.Kind != yaml.MappingNode {
		return c
	}
	if e, ok := keys["name"]; ok {
		c.Name, _ = r.Text(e.Node, "name")
	} else {
		r.Errorf(n, "this case has no name")
	}
	if e, ok := outer["kisi"]; ok {
		r.kisi(&c.story, e.Node)
	}
	if e, ok := keys["kisi"]; ok {
		r.kisi(&c.story, e.Node)
	}
	if e, ok := keys["before"]; ok {
		for _, item := range r.Items(e.Node, "before") {
			c.events = append(c.events, r.event(item, r.keys(item, "an event", eventKeys), keys, outer))
		}
	}
	c.events = append(c.events, r.event(n, keys, keys, outer))
	r.clock(n, c, keys, outer)
	if e, ok := keys["until"]; ok {
		c.until = r.time(e)
	}
	if e, ok := keys["want"]; ok && e.Node.Tag != "!!null" {
		c.want = r.want(e)
	}
	return c
}

func (r *reader) keys(n *yaml.Node, what string, known []string) map[string]rules.Entry {
	keys := map[string]rules.Entry{}
	for _, e := range r.Entries(n, what, known) {
		keys[e.Name] = e
	}
	return keys
}

// event reads the event that keys describe. What it does not say of its trigger is as
// in the case and in the file.
func (r *reader) event(n *yaml.Node, keys, inCase, inFile map[string]rules.Entry) event {
	ev := event{headers: map[string][]string{}, query: url.Values{}}
	ev.trigger = r.trigger(n, keys, inCase, inFile)
	if e, ok := keys["now"]; ok {
		ev.now = r.time(e)
	}
	if e, ok := keys["headers"]; ok {
		for _, h := range r.Entries(e.Node, "headers", nil) {
			ev.headers[canonical(h.Name)] = r.texts(h.Node, "a header")
		}
	}
	if e, ok := keys["query"]; ok {
		for _, q := range r.Entries(e.Node, "query", nil) {
			if q.Name == waiting || q.Name == dryRun {
				r.Errorf(q.Key, "%s speaks to doorhook and not to the rules: a case has an answer as with wait=%d", q.Name, patience/time.Second)
				continue
			}
			ev.query[q.Name] = r.texts(q.Node, "query")
		}
	}
	r.body(n, keys, &ev)
	return ev
}

func (r *reader) trigger(n *yaml.Node, levels ...map[string]rules.Entry) string {
	for _, keys := range levels {
		e, ok := keys["trigger"]
		if !ok {
			continue
		}
		name, ok := r.Text(e.Node, "trigger")
		if r.set == nil || !ok {
			return name
		}
		if !r.set.Has(name) {
			r.Errorf(e.Node, `no rule file has the trigger "%s"; there is %s`, name, strings.Join(r.set.Triggers(), ", "))
		}
		return name
	}
	r.Errorf(n, "trigger: is missing, here and at the top of the file")
	return ""
}

// body reads what was sent: a payload that stands in the case, or a file.
func (r *reader) body(n *yaml.Node, keys map[string]rules.Entry, ev *event) {
	payload, inline := keys["payload"]
	e, outside := keys["file"]
	switch {
	case inline && outside:
		r.Errorf(e.Key, "there is a payload: already: the event is one or the other")
	case inline:
		ev.contentType = "application/json"
		ev.body = encode(r.value(payload.Node, "payload"))
	case outside:
		name, ok := r.Text(e.Node, "file")
		if !ok {
			return
		}
		text, err := readOrdinary(filepath.Join(r.dir, filepath.FromSlash(name)))
		if err != nil {
			r.Errorf(e.Node, "the file %s cannot be read from %s, where the cases are: %v", name, r.dir, reason(err))
		}
		ev.body, ev.contentType = text, strings.Join(ev.headers["Content-Type"], ", ")
	case n.Kind == yaml.MappingNode && len(ev.query) == 0:
		r.Errorf(n, "this event has no payload: nor a file: with one")
	}
}

const mostRead = 16 << 20 // bytes; far more than any trigger takes

// readOrdinary reads a file. A pipe or a device might never end.
func readOrdinary(name string) ([]byte, error) {
	info, err := os.Stat(name)
	switch {
	case err != nil:
		return nil, err
	case info.IsDir():
		return nil, errors.New("it is a folder")
	case !info.Mode().IsRegular():
		return nil, errors.New("it is not an ordinary file")
	case info.Size() > mostRead:
		return nil, fmt.Errorf("it is larger than %d MiB, which is more than is read", mostRead>>20)
	}
	return os.ReadFile(name)
}

// clock gives every event its time. One that has none of its own comes with the one
// before it.
func (r *reader) clock(n *yaml.Node, c *Case, keys, outer map[string]rules.Entry) {
	last := &c.events[len(c.events)-1]
	var at time.Time
	whole, ok := outer["now"]
	if ok {
		at = r.time(whole)
	}
	if at.IsZero() || !last.now.IsZero() && last.now.Before(at) {
		at = last.now
	}
	for i := range c.events {
		ev := &c.events[i]
		switch {
		case ev.now.IsZero():
			ev.now = at
		case i > 0 && ev.now.Before(at):
			r.Errorf(n, "the clock would go back: an event at %s comes after one at %s", stamp(ev.now), stamp(at))
		}
		at = ev.now
	}
	if _, own := keys["now"]; at.IsZero() && !own && !ok {
		r.Errorf(n, "now: is missing, here and at the top of the file: say when the event comes in, as 2026-11-22T16:00:00Z")
	}
}

func (r *reader) time(e rules.Entry) time.Time {
	text, ok := r.Text(e.Node, e.Name)
	if !ok {
		return time.Time{}
	}
	t, err := time.Parse(time.RFC3339, text)
	if err != nil || t.Year() < 1970 || t.Year() > 8999 {
		r.Errorf(e.Node, "%s takes a time with its zone, as 2026-11-22T16:00:00Z or 2026-11-22T11:00:00-05:00", e.Name)
		return time.Time{}
	}
	return t.UTC()
}

func (r *reader) want(e rules.Entry) *want {
	w := &want{entry: e}
	for _, p := range r.Entries(e.Node, "want", partNames) {
		if p.Name == "answer" && p.Node.Kind != yaml.MappingNode {
			r.Errorf(p.Node, "answer takes fields with values")
			continue
		}
		if p.Name != "answer" {
			r.Items(p.Node, p.Name) // complains
		}
		w.parts = append(w.parts, part{p.Name, r.value(p.Node, p.Name), p})
	}
	if len(w.parts) == 0 {
		return nil
	}
	slices.SortStableFunc(w.parts, func(a, b part) int { return slices.Index(partNames, a.name) - slices.Index(partNames, b.name) })
	return w
}

// reason is err without the path, which the message has.
func reason(err error) error {
	if p, ok := err.(*os.PathError); ok { //nolint:errorlint // os.ReadFile gives it as it is
		return p.Err
	}
	return err
}
