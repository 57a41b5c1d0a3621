package rules

import (
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
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
		calls := regexp.MustCompile(`\b` + name + `\(`)
		if !slices.ContainsFunc(rows, func(row []string) bool { return calls.MatchString(row[1]) }) {
			t.Errorf("no row calls the function %s", name)
		}
	}
}

// TestDocumentedFiles finds every piece of a rule file that the documents show in a file
// that comes with doorhook, whose cases run it, or loads it.
func TestDocumentedFiles(t *testing.T) {
	var shipped []string
	for _, pattern := range []string{"../../rules/*.yaml", "../../examples/recipes/*.yaml"} {
		for _, name := range cases(t, pattern) {
			text, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			shipped = append(shipped, string(text))
		}
	}
	for _, doc := range []string{"../../docs/rules.md", "../../docs/events.md", "../../docs/zapier.md", "../../README.md"} {
		text, err := os.ReadFile(doc)
		if err != nil {
			t.Fatal(err)
		}
		blocks := regexp.MustCompile("(?ms)^```yaml\n(.*?)^```$").FindAllStringSubmatch(string(text), -1)
		if len(blocks) < 1 {
			t.Fatalf("%s shows no rules", doc)
		}
		for _, b := range blocks {
			if slices.ContainsFunc(shipped, func(file string) bool { return strings.Contains(file, b[1]) }) {
				continue
			}
			if _, err := Load(fstest.MapFS{"doc.yaml": {Data: []byte(b[1])}}, doc, testEnv); err != nil {
				t.Errorf("this is in no file of rules/ or examples/recipes/, and does not load:\n%s\n%v", b[1], err)
			}
		}
	}
}
