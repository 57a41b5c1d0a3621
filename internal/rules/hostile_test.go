package rules

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"doorhook/internal/relay"
)

// hostileFile computes the expression in a let, whatever its type.
func hostileFile(expression string) string {
	return "trigger: t\nauth: {none: true}\nlet:\n  x: |\n    " + expression + "\nrules:\n  - name: r\n    when: x == nil\n    do: [{unlock: {lock_id: 1}}]\n"
}

// TestHostileFiles gives the loader what breaks parsers, as large as a file may be and larger.
func TestHostileFiles(t *testing.T) {
	let := func(n int, expression string) string {
		var b strings.Builder
		b.WriteString("trigger: t\nauth: {none: true}\nlet:\n")
		for i := range n {
			fmt.Fprintf(&b, "  x%d: %q\n", i, expression)
		}
		return b.String()
	}
	nested := func(before, after string, n int) string {
		return strings.Repeat(before, n) + "1" + strings.Repeat(after, n)
	}
	tests := []struct{ name, file, says string }{
		{"a million minus signs", let(1, strings.Repeat("-", 1_000_000)+"1"), "longer than 8192 bytes"},
		{"many parentheses", let(1, nested("(", ")", 200_000)), "longer than 8192 bytes"},
		{"parentheses within the bounds", let(60, nested("(", ")", 4000)), ""},
		{"minus signs within the bounds", let(100, strings.Repeat("-", 8000)+"1"), "too large"},
		{"many nodes", let(1, strings.Repeat("1+", 2000)+"1"), "too large"},
		{"many large expressions", let(300, strings.Repeat("payload.a+", 150)+"1"), ""},
		{"loops in loops in loops", let(500, nested("map([1], ", ")", 60)), ""},
		{"conditions in conditions", let(500, nested("true ? ", " : 1", 100)), ""},
		{"many patterns", let(300, `payload.a matches "`+strings.Repeat(`[\\pL\\pN]`, 5)+`{300}"`), ""},
		{"other cases of all letters", let(300, `payload.a matches "(?i)`+strings.Repeat("[B-\\U0001e900]", 10)+`"`), ""},
		{"many zones that do not exist", let(500, `time("2026-01-01", "Europe/Berln")`), `did you mean "Europe/Berlin"?`},
		{"many names that do not exist", let(500, "spce"), `unknown name spce`},
		{"many named values", let(3000, "spce"), "no more than 500"},
		{"a large file", "trigger: t\n" + strings.Repeat("# comment\n", 110_000), "no more than 1048576 are read"},
		{"deep lists", "trigger: " + nested("[", "]", 200_000), ""},
		{"deep keys", "trigger: t\nauth: {none: true}\ntables: " + nested("{a: ", "}", 40), "more than 30 deep"},
		{"deep lines", "trigger:\n" + deepLines(1000), "more than 30 deep"},
		{"a large table", "tables: {a: {" + strings.Repeat("k: 1, ", 10_001) + "}}", "10001 entries"},
		{"aliases of aliases", "a: &a [1,1,1,1,1,1,1,1]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a]\nc: &c [*b,*b,*b,*b,*b,*b,*b,*b]\ntrigger: [*c,*c,*c,*c]\n", ""},
		{"many mistakes on one line", "trigger: t\nauth: {none: true}\nrules: [{name: r, do: [{schedule: {lock_ids: [" + strings.Repeat(`"${spce}", `, 80_000) + "]}}]}]\n", "unknown name spce"},
		{"a million keys", "trigger: t\nauth: {none: true}\nlet: {" + strings.Repeat("a: 1, ", 170_000) + "}", "stands here twice"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			started := time.Now()
			_, err := Load(fstest.MapFS{"t.yaml": {Data: []byte(tt.file)}}, "rules", testEnv)
			t.Log(time.Since(started))
			if _, ok := errors.AsType[Errors](err); err != nil && !ok {
				t.Fatalf("got %v", err)
			}
			if tt.says != "" && !strings.Contains(fmt.Sprint(err), tt.says) {
				t.Errorf("got %s, want %s", cut(fmt.Sprint(err), 500), tt.says)
			}
			if took := time.Since(started); took > 20*time.Second { // the machine may be busy; without bounds it is minutes, or death
				t.Errorf("it took %s", took)
			}
		})
	}
}

func deepLines(n int) string {
	var b strings.Builder
	for i := range n {
		b.WriteString(strings.Repeat(" ", i+1) + "a:\n")
	}
	return b.String()
}

func TestTooManyActions(t *testing.T) {
	file := "trigger: t\nauth: {none: true}\nrules:\n  - name: each\n    each: payload.list\n    do: [{unlock: {lock_id: 1}}]\n  - name: good\n    do: [{unlock: {lock_id: 1}}]\n"
	set, err := Load(fstest.MapFS{"t.yaml": {Data: []byte(file)}}, "rules", testEnv)
	if err != nil {
		t.Fatal(err)
	}
	p := set.Plan(relay.Event{Trigger: "t", ReceivedAt: received, Payload: map[string]any{"list": make([]any, 2000)}})
	if p.RuleNames() != "good" || len(p.Problems) != 1 || !strings.Contains(p.Problems[0].Message, "more than 100") {
		t.Errorf("rules %q, problems %v", p.RuleNames(), p.Problems)
	}
}

// FuzzLoad gives the loader any text: it may refuse it, and must say where.
func FuzzLoad(f *testing.F) {
	f.Add("trigger: t\nauth: {none: true}\nrules:\n  - name: r\n    when: >-\n      payload.a ==\n\n      1\n    do: [{unlock: {lock_id: \"${payload.x}\"}}]\n")
	f.Add("a: 'x''y ${'\nb: \"\\u00e9 ${x}\"\n")
	f.Add("trigger: t\nauth: [{basic: \"u:${env.TOKEN}\"}]\nlet:\n  a: 1\n  b: a + spce\n")
	f.Add("trigger: t\nfrom: kisi\nauth: {bearer: \"${env.TOKEN}\"}\nrules:\n  - name: r\n    needs: [A]\n    if_unused: 5m\n    do:\n      - send: {url: \"${env.ALERT_URL}/${payload.x}\", headers: {A: \"${env.TOKEN}\"}, json: {a: [\"${person.x}\"]}, sign: \"${env.ALERT_KEY}\"}\n")
	f.Add("trigger: doorhook\nrules: [{name: r, do: [{send: {url: \"https://${payload.x}/${env.TOKEN}\", form: {a: \"${payload}\"}}}]}]\n")
	f.Fuzz(func(t *testing.T, text string) {
		defer watch(text)()
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

// FuzzExpression compiles and runs any expression: it may fail, and must end within its bounds.
func FuzzExpression(f *testing.F) {
	for _, s := range []string{`payload.list | map(# + 1)`, `time(payload.s)`, `extract(payload.s, "(a)")`, `let x = 1; x ?? payload.n[2:]`, `join(keys(payload))`, `payload.s in 1..payload.n`, `sortBy(payload.list, -#)`, `{(payload.s): [1]} == payload.o`, `email(payload.long)`, `payload?.[payload.s].b`} {
		f.Add(s)
	}
	payload := map[string]any{"list": numbers(1000), "s": "2026-11-23 10:00", "n": 4, "o": map[string]any{"a": nil}, "long": strings.Repeat("a@b", 50_000)}
	f.Fuzz(func(t *testing.T, expression string) {
		defer watch(expression)()
		text := fmt.Sprintf("trigger: t\nauth: {none: true}\ntimezone: UTC\nlet:\n  x: %q\nrespond: {x: '${x}'}\n", expression)
		set, err := Load(fstest.MapFS{"t.yaml": {Data: []byte(text)}}, "rules", testEnv)
		if err != nil {
			return
		}
		set.Plan(relay.Event{Trigger: "t", ReceivedAt: received, Payload: payload})
	})
}

// watch shows the input that takes far too long, which would otherwise hang without a word.
func watch(input string) (stop func() bool) {
	return time.AfterFunc(10*time.Second, func() { panic(fmt.Sprintf("no end to %q", input)) }).Stop
}

func numbers(n int) []any { return many(n, func(i int) any { return i }) }

func many(n int, f func(i int) any) []any {
	list := make([]any, n)
	for i := range list {
		list[i] = f(i)
	}
	return list
}

// TestNotOrdinary would never end if it read on.
func TestNotOrdinary(t *testing.T) {
	dir := t.TempDir()
	if err := os.Symlink("/dev/zero", filepath.Join(dir, "zero.yaml")); err != nil {
		t.Skip(err)
	}
	if _, err := Load(os.DirFS(dir), dir, testEnv); err == nil || !strings.Contains(err.Error(), "a pipe or a device") {
		t.Errorf("got %v", err)
	}
	if _, err := Revision(os.DirFS(dir)); err == nil {
		t.Error("it has a revision")
	}
}

// TestLongAnswer asks for the same long text a thousand times.
func TestLongAnswer(t *testing.T) {
	var file strings.Builder
	file.WriteString("trigger: t\nauth: {none: true}\nrespond:\n")
	for i := range 1000 {
		fmt.Fprintf(&file, "  f%d: ${payload.%s}\n", i, []string{"s", "list"}[i%2])
	}
	set, err := Load(fstest.MapFS{"t.yaml": {Data: []byte(file.String())}}, "rules", testEnv)
	if err != nil {
		t.Fatal(err)
	}
	long := strings.Repeat("a", 100_000)
	p := set.Plan(relay.Event{Trigger: "t", ReceivedAt: received, Payload: map[string]any{"s": long, "list": []any{map[string]any{"s": long}}}})
	bytes := 0
	for _, f := range p.Respond {
		text, err := json.Marshal(f.Value)
		if err != nil {
			t.Fatal(err)
		}
		bytes += len(text)
	}
	if p.Respond[0].Value != long || p.Respond[999].Value != nil || bytes > 5<<20 {
		t.Errorf("an answer of %d bytes; the first %T, the last %T", bytes, p.Respond[0].Value, p.Respond[999].Value)
	}
}
