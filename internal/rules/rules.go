package rules

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strings"
	"time"

	"doorhook/internal/relay"
)

// Set is a loaded folder of rule files. It does not change, and may be used by
// many goroutines.
type Set struct {
	files    map[string]*ruleFile // by trigger
	names    []string             // of triggers, sorted
	revision string
	env      map[string]string // the values of variables that sends name
	common   limits            // of the files without a trigger

	tables []tableNode // of all files
	never  []Use       // of all files
}

// Load reads and checks every rule file in fsys (*.yaml and *.yml; files ending
// in _test.yaml are cases and not rules). dir is how the folder is called in
// messages. getenv gives the values of ${env.NAME}. The error is an [Errors]
// with all mistakes of all files.
func Load(fsys fs.FS, dir string, getenv func(string) string) (*Set, error) {
	return load(fsys, dir, loader{getenv: getenv, has: func(name string) bool { return strings.TrimSpace(getenv(name)) != "" }})
}

// load reads and checks with what is known of the environment.
func load(fsys fs.FS, dir string, with loader) (*Set, error) {
	names, err := ruleFiles(fsys)
	if err != nil {
		return nil, fmt.Errorf("read the rules in %s: %w", dir, err)
	}
	if len(names) == 0 {
		return nil, fmt.Errorf("there is no rule file (*.yaml) in %s", dir)
	}
	var errs Errors
	var parsed []*fileLoader
	rev := newRevision()
	for _, name := range names {
		text, err := readFile(fsys, name)
		if err != nil {
			return nil, fmt.Errorf("read %s: %w", path.Join(dir, name), err)
		}
		rev.add(name, text)
		parsed = append(parsed, parse(newSource(path.Join(dir, name), text), text, with))
	}
	shared := sharedTables(parsed)
	set := &Set{files: map[string]*ruleFile{}, env: map[string]string{}, tables: tableNodes(parsed), common: sharedLimits(parsed), revision: rev.String()}
	for _, fl := range parsed {
		if fl.triggers() {
			fl.load(shared)
			fl.f.limits = set.common.and(fl.limitsOf())
			set.add(fl)
		}
		maps.Copy(set.env, fl.env)
		set.never = append(set.never, fl.f.never...)
		errs = append(errs, fl.errs[:min(len(fl.errs), maxErrors)]...)
	}
	if len(errs) > 0 {
		return nil, errs.sorted()
	}
	if len(set.files) == 0 {
		return nil, fmt.Errorf("no file in %s has a trigger", dir)
	}
	set.names = sortedKeys(set.files)
	return set, nil
}

func ruleFiles(fsys fs.FS) ([]string, error) {
	entries, err := fs.ReadDir(fsys, ".")
	if err != nil {
		return nil, err
	}
	var names []string
	for _, e := range entries {
		name := e.Name()
		yaml := strings.HasSuffix(name, ".yaml") || strings.HasSuffix(name, ".yml")
		if yaml && !e.IsDir() && !strings.HasPrefix(name, ".") && !strings.Contains(name, "_test.y") {
			names = append(names, name)
		}
	}
	return names, nil
}

// readFile reads a rule file, and nothing that is none: a pipe would be waited for
// without end.
func readFile(fsys fs.FS, name string) ([]byte, error) {
	switch info, err := fs.Stat(fsys, name); {
	case err != nil:
		return nil, err
	case !info.Mode().IsRegular():
		return nil, errors.New("this is no file but a folder, a pipe or a device")
	}
	return fs.ReadFile(fsys, name)
}

// parse reads the YAML of one file and its keys, and no further.
func parse(src *source, text []byte, with loader) *fileLoader {
	with.src, with.env, with.what, with.such = src, map[string]string{}, "a rule file", "trigger:, auth: and rules:"
	fl := &fileLoader{loader: &with, f: &ruleFile{src: src}, keys: map[string]entry{}}
	root := fl.document(text)
	if root == nil {
		return fl
	}
	for _, e := range fl.entries(root, "a rule file", fileKeys) {
		fl.keys[e.name] = e
	}
	if !fl.triggers() && !fl.shares() && len(fl.errs) == 0 {
		fl.errorf(root, "trigger: is missing; a file without it holds tables: and limits: alone")
	}
	return fl
}

// triggers reports whether the file is a trigger's.
func (fl *fileLoader) triggers() bool {
	_, ok := fl.keys["trigger"]
	return ok
}

// shares reports whether the file holds nothing but what is for all files.
func (fl *fileLoader) shares() bool {
	others := maps.Clone(fl.keys)
	delete(others, "tables")
	delete(others, "limits")
	return len(fl.keys) > 0 && len(others) == 0
}

// sharedTables are those of the files without a trigger.
func sharedTables(parsed []*fileLoader) map[string]any {
	shared := map[string]any{}
	for _, fl := range parsed {
		e, ok := fl.keys["tables"]
		if !ok || fl.triggers() {
			continue
		}
		for name, t := range fl.tablesOf(e.node) {
			if _, again := shared[name]; again {
				fl.errorf(e.key, `the table "%s" is in another shared file already`, name)
			}
			shared[name] = t
		}
	}
	return shared
}

// add takes a file into the set, unless its trigger is taken.
func (s *Set) add(fl *fileLoader) {
	name := fl.f.trigger.Name
	for other, f := range s.files {
		if strings.EqualFold(other, name) {
			fl.errorf(fl.keys["trigger"].node, `the trigger "%s" is in %s already`, other, f.src.name)
			return
		}
		if alias := fl.f.trigger.Alias; alias != "" && alias == f.trigger.Alias {
			fl.errorf(fl.keys["alias"].key, "the trigger in %s has this alias already", f.src.name)
			fl.src.hide(fl.errs[len(fl.errs)-1:], fl.keys["alias"].key.Line, fl.keys["alias"].key.Line)
		}
	}
	s.files[name] = fl.f
}

// Trigger is the trigger of that name, if it can be called.
func (s *Set) Trigger(name string) (relay.Trigger, bool) {
	f, ok := s.files[name]
	if !ok || name == relay.Own {
		return relay.Trigger{}, false
	}
	return f.trigger, true
}

// Triggers names all triggers, sorted, and among them the one that nobody can call.
func (s *Set) Triggers() []string { return slices.Clone(s.names) }

// Rules counts the rules of a trigger.
func (s *Set) Rules(trigger string) int { return len(s.files[trigger].rules) }

// File is the file of a trigger, as it is called in messages.
func (s *Set) File(trigger string) string { return s.files[trigger].src.name }

// Limits are what no lock and no group that the trigger asked for may go beyond now; nil
// if there are none. False leaves those that held when it asked: no file has the trigger
// any more, and none limits all of them.
func (s *Set) Limits(trigger string) (*relay.Limits, bool) {
	if f, ok := s.files[trigger]; ok {
		return f.limits.group, true
	}
	return s.common.group, s.common.group != nil
}

// Zone is the time zone of a trigger, UTC if its file names none.
func (s *Set) Zone(trigger string) *time.Location {
	if zone := s.files[trigger].zone; zone != nil {
		return zone
	}
	return time.UTC
}

// TriggerName reports whether a trigger can be called name.
func TriggerName(name string) bool { return triggerName.MatchString(name) }

// Zones names the time zones of all triggers, sorted.
func (s *Set) Zones() []string {
	var zones []string
	for _, f := range s.files {
		if f.zone != nil {
			zones = append(zones, f.zone.String())
		}
	}
	slices.Sort(zones)
	return slices.Compact(zones)
}

// Asks reports whether some rule asks for an action of kind k, with this field if it
// is not "".
func (s *Set) Asks(k relay.Kind, field string) bool {
	for _, f := range s.files {
		if f.asks(k, field) {
			return true
		}
	}
	return false
}

func (f *ruleFile) asks(k relay.Kind, field string) bool {
	for _, r := range f.rules {
		for _, x := range r.do {
			if _, has := x.fields[field]; x.kind == k && (has || field == "") {
				return true
			}
		}
	}
	return false
}
