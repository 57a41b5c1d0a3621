package rules

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"
	"time"
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

// TestWarningsAreQuick looks through large tables and through values that double
// with every name: it takes long only if something grows with the square, or worse.
func TestWarningsAreQuick(t *testing.T) {
	var b strings.Builder
	b.WriteString("trigger: t\nauth: {none: true}\ntables:\n  spaces:\n")
	for i := range 5000 {
		fmt.Fprintf(&b, "    Studio %d: {lock: %d, group: %d}\n", i, i+1, i+10001)
	}
	b.WriteString("let:\n  v0: spaces[payload.space]\n  d0: minutes(1)\n")
	for i := range 40 {
		fmt.Fprintf(&b, "  v%d: 'payload.x ? [v%d, v%d][0] : v%d'\n  d%d: d%d + d%d\n", i+1, i, i, i, i+1, i, i)
	}
	b.WriteString("rules:\n  - name: r\n    when: v40 != nil && d40 != d0\n    do:\n" +
		"      - unlock: {lock_id: \"${v40.lock}\"}\n" +
		"      - group_link: {group_id: \"${v40.group}\", valid_from: \"${time(payload.a) - d30}\", valid_until: \"${time(payload.a) + d30}\"}\n")
	set, err := Load(fstest.MapFS{"t.yaml": {Data: []byte(b.String())}}, "rules", testEnv)
	if err != nil {
		t.Fatal(err)
	}
	start := time.Now()
	if got := set.Warnings(); len(got) > 0 {
		t.Errorf("%v", got)
	}
	if n := len(set.Uses()); n != 10000 {
		t.Errorf("%d uses, want 10000", n)
	}
	if took := time.Since(start); took > 10*time.Second {
		t.Errorf("took %s", took)
	}
	t.Log(time.Since(start))
}
