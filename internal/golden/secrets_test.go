package golden

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestLoadNeedsNoSecrets loads rules that name secrets and need them, with none set: a
// case may try all of them.
func TestLoadNeedsNoSecrets(t *testing.T) {
	dir := t.TempDir()
	rules := `
trigger: t
auth: {bearer: "${env.NOT_SET}"}
rules:
  - name: alert
    needs: NOT_SET_EITHER
    do:
      - send: {url: "${env.NOT_SET}/x", headers: {X-A: "${env.NOT_SET}"}, sign: "${env.NOT_SET}"}
`
	if err := os.WriteFile(filepath.Join(dir, "t.yaml"), []byte(rules), 0o600); err != nil {
		t.Fatal(err)
	}
	s, err := Load(dir)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"alert"}, s.set.RuleNames("t")); diff != "" {
		t.Error(diff)
	}
}
