package internal_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestGuarantees finds every test that the manual names as the proof of a promise.
func TestGuarantees(t *testing.T) {
	text, err := os.ReadFile("../docs/guarantees.md")
	if err != nil {
		t.Fatal(err)
	}
	named := regexp.MustCompile("`([a-z/]+)\\.((?:Test|Fuzz)\\w+)`").FindAllStringSubmatch(string(text), -1)
	if len(named) < 50 {
		t.Fatalf("only %d tests are named", len(named))
	}
	for _, n := range named {
		if !strings.Contains(testsOf(t, n[1]), "func "+n[2]+"(") {
			t.Errorf("there is no %s.%s", n[1], n[2])
		}
	}
	scenarios := testsOf(t, "chaos/")
	for _, n := range regexp.MustCompile("`make chaos: ([a-z-]+)`").FindAllStringSubmatch(string(text), -1) {
		if !strings.Contains(scenarios, `"`+n[1]+`"`) {
			t.Errorf("make chaos has no scenario %q", n[1])
		}
	}
}

// testsOf is the text of the tests of a package; of a name with a slash at its end,
// of all its files.
func testsOf(t *testing.T, pkg string) string {
	t.Helper()
	pattern := filepath.Join(pkg, "*_test.go")
	if strings.HasSuffix(pkg, "/") {
		pattern = filepath.Join(pkg, "*.go")
	}
	files, err := filepath.Glob(pattern)
	if err != nil || len(files) == 0 {
		t.Fatalf("%s: no files, %v", pattern, err)
	}
	var all strings.Builder
	for _, f := range files {
		text, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		all.Write(text)
	}
	return all.String()
}
