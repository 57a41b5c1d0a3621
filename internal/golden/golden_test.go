package golden

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/tools/txtar"
)

// folder puts the files of an archive into a folder.
func folder(t testing.TB, a *txtar.Archive) string {
	t.Helper()
	dir := t.TempDir()
	for _, f := range a.Files {
		if err := os.WriteFile(filepath.Join(dir, f.Name), f.Data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func load(t testing.TB, dir string) *Suite {
	t.Helper()
	s, err := Load(dir)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func read(t testing.TB, dir, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(dir, name))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func archives(t *testing.T) map[string]*txtar.Archive {
	t.Helper()
	paths, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(paths) == 0 {
		t.Fatal("no archives", err)
	}
	all := map[string]*txtar.Archive{}
	for _, path := range paths {
		if all[path], err = txtar.ParseFile(path); err != nil {
			t.Fatal(err)
		}
	}
	return all
}

// update runs the cases in dir and writes what came of them.
func update(t *testing.T, dir string) []Result {
	t.Helper()
	s := load(t, dir)
	changed, err := s.Update(s.Run(t.Context(), nil))
	if err != nil {
		t.Fatal(err)
	}
	return changed
}

// TestUpdate compares what --update writes with what it is to write. With UPDATE set
// it takes what it writes for right.
func TestUpdate(t *testing.T) {
	for path, a := range archives(t) {
		t.Run(filepath.Base(path), func(t *testing.T) {
			dir := folder(t, a)
			if len(update(t, dir)) == 0 {
				t.Error("it changed nothing")
			}
			got := read(t, dir, "x_test.yaml")
			for i := range a.Files {
				f := &a.Files[i]
				if f.Name != "updated.txt" {
					continue
				}
				if os.Getenv("UPDATE") != "" {
					f.Data = []byte(got)
					if err := os.WriteFile(path, txtar.Format(a), 0o600); err != nil {
						t.Fatal(err)
					}
				}
				if d := cmp.Diff(string(f.Data), got); d != "" {
					t.Errorf("(-want +got)\n%s", d)
				}
			}
			for _, r := range load(t, dir).Run(t.Context(), nil) {
				if !r.OK() {
					t.Errorf("%s does not pass after it: %v %v", r.Name, r.Err, r.Differences)
				}
			}
			if changed := update(t, dir); len(changed) > 0 || read(t, dir, "x_test.yaml") != got {
				t.Errorf("another one changed %d cases", len(changed))
			}
		})
	}
}

// TestUpdateKeepsLineEnds is about what an archive cannot hold.
func TestUpdateKeepsLineEnds(t *testing.T) {
	a := archives(t)["testdata/forms.txtar"]
	for i := range a.Files {
		a.Files[i].Data = bytes.ReplaceAll(a.Files[i].Data, []byte("\n"), []byte("\r\n"))
	}
	dir := folder(t, a)
	update(t, dir)
	if got, want := read(t, dir, "x_test.yaml"), read(t, dir, "updated.txt"); got != want {
		t.Error(cmp.Diff(want, got))
	}

	bare := "trigger: x\ncases:\n  - name: a\n    now: 2026-12-01T09:00:00Z\n    payload: {}"
	if err := os.WriteFile(filepath.Join(dir, "x_test.yaml"), []byte(bare), 0o600); err != nil {
		t.Fatal(err)
	}
	update(t, dir)
	if got := read(t, dir, "x_test.yaml"); !strings.HasPrefix(got, bare+"\n    want:\n      answer:\n") || !strings.HasSuffix(got, "\n") {
		t.Errorf("got %q", got)
	}
}

// TestUpdateRefuses is about files that cannot be changed without a risk.
func TestUpdateRefuses(t *testing.T) {
	for name, tt := range map[string]struct{ text, want string }{
		"a case within braces": {
			"cases:\n  - {name: a, trigger: x, now: 2026-12-01T09:00:00Z, payload: {}}\n",
			`x_test.yaml:2: the case "a" stands within { }`,
		},
		"a brace before its time": {
			"cases:\n  - name: a\n    trigger: x\n    now: 2026-12-01T09:00:00Z\n    payload: {}\n    want: {answer: {status: failed},\n requests: [x]}\n",
			"x_test.yaml is written in a way that --update cannot change safely, and was left as it is",
		},
	} {
		t.Run(name, func(t *testing.T) {
			dir := folder(t, archives(t)["testdata/forms.txtar"])
			if err := os.WriteFile(filepath.Join(dir, "x_test.yaml"), []byte(tt.text), 0o600); err != nil {
				t.Fatal(err)
			}
			s := load(t, dir)
			_, err := s.Update(s.Run(t.Context(), nil))
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want %q", err, tt.want)
			}
			if got := read(t, dir, "x_test.yaml"); got != tt.text {
				t.Errorf("the file was changed: %s", got)
			}
		})
	}
}

// TestSame runs every case twice, the second time in fake time: nothing may come out
// otherwise, and nothing may wait.
func TestUpdateKeepsWhatOthersWrote(t *testing.T) {
	dir := folder(t, &txtar.Archive{Files: []txtar.File{
		{Name: "x.yaml", Data: []byte(recordRules)},
		{Name: "x_test.yaml", Data: []byte("trigger: x\nnow: 2026-12-01T09:00:00Z\ncases:\n  - name: one\n    payload: {id: 1}\n")},
	}})
	s := load(t, dir)
	results := s.Run(t.Context(), nil)
	const theirs = "# somebody is writing here\n"
	if err := os.WriteFile(filepath.Join(dir, "x_test.yaml"), []byte(theirs), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Update(results); err == nil || !strings.Contains(err.Error(), "has changed since it was read") {
		t.Errorf("got %v", err)
	}
	if _, err := s.Record(t.Context(), recorded(t, `{"id": 2}`), ""); err == nil || !strings.Contains(err.Error(), "has changed since it was read") {
		t.Errorf("got %v", err)
	}
	if got := read(t, dir, "x_test.yaml"); got != theirs {
		t.Errorf("got %s", got)
	}
}

func TestSame(t *testing.T) {
	for path, a := range archives(t) {
		t.Run(filepath.Base(path), func(t *testing.T) {
			s := load(t, folder(t, a))
			for _, first := range s.Run(t.Context(), nil) {
				synctest.Test(t, func(t *testing.T) {
					start := time.Now()
					again, err := first.of.run(t.Context(), s.set)
					if err != nil || first.Err != nil {
						t.Fatal(first.Name, err, first.Err)
					}
					if d := time.Since(start); d > 0 {
						t.Errorf("%s waited for %s", first.Name, d)
					}
					if d := cmp.Diff(text(first.outcome), text(again)); d != "" {
						t.Errorf("%s: %s", first.Name, d)
					}
				})
			}
		})
	}
}

func text(o outcome) string {
	var b strings.Builder
	for _, p := range o.parts {
		fmt.Fprintln(&b, strings.Join(lines(p), "\n"))
	}
	return b.String()
}

// TestUntouched is about rules that no case makes match.
func TestUntouched(t *testing.T) {
	a := archives(t)["testdata/stories.txtar"]
	a.Files = append(a.Files, txtar.File{Name: "y.yaml", Data: []byte("trigger: y\nauth: {none: true}\nrules: [{name: r, do: [{unlock: {lock_id: 1}}]}]\n")})
	s := load(t, folder(t, a))
	only := func(name string) []Result { return s.Run(t.Context(), regexp.MustCompile(name)) }
	for name, want := range map[string]string{
		"":                 "[{y }]",
		"a link and":       "[{x all doors} {x knock} {x many} {y }]",
		"^it moves, comes": "[{x link} {x all doors} {x knock} {x many} {y }]", // an earlier event of the story counts
		"nothing is asked": "[{x link} {x door} {x all doors} {x knock} {x many} {y }]",
	} {
		if got := fmt.Sprint(s.Untouched(only(name))); got != want {
			t.Errorf("%q: got %s, want %s", name, got, want)
		}
	}
}

func TestDiff(t *testing.T) {
	for _, tt := range []struct{ want, got, diff string }{
		{"a b c", "a b c", " a  b  c"},
		{"a b c", "a x c", " a -b +x  c"},
		{"a", "x a y", "+x  a +y"},
		{"a b", "b", "-a  b"},
		{"a b c d", "b d", "-a  b -c  d"},
		{"a", "b c", "-a +b +c"},
	} {
		var got []string
		for _, l := range diff(strings.Fields(tt.want), strings.Fields(tt.got)) {
			got = append(got, l.Sign+l.Text)
		}
		if strings.Join(got, " ") != tt.diff {
			t.Errorf("%q and %q: got %q, want %q", tt.want, tt.got, got, tt.diff)
		}
	}
}
