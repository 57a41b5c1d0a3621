package rules

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/fstest"
)

// TestLineEnds has all that YAML takes for the end of a line. A mistake is shown with its own
// line, and not with one below it, which holds a secret here.
func TestLineEnds(t *testing.T) {
	lines := []string{
		"# a", "# b", "# c", "trigger: t!", "auth:", "  - bearer: hunter2", "rules:",
		"  - name: r", "    when: spce", "    do: [{unlock: {lock_id: 1}}]", "",
	}
	for _, end := range []string{"\n", "\r\n", "\r", "\u0085", "\u2028", "\u2029"} {
		for _, begin := range []string{"", "\ufeff"} {
			text := begin + strings.Join(lines[:3], end) + end + strings.Join(lines[3:], "\n")
			_, err := Load(fstest.MapFS{"t.yaml": {Data: []byte(text)}}, "rules", testEnv)
			got := fmt.Sprint(err)
			for _, want := range []string{"    trigger: t!\n             ^", "        when: spce\n              ^"} {
				if !strings.Contains(got, want) {
					t.Errorf("%q: no %q in\n%s", end, want, got)
				}
			}
			if strings.Contains(got, "hunter2") {
				t.Errorf("%q: a secret in\n%s", end, got)
			}
		}
	}
}

// TestPosition has what YAML folds, joins and cuts off. The mistake is always where spce stands.
func TestPosition(t *testing.T) {
	tests := []string{
		"when: payload.a == \"日本\" &&\n\n      \t spce",
		"when: 'payload.a == ''日本'' &&\n      spce'",
		`when: "payload.a == '\u65e5\x41' && spce"`,
		"when: \"payload.a == 1 && \\\n      spce\"",
		"when: \"payload.a ==\\\n      \\  spce\"",
		"when: \"payload.a ==\n\n      \\t spce\"",
		"when: \"payload.a == 1 &&\\n\\n spce\"",
		"when: |\n\n      payload.a == \"日本\" &&\n        spce",
		"when: |2\n        payload.a ==\n        spce",
		"when: |\n      payload.a == 1 &&\u2028      spce",
		"when: >-\n      payload.a\n        == 1 &&\n\n      spce",
	}
	for _, tt := range tests {
		for _, end := range []string{"\n", "\r\n"} {
			text := "trigger: t\nauth: {none: true}\nrules:\n  - name: r\n    " + tt + "\n    do: [{unlock: {lock_id: 1}}]\n"
			_, err := Load(fstest.MapFS{"t.yaml": {Data: []byte(strings.ReplaceAll(text, "\n", end))}}, "rules", testEnv)
			bad, _ := errors.AsType[Errors](err)
			if len(bad) != 1 || !strings.HasPrefix(string([]rune(bad[0].Source)[bad[0].Col-1:]), "spce") {
				t.Errorf("%q: got\n%v", tt, err)
			}
		}
	}
}
