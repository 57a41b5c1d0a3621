package rules

import (
	"errors"
	"fmt"
	"runtime"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"doorhook/internal/relay"
)

// hostilePayload is as large as a request may be.
func hostilePayload() map[string]any {
	list := make([]any, 2000)
	for i := range list {
		list[i] = i
	}
	return map[string]any{"list": list, "s": strings.Repeat("a", 100_000), "n": 4, "pattern": "(?s).{0,1000}Phone"}
}

// TestHostileExpressions gives rules what has hung or killed programs that use
// expr as it is. Each is refused when it is loaded, or fails before it has used
// much; none is computed to its end.
func TestHostileExpressions(t *testing.T) {
	tests := []struct {
		expression string
		refused    bool
	}{
		{`all(1..2000, {all(1..2000, {all(1..2000, {true})})})`, false},
		{`all(payload.list, {all(payload.list, {all(payload.list, {true})})})`, false},
		{`count(payload.list, {-1 in payload.list || -2 in payload.list})`, false},
		{`count(payload.list, {-1 in payload.list || len(split(payload.s, "")) == 1})`, false},
		{`map(payload.list, {map(payload.list, {sum(payload.list)})})`, false},
		{`map(payload.list, {upper(payload.s)})`, false},
		{`len(map(payload.list, {split(payload.s, "")}))`, false},
		{`len(map(1..90000, replace(payload.s, "b", "cc")))`, false},
		{`len(reduce(1..30, #acc + #acc, "a"))`, false},
		{`let b = payload.s + payload.s + payload.s + payload.s; let c = b + b + b + b; let d = c + c + c + c; len(d + d + d)`, false},
		{`len(replace(replace(payload.s, "a", payload.s), "a", "aaaaaaaaaa"))`, false},
		{`join(map(1..9000, payload.s))`, false},
		{`map(1..1000000000, #)`, false},
		{`string(map(1..9000, payload.s))`, false},
		{`sortBy(map(1..99999, -#), #)`, false},
		{`reduce(1..99999, #acc + [#], [])`, true},
		{`extract(payload.s, "(a?){300}b")`, false},
		{`extract(payload.s, payload.pattern)`, false},
		{`extract(payload.s, "(a{1,500}){1,2}[0-9]")`, false},
		{`payload.s matches "(a?){300}b"`, false},
		{`payload.s matches "((a{1,100}){1,100}){1,100}"`, true},
	}
	for _, tt := range tests {
		t.Run(cut(tt.expression, 60), func(t *testing.T) {
			set, err := Load(fstest.MapFS{"t.yaml": {Data: []byte(hostileFile(tt.expression))}}, "rules", testEnv)
			if (err != nil) != tt.refused {
				t.Fatalf("loading it: %v", err)
			}
			if tt.refused {
				return
			}
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			started := time.Now()
			p := set.Plan(relay.Event{Trigger: "t", ReceivedAt: received, Payload: hostilePayload()})
			took := time.Since(started)
			runtime.ReadMemStats(&after)
			if len(p.Problems) == 0 {
				t.Error("it was computed to the end")
			}
			if limit := 3 * time.Second; took > limit { // far above what is allowed, far below what it would take
				t.Errorf("it took %s", took)
			}
			if mib := (after.TotalAlloc - before.TotalAlloc) >> 20; mib > 512 {
				t.Errorf("it allocated %d MiB", mib)
			}
		})
	}
}

// TestLongEmailSearch reads a long text without an address in a moment.
func TestLongEmailSearch(t *testing.T) {
	for _, s := range []string{strings.Repeat("a", 1_000_000), strings.Repeat("@", 1_000_000), strings.Repeat("a@", 500_000)} {
		started := time.Now()
		if got, err := emailIn(s); got != nil || err != nil {
			t.Errorf("found %v, %v", got, err)
		}
		if took := time.Since(started); took > 5*time.Second {
			t.Errorf("it took %s", took)
		}
	}
}

// hostileFile computes the expression in a let, whatever its type.
func hostileFile(expression string) string {
	return "trigger: t\nauth: {none: true}\nlet:\n  x: |\n    " + expression + "\nrules:\n  - name: r\n    when: x == nil\n    do: [{unlock: {lock_id: 1}}]\n"
}

// TestHostileSources gives the loader expressions that break parsers.
func TestHostileSources(t *testing.T) {
	for name, expression := range map[string]string{
		"a million minus signs": strings.Repeat("-", 1_000_000) + "1",
		"many parentheses":      strings.Repeat("(", 200_000) + "1" + strings.Repeat(")", 200_000),
		"many nodes":            strings.Repeat("1+", 2000) + "1",
	} {
		t.Run(name, func(t *testing.T) {
			_, err := Load(fstest.MapFS{"t.yaml": {Data: []byte(hostileFile(expression))}}, "rules", testEnv)
			if _, ok := errors.AsType[Errors](err); !ok {
				t.Fatalf("got %v, want it refused", err)
			}
		})
	}
}

func TestTooManyActions(t *testing.T) {
	file := "trigger: t\nauth: {none: true}\nrules:\n  - name: each\n    each: payload.list\n    do: [{unlock: {lock_id: 1}}]\n  - name: good\n    do: [{unlock: {lock_id: 1}}]\n"
	set, err := Load(fstest.MapFS{"t.yaml": {Data: []byte(file)}}, "rules", testEnv)
	if err != nil {
		t.Fatal(err)
	}
	p := set.Plan(relay.Event{Trigger: "t", ReceivedAt: received, Payload: hostilePayload()})
	if p.RuleNames() != "good" || len(p.Problems) != 1 || !strings.Contains(p.Problems[0].Message, "more than 100") {
		t.Errorf("rules %q, problems %v", p.RuleNames(), p.Problems)
	}
}

// FuzzLoad gives the loader any text: it may refuse it, and must say where.
func FuzzLoad(f *testing.F) {
	f.Add("trigger: t\nauth: {none: true}\nrules:\n  - name: r\n    when: >-\n      payload.a ==\n\n      1\n    do: [{unlock: {lock_id: \"${payload.x}\"}}]\n")
	f.Add("a: 'x''y ${'\nb: \"\\u00e9 ${x}\"\n")
	f.Add("trigger: t\nauth: [{basic: \"u:${env.TOKEN}\"}]\nlet:\n  a: 1\n  b: a + spce\n")
	f.Fuzz(func(t *testing.T, text string) {
		_, err := Load(fstest.MapFS{"t.yaml": {Data: []byte(text)}}, "rules", testEnv)
		var bad Errors
		if !errors.As(err, &bad) {
			return
		}
		for _, e := range bad {
			if e.Line < 1 || e.Col < 1 {
				t.Errorf("no position: %+v", e)
			}
			if strings.Contains(e.Error(), "s3cret-token") {
				t.Errorf("a secret in %q", e.Error())
			}
		}
	})
}

// FuzzExpression compiles and runs any expression: it may fail, and must end.
func FuzzExpression(f *testing.F) {
	for _, s := range []string{`payload.list | map(# + 1)`, `time(payload.s)`, `extract(payload.s, "(a)")`, `let x = 1; x ?? payload.n[2:]`, `join(keys(payload))`} {
		f.Add(s)
	}
	payload := map[string]any{"list": []any{1, 2, 3}, "s": "2026-11-23 10:00", "n": 4, "o": map[string]any{"a": nil}}
	f.Fuzz(func(t *testing.T, expression string) {
		text := fmt.Sprintf("trigger: t\nauth: {none: true}\ntimezone: UTC\nlet:\n  x: %q\nrespond: {x: '${x}'}\n", expression)
		set, err := Load(fstest.MapFS{"t.yaml": {Data: []byte(text)}}, "rules", testEnv)
		if err != nil {
			return
		}
		set.Plan(relay.Event{Trigger: "t", ReceivedAt: received, Payload: payload})
	})
}
