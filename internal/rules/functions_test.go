package rules

import (
	"fmt"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"doorhook/internal/relay"
)

// value computes one expression with the payload that these tests share.
func computed(t *testing.T, zone, expression string) (any, string) {
	t.Helper()
	text := "trigger: t\nauth: {none: true}\ntables: {doors: {front: {lock: 1}, '7': {lock: 2}}}\n"
	if zone != "" {
		text += "timezone: " + zone + "\n"
	}
	text += "let:\n  x: |\n    " + strings.ReplaceAll(expression, "\n", "\n    ") + "\nrespond: {x: '${x}'}\nrules:\n  - name: r\n    when: x == nil\n    do: [{unlock: {lock_id: 1}}]\n"
	set, err := Load(fstest.MapFS{"t.yaml": {Data: []byte(text)}}, "rules", testEnv)
	if err != nil {
		return nil, err.Error()
	}
	p := set.Plan(relay.Event{Trigger: "t", ReceivedAt: received, Payload: map[string]any{
		"n": 42, "f": 1.5, "big": 12345678901234567, "s": "Studio A", "email": "Jo <Jo@Example.com>", "list": []any{1, 2, 3},
		"spring": "2026-03-08T02:30:00", "autumn": "2026-11-01T01:30:00", "room": 7,
		"google": map[string]any{"dateTime": "2026-11-23T10:00:00", "timeZone": "Europe/Berlin"}, "day": map[string]any{"date": "2026-11-23"},
	}})
	if len(p.Problems) > 0 {
		return nil, p.Problems[0].Message
	}
	return p.Respond[0].Value, ""
}

func TestFunctions(t *testing.T) {
	tests := []struct {
		expression string
		want       any
		err        string // a part of the message
	}{
		{`time("2026-11-23T10:00:00Z")`, "2026-11-23T05:00:00-05:00", ""},
		{`time("2026-11-23T10:00:00+01:00")`, "2026-11-23T04:00:00-05:00", ""},
		{`time("2026-11-23T10:00:00")`, "2026-11-23T10:00:00-05:00", ""},
		{`time("2026-11-23 10:00")`, "2026-11-23T10:00:00-05:00", ""},
		{`time("2026-11-23 10:00", "Europe/Berlin")`, "2026-11-23T10:00:00+01:00", ""},
		{`time("2026-11-23")`, "2026-11-23T00:00:00-05:00", ""},
		{`time("Mon, 23 Nov 2026 10:00:00 GMT")`, "2026-11-23T05:00:00-05:00", ""},
		{`time("Mon, 23 Nov 2026 10:00:00 +0100")`, "2026-11-23T04:00:00-05:00", ""},
		{`time("Mon, 23 Nov 2026 10:00:00 EST")`, nil, "not a time"},
		{`time(1795428000)`, "2026-11-23T05:00:00-05:00", ""},
		{`time(1795428000000)`, "2026-11-23T05:00:00-05:00", ""},
		{`time("1795428000")`, "2026-11-23T05:00:00-05:00", ""},
		{`time(payload.google)`, "2026-11-23T04:00:00-05:00", ""},
		{`time(payload.day)`, "2026-11-23T00:00:00-05:00", ""},
		{`time("03/04/2026")`, nil, "not a time"},
		{`time("28.03.2026 10:00")`, nil, "not a time"},
		{`time(nil)`, nil, "nil is not a time"},
		{`time(7)`, nil, "7 is not a time"},
		{`time("2026-11-23 10:00", "Mars")`, nil, "not a time zone"},
		{`time("2026-11-23 10:00", "Local")`, nil, "not a time zone"},

		// In New York clocks go from 02:00 to 03:00 on 8 March and back from 02:00 to 01:00 on 1 November 2026.
		{`time(payload.spring)`, "2026-03-08T01:30:00-05:00", ""},
		{`time(payload.autumn)`, "2026-11-01T01:30:00-04:00", ""},
		{`add_days(time("2026-03-07 10:00"), 1)`, "2026-03-08T10:00:00-04:00", ""},
		{`time("2026-03-07 10:00") + days(1)`, "2026-03-08T11:00:00-04:00", ""},
		{`add_days(time("2026-10-31 10:00"), 1)`, "2026-11-01T10:00:00-05:00", ""},
		{`start_of_day(time("2026-11-01 10:00"))`, "2026-11-01T00:00:00-04:00", ""},
		{`add_days(start_of_day(time("2026-11-01 10:00")), 1)`, "2026-11-02T00:00:00-05:00", ""},
		{`at_time(time("2026-11-01 10:00"), "01:30")`, "2026-11-01T01:30:00-04:00", ""},
		{`at_time(time("2026-03-08 10:00"), "02:30")`, "2026-03-08T01:30:00-05:00", ""},
		{`at_time(time("2026-11-01 10:00"), "25:00")`, nil, "not a time of day"},
		{`weekday(time("2026-11-22T23:30:00"))`, "sun", ""},
		{`weekday(time("2026-11-22T23:30:00"), "Europe/Berlin")`, "mon", ""},
		{`format(time("2026-11-22T23:30:00"), "2 Jan 15:04")`, "22 Nov 23:30", ""},
		{`now()`, "2026-11-22T11:00:00-05:00", ""},
		{`time("9999-12-31T23:59:59Z")`, nil, "in the year 9999"},
		{`time(20261201080000)`, nil, "not a time in Unix seconds"},
		{`time("202612010800")`, nil, "not a time in Unix seconds"},
		{`time(now().Unix())`, "2026-11-22T11:00:00-05:00", ""},
		{`now().Unix() == 1795363200`, true, ""},
		{`add_days(now(), payload.s)`, nil, "takes a whole number of days, not text"},
		{`now() - minutes(90) < now() - hours(1)`, true, ""},
		{`time("2026-11-23 10:00") - time("2026-11-23 09:15")`, "45m0s", ""},
		{`minutes("5")`, "5m0s", ""},
		{`hours(1.5)`, "1h30m0s", ""},
		{`duration("1d2h")`, "26h0m0s", ""},
		{`duration("soon")`, nil, "not a duration"},
		{`minutes(nil)`, nil, "nil is not a number"},
		{`days(1e300)`, nil, "not a length of time"},
		{`overlaps("2026-11-23 10:00", "2026-11-23 11:00", "2026-11-23 10:59", "2026-11-23 12:00")`, true, ""},
		{`overlaps("2026-11-23 10:00", "2026-11-23 11:00", "2026-11-23 11:00", "2026-11-23 12:00")`, false, ""},
		{`min(time("2026-11-23 10:00"), time("2026-11-23 09:00"))`, "2026-11-23T09:00:00-05:00", ""},
		{`max([1, 2.5, 2])`, 2.5, ""},
		{`min(minutes(5), 3)`, nil, "cannot be compared"},
		{`min([])`, nil, "nothing to choose from"},

		{`email(payload.email)`, "jo@example.com", ""},
		{`email("Holder: <b>jo.b+x@mail.example.co.uk</b>, or ann@example.com")`, "jo.b+x@mail.example.co.uk", ""},
		{`email("nobody at all")`, nil, ""},
		{`email(nil)`, nil, ""},
		{`extract("Room: Studio A; Seats: 4", "Room: ([^;]+)")`, "Studio A", ""},
		{`extract("a1", "[0-9]")`, "1", ""},
		{`extract("a", "[0-9]")`, nil, ""},
		{`extract("a", "(")`, nil, "not a regular expression"},
		{`lookup(doors, "front").lock`, 1, ""},
		{`lookup(doors, "side", 5)`, 5, ""},
		{`doors["side"]`, nil, ""},
		{`doors[payload.missing]`, nil, ""},
		{`doors[payload.room].lock`, 2, ""},
		{`doors?.front?.lock`, 1, ""},
		{`payload.s in doors`, false, ""},
		{`payload.room in doors`, true, ""},
		{`payload.missing in doors`, false, ""},
		{`"front" in payload.missing`, false, ""},
		{`payload.n in [41, 42]`, true, ""},
		{`payload.n in ["cancelled", "deleted"]`, false, ""},
		{`payload.s not in ["cancelled", "deleted"]`, true, ""},
		{`payload.n in 1..50`, true, ""},
		{`"A" in split(payload.s, " ")`, true, ""},
		{`split(payload.s, " ")[0]`, "Studio", ""},
		{`join(split(payload.s, " "), "-")`, "Studio-A", ""},
		{`payload.missing?.b[0] ?? "d"`, "d", ""},
		{`payload.missing?.[0].b.c ?? "d"`, "d", ""},
		{`doors?.[payload.room].lock`, 2, ""},
		{`keys({"b": 1, "a": 2})`, "[a b]", ""},
		{`values({"b": 1, "a": 2})`, "[2 1]", ""},
		{`upper(payload.missing)`, "", ""},
		{`replace(payload.missing, "a", "b")`, "", ""},
		{`trim(payload.n)`, nil, "this takes text"},
		{`int("12")`, 12, ""},
		{`int(nil)`, nil, "nil is not a number"},
		{`extract(payload.s, "a{900}|b{900}|c{900}|d{900}|e{900}")`, nil, "the pattern is too large"},
		{`payload.n in payload.s`, nil, `"in" looks into a list or an object`},
		{`number("12")`, 12, ""},
		{`number("1.5")`, 1.5, ""},
		{`number("Inf")`, nil, "not a number"},
		{`number(true)`, nil, "true or false is not a number"},
		{`string(payload.big)`, "12345678901234567", ""},
		{`"id " + string(payload.n)`, "id 42", ""},
		{`string(payload.list)`, nil, "a list cannot be written as text"},
		{`payload.n % 5`, 2, ""},
		{`payload.list[-1]`, 3, ""},
		{`payload.list[3]`, nil, "the list has 3"},
		{`payload.list["a"]`, nil, "a field is asked of"},
		{`payload.list[1.5]`, nil, "whole numbers"},
		{`payload.missing`, nil, ""},
		{`payload.missing?.a.b`, nil, ""},
		{`payload.missing.a`, nil, "cannot take \"a\" from nothing"},
		{`payload.s.a`, nil, "a field is asked of"},
		{`replace(payload.s, "Studio", "Room")`, "Room A", ""},
		{`join(["a", 1, true], "-")`, "a-1-true", ""},
		{`join(payload.s)`, nil, "join takes a list"},
		{`upper(trim(" a "))`, "A", ""},
		{`payload.s matches "^Studio [AB]$"`, true, ""},
		{`payload.list | filter(# > 1) | map(# * 2) | sum()`, 10, ""},
		{`let a = payload.n; a + 1`, 43, ""},
	}
	for _, tt := range tests {
		t.Run(tt.expression, func(t *testing.T) {
			got, msg := computed(t, "America/New_York", tt.expression)
			if tt.err != "" {
				if !strings.Contains(msg, tt.err) {
					t.Fatalf("got %v and %q, want an error with %q", got, msg, tt.err)
				}
				return
			}
			if msg != "" || fmt.Sprint(got) != fmt.Sprint(tt.want) {
				t.Errorf("got %v (%T) %s, want %v", got, got, msg, tt.want)
			}
		})
	}
}

// TestZoneless shows that a time without a zone is never read as UTC.
func TestZoneless(t *testing.T) {
	for _, expression := range []string{`time("2026-11-23 10:00")`, `start_of_day(now())`, `weekday(now())`} {
		if got, msg := computed(t, "", expression); !strings.Contains(msg, "timezone:") {
			t.Errorf("%s gives %v (%s), want it to ask for timezone:", expression, got, msg)
		}
	}
}

// TestHostZoneDoesNotMatter plans in another zone of the machine.
func TestHostZoneDoesNotMatter(t *testing.T) {
	before := time.Local
	t.Cleanup(func() { time.Local = before })
	time.Local = time.FixedZone("far away", 13*3600)
	if got, msg := computed(t, "Europe/Berlin", `time("2026-03-29 10:00")`); got != "2026-03-29T10:00:00+02:00" {
		t.Errorf("got %v %s", got, msg)
	}
}
