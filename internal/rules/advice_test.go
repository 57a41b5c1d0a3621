package rules

import (
	"errors"
	"testing"
	"testing/fstest"
)

// TestAdvice loads what people write who know another language, or YAML, or nobody's
// language, and compares where and what they are told.
func TestAdvice(t *testing.T) {
	tests := []struct {
		expression string
		at         int // the column in it
		says       string
	}{
		{`payload.a = 3`, 11, `use == to compare`},
		{`payload.a === 3`, 13, `use == to compare`},
		{`payload.a =~ "x"`, 11, `use matches for a pattern: payload.name matches "^A"`},
		{`payload.a <> 3`, 12, `use != for what is not equal`},
		{`payload.a & payload.b`, 11, `use &&, or the word and`},
		{`payload.a | payload.b`, 20, `use ||, or the word or`},
		{`if payload.a then 1 else 2`, 14, `choose with condition ? this : that`},
		{`payload.a ? 1`, 14, `after condition ? this there has to be : that`},
		{`payload.booking-id`, 17, `unknown name id: the - before it is a minus; a field with a - in its name is read as payload["booking-id"]`},
		{`length(payload.a)`, 1, `unknown name length; here it is len`},
		{`size(payload.a)`, 1, `unknown name size; here it is len`},
		{`DOORHOOK_TOKEN`, 1, `unknown name DOORHOOK_TOKEN: a variable of the environment is written ${env.DOORHOOK_TOKEN}, and may stand only in auth:, and in url:, headers: and sign: of send`},
		{`emial == 3`, 1, `unknown name emial; did you mean "email"?`},
		{`status == "x"`, 1, `unknown name status: what was sent is in payload, as payload.status`},
		{`payload["a"`, 8, `this [ is never closed`},
		{`time(payload.start`, 5, `this ( is never closed`},
		{`(payload.a == 1 && payload.b`, 1, `this ( is never closed`},
		{`payload.a)`, 10, `this ) closes nothing, or something is missing before it`},
		{`"a" + 1`, 5, `+ does not work between text and a number; make text of the other with string(…), or write text with ${…} in it`},
		{`1 + "a"`, 3, `+ does not work between a number and text; make text of the other with string(…), or write text with ${…} in it`},
		{`time()`, 1, `time is given too few values`},
		{`time(1,2,3)`, 1, `time is given too many values`},
		{`len(payload.a, 3)`, 1, `this function takes 1, and is given 2`},
		{`at_time(payload.a)`, 1, `at_time is given too few values`},
		{`payload.a payload.b`, 11, `payload cannot stand here: an operator such as ==, && or + is missing before it`},
		{`payload.a == "x" "y"`, 18, `y cannot stand here: an operator such as ==, && or + is missing before it`},
		{`'it's'`, 5, `s cannot stand right after a text; a quote inside a text is written \"`},
		{`not payload.a == 1`, 15, `== does not work between true or false and a number; not and ! belong to what follows right after them: write not (a == b), or a != b`},
		{`payload.a and`, 14, `the expression ends too early`},
		{`payload.a >`, 12, `the expression ends too early`},
		{`payload..a`, 10, `unknown name a; did you mean "abs"?`},
		{`payload.a == 'x`, 16, `this text has no quote at its end`},
		{`payload.a in ("a","b")`, 18, `a list is written with [ and ]`},
		{`"a" < 3`, 5, `< does not work between text and a number; make a number of the text with number(…)`},
		{`now() > "2026-01-01"`, 7, `> does not work between a time and text; make a time of the text with time(…)`},
		{`now() - 5`, 7, `- does not work between a time and a number; say of what it is a number: minutes(5), hours(1), days(2)`},
		{`now() + 5`, 7, `+ does not work between a time and a number; say of what it is a number: minutes(5), hours(1), days(2)`},
		{`now() + "5m"`, 7, `+ does not work between a time and text; a length of time is minutes(5) or duration("1h30m")`},
		{`hours(1) > 3`, 10, `> does not work between a duration and a number; say of what it is a number: minutes(5), hours(1), days(2)`},
		{`!`, 2, `the expression ends too early`},
		{`5 minutes`, 3, `a length of time is written minutes(5)`},
		{`payload.1a`, 10, `this is neither a number nor a name; a field whose name begins with a digit is read as payload["1st"]`},
		{`a ? b`, 6, `after condition ? this there has to be : that`},
		{`[1,2`, 1, `this [ is never closed`},
		{`{a: 1`, 1, `this { is never closed`},
		{`payload.x?`, 11, `after condition ? this there has to be : that`},
		{`fromJSON(payload.a)`, 1, `fromJSON is not available in rules`},
		{`null == 1`, 1, `unknown name null; here it is nil`},
		{`None`, 1, `unknown name None; here it is nil`},
		{`payload.a !== nil`, 13, `use == to compare`},
		{`payload.a is nil`, 11, `use == to compare`},
		{`payload.a like "x%"`, 11, `use contains or matches: payload.name contains "A"`},
		{`payload.a.b c`, 13, `c cannot stand here: an operator such as ==, && or + is missing before it`},
		{`TRUE`, 1, `unknown name TRUE; here it is true`},
		{`@x`, 1, `unrecognized character: U+0040 '@'`},
		{`$x`, 1, `unknown name $x; did you mean "max"?`},
		{`payload.a != nil and and`, 22, `and cannot stand here`},
		{`day(payload.a)`, 1, `unknown name day; did you mean "days"?`},
		{`contains(payload.a, "x")`, 1, `contains stands between its two: payload.name contains "A"`},
		{`payload.a contains x`, 20, `unknown name x; did you mean "max"?`},
		{`payload.a :: 3`, 11, `:: cannot stand here`},
		{`x := 3`, 3, `: cannot stand here`},
		{`let x = 3`, 10, `the expression ends too early`},
		{`filter(payload.a, x => x > 1)`, 21, `a condition on the elements of a list is written with #: filter(payload.list, # > 1)`},
		{`filter(payload.a)`, 17, `this function takes at least 2 values, such as a list and a condition`},
		{`any(payload.a, {# > 1)`, 22, `this ) closes nothing, or something is missing before it`},
		{`now().Weekday() == "mon"`, 17, `== does not work between a part of a date and text; weekday(…) and format(…) give text`},
	}
	const indent = 4 // of the block that hostileFile puts it into
	for _, tt := range tests {
		t.Run(tt.expression, func(t *testing.T) {
			_, err := Load(fstest.MapFS{"t.yaml": {Data: []byte(hostileFile(tt.expression))}}, "rules", testEnv)
			bad, _ := errors.AsType[Errors](err)
			if len(bad) != 1 {
				t.Fatalf("%d mistakes: %v", len(bad), err)
			}
			if bad[0].Col-indent != tt.at || bad[0].Message != tt.says {
				t.Errorf("got %d: %s\nwant %d: %s", bad[0].Col-indent, bad[0].Message, tt.at, tt.says)
			}
		})
	}
}
