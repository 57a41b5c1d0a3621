package rules

import (
	"errors"
	"testing"
	"testing/fstest"
)

// TestYAMLAdvice writes values of let as people do who do not think of YAML.
func TestYAMLAdvice(t *testing.T) {
	tests := []struct {
		value     string
		line, col int // counted from the value's line
		says      string
	}{
		{`  x: "a" + payload.b`, 1, 10, "YAML takes `\"` at the beginning for the whole value: put all of it into a | block"},
		{`  x: 'a' == payload.b`, 1, 10, "YAML takes `'` at the beginning for the whole value: put all of it into a | block"},
		{`  x: [payload.a] == 3`, 1, 18, "YAML takes `[` at the beginning for the whole value: put all of it into a | block"},
		{`  x: {a: 1}.a`, 1, 12, "YAML takes `{` at the beginning for the whole value: put all of it into a | block"},
		{`  x: *foo`, 1, 6, "YAML takes `*` at the beginning for a sign of its own: put the value into quotes"},
		{`  x: @foo`, 1, 6, "YAML takes `@` at the beginning for a sign of its own: put the value into quotes"},
		{`  x: - 3`, 1, 6, "YAML takes `-` at the beginning for a sign of its own: put the value into quotes"},
		{`  x: ]`, 1, 6, "YAML takes `]` at the beginning for a sign of its own: put the value into quotes"},
		{"\tx: 1", 1, 1, "YAML wants spaces at the beginning of a line, and this is a tab"},
		{"   y: 2\n  x: 3", 2, 3, "this line does not begin as far to the right as the lines that it belongs to"},
		{"  x: |\n payload.a", 2, 2, "this line does not begin as far to the right as the lines that it belongs to"},
		{"  x: > 3", 1, 8, "after `|` and `>` the text begins on the next line, further to the right"},
		{`  x: {a: ${payload.a}}`, 1, 11, "YAML takes the `{` for one of its own: within { } and [ ], put ${…} into quotes"},
		{`  x: [a, ${payload.a}]`, 1, 11, "YAML takes the `{` for one of its own: within { } and [ ], put ${…} into quotes"},
		{`  x: "abc`, 5, 1, "something that was opened, a quote or a bracket, is not closed before the end of the file"},
		{`  x: "a\d"`, 1, 8, `in double quotes a \ is special: write \\, or use single quotes`},
		{`  x: payload.a ? 1 : 2`, 1, 20, "YAML takes the `:` for a key: put the expression into quotes or a | block"},
		{`  x:payload.a`, 1, 3, "let takes keys with values here: after the `:` of a key there has to be a space"},
		{`  - x: 1`, 1, 3, "let takes keys with values here"},
		{`  x: {{ payload.a }}`, 1, 6, "let x takes text here"},
	}
	const above, below = "trigger: t\nauth: {none: true}\nlet:\n", "\nrules:\n  - name: r\n    do: [{unlock: {lock_id: 1}}]\n"
	for _, tt := range tests {
		t.Run(tt.value, func(t *testing.T) {
			_, err := Load(fstest.MapFS{"t.yaml": {Data: []byte(above + tt.value + below)}}, "rules", testEnv)
			bad, _ := errors.AsType[Errors](err)
			if len(bad) != 1 {
				t.Fatalf("%d mistakes: %v", len(bad), err)
			}
			if e := bad[0]; e.Line-3 != tt.line || e.Col != tt.col || e.Message != tt.says {
				t.Errorf("got %d:%d: %s\nwant %d:%d: %s", e.Line-3, e.Col, e.Message, tt.line, tt.col, tt.says)
			}
		})
	}
}
