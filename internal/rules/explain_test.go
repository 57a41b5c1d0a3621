package rules

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"doorhook/internal/relay"
)

// TestExplainAgreesWithPlan explains every event there is in tests and examples, with
// every trigger. What it says is what is planned.
func TestExplainAgreesWithPlan(t *testing.T) {
	for _, file := range cases(t, "testdata/plan/*.txtar") {
		a := readCase(t, file)
		set, err := Load(caseRules(t, a), "rules", testEnv)
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range a.Files {
			if strings.HasSuffix(f.Name, ".json") {
				t.Run(filepath.Base(file)+"/"+f.Name, func(t *testing.T) { agrees(t, set, caseEvent(t, set, f.Data)) })
			}
		}
	}
	for _, dir := range []string{"../../rules", "../../examples/recipes"} {
		set, err := Load(os.DirFS(dir), dir, testEnv)
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range cases(t, "../../examples/*.json") {
			payload, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			for _, trigger := range set.Triggers() {
				t.Run(trigger+"/"+filepath.Base(file), func(t *testing.T) {
					agrees(t, set, caseEvent(t, set, fmt.Appendf(nil, `{"trigger": %q, "payload": %s}`, trigger, payload)))
				})
			}
		}
	}
}

// tester is a test, or one of many of a property.
type tester interface {
	Helper()
	Error(args ...any)
	Errorf(format string, args ...any)
	Fatal(args ...any)
	Fatalf(format string, args ...any)
}

// agrees compares what is explained with what is planned.
func agrees(t tester, set *Set, ev relay.Event) {
	t.Helper()
	p, x := set.Plan(ev), set.Explain(ev)
	var actions []relay.Action
	var failed []string
	mistakes := slices.Clone(x.Mistakes)
	for _, r := range x.Rules {
		actions = append(actions, r.Actions...)
		if r.Result == Failed {
			failed, mistakes = append(failed, r.Rule), append(mistakes, *r.Mistake)
		}
		for _, turn := range r.Turns {
			if turn.When != nil && turn.When.Result != turn.Result && (turn.When.Result != Yes || turn.Result != Failed) {
				t.Errorf("rule %s: its when is %s, and it came to %s", r.Rule, turn.When.Result, turn.Result)
			}
		}
		if want := slices.ContainsFunc(p.Rules, func(m relay.Match) bool { return m.Rule == r.Rule }); want != (r.Result == Yes) {
			t.Errorf("rule %s: %s, and the plan has it: %t", r.Rule, r.Result, want)
		}
	}
	var problems []relay.Problem
	for _, m := range mistakes {
		problems = append(problems, m.Problem)
		if !strings.Contains(m.Shown, "\n") || !strings.HasSuffix(m.Shown, "^") {
			t.Errorf("without a line and a caret: %s", m.Shown)
		}
	}
	got := relay.Plan{
		Revision: p.Revision, GrantsPerMinute: p.GrantsPerMinute, Opened: p.Opened, // an explanation has no use for them
		EventID: x.EventID, Booking: x.Booking, Version: x.Version, Timed: x.Timed, Cancelled: x.Cancelled,
		Undecided: failed, Problems: problems, Fatal: x.Fatal,
	}
	want := p
	want.Rules, want.Respond = nil, nil
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-plan +explanation):\n%s", diff)
	}
	if diff := cmp.Diff(p.Actions(), actions); diff != "" {
		t.Errorf("actions (-plan +explanation):\n%s", diff)
	}
	if _, err := json.Marshal(x); err != nil {
		t.Error(err)
	}
}

// explainWhen explains one rule with a when, of the payload.
func explainWhen(t tester, when, payload string) Explanation {
	t.Helper()
	text := "trigger: t\nauth: {none: true}\ntimezone: Europe/Berlin\ntables:\n  doors: {front: {lock: 1}, back: {lock: 2}}\n" +
		"let:\n  door: doors[payload.door]\n  start: time(payload.start)\n" +
		"rules:\n  - name: r\n    when: |\n      " + strings.ReplaceAll(when, "\n", "\n      ") + "\n    do: [{unlock: {lock_id: 1}}]\n"
	set, err := Load(fstest.MapFS{"t.yaml": {Data: []byte(text)}}, "rules", testEnv)
	if err != nil {
		t.Fatal(err)
	}
	dec := json.NewDecoder(strings.NewReader(payload))
	dec.UseNumber()
	ev := relay.Event{ID: "evt_1", Trigger: "t", ReceivedAt: received}
	if err := dec.Decode(&ev.Payload); err != nil {
		t.Fatal(err)
	}
	ints(ev.Payload)
	agrees(t, set, ev)
	return set.Explain(ev)
}

// tree is a condition on one line: its parts in brackets, each with its result.
func tree(c Condition) string {
	results := map[string]string{Yes: "+", No: "-", Failed: "!", NotReached: "?"}
	if c.Op == "" {
		return results[c.Result] + c.Expr
	}
	parts := make([]string, len(c.Parts))
	for i, p := range c.Parts {
		parts[i] = tree(p)
	}
	return results[c.Result] + c.Op + "[" + strings.Join(parts, " | ") + "]"
}

func TestConditions(t *testing.T) {
	for _, tt := range []struct{ when, payload, want string }{
		{`payload.a`, `{"a": true}`, `+payload.a`},
		{`payload.a`, `{}`, `-payload.a`},
		{`payload.a`, `{"a": "true"}`, `+payload.a`},
		{`payload.a`, `{"a": 1}`, `!payload.a`},
		{`payload.a && payload.b == 1`, `{"a": true, "b": 1}`, `+and[+payload.a | +payload.b == 1]`},
		{`payload.a == 1 && payload.b == 1 && payload.c == 1`, `{"a": 1}`, `-and[+payload.a == 1 | -payload.b == 1 | ?payload.c == 1]`},
		{`payload.a and payload.b`, `{"b": true}`, `!and[!payload.a | ?payload.b]`},
		{`payload.a and payload.b`, `{"a": true}`, `-and[+payload.a | -payload.b]`},
		{`payload.a and (false or payload.b)`, `{"a": true, "b": "true"}`, `+and[+payload.a | +or[-false | +payload.b]]`},
		{`not (payload.a and payload.b)`, `{"a": true}`, `!not[!and[+payload.a | !payload.b]]`},
		{`payload.a == 1 || payload.b == 1`, `{"a": 1}`, `+or[+payload.a == 1 | ?payload.b == 1]`},
		{`(payload.a == 1 or payload.b == 1)`, `{}`, `-or[-payload.a == 1 | -payload.b == 1]`},
		{`((payload.a == 1) || (payload.b == 1 && payload.c == 1)) && (true)`, `{"b": 1, "c": 1}`, `+and[+or[-payload.a == 1 | +and[+payload.b == 1 | +payload.c == 1]] | +true]`},
		{`not (payload.a == 1 && payload.b == 1)`, `{"a": 1}`, `+not[-and[+payload.a == 1 | -payload.b == 1]]`},
		{`!(payload.a == 1 || payload.b == 1)`, `{"a": 1}`, `-not[+or[+payload.a == 1 | ?payload.b == 1]]`},
		{`!(payload.a == 1)`, `{"a": 1}`, `-!(payload.a == 1)`},
		{`payload.a not in ["&&", "x"] && payload.a in ["(", "||"]`, `{"a": "||"}`, `+and[+payload.a not in ["&&", "x"] | +payload.a in ["(", "||"]]`},
		{`payload.a == 1 ? true : payload.b == 1 && payload.c == 1`, `{"a": 1}`, `+payload.a == 1 ? true : payload.b == 1 && payload.c == 1`},
		{`(payload.a ?? true) && any([1, 2], # > 1 && # < 3)`, `{}`, `+and[+payload.a ?? true | +any([1, 2], # > 1 && # < 3)]`},
		{`1 < payload.a < 3 && true`, `{"a": 2}`, `+and[+1 < payload.a < 3 | +true]`},
		{`let x = payload.a == 1; x && true`, `{"a": 1}`, `+let x = payload.a == 1; x && true`},
		{"payload.a == 1 /* && */ &&\n  payload.ä == 'ü'", `{"a": 1, "ä": "ü"}`, `+and[+payload.a == 1 | +payload.ä == 'ü']`},
		{`payload.a == 1 && payload.b.c.d`, `{"a": 1}`, `!and[+payload.a == 1 | !payload.b.c.d]`},
		{`payload.a == 1 && payload.b.c.d`, `{"a": 2}`, `-and[-payload.a == 1 | ?payload.b.c.d]`},
		{`door != nil && start > now()`, `{"door": "side"}`, `-and[-door != nil | ?start > now()]`},
	} {
		x := explainWhen(t, tt.when, tt.payload)
		if got := tree(*x.Rules[0].Turns[0].When); got != tt.want {
			t.Errorf("%s of %s:\ngot  %s\nwant %s", tt.when, tt.payload, got, tt.want)
		}
	}
}

// TestConditionPlaces finds each part where it stands in the file.
func TestConditionPlaces(t *testing.T) {
	x := explainWhen(t, "payload.a == 1 &&\n (payload.ä == 'ü' || payload.c == 1)", `{"a": 1}`)
	c := x.Rules[0].Turns[0].When
	got := []string{c.Where, c.Parts[0].Where, c.Parts[1].Where, c.Parts[1].Parts[0].Where, c.Parts[1].Parts[1].Where}
	want := []string{"rules/t.yaml:12:7", "rules/t.yaml:12:7", "rules/t.yaml:13:9", "rules/t.yaml:13:9", "rules/t.yaml:13:29"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// TestAnyCondition splits random conditions. Their parts come to what the whole comes
// to, and after one that decides nothing is looked at.
func TestAnyCondition(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		when := drawCondition(rt, 4)
		x := explainWhen(rt, when, `{"yes": true, "no": false, "one": 1}`)
		c := *x.Rules[0].Turns[0].When // agrees has compared its result with the plan's
		checkCondition(rt, c)
	})
}

func drawCondition(t *rapid.T, depth int) string {
	leaves := []string{"payload.yes", "payload.no", "payload.nil", "payload.nil?.x == nil", "payload.one > 2", "payload.nil.x", `"&& (" in payload`, "(payload.no)", "!payload.no"}
	if depth == 0 {
		return rapid.SampledFrom(leaves).Draw(t, "leaf")
	}
	sub := func() string { return drawCondition(t, depth-1) }
	switch rapid.IntRange(0, 6).Draw(t, "form") {
	case 0:
		return sub() + " && " + sub()
	case 1:
		return sub() + "  or " + sub()
	case 2:
		return "(" + sub() + ") and\n (" + sub() + ")"
	case 3:
		return "(" + sub() + " || " + sub() + ")"
	case 4:
		return "not (" + sub() + ")"
	case 5:
		return "(" + sub() + " ? " + sub() + " : payload.yes)"
	}
	return sub()
}

func checkCondition(t *rapid.T, c Condition) {
	decided := false
	for i, p := range c.Parts {
		switch {
		case decided && p.Result != NotReached:
			t.Fatalf("looked at after it was decided: %s", tree(c))
		case !decided && p.Result == NotReached:
			t.Fatalf("not looked at: %s", tree(c))
		case p.Result != NotReached:
			checkCondition(t, p)
			decided = p.Result == Failed || c.Op == "and" && p.Result == No || c.Op == "or" && p.Result == Yes
		}
		if decided && i == len(c.Parts)-1 && p.Result == Failed && c.Result != Failed {
			t.Fatalf("%s", tree(c))
		}
	}
}

// TestReadings is what people are shown of values.
func TestReadings(t *testing.T) {
	says := func(rds []Reading) string {
		var lines []string
		var add func(indent string, rds []Reading)
		add = func(indent string, rds []Reading) {
			for _, rd := range rds {
				line := indent + rd.Name + " = " + rd.Text
				for _, more := range []string{rd.Expr, rd.Missing, rd.Error} {
					if more != "" {
						line += " // " + more
					}
				}
				lines = append(lines, line)
				add(indent+"  ", rd.From)
			}
		}
		add("", rds)
		return strings.Join(lines, "\n")
	}
	for _, tt := range []struct{ when, payload, want string }{
		{ // a function of a time is no field of it
			`start.Year() == 2026`, `{"start": "2026-12-24T10:00:00Z"}`,
			`start = Thu 24 Dec 2026 11:00 CET (10:00 UTC) // time(payload.start)` + "\n" + `  payload.start = "2026-12-24T10:00:00Z"`,
		},
		{
			`door != nil`, `{"door": "frnt"}`,
			`door = nil // doors[payload.door]` + "\n" + `  payload.door = "frnt"` + "\n" +
				`  doors[payload.door] = nil // the table doors has no "frnt"; did you mean "front"? It has: back, front`,
		},
		{
			`door.lock == 1`, `{"door": "front"}`,
			`door.lock = 1 // doors[payload.door]` + "\n" + `  payload.door = "front"` + "\n" + `  doors[payload.door] = {lock: 1}`,
		},
		{`payload.emial == 1`, `{"email": 1, "space": "x"}`, `payload.emial = nil // payload has no field "emial"; did you mean "email"? This event has: email, space`},
		{`payload.holder.email == 1`, `{"holder": {"name": "Jo"}}`, `payload.holder.email = nil // payload.holder has no field "email"; it has: name`},
		{`payload.a == 1`, `{}`, `payload.a = nil // payload has no field "a"; this event has none`},
		{`payload.a == 1`, `{"a": null}`, `payload.a = nil`},
		{`payload.a == 1`, `[1, 2]`, `payload = [1, 2]`},
		{`"side" in doors`, `{}`, `doors["side"] = nil // the table doors has no "side"; it has: back, front`},
		{`lookup(doors, payload.x) == nil`, `{}`, `payload.x = nil // payload has no field "x"; this event has none` + "\n" + `doors[payload.x] = nil // the table doors was asked for nil`},
		{
			`start > now()`, `{"start": "2026-11-23T00:30"}`,
			`start = Mon 23 Nov 2026 00:30 CET (Sun 22 Nov 2026 23:30 UTC) // time(payload.start)` + "\n" + `  payload.start = "2026-11-23T00:30"`,
		},
		{
			`start > now()`, `{"start": "soon"}`,
			`start =  // time(payload.start) // "soon" is not a time doorhook knows: write for example 2026-09-28T08:00:00` + "\n" + `  payload.start = "soon"`,
		},
		{`payload.a == nil`, `{"a": {"b": [1, "x", null, 1.5, true, 6, 7], "c": {"d": {"e": 1}}}}`, `payload.a = {b: [1, "x", nil, 1.5, true, 6, …], c: {d: {…}}}`},
		{`headers["X-Room"] == nil`, `{}`, `headers.X-Room = nil // headers has no field "X-Room"; this event has none`},
	} {
		c := explainWhen(t, tt.when, tt.payload).Rules[0].Turns[0].When
		if diff := cmp.Diff(strings.Split(tt.want, "\n"), strings.Split(says(c.Reads), "\n")); diff != "" {
			t.Errorf("%s of %s (-want +got):\n%s", tt.when, tt.payload, diff)
		}
	}
}

// TestBoundedReadings shows little of a payload that is large or odd.
func TestBoundedReadings(t *testing.T) {
	fields := make([]string, 200)
	for i := range fields {
		fields[i] = fmt.Sprintf(`"f%04d\n%s": "%s"`, i, strings.Repeat("n", 300), strings.Repeat("v", 300))
	}
	x := explainWhen(t, `payload.a == 1`, "{"+strings.Join(fields, ",")+"}")
	rd := x.Rules[0].Turns[0].When.Reads[0]
	if len(rd.Missing) > 1200 || strings.Contains(rd.Missing, "\n") || !strings.HasSuffix(rd.Missing, ", …") {
		t.Errorf("%d bytes: %s", len(rd.Missing), rd.Missing)
	}
	x = explainWhen(t, `payload.a == 1`, `{"a0": 1,`+strings.Join(fields, ",")+"}")
	if missing := x.Rules[0].Turns[0].When.Reads[0].Missing; missing != `payload has no field "a"; this event has 201 others` {
		t.Error(missing)
	}
	x = explainWhen(t, `payload == 1`, "{"+strings.Join(fields, ",")+"}")
	if text := x.Rules[0].Turns[0].When.Reads[0].Text; len(text) > 2000 || strings.Contains(text, "\n") {
		t.Errorf("%d bytes: %s", len(text), text)
	}
}

// TestEach explains the first elements one by one, and counts them all.
func TestEach(t *testing.T) {
	const text = `
trigger: t
auth: {none: true}
let: {unused: payload.x.y, used: payload.a}
rules:
  - name: r
    each: payload.rooms
    let: {lock: each.lock}
    when: each.lock > 2 && used == nil
    do: [{unlock: {lock_id: "${lock}"}}]
`
	set, err := Load(fstest.MapFS{"t.yaml": {Data: []byte(text)}}, "rules", testEnv)
	if err != nil {
		t.Fatal(err)
	}
	rooms := make([]string, 30)
	for i := range rooms {
		rooms[i] = fmt.Sprintf(`{"lock": %d}`, i+1)
	}
	ev := caseEvent(t, set, fmt.Appendf(nil, `{"payload": {"rooms": [%s]}}`, strings.Join(rooms, ",")))
	agrees(t, set, ev)
	x := set.Explain(ev)
	r := x.Rules[0]
	if r.Count != 30 || len(r.Turns) != maxTurns || len(r.Actions) != 28 || r.Each.Expr != "payload.rooms" {
		t.Errorf("%d turns, %d explained, %d actions, each %s", r.Count, len(r.Turns), len(r.Actions), r.Each.Expr)
	}
	first, third := r.Turns[0], r.Turns[2]
	if first.Result != No || !first.Lets[0].Unused || third.Result != Yes || third.Lets[0].Text != "3" || third.Each.Text != "{lock: 3}" {
		t.Errorf("first %+v\nthird %+v", first, third)
	}
	if !x.Lets[0].Unused || x.Lets[1].Unused || x.Lets[1].Text != "nil" {
		t.Errorf("%+v", x.Lets)
	}
}

// TestExplainLooksOnly has a rule that spends almost all that an event may: looking
// closer at it leaves as much for the next one as a plan does.
func TestExplainLooksOnly(t *testing.T) {
	costs := `payload.text + '' != ''`
	text := `
trigger: t
auth: {none: true}
rules:
  - name: spends
    when: "` + strings.Repeat(costs+" && ", 17) + costs + `"
    do: [{unlock: {lock_id: 1}}]
  - name: has the rest
    when: "` + costs + `"
    do: [{unlock: {lock_id: 2}}]
  - name: has too little
    when: "` + costs + `"
    do: [{unlock: {lock_id: 3}}]
`
	set, err := Load(fstest.MapFS{"t.yaml": {Data: []byte(text)}}, "rules", testEnv)
	if err != nil {
		t.Fatal(err)
	}
	ev := relay.Event{Trigger: "t", ReceivedAt: received, Payload: map[string]any{"text": strings.Repeat("x", maxBytes/20+1)}}
	agreesOnRules(t, set, ev)
	x := set.Explain(ev)
	if when := x.Rules[1].Turns[0].When.Result; x.Rules[1].Result != Yes || x.Rules[2].Result != Failed || when != Yes {
		t.Errorf("%s, looked at once more %s, %s", x.Rules[1].Result, when, x.Rules[2].Result)
	}
}

// agreesOnRules compares results alone: what ran out of its budget comes to something
// else when it is looked at with another.
func agreesOnRules(t *testing.T, set *Set, ev relay.Event) {
	t.Helper()
	var failed []string
	x := set.Explain(ev)
	for _, r := range x.Rules {
		if r.Result == Failed {
			failed = append(failed, r.Rule)
		}
	}
	if diff := cmp.Diff(set.Plan(ev).Undecided, failed); diff != "" {
		t.Errorf("(-plan +explanation):\n%s", diff)
	}
}

// TestUnused names a value that only a look at a table would have needed.
func TestUnused(t *testing.T) {
	const text = `
trigger: t
auth: {none: true}
booking: payload.id
cancelled: "payload.id == 1 ? false : doors[door] == 1"
tables: {doors: {front: 1}}
let: {door: payload.door}
`
	set, err := Load(fstest.MapFS{"t.yaml": {Data: []byte(text)}}, "rules", testEnv)
	if err != nil {
		t.Fatal(err)
	}
	for payload, unused := range map[string]bool{`{"id": 1}`: true, `{"id": 2}`: false} {
		x := set.Explain(caseEvent(t, set, fmt.Appendf(nil, `{"payload": %s}`, payload)))
		if x.Lets[0].Unused != unused {
			t.Errorf("%s: %+v", payload, x.Lets)
		}
	}
}

// TestHints is what a problem says of fields that are not there.
func TestHints(t *testing.T) {
	for _, tt := range []struct{ when, payload, want string }{
		{`time(payload.strt) > now()`, `{"start": 1}`, `nil is not a time; payload has no field "strt"; did you mean "start"? This event has: start`},
		{`payload.a.b.c == 1`, `{"a": {"x": 1}}`, `cannot take "c" from nothing: what stands before it is nil; payload.a has no field "b"; it has: x`},
		{`time(payload.begin ?? payload.start) > now()`, `{"start": "soon"}`, `"soon" is not a time doorhook knows: write for example 2026-09-28T08:00:00`},
		{`time(payload.start) > now()`, `{"start": null}`, `nil is not a time`},
		{`payload.kind == 1 || time(payload.strt) > now()`, `{"start": 1}`, `nil is not a time; payload has no field "strt"; did you mean "start"? This event has: start`},
		{`payload["kind"] == 1 || time(payload["strt"]) > now()`, `{"start": 1}`, `nil is not a time; payload has no field "kind"; this event has: start`},
	} {
		m := explainWhen(t, tt.when, tt.payload).Rules[0].Mistake
		if m == nil || m.Problem.Message != tt.want {
			t.Errorf("%s of %s: %+v", tt.when, tt.payload, m)
		}
	}
}

func TestExplainUnknownTrigger(t *testing.T) {
	x := (&Set{}).Explain(relay.Event{Trigger: "nobody's"})
	if !x.Fatal || len(x.Mistakes) != 1 {
		t.Errorf("%+v", x)
	}
}

func TestClock(t *testing.T) {
	ny, err := time.LoadLocation("America/New_York")
	if err != nil {
		t.Fatal(err)
	}
	at := func(text string) time.Time { return mustTime(t, text) }
	for _, tt := range []struct{ got, want string }{
		{Clock{ny}.Time(at("2030-05-14T14:00:00Z")), "Tue 14 May 2030 10:00 EDT (14:00 UTC)"},
		{Clock{ny}.Time(at("2030-05-15T01:00:30Z")), "Tue 14 May 2030 21:00:30 EDT (Wed 15 May 2030 01:00:30 UTC)"},
		{Clock{}.Time(at("2030-05-14T16:00:00+02:00")), "Tue 14 May 2030 14:00 UTC"},
		{Clock{ny}.Window(at("2030-05-14T14:00:00Z"), at("2030-05-14T15:30:00Z")), "Tue 14 May 2030 10:00–11:30 EDT (14:00–15:30 UTC)"},
		{Clock{ny}.Window(at("2030-05-14T14:00:00Z"), at("2030-05-16T15:30:00Z")), "Tue 14 May 2030 10:00 – Thu 16 May 2030 11:30 EDT (14:00 – Thu 16 May 2030 15:30 UTC)"},
		{Clock{ny}.Window(at("2026-11-01T05:30:00Z"), at("2026-11-01T07:00:00Z")), "Sun 1 Nov 2026 01:30 EDT–02:00 EST (05:30–07:00 UTC)"},
		{Length(90 * time.Minute), "1h30m"},
		{Length(15 * time.Minute), "15m"},
		{Length(2 * time.Hour), "2h"},
		{Length(20 * time.Second), "20s"},
		{Length(49 * time.Hour), "2d1h"},
		{Length(48*time.Hour + 30*time.Second), "2d30s"},
		{Length(24 * time.Hour), "24h"},
		{Length(-time.Hour), "-1h"},
		{Length(0), "0s"},
	} {
		if tt.got != tt.want {
			t.Errorf("got  %s\nwant %s", tt.got, tt.want)
		}
	}
}

func mustTime(t *testing.T, text string) time.Time {
	t.Helper()
	at, err := time.Parse(time.RFC3339, text)
	if err != nil {
		t.Fatal(err)
	}
	return at
}
