package rules

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"pgregory.net/rapid"

	"doorhook/internal/relay"
)

// TestTwoReadings has times that the clocks skip, or show twice. Each is worked out by hand from
// the offsets before and after the change, which stand beside it.
func TestTwoReadings(t *testing.T) {
	tests := []struct {
		zone, wall  string
		first, last string // in UTC
	}{
		// -05:00 until 2026-03-08 07:00Z, -04:00 until 2026-11-01 06:00Z.
		{"America/New_York", "2026-03-08 01:59:59", "2026-03-08 06:59:59", ""},
		{"America/New_York", "2026-03-08 02:00:00", "2026-03-08 06:00:00", "2026-03-08 07:00:00"},
		{"America/New_York", "2026-03-08 02:30:00", "2026-03-08 06:30:00", "2026-03-08 07:30:00"},
		{"America/New_York", "2026-03-08 03:00:00", "2026-03-08 07:00:00", ""},
		{"America/New_York", "2026-11-01 00:59:59", "2026-11-01 04:59:59", ""},
		{"America/New_York", "2026-11-01 01:00:00", "2026-11-01 05:00:00", "2026-11-01 06:00:00"},
		{"America/New_York", "2026-11-01 01:30:00", "2026-11-01 05:30:00", "2026-11-01 06:30:00"},
		{"America/New_York", "2026-11-01 02:00:00", "2026-11-01 07:00:00", ""},
		// +01:00 until 2026-03-29 01:00Z, +02:00 until 2026-10-25 01:00Z.
		{"Europe/Berlin", "2026-03-29 02:30:00", "2026-03-29 00:30:00", "2026-03-29 01:30:00"},
		{"Europe/Berlin", "2026-10-25 02:30:00", "2026-10-25 00:30:00", "2026-10-25 01:30:00"},
		{"Europe/Berlin", "2026-10-25 03:00:00", "2026-10-25 02:00:00", ""},
		// +11:00 until 2026-04-04 15:00Z, +10:30 until 2026-10-03 15:30Z: half an hour.
		{"Australia/Lord_Howe", "2026-04-05 01:45:00", "2026-04-04 14:45:00", "2026-04-04 15:15:00"},
		{"Australia/Lord_Howe", "2026-04-05 02:00:00", "2026-04-04 15:30:00", ""},
		{"Australia/Lord_Howe", "2026-10-04 02:15:00", "2026-10-03 15:15:00", "2026-10-03 15:45:00"},
		{"Australia/Lord_Howe", "2026-10-04 02:30:00", "2026-10-03 15:30:00", ""},
		// -03:00 until 2018-11-04 03:00Z, -02:00 then: the day begins at 01:00.
		{"America/Sao_Paulo", "2018-11-04 00:30:00", "2018-11-04 02:30:00", "2018-11-04 03:30:00"},
		// +02:00 until 2021-03-27 22:00Z, +03:00 then.
		{"Asia/Beirut", "2021-03-28 00:00:00", "2021-03-27 21:00:00", "2021-03-27 22:00:00"},
		// -10:00 until 2011-12-30 10:00Z, +14:00 then: there was no 30 December.
		{"Pacific/Apia", "2011-12-30 12:00:00", "2011-12-29 22:00:00", "2011-12-30 22:00:00"},
		{"Pacific/Apia", "2011-12-31 00:00:00", "2011-12-30 10:00:00", ""},
		{"UTC", "2026-03-08 02:30:00", "2026-03-08 02:30:00", ""},
		// Go gives bounds of a zone's time here that lie before it.
		{"America/New_York", "2040-12-31 12:00:00", "2040-12-31 17:00:00", ""},
	}
	for _, tt := range tests {
		t.Run(tt.zone+" "+tt.wall, func(t *testing.T) {
			zone, err := loadZone(tt.zone)
			if err != nil {
				t.Fatal(err)
			}
			wall, err := time.Parse(time.DateTime, tt.wall)
			if err != nil {
				t.Fatal(err)
			}
			first, last := readings(wall, zone)
			if tt.last == "" {
				tt.last = tt.first
			}
			if got := first.UTC().Format(time.DateTime); got != tt.first {
				t.Errorf("the first reading is %s, want %s", got, tt.first)
			}
			if got := last.UTC().Format(time.DateTime); got != tt.last {
				t.Errorf("the last reading is %s, want %s", got, tt.last)
			}
		})
	}
}

// TestAnyWall reads any time of the wall clock in any zone: a start is no later than an end;
// both show that time, or stand on both sides of the change that skips it, as far apart as it is long.
func TestAnyWall(t *testing.T) {
	names := zoneNames()
	rapid.Check(t, func(rt *rapid.T) {
		zone, err := loadZone(rapid.SampledFrom(names).Draw(rt, "zone"))
		if err != nil {
			rt.Skip(err)
		}
		wall := time.Unix(rapid.Int64Range(0, 4e9).Draw(rt, "wall"), 0).UTC()
		if rapid.Bool().Draw(rt, "near a change") { // most times are not near one
			if _, change := wall.In(zone).ZoneBounds(); !change.IsZero() {
				wall = asUTC(change).Add(time.Duration(rapid.IntRange(-7200, 7200).Draw(rt, "seconds from it")) * time.Second)
			}
		}
		first, last := readings(wall, zone)
		if asUTC(first).Equal(wall) && asUTC(last).Equal(wall) {
			if last.Before(first) || last.Sub(first) > 24*time.Hour {
				rt.Fatalf("read as %s and %s", first, last)
			}
			return
		}
		_, change := first.ZoneBounds()
		gap := offsetAt(change) - offsetAt(first)
		if !first.Before(change) || last.Before(change) || last.Sub(first) != gap {
			rt.Fatalf("read as %s and %s; the change is at %s", first, last, change)
		}
	})
}

func asUTC(t time.Time) time.Time {
	return time.Date(t.Year(), t.Month(), t.Day(), t.Hour(), t.Minute(), t.Second(), t.Nanosecond(), time.UTC)
}

func offsetAt(t time.Time) time.Duration {
	_, seconds := t.Zone()
	return time.Duration(seconds) * time.Second
}

// TestDays counts days and asks for midnight where the clocks change: for a start, and for
// an end if that is another instant.
func TestDays(t *testing.T) {
	tests := []struct{ zone, expression, start, end string }{
		{"America/New_York", `start_of_day("2026-03-08 12:00")`, "2026-03-08T05:00:00Z", ""},
		{"America/New_York", `add_days(start_of_day("2026-03-08 12:00"), 1)`, "2026-03-09T04:00:00Z", ""},
		{"America/New_York", `add_days(start_of_day("2026-11-01 12:00"), 1)`, "2026-11-02T05:00:00Z", ""},
		{"America/New_York", `add_days(start_of_day("2026-11-02 12:00"), -1)`, "2026-11-01T04:00:00Z", ""},
		{"America/New_York", `add_days("2026-03-07 02:30", 1)`, "2026-03-08T06:30:00Z", "2026-03-08T07:30:00Z"},
		{"America/New_York", `add_days("2026-03-07 02:30", 2)`, "2026-03-09T06:30:00Z", ""},
		{"America/New_York", `add_days("2026-11-02 01:30", -1)`, "2026-11-01T05:30:00Z", "2026-11-01T06:30:00Z"},
		{"America/New_York", `add_days("2026-11-01T01:30:00-05:00", 0)`, "2026-11-01T06:30:00Z", ""},
		{"America/New_York", `at_time("2026-11-01 12:00", "01:30")`, "2026-11-01T05:30:00Z", "2026-11-01T06:30:00Z"},
		{"America/New_York", `at_time("2026-03-08 12:00", "02:30")`, "2026-03-08T06:30:00Z", "2026-03-08T07:30:00Z"},
		{"America/New_York", `time("2026-11-01 01:30") + hours(1)`, "2026-11-01T06:30:00Z", "2026-11-01T07:30:00Z"},
		{"America/New_York", `time("2026-11-01 01:30", "UTC")`, "2026-11-01T01:30:00Z", ""},
		{"America/New_York", `time("2026-11-01T01:30:00-05:00")`, "2026-11-01T06:30:00Z", ""},
		{"UTC", `add_days("2026-03-07T02:30:00Z", 1, "America/New_York")`, "2026-03-08T02:30:00Z", ""}, // 21:30 there, and not skipped
		{"UTC", `add_days("2026-03-07 02:30", 1, "America/New_York")`, "2026-03-08T06:30:00Z", "2026-03-08T07:30:00Z"},
		{"America/Sao_Paulo", `start_of_day("2018-11-04 12:00")`, "2018-11-04T03:00:00Z", ""},
		{"America/Sao_Paulo", `add_days(start_of_day("2018-11-04 12:00"), 1)`, "2018-11-05T03:00:00Z", ""}, // its clocks show 01:00
		{"America/Sao_Paulo", `time("2018-11-04")`, "2018-11-04T03:00:00Z", ""},
		{"America/Sao_Paulo", `time({"date": "2018-11-04"})`, "2018-11-04T03:00:00Z", ""},
		{"America/Sao_Paulo", `time("2018-11-04 00:00")`, "2018-11-04T02:00:00Z", "2018-11-04T03:00:00Z"},
		{"America/Havana", `start_of_day("2026-11-01 12:00")`, "2026-11-01T04:00:00Z", "2026-11-01T05:00:00Z"}, // midnight comes twice
		{"Asia/Beirut", `start_of_day("2021-03-28 12:00")`, "2021-03-27T22:00:00Z", ""},
		{"Pacific/Apia", `add_days("2011-12-29 12:00", 1)`, "2011-12-29T22:00:00Z", "2011-12-30T22:00:00Z"},
		{"Pacific/Apia", `add_days("2011-12-29 12:00", 2)`, "2011-12-30T22:00:00Z", ""},
		{"Pacific/Apia", `start_of_day("2011-12-31 12:00")`, "2011-12-30T10:00:00Z", ""},
	}
	for _, tt := range tests {
		t.Run(tt.zone+" "+tt.expression, func(t *testing.T) {
			if tt.end == "" {
				tt.end = tt.start
			}
			start, end := startAndEnd(t, tt.zone, tt.expression, nil)
			if start != tt.start || end != tt.end {
				t.Errorf("a start is %s and an end %s, want %s and %s", start, end, tt.start, tt.end)
			}
		})
	}
}

// startAndEnd computes an expression for a link that begins then, and for one that ends then.
// The first asks by a let that the end has asked before, so that what is kept shows.
func startAndEnd(t *testing.T, zone, expression string, payload map[string]any) (start, end string) {
	t.Helper()
	text := fmt.Sprintf("trigger: t\nauth: {none: true}\ntimezone: %s\nlet:\n  inner: %q\n  x: inner\nrules:\n"+
		"  - {name: end, do: [{group_link: {group_id: 1, valid_until: '${x}'}}]}\n"+
		"  - {name: start, when: x != nil, do: [{group_link: {group_id: 1, valid_from: '${x}'}}]}\n"+
		"  - {name: again, do: [{group_link: {group_id: 1, valid_until: '${x}'}}]}\n", zone, expression)
	set, err := Load(fstest.MapFS{"t.yaml": {Data: []byte(text)}}, "rules", testEnv)
	if err != nil {
		t.Fatal(err)
	}
	p := set.Plan(relay.Event{Trigger: "t", ReceivedAt: time.Unix(0, 0), Payload: payload})
	if len(p.Problems) > 0 {
		t.Fatal(p.Problems)
	}
	got := map[string]string{}
	for _, a := range p.Actions() {
		args := string(a.Args)
		_, at, _ := strings.Cut(args, `"valid_`)
		got[a.Rule] = strings.Split(at, `"`)[2]
	}
	if got["end"] != got["again"] {
		t.Errorf("an end is %s, and asked again %s", got["end"], got["again"])
	}
	return got["start"], got["end"]
}

// TestWhichReading has the places of a rule, with a time that comes twice: 01:30 in New York
// is 05:30 and 06:30 UTC on 1 November 2026.
func TestWhichReading(t *testing.T) {
	text := `
trigger: t
auth: {none: true}
timezone: America/New_York
booking: payload.id
version: payload.twice
let:
  twice: time(payload.twice)
rules:
  - name: link
    when: twice == time("2026-11-01T05:30:00Z")
    at: twice - hours(2)
    expires: ${twice}
    do:
      - group_link: {group_id: 1, valid_from: "${payload.twice}", valid_until: "${payload.twice}"}
      - group_link: {group_id: 1, valid_from: 2026-11-01 01:30, valid_until: 2026-11-01 01:30}
      - schedule: {lock_id: 2, starts_at: "${twice}", ends_at: "${min(twice + minutes(15), time('2026-11-01 09:00'))}"}
  - name: one instant
    let: {twice_in_rule: "time(payload.twice)"}
    do: [{group_link: {group_id: 1, valid_until: "${twice_in_rule}"}}]
    when: twice_in_rule == twice
`
	set, err := Load(fstest.MapFS{"t.yaml": {Data: []byte(text)}}, "rules", testEnv)
	if err != nil {
		t.Fatal(err)
	}
	got := render(set.Plan(relay.Event{Trigger: "t", ReceivedAt: received, Payload: map[string]any{"id": 1, "twice": "2026-11-01T01:30:00"}}))
	for _, want := range []string{
		"version 1793511000000000 timed true", // 05:30
		"at 2026-11-01T03:30:00Z, not after 2026-11-01T06:30:00Z, ends 2026-11-01T06:30:00Z",
		`"valid_from":"2026-11-01T05:30:00Z","valid_until":"2026-11-01T06:30:00Z"`,
		`"ends_at":"2026-11-01T06:45:00Z"`, `"starts_at":"2026-11-01T05:30:00Z"`,
		`"name":"Booking 1 (t)","valid_until":"2026-11-01T06:30:00Z"`,
	} {
		if !strings.Contains(got, want) {
			t.Errorf("no %s in\n%s", want, got)
		}
	}
	if n := strings.Count(got, `"valid_from":"2026-11-01T05:30:00Z","valid_until":"2026-11-01T06:30:00Z"`); n != 2 {
		t.Errorf("%d of 2 links have an hour:\n%s", n, got)
	}
}

// TestOverlaps has windows that touch: each holds its start and not its end.
func TestOverlaps(t *testing.T) {
	tests := []struct {
		windows [4]string
		want    bool
	}{
		{[4]string{"10:00", "11:00", "11:00", "12:00"}, false},
		{[4]string{"11:00", "12:00", "10:00", "11:00"}, false},
		{[4]string{"10:00", "11:01", "11:00", "12:00"}, true},
		{[4]string{"10:00", "12:00", "10:30", "11:00"}, true},
		{[4]string{"10:00", "11:00", "10:00", "11:00"}, true},
		{[4]string{"10:00", "12:00", "11:00", "11:00"}, true}, // a moment within
		{[4]string{"10:00", "11:00", "12:00", "13:00"}, false},
	}
	for _, tt := range tests {
		w := tt.windows
		got, msg := computed(t, "UTC", fmt.Sprintf(`overlaps("2026-11-23 %s", "2026-11-23 %s", "2026-11-23 %s", "2026-11-23 %s")`, w[0], w[1], w[2], w[3]))
		if got != tt.want {
			t.Errorf("%v: got %v %s", w, got, msg)
		}
	}
}

// TestTimeText has what senders write.
func TestTimeText(t *testing.T) {
	const local, utc, hour = "2026-11-23T10:00:00-05:00", "2026-11-23T05:00:00-05:00", "2026-11-23T04:00:00-05:00"
	tests := []struct{ text, want string }{ // in New York
		{"2026-11-23T10:00:00", local},
		{"2026-11-23T10:00", local},
		{"2026-11-23 10:00", local},
		{"2026-11-23  10:00 ", local},
		{"2026-11-23t10:00:00", local},
		{"2026-11-23T10:00:00.000", local},
		{"2026-11-23T10:00:00,000", local},
		{"2026-11-23T10:00:00.0000000", local}, // Microsoft Graph
		{"2026-11-23 10:00:00.25", "2026-11-23T10:00:00-05:00"},
		{"2026-11-23 10:00 AM", local},
		{"2026-11-23 10:00am", local},
		{"2026-11-23 10:00\u202fa.m.", local},
		{"2026-11-23 12:00 AM", "2026-11-23T00:00:00-05:00"},
		{"2026-11-23 12:30 PM", "2026-11-23T12:30:00-05:00"},
		{"2026-11-23 01:05:09 PM", "2026-11-23T13:05:09-05:00"},
		{"2026-11-23T10:00:00Z", utc},
		{"2026-11-23T10:00:00.123Z", utc},
		{"2026-11-23 10:00:00Z", utc},
		{"2026-11-23T10:00Z", utc},
		{"2026-11-23T10:00:00+01:00", hour},
		{"2026-11-23T10:00:00+0100", hour},
		{"2026-11-23T10:00:00+01", hour},
		{"2026-11-23T10:00:00.5+01:00", hour},
		{"2026-11-23 10:00 +01:00", hour},
		{"2026-11-23 10:00 -05:00", local},
		{"2026-11-23 10:00:00-05:00", local},
		{"2026-11-23T10:00-05:00", local},
		{"2026-11-23 10:00:00 +0100 CET", hour},
		{"2026-11-23 10:00:00 +0000 UTC", utc},
		{"2026-11-23 10:00 UTC", utc},
		{"2026-11-23 10:00 GMT+1", hour},
		{"20261123T100000Z", utc}, // iCalendar
		{"20261123T100000", local},
		{"2026-11-23", "2026-11-23T00:00:00-05:00"},
		{"Mon, 23 Nov 2026 10:00:00 GMT", utc},
		{"Mon, 23 Nov 2026 10:00:00 +0100", hour},
		{"23 Nov 2026 10:00:00 UTC", utc},
		{"Mon, 2 Nov 2026 10:00:00 GMT", "2026-11-02T05:00:00-05:00"},
		{"Mon, 02 Nov 2026 10:00 GMT", "2026-11-02T05:00:00-05:00"},
		{"Monday, 23-Nov-26 10:00:00 GMT", utc},
		{"Mon Nov 23 10:00:00 2026", local},
		{"Mon Nov 23 10:00:00 UTC 2026", utc},
		{"Mon Nov 23 2026 10:00:00 GMT-0500 (Eastern Standard Time)", local},
		{"Mon Nov 23 2026 10:00 AM", local},
		{"23 November 2026 10:00", local},
		{"23 Nov. 2026, 10:00", local},
		{"23rd November 2026 at 10 AM", local},
		{"Nov 23, 2026 10:00 AM", local},
		{"November 23, 2026 10:00AM", local},
		{"November 23, 2026 at 10:00 AM", local},
		{"Monday, November 23, 2026 10:00 AM", local},
		{"Nov 23, 2026", "2026-11-23T00:00:00-05:00"},
		{"Nov 23,2026 10:00", local},
		{"May 4, 2026 10:00 PM", "2026-05-04T22:00:00-04:00"},
		{"Sept 4, 2026 10:00", "2026-09-04T10:00:00-04:00"},
		{"1795428000", utc},
		{"1795428000000", utc},
		{"1795428000.5", utc},

		{"2026-11-23 10:00 (UTC)", "not a time"}, // what stands in brackets is not read
		{"Nov 23, 2026 10:00 AM (Pacific Time)", "not a time"},
		{"2026-11-23 (10:00)", "not a time"},
		{"03/04/2026", "does not say which number is the day"},
		{"13/04/2026", "does not say which number is the day"},
		{"07/15/16 06:05PM", "does not say which number is the day"},
		{"28.03.2026 10:00", "does not say which number is the day"},
		{"03-04-2026", "does not say which number is the day"},
		{"2026/03/04", "does not say which number is the day"},
		{"Mon, 23 Nov 2026 10:00:00 EST", "have several meanings"},
		{"2026-11-23 10:00 CET", "have several meanings"},
		{"Tue, 23 Nov 2026 10:00:00 GMT", "that day is a Monday"},
		{"2026-02-30", "not a time"},
		{"2026-13-01 10:00", "not a time"},
		{"2026-11-23 24:00", "not a time"},
		{"2026-11-23 10:60", "not a time"},
		{"2026-11-23 13:00 PM", "not a time"},
		{"2026-11-23 0:30 AM", "not a time"},
		{"2026-11-23 10:00 11:00", "not a time"},
		{"2026-11-23 10:00-11:00", "a window from one time to another"},
		{"2026-11-23 9:00-12", "a window from one time to another"},
		{"Nov 23, 2026 10:00-12:00", "a window from one time to another"},
		{"10:00-12:00, 23 Nov 2026", "a window from one time to another"},
		{"Nov 23, 2026 2 PM-4", "a window from one time to another"},
		{"2026-11-23 2026-11-24", "not a time"},
		{"2026-11-23 Z", "not a time"},
		{"23 Nov", "not a time"},
		{"Nov 2026", "not a time"},
		{"10:00", "not a time"},
		{"23 Nov 26", "not a time"},
		{"tomorrow", "not a time"},
		{"", "not a time"},
		{"2026-11-23 10:00+15:00", "not a time"},
		{"2026-11-23T10:00:00+15:00", "not a time"},
		{"2026-11-23T10:00:00-16:00", "not a time"},
		{"2026-11-23T10:00:00+01:00:00", "not a time"},
		{"20261201080000", "not a time in Unix seconds"},
		{"202612010800", "not a time in Unix seconds"},
		{"20261201", "not a time in Unix seconds"},
		{strings.Repeat("2", 101), "not a time"},
	}
	for _, tt := range tests {
		t.Run(tt.text, func(t *testing.T) {
			got, msg := computed(t, "America/New_York", fmt.Sprintf("time(%q)", tt.text))
			if got != tt.want && (msg == "" || !strings.Contains(msg, tt.want)) {
				t.Errorf("got %v %s, want %s", got, msg, tt.want)
			}
		})
	}
}

// TestGoogleTimes has the starts and ends of calendars.
func TestGoogleTimes(t *testing.T) {
	tests := []struct{ object, want string }{
		{`{"dateTime": "2026-11-23T10:00:00+01:00"}`, "2026-11-23T04:00:00-05:00"},
		{`{"dateTime": "2026-11-23T10:00:00", "timeZone": "Europe/Berlin"}`, "2026-11-23T04:00:00-05:00"},
		{`{"dateTime": "2026-11-23T10:00:00.0000000", "timeZone": "W. Europe Standard Time"}`, "2026-11-23T04:00:00-05:00"},
		{`{"dateTime": "2026-11-23T10:00:00+01:00", "timeZone": "America/Denver"}`, "2026-11-23T04:00:00-05:00"},
		{`{"dateTime": "2026-11-23T10:00:00+01:00", "timeZone": "tzone://Microsoft/Custom"}`, "2026-11-23T04:00:00-05:00"},
		{`{"dateTime": "2026-11-23T10:00:00", "timeZone": "UTC+01:00"}`, "2026-11-23T04:00:00-05:00"},
		{`{"dateTime": "2026-11-23T10:00:00"}`, "2026-11-23T10:00:00-05:00"},
		{`{"date": "2026-11-23"}`, "2026-11-23T00:00:00-05:00"},
		{`{"dateTime": nil, "date": "2026-11-23", "timeZone": nil}`, "2026-11-23T00:00:00-05:00"},
		{`{"dateTime": "", "date": "2026-11-23", "timeZone": "Europe/Berlin"}`, "2026-11-22T18:00:00-05:00"},
		{`{"dateTime": "2026-11-23T10:00:00", "timeZone": "tzone://Microsoft/Custom"}`, "a zone of its sender's own"},
		{`{"dateTime": "2026-11-23T10:00:00", "timeZone": "Berlin"}`, `did you mean "Europe/Berlin"?`},
		{`{"dateTime": "03/04/2026 10:00", "timeZone": "Europe/Berlin"}`, "which number is the day"},
		{`{"timeZone": "Europe/Berlin"}`, "neither dateTime nor date"},
	}
	for _, tt := range tests {
		t.Run(tt.object, func(t *testing.T) {
			got, msg := computed(t, "America/New_York", "time("+tt.object+")")
			if got != tt.want && (msg == "" || !strings.Contains(msg, tt.want)) {
				t.Errorf("got %v %s, want %s", got, msg, tt.want)
			}
		})
	}
}

// TestZones reads names of zones: the offset is that of 1 July 2026.
func TestZones(t *testing.T) {
	tests := []struct{ name, want string }{
		{"Europe/Berlin", "+02:00"},
		{"America/Port-au-Prince", "-04:00"},
		{"W. Europe Standard Time", "+02:00"},
		{"Eastern Standard Time", "-04:00"},
		{"US Eastern Standard Time", "-04:00"},
		{"Dateline Standard Time", "-12:00"},
		{"UTC", "+00:00"},
		{"GMT", "+00:00"},
		{"UTC-05", "-05:00"},
		{"UTC+05:30", "+05:30"},
		{"UTC+0530", "+05:30"},
		{"GMT-5", "-05:00"},
		{"+02:00", "+02:00"},
		{"-0330", "-03:30"},
		{"UTC+14", "+14:00"},
		{"Etc/GMT+5", "-05:00"},

		{"UTC+15", "not a time zone"},
		{"UTC+05:60", "not a time zone"},
		{"", "not a time zone"},
		{"Local", "not a time zone"},
		{"posixrules", "not a time zone"},
		{"right/Europe/Berlin", "not a time zone"},
		{"../UTC", "not a time zone"},
		{"Mars", "not a time zone: write for example Europe/Berlin"},
		{"EST", "stays the same in summer"},
		{"tzone://Microsoft/Utc", "a zone of its sender's own"},
		{"america/new_york", `did you mean "America/New_York"?`},
		{"Europe/Berln", `did you mean "Europe/Berlin"?`},
		{"berlin", `did you mean "Europe/Berlin"?`},
		{"New York", `did you mean "America/New_York"?`},
		{"Buenos Aires", `did you mean "America/Argentina/Buenos_Aires"?`},
		{"America/Los Angeles", `did you mean "America/Los_Angeles"?`},
	}
	for _, tt := range tests {
		zone, err := loadZone(tt.name)
		if err != nil {
			if !strings.Contains(err.Error(), tt.want) {
				t.Errorf("%s: %v, want %s", tt.name, err, tt.want)
			}
			continue
		}
		if got := time.Date(2026, 7, 1, 0, 0, 0, 0, zone).Format("-07:00"); got != tt.want {
			t.Errorf("%s is at %s, want %s", tt.name, got, tt.want)
		}
	}
}

// TestZoneTables loads every zone that the tables name.
func TestZoneTables(t *testing.T) {
	if len(windowsZones) < 130 || len(zoneNames()) < 500 {
		t.Errorf("there are %d and %d names", len(windowsZones), len(zoneNames()))
	}
	for windows, iana := range windowsZones {
		if _, err := time.LoadLocation(iana); err != nil {
			t.Errorf("%s: %v", windows, err)
		}
		if _, err := loadZone(windows); err != nil {
			t.Error(err)
		}
	}
	for _, name := range zoneNames() {
		if _, err := loadZone(name); err != nil {
			t.Error(err)
		}
	}
}

// TestZoneMistakes refuses zones that stand in a rule before any event comes.
func TestZoneMistakes(t *testing.T) {
	for _, expression := range []string{
		`time("2026-01-01", "Europe/Berln")`, `add_days(now(), 1, "Europe/Berln")`, `start_of_day(now(), "Europe/Berln")`,
		`at_time(now(), "10:00", "Europe/Berln")`, `weekday(now(), "Europe/Berln")`, `format(now(), "15:04", "Europe/Berln")`,
	} {
		_, msg := computed(t, "UTC", expression)
		if want := fmt.Sprintf("rules/t.yaml:7:%d:", 5+strings.Index(expression, `"Europe`)); !strings.HasPrefix(msg, want) || !strings.Contains(msg, "Europe/Berlin") {
			t.Errorf("%s: %s, want it at %s", expression, msg, want)
		}
	}
	text := "trigger: t\nauth: {none: true}\ntimezone: america/new_york\nrules: []\n"
	_, err := Load(fstest.MapFS{"t.yaml": {Data: []byte(text)}}, "rules", testEnv)
	if errs, ok := errors.AsType[Errors](err); !ok || errs[0].Line != 3 || !strings.Contains(err.Error(), `did you mean "America/New_York"?`) {
		t.Errorf("got %v", err)
	}
}

// FuzzTime reads any text in any zone: what is read can be written and read again, and
// never has day and month in digits.
func FuzzTime(f *testing.F) {
	for _, s := range []string{"2026-11-23T10:00:00Z", "Mon, 23 Nov 2026 10:00:00 GMT", "03/04/2026", "Nov 23, 2026 10 PM", "20261123T100000", "2026-03-08T02:30:00", "0000-01-01T00:00:00", "2026-11-23T8:00:00.0", "1795428000.5", "Mon Nov 23 2026 10:00:00 GMT-0500 (x)"} {
		f.Add(s, "Europe/Berlin")
		f.Add(s, "UTC-05:30")
	}
	f.Fuzz(func(t *testing.T, text, name string) {
		z, err := (zoned{}).at(name)
		if err != nil {
			z = zoned{zone: time.UTC}
		}
		got, err := z.read(text)
		if wall, unusual := time.Parse(wallTime, text); unusual == nil && len(text) == len(wallTime) && z.zone != nil { // which has a way of its own
			w, bad := readText(text)
			if (bad == nil) != (err == nil) || bad == nil && (!w.wall().Equal(wall) || !w.timed || w.zone != nil) {
				t.Errorf("%q is %s (%v), and in words %+v (%v)", text, got, err, w, bad)
			}
		}
		if err != nil {
			return
		}
		again, err := z.read(got.Format(time.RFC3339Nano))
		if err != nil || !again.Equal(got) {
			t.Errorf("%q is %s, and that is %s (%v)", text, got, again, err)
		}
		for word := range strings.FieldsSeq(text) {
			if digitDate.MatchString(word) && !isoDate.MatchString(word) {
				t.Errorf("%q is %s", text, got)
			}
		}
	})
}

// TestVersionInTheHourThatComesTwice has the clock times that a sender without zones writes
// in the night of 1 November 2026, and when each message comes: later means newer.
func TestVersionInTheHourThatComesTwice(t *testing.T) {
	for name, version := range map[string]string{"text": "payload.changed", "time": "time(payload.changed)", "let": "changed"} {
		t.Run(name, func(t *testing.T) {
			text := `
trigger: t
auth: {none: true}
timezone: America/New_York
booking: payload.id
version: ` + version + `
let:
  changed: time(payload.changed)
rules:
  - name: r
    do: [{unlock: {lock_id: 1}}]
`
			set, err := Load(fstest.MapFS{"t.yaml": {Data: []byte(text)}}, "rules", testEnv)
			if err != nil {
				t.Fatal(err)
			}
			tests := []struct{ changed, comes, want string }{
				{"2026-11-01T01:50:00", "2026-11-01T05:50:02Z", "2026-11-01T05:50:00Z"},
				{"2026-11-01T01:10:00", "2026-11-01T06:10:02Z", "2026-11-01T06:10:00Z"},
				{"2026-11-01T01:20:00", "2026-11-01T06:19:40Z", "2026-11-01T06:20:00Z"}, // by a clock that is ahead
				{"2026-11-01T01:50:00", "2026-11-01T09:00:00Z", "2026-11-01T05:50:00Z"}, // it may be a repeat of the first
				{"2026-11-01T02:10:00", "2026-11-01T07:10:02Z", "2026-11-01T07:10:00Z"},
			}
			for _, tt := range tests {
				p := set.Plan(relay.Event{Trigger: "t", ReceivedAt: mustTime(t, tt.comes), Payload: map[string]any{"id": 1, "changed": tt.changed}})
				if p.Version == nil || !p.Timed {
					t.Fatalf("%s has no version: %v", tt.changed, p.Problems)
				}
				if got := time.UnixMicro(int64(*p.Version)).UTC().Format(time.RFC3339); got != tt.want {
					t.Errorf("%s that comes at %s is %s, want %s", tt.changed, tt.comes, got, tt.want)
				}
			}
		})
	}
}
