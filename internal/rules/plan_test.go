package rules

import (
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/tools/txtar"

	"doorhook/internal/relay"
)

// received is when every event of these tests came in: 11:00 in New York.
var received = time.Date(2026, 11, 22, 16, 0, 0, 0, time.UTC)

// TestPlan runs the cases in testdata/plan. Each has rule files, an event (the
// payload, or headers and payload), and the plan it gives. Run with
// UPDATE=1 to write what is given now, then read the difference.
func TestPlan(t *testing.T) {
	for _, file := range cases(t, "testdata/plan/*.txtar") {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) {
			a := readCase(t, file)
			set, err := Load(caseRules(t, a), "rules", testEnv)
			if err != nil {
				t.Fatal(err)
			}
			for _, f := range slices.Clone(a.Files) {
				name, isEvent := strings.CutSuffix(f.Name, ".json")
				if !isEvent {
					continue
				}
				got := render(set.Plan(caseEvent(t, set, f.Data)))
				compareSection(t, a, file, name+".want", f.Name, got)
			}
		})
	}
}

func cases(t *testing.T, pattern string) []string {
	t.Helper()
	files, err := filepath.Glob(pattern)
	if err != nil || len(files) == 0 {
		t.Fatalf("no cases at %s (%v)", pattern, err)
	}
	return files
}

func readCase(t *testing.T, file string) *txtar.Archive {
	t.Helper()
	a, err := txtar.ParseFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// compareSection compares got with the section want, or writes it there.
func compareSection(t *testing.T, a *txtar.Archive, file, want, after, got string) {
	t.Helper()
	index := func(name string) int {
		return slices.IndexFunc(a.Files, func(f txtar.File) bool { return f.Name == name })
	}
	i := index(want)
	if os.Getenv("UPDATE") != "" {
		if i < 0 {
			i = index(after) + 1
			a.Files = slices.Insert(a.Files, i, txtar.File{Name: want})
		}
		a.Files[i].Data = []byte(got)
		if err := os.WriteFile(file, txtar.Format(a), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if i < 0 {
		t.Fatalf("%s has no section %s", file, want)
	}
	if diff := cmp.Diff(strings.Split(string(a.Files[i].Data), "\n"), strings.Split(got, "\n")); diff != "" {
		t.Errorf("%s (-want +got):\n%s", want, diff)
	}
}

func caseRules(t *testing.T, a *txtar.Archive) fs.FS {
	t.Helper()
	fsys, err := txtar.FS(&txtar.Archive{Files: slices.DeleteFunc(slices.Clone(a.Files), func(f txtar.File) bool {
		return !strings.HasSuffix(f.Name, ".yaml")
	})})
	if err != nil {
		t.Fatal(err)
	}
	return fsys
}

func testEnv(name string) string {
	return map[string]string{
		"TOKEN": "s3cret-token", "KISI_WEBHOOK_KEY": "s3cret-key", "EVENTS_URL": "https://events.example/s3cret", "DOORHOOK_TOKEN": "s3cret-token",
		"ALERT_URL": " https://hooks.example/T1/s3cret\n", "ALERT_KEY": "whsec_czNjcmV0LXMzY3JldC1zM2NyZXQtczNjcmV0",
		"NO_URL": "ftp://s3cret", "USER_URL": "https://u:s3cret@hooks.example/", "BARE_URL": "https://s3cret.example", "SPACE_URL": "https://hooks.example/s3cret x",
		"NO_KEY": "s3cret", "SHORT_KEY": "czNjcmV0", "BREAK": "s3cret\r\nX: s3cret", "BLANK": " ", "SCHEME": "https", "SPACED": "s3cret token",
	}[name]
}

// caseEvent reads an event. Whole numbers are ints, as intake makes them.
func caseEvent(t *testing.T, set *Set, text []byte) relay.Event {
	t.Helper()
	var in struct {
		Trigger string         `json:"trigger"`
		Headers map[string]any `json:"headers"`
		Payload any            `json:"payload"`
	}
	dec := json.NewDecoder(strings.NewReader(string(text)))
	dec.UseNumber()
	if err := dec.Decode(&in); err != nil {
		t.Fatalf("event: %v", err)
	}
	if in.Trigger == "" {
		in.Trigger = set.Triggers()[0]
	}
	return relay.Event{ID: "evt_1", Trigger: in.Trigger, ReceivedAt: received, Headers: in.Headers, Payload: ints(in.Payload)}
}

func ints(v any) any {
	switch v := v.(type) {
	case json.Number:
		if i, err := v.Int64(); err == nil {
			return int(i)
		}
		f, _ := v.Float64()
		return f
	case []any:
		for i := range v {
			v[i] = ints(v[i])
		}
	case map[string]any:
		for k := range v {
			v[k] = ints(v[k])
		}
	}
	return v
}

// render writes a plan as a person would check it.
func render(p relay.Plan) string {
	var b strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	if p.Fatal {
		line("nothing could be decided")
	}
	line("event %q booking %q", p.EventID, p.Booking)
	if p.Version != nil {
		line("version %.0f timed %t", *p.Version, p.Timed)
	}
	if p.Cancelled {
		line("cancelled")
	}
	if p.Opened != nil {
		line("lock %d was opened at %s", p.Opened.Lock, clock(p.Opened.At))
	}
	if p.GrantsPerMinute > 0 {
		line("grants a minute: %d", p.GrantsPerMinute)
	}
	for _, m := range p.Rules {
		line("rule %q", m.Rule)
		for _, a := range m.Actions {
			line("  %s [%s]", a.Kind, a.Key)
			line("    %s", a.Args)
			line("    at %s, not after %s, ends %s", clock(a.At), clock(a.NotAfter), clock(a.Ends))
			if a.Limits != nil {
				line("    of the group at most %d doors, never %v", a.Limits.MaxDoors, a.Limits.Never)
			}
			if !a.Unused.IsZero() {
				line("    taken back unused at %s", clock(a.Unused))
			}
			if a.Later != nil {
				line("    the rest needs user %d", a.Later.User)
			}
		}
	}
	for _, name := range p.Undecided {
		line("undecided %q", name)
	}
	for _, pr := range p.Problems {
		line("problem %s", pr.Error())
		for _, v := range pr.Values {
			line("  %s = %v", v.Name, v.Value)
		}
	}
	for _, r := range p.Respond {
		line("respond %s = %v (%T)", r.Name, r.Value, r.Value)
	}
	return b.String()
}

func clock(t time.Time) string {
	if t.IsZero() {
		return "-"
	}
	return t.Format(time.RFC3339)
}

// TestMistakes runs the cases in testdata/mistakes: rule files, and what is said of them.
func TestMistakes(t *testing.T) {
	for _, file := range cases(t, "testdata/mistakes/*.txtar") {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) {
			a := readCase(t, file)
			_, err := Load(caseRules(t, a), "rules", testEnv)
			if err == nil {
				t.Fatal("no mistake was found")
			}
			if strings.Contains(err.Error(), "s3cret") {
				t.Error("the message has a secret in it")
			}
			compareSection(t, a, file, "mistakes", a.Files[len(a.Files)-1].Name, err.Error()+"\n")
		})
	}
}

// TestStarterRules loads the rules that a user edits.
func TestStarterRules(t *testing.T) {
	set, err := Load(os.DirFS("../../rules"), "rules", testEnv)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"doorhook", "front-desk", "google-calendar", "kisi", "skedda", "studio-hire"}, set.Triggers()); diff != "" {
		t.Error(diff)
	}
}

// TestPlanIsPure plans the same event twice, on two loads of the rules.
func TestPlanIsPure(t *testing.T) {
	a := readCase(t, "testdata/plan/design-example.txtar")
	var got [2]string
	for i := range got {
		set, err := Load(caseRules(t, a), "rules", testEnv)
		if err != nil {
			t.Fatal(err)
		}
		ev := caseEvent(t, set, a.Files[1].Data)
		before, _ := json.Marshal(ev)
		b, err := json.Marshal(set.Plan(ev))
		if err != nil {
			t.Fatal(err)
		}
		got[i] = string(b)
		if after, _ := json.Marshal(ev); string(after) != string(before) {
			t.Error("planning changed the event")
		}
	}
	if got[0] != got[1] {
		t.Errorf("two plans of one event:\n%s\n%s", got[0], got[1])
	}
}

// TestPlanFromManyGoroutines plans with one set of rules at once; it is for the
// race detector.
func TestPlanFromManyGoroutines(t *testing.T) {
	a := readCase(t, "testdata/plan/kinds.txtar")
	set, err := Load(caseRules(t, a), "rules", testEnv)
	if err != nil {
		t.Fatal(err)
	}
	want := render(set.Plan(caseEvent(t, set, a.Files[1].Data)))
	var wg sync.WaitGroup
	for range 16 {
		wg.Go(func() {
			for range 50 {
				if got := render(set.Plan(caseEvent(t, set, a.Files[1].Data))); got != want {
					t.Errorf("another plan:\n%s", got)
					return
				}
			}
		})
	}
	wg.Wait()
}
