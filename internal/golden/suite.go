package golden

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"sync"

	"doorhook/internal/rules"
)

// Suite are the rules of a folder and the cases beside them.
type Suite struct {
	dir   string
	set   *rules.Set
	files []*file
}

// Result is what became of a case.
type Result struct {
	File, Name  string
	Line        int
	Err         error // why it could not be run
	Fresh       bool  // nobody has said yet what it wants
	Differences []Difference

	outcome outcome
	of      *Case
}

// OK reports whether all came as it was wanted.
func (r Result) OK() bool { return r.Err == nil && !r.Fresh && len(r.Differences) == 0 }

// Load reads the rules in the folder dir, and the cases beside them. The secrets that
// the rules name need not be set. The error is a [rules.Errors] with all mistakes of
// all files, if it is about what they say.
func Load(dir string) (*Suite, error) {
	set, err := rules.Pretend(os.DirFS(dir), dir, nil)
	bad, ok := errors.AsType[rules.Errors](err)
	if err != nil && !ok {
		return nil, err
	}
	s := &Suite{dir: dir, set: set}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("read the cases in %s: %w", dir, err)
	}
	for _, e := range entries {
		if e.IsDir() || !isCaseFile(e.Name()) {
			continue
		}
		text, err := readOrdinary(filepath.Join(dir, e.Name()))
		if err != nil {
			return nil, fmt.Errorf("read the cases in %s: %w", filepath.Join(dir, e.Name()), reason(err))
		}
		f, mistakes := parse(dir, e.Name(), text, set)
		bad = append(bad, mistakes...)
		s.files = append(s.files, f)
	}
	if len(bad) > 0 {
		return nil, bad
	}
	return s, nil
}

// Files counts the files of cases.
func (s *Suite) Files() int { return len(s.files) }

// Run runs the cases whose names match only, all of them if it is nil. The results
// are in the order of the files.
func (s *Suite) Run(ctx context.Context, only *regexp.Regexp) []Result {
	var results []Result
	for _, f := range s.files {
		for _, c := range f.cases {
			if only == nil || only.MatchString(c.Name) {
				results = append(results, Result{File: f.shown, Name: c.Name, Line: c.Line, of: c})
			}
		}
	}
	var wg sync.WaitGroup
	slots := make(chan struct{}, runtime.GOMAXPROCS(0))
	for i := range results {
		slots <- struct{}{}
		wg.Go(func() {
			defer func() { <-slots }()
			results[i].run(ctx, s.set)
		})
	}
	wg.Wait()
	return results
}

func (r *Result) run(ctx context.Context, set *rules.Set) {
	r.outcome, r.Err = r.of.run(ctx, set)
	if r.Err == nil {
		r.Fresh = r.of.want == nil
		r.Differences = r.of.compare(r.outcome)
	}
}

// Untouched is a rule that no case makes match, or, without a Rule, a trigger that no
// case calls.
type Untouched struct {
	Trigger string `json:"trigger"`
	Rule    string `json:"rule,omitempty"`
}

// Untouched are the triggers and rules that results say nothing about.
func (s *Suite) Untouched(results []Result) []Untouched {
	out := []Untouched{}
	for _, trigger := range s.set.Triggers() {
		seen := map[string]bool{}
		for _, r := range results {
			for _, rule := range r.outcome.matched[trigger] {
				seen[rule] = true
			}
		}
		if len(seen) == 0 {
			out = append(out, Untouched{Trigger: trigger})
			continue
		}
		for _, rule := range s.set.RuleNames(trigger) {
			if !seen[rule] {
				out = append(out, Untouched{trigger, rule})
			}
		}
	}
	return out
}

// file is the file of that name in messages.
func (s *Suite) file(shown string) *file {
	return s.files[slices.IndexFunc(s.files, func(f *file) bool { return f.shown == shown })]
}
