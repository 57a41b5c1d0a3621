package rules

import (
	"regexp"
	"strings"
	"testing"
	"testing/fstest"

	"doorhook/internal/relay"
)

// goWords are what a rule author must never have to understand.
var goWords = regexp.MustCompile(`\b(string|int|int64|float64|bool|interface|map|reflect|runtime|func|conversion|time\.[A-Z]\w*|goroutine)\b|<nil>|%!|0x`)

// TestNoGoInMessages computes what goes wrong in as many ways as there are, and looks for
// words of Go in what people are told.
func TestNoGoInMessages(t *testing.T) {
	payload := map[string]any{
		"s": "abc", "n": 4, "f": 1.5, "list": []any{1, 2}, "words": []any{"a", "b"}, "mixed": []any{1, "a"}, "o": map[string]any{"a": 1},
	}
	leak := func(message string) string {
		return goWords.FindString(strings.NewReplacer("string(", "", "int(", "").Replace(message)) // those are functions of rules
	}
	for _, x := range []string{
		`payload.s + 1`, `payload.n + payload.s`, `payload.s > 3`, `payload.s - 3`, `payload.list + 1`, `payload.o + "a"`, `payload.s.toUpperCase()`,
		`payload.missing > 3`, `payload.missing.x`, `payload.s.x`, `payload.list.x`, `payload.list[9]`, `payload.list["a"]`, `len(payload.n)`, `len(nil)`,
		`lower(payload.list)`, `not payload.s`, `payload.s && true`, `payload.n ? 1 : 2`, `payload.s in payload.n`, `any(payload.s, # == 1)`,
		`filter(payload.n, true)`, `first(payload.s)`, `sum(payload.list)`, `sum(payload.words)`, `max(payload.s, 3)`, `sort(payload.mixed)`,
		`time(payload.s)`, `time(payload.list)`, `time(nil)`, `minutes(payload.s)`, `now() + payload.n`, `now() - payload.s`, `payload.n - now()`,
		`payload.n / 0`, `payload.s * 2`, `-payload.s`, `payload.n % payload.f`, `payload.s matches "a"`, `payload.list matches "a"`, `payload.s[0]`,
		`payload.s[1:3]`, `payload.n[1:2]`, `payload.s startsWith payload.n`, `payload.list contains "a"`, `payload.s..payload.n`, `1..payload.n`,
		`split(payload.n, ",")`, `split(payload.s, payload.n)`, `join(payload.o)`, `keys(payload.list)`, `number(payload.list)`, `number("abc")`, `int("x")`,
		`round(payload.s)`, `abs(payload.s)`, `format(payload.s, "Mon")`, `weekday("x")`, `at_time(now(), payload.n)`, `at_time(now(), "25:00")`,
		`add_days(now(), "1")`, `add_days(now(), 1.5)`, `overlaps(1,2,3,4)`, `email(payload.list)`, `extract(payload.o,"a")`, `lookup(payload.list, 1)`,
		`get(payload.list, 0)`, `get(payload.n, 0)`, `groupBy(payload.n, #)`, `trim(payload.n)`, `indexOf(payload.n,"a")`, `reverse(payload.s)`,
		`payload.o == payload.list`, `payload.s == payload.n`, `payload.o.a.b.c`, `payload.o["a"].b`, `now().Foo()`, `now().Hour()`, `payload.n()`,
		`payload.s?.x.y`, `time(payload.s).In("x")`, `payload.s ?? payload.n`, `mean(payload.words)`, `median("a")`, `reduce(payload.list, #acc + #)`,
		`reduce(payload.words, #acc + #, 0)`, `take(payload.list, payload.s)`, `count(payload.o)`, `find(payload.list, # > "a")`, `sortBy(payload.list, .x)`,
		`payload.list == [1,2]`, `trim(payload.s, payload.n)`, `hasPrefix(payload.s, payload.n)`,
	} {
		set, err := Load(fstest.MapFS{"t.yaml": {Data: []byte(hostileFile(x))}}, "rules", testEnv)
		if err != nil {
			line, _, _ := strings.Cut(err.Error(), "\n")
			if found := leak(line); found != "" {
				t.Errorf("%s: %q in %s", x, found, line)
			}
			continue
		}
		for _, p := range set.Plan(relay.Event{Trigger: "t", ReceivedAt: received, Payload: payload}).Problems {
			if found := leak(p.Message); found != "" {
				t.Errorf("%s: %q in %s", x, found, p.Message)
			}
		}
	}
}

// TestWordsForWhatWentWrong is what people are told when a value is not what a rule takes it for.
func TestWordsForWhatWentWrong(t *testing.T) {
	tests := []struct{ expression, says string }{
		{`{"a": "x"}.a + 1`, "+ does not work between text and a number; make text of the other with string(…), or write text with ${…} in it"},
		{`{}.a > 3`, "> does not work between nil and a number; what is nil is missing: ask first whether it is nil, or give a default with ??"},
		{`{}.a.b`, `cannot take "b" from nothing: what stands before it is nil`},
		{`{"a": 1}.a.b`, `a number has no field "b"`},
		{`now() - {"a": 5}.a`, "- does not work between a time and a number; say of what it is a number: minutes(5), hours(1), days(2)"},
		{`{"a": 1}.a ? 1 : 2`, "this takes true or false, not a number"},
		{`7 % {"a": 1.5}.a`, "% does not work between a number and a number; it takes whole numbers: int(…) makes one"},
		{`-{"a": "x"}.a`, "- does not work on text"},
		{`round({"a": "x"}.a)`, "round does not take text"},
		{`{"Year": 1}.Year()`, "this is not a function"},
	}
	for _, tt := range tests {
		if _, got := computed(t, "UTC", tt.expression); got != tt.says {
			t.Errorf("%s: %q, want %q", tt.expression, got, tt.says)
		}
	}
}
