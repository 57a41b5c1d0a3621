package rules

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestWarnings runs the cases in testdata/warnings: rule files that load, and what
// is said of them.
func TestWarnings(t *testing.T) {
	for _, file := range cases(t, "testdata/warnings/*.txtar") {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) {
			a := readCase(t, file)
			set, err := Load(caseRules(t, a), "rules", testEnv)
			if err != nil {
				t.Fatal(err)
			}
			compareSection(t, a, file, "warnings", a.Files[len(a.Files)-1].Name, set.Warnings().Error()+"\n")
		})
	}
}

// TestNoWarnings loads what is shipped: nothing in it looks like a mistake.
func TestNoWarnings(t *testing.T) {
	for _, dir := range []string{"../../rules", "../../examples/recipes"} {
		set, err := Load(os.DirFS(dir), filepath.Base(dir), testEnv)
		if err != nil {
			t.Fatal(err)
		}
		if got := set.Warnings(); len(got) > 0 {
			t.Errorf("%v", got)
		}
		if len(set.Uses()) == 0 {
			t.Errorf("%s uses no lock and no group", dir)
		}
	}
}
