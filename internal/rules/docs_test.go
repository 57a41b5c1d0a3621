package rules

import (
	"fmt"
	"os"
	"regexp"
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
