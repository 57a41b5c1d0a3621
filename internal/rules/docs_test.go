package rules

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"testing/fstest"

	"doorhook/internal/relay"
)

// TestDocumentedFunctions computes every row of the table of functions.
func TestDocumentedFunctions(t *testing.T) {
	text, err := os.ReadFile("../../docs/rules.md")
	if err != nil {
		t.Fatal(err)
	}
	rows := regexp.MustCompile("(?m)^\\| `([^`]+)` \\| `([^`]+)` \\|$").FindAllStringSubmatch(string(text), -1)
	if len(rows) < 20 {
		t.Fatalf("found %d rows", len(rows))
	}
	for _, row := range rows {
		got, msg := computed(t, "America/New_York", row[1])
		if fmt.Sprint(got) != row[2] {
			t.Errorf("%s gives %v %s, and the document says %s", row[1], got, msg, row[2])
		}
	}
	for _, name := range functionNames() {
		if !strings.Contains(string(text), name) {
			t.Errorf("the function %s is not documented", name)
		}
	}
}

// TestDocumentedFiles loads every rule file in the documents.
func TestDocumentedFiles(t *testing.T) {
	text, err := os.ReadFile("../../docs/rules.md")
	if err != nil {
		t.Fatal(err)
	}
	blocks := regexp.MustCompile("(?ms)^( *)```yaml\n(.*?)^ *```$").FindAllStringSubmatch(string(text), -1)
	if len(blocks) < 2 {
		t.Fatalf("found %d files", len(blocks))
	}
	for i, b := range blocks {
		file := strings.ReplaceAll("\n"+b[2], "\n"+b[1], "\n")
		if _, err := Load(fstest.MapFS{"doc.yaml": {Data: []byte(file)}}, fmt.Sprintf("docs/rules.md, file %d", i+1), testEnv); err != nil {
			t.Error(err)
		}
	}
}

// TestRecipes plans a booking with each recipe.
func TestRecipes(t *testing.T) {
	set, err := Load(os.DirFS("../../examples/recipes"), "examples/recipes", testEnv)
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]string{
		"access-link": "group_link", "scheduled-unlock": "schedule", "unlock-at-start": "unlock",
	}
	for trigger := range want {
		p := set.Plan(relay.Event{Trigger: trigger, ReceivedAt: received, Payload: map[string]any{
			"booking_id": 1, "updated_at": "2026-11-22T16:00:00Z", "status": "confirmed", "email": "jo@example.com",
			"start": "2026-11-23T10:00:00", "end": "2026-11-23T11:00:00",
		}})
		var kinds []string
		for _, a := range p.Actions() {
			kinds = append(kinds, string(a.Kind))
		}
		if strings.Join(kinds, " ") != want[trigger] || len(p.Problems) > 0 {
			t.Errorf("%s asks for %v, want %s; problems %v", trigger, kinds, want[trigger], p.Problems)
		}
	}
}

// TestExamplePayloads plans every payload in examples with the rules that its name says.
func TestExamplePayloads(t *testing.T) {
	set, err := Load(os.DirFS("../../rules"), "rules", testEnv)
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range cases(t, "../../examples/*.json") {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		name := filepath.Base(file)
		trigger := map[byte]string{'s': "skedda", 'g': "google-calendar", 'f': "front-desk"}[name[0]]
		ev := caseEvent(t, set, fmt.Appendf(nil, `{"trigger": %q, "payload": %s}`, trigger, text))
		p := set.Plan(ev)
		if len(p.Problems) > 0 || len(p.Rules) == 0 && !p.Cancelled {
			t.Errorf("%s: rules %q, problems %v", name, p.RuleNames(), p.Problems)
		}
	}
}
