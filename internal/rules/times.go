package rules

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// zoned are the functions that need to know where the venue is.
type zoned struct{ zone *time.Location }

// layouts that carry a zone, and those that do not. Day and month are never
// guessed: 03/04/2026 is refused.
var (
	withZone = []string{
		time.RFC3339Nano, "2006-01-02 15:04:05Z07:00", "2006-01-02T15:04Z07:00", "2006-01-02T15:04:05-0700",
		time.RFC1123Z, "2006-01-02 15:04:05 -0700", "2006-01-02 15:04:05 -0700 MST",
	}
	inGMT    = []string{time.RFC1123} // a name like EST does not say which zone; GMT and UTC do
	zoneless = []string{
		"2006-01-02T15:04:05", "2006-01-02T15:04", "2006-01-02 15:04:05", "2006-01-02 15:04", "2006-01-02",
	}
)

// in is the zone that the optional argument at i names, else the file's.
func (z zoned) in(a []any, i int) (*time.Location, error) {
	if len(a) > i {
		return zoneNamed(a[i])
	}
	if z.zone == nil {
		return nil, errors.New("no zone is known: set timezone: in the rule file, or give the zone as the last argument")
	}
	return z.zone, nil
}

// zoneNamed refuses "" and "Local", which Go takes for UTC and for the zone of this machine.
func zoneNamed(name any) (*time.Location, error) {
	text, ok := name.(string)
	if !ok {
		return nil, fmt.Errorf("a time zone is text, not %s", typeName(name))
	}
	return loadZone(text)
}

func loadZone(name string) (*time.Location, error) {
	if name == "" || name == "Local" {
		return nil, fmt.Errorf("%q is not a time zone: write for example Europe/Berlin", name)
	}
	zone, err := time.LoadLocation(name)
	if err != nil {
		return nil, fmt.Errorf("%q is not a time zone: write for example Europe/Berlin", cut(name, 60))
	}
	return zone, nil
}

func (z zoned) time(a ...any) (any, error) {
	if len(a) > 1 {
		zone, err := zoneNamed(a[1])
		if err != nil {
			return nil, err
		}
		z = zoned{zone}
	}
	return z.read(a[0])
}

// read makes a time of whatever senders write for one. Years in which nobody books
// a door are mistakes, and some of them cannot be written.
func (z zoned) read(v any) (time.Time, error) {
	t, err := z.anyTime(v)
	if year := t.UTC().Year(); err == nil && (year < 1970 || year > 8999) {
		return t, fmt.Errorf("%v is in the year %d", short(v), year)
	}
	return t, err
}

func (z zoned) anyTime(v any) (time.Time, error) {
	switch v := v.(type) {
	case time.Time:
		return z.show(v), nil
	case int:
		return z.unix(int64(v))
	case int64:
		return z.unix(v)
	case float64:
		return z.unix(int64(v))
	case string:
		return z.text(v)
	case map[string]any:
		return z.google(v)
	}
	return time.Time{}, fmt.Errorf("%s is not a time", typeName(v))
}

// show puts t into the zone of the file, which changes how it is shown and not when it is.
func (z zoned) show(t time.Time) time.Time {
	if z.zone == nil {
		return t
	}
	return t.In(z.zone)
}

func (z zoned) text(s string) (time.Time, error) {
	s = strings.TrimSpace(s)
	for _, layout := range withZone {
		if t, err := time.Parse(layout, s); err == nil {
			return z.show(t), nil
		}
	}
	if strings.HasSuffix(s, " GMT") || strings.HasSuffix(s, " UTC") {
		for _, layout := range inGMT {
			if t, err := time.Parse(layout, s); err == nil {
				return z.show(t.UTC()), nil
			}
		}
	}
	for _, layout := range zoneless {
		wall, err := time.Parse(layout, s)
		if err != nil {
			continue
		}
		if z.zone == nil {
			return time.Time{}, fmt.Errorf("%q carries no zone: set timezone: in the rule file", cut(s, 60))
		}
		return onWall(wall, z.zone), nil
	}
	if n, err := strconv.ParseInt(s, 10, 64); err == nil {
		return z.unix(n)
	}
	return time.Time{}, fmt.Errorf("%q is not a time doorhook knows: write for example 2026-09-28T08:00:00", cut(s, 60))
}

// onWall is the instant at which clocks in zone show what wall shows. A time
// that a clock change leaves out is read with the offset before the change, and
// of one that comes twice the first is taken.
func onWall(wall time.Time, zone *time.Location) time.Time {
	y, m, d := wall.Date()
	t := time.Date(y, m, d, wall.Hour(), wall.Minute(), wall.Second(), wall.Nanosecond(), zone)
	naive := time.Date(y, m, d, wall.Hour(), wall.Minute(), wall.Second(), wall.Nanosecond(), time.UTC)
	_, before := naive.Add(-26 * time.Hour).In(zone).Zone() // surely before a change of this day
	early := naive.Add(-time.Duration(before) * time.Second).In(zone)
	shows := func(t time.Time) bool {
		return t.Day() == wall.Day() && t.Hour() == wall.Hour() && t.Minute() == wall.Minute()
	}
	if shows(early) && early.Before(t) || !shows(t) {
		return early
	}
	return t
}

// unix tells seconds from milliseconds by size, for the years 2000 to 2199. Other
// numbers are something else, 20261201080000 for example.
func (z zoned) unix(n int64) (time.Time, error) {
	const from, to = 946_684_800, 7_258_118_400
	switch {
	case n >= from && n < to:
		return z.show(time.Unix(n, 0).UTC()), nil
	case n >= from*1000 && n < to*1000:
		return z.show(time.UnixMilli(n).UTC()), nil
	}
	return time.Time{}, fmt.Errorf("%d is not a time in Unix seconds or milliseconds", n)
}

// google reads the start and end of a Google Calendar event: dateTime with an
// offset or with a timeZone beside it, or the date of an all-day event, which
// begins at midnight.
func (z zoned) google(m map[string]any) (time.Time, error) {
	if name, ok := m["timeZone"].(string); ok && name != "" {
		zone, err := loadZone(name)
		if err != nil {
			return time.Time{}, err
		}
		t, err := zoned{zone}.google(map[string]any{"dateTime": m["dateTime"], "date": m["date"]})
		return z.show(t), err
	}
	for _, key := range []string{"dateTime", "date"} {
		if s, ok := m[key].(string); ok && s != "" {
			return z.text(s)
		}
	}
	return time.Time{}, errors.New("the object is not a time: it has neither dateTime nor date")
}

// local is the first argument as a time in the zone that argument i names.
func (z zoned) local(a []any, i int) (time.Time, *time.Location, error) {
	zone, err := z.in(a, i)
	if err != nil {
		return time.Time{}, nil, err
	}
	t, err := zoned{zone}.read(a[0])
	return t.In(zone), zone, err
}

// addDays keeps the wall clock: over a clock change a day has 23 or 25 hours.
func (z zoned) addDays(a ...any) (any, error) {
	t, zone, err := z.local(a, 2)
	if err != nil {
		return nil, err
	}
	n, ok := a[1].(int)
	if !ok {
		return nil, fmt.Errorf("add_days takes a whole number of days, not %s", typeName(a[1]))
	}
	if n < -36500 || n > 36500 {
		return nil, fmt.Errorf("%d days is too far", n)
	}
	if n == 0 { // of an hour that comes twice, it may be the second
		return t, nil
	}
	wall := time.Date(t.Year(), t.Month(), t.Day()+n, t.Hour(), t.Minute(), t.Second(), t.Nanosecond(), time.UTC)
	return onWall(wall, zone), nil
}

func (z zoned) startOfDay(a ...any) (any, error) {
	t, zone, err := z.local(a, 1)
	if err != nil {
		return nil, err
	}
	return onWall(time.Date(t.Year(), t.Month(), t.Day(), 0, 0, 0, 0, time.UTC), zone), nil
}

// atTime is the same day at another time of the wall clock.
func (z zoned) atTime(a ...any) (any, error) {
	t, zone, err := z.local(a, 2)
	if err != nil {
		return nil, err
	}
	text, err := textArg(a, 1)
	if err != nil {
		return nil, err
	}
	clock, err := time.Parse("15:04", text)
	if err != nil {
		return nil, fmt.Errorf(`%q is not a time of day: write for example "09:00"`, cut(text, 30))
	}
	return onWall(time.Date(t.Year(), t.Month(), t.Day(), clock.Hour(), clock.Minute(), 0, 0, time.UTC), zone), nil
}

// weekday is mon, tue, wed, thu, fri, sat or sun.
func (z zoned) weekday(a ...any) (any, error) {
	t, _, err := z.local(a, 1)
	if err != nil {
		return nil, err
	}
	return strings.ToLower(t.Weekday().String()[:3]), nil
}

// format takes Go's layouts, which show a sample time: "2 Jan 2006 15:04".
func (z zoned) format(a ...any) (any, error) {
	t, _, err := z.local(a, 2)
	if err != nil {
		return nil, err
	}
	layout, err := textArg(a, 1)
	if err != nil {
		return nil, err
	}
	return cut(t.Format(cut(layout, 200)), 1000), nil
}

// overlaps reports whether the windows a-b and c-d share any time.
func (z zoned) overlaps(a ...any) (any, error) {
	var t [4]time.Time
	for i := range t {
		var err error
		if t[i], err = z.read(a[i]); err != nil {
			return nil, err
		}
	}
	return t[0].Before(t[3]) && t[2].Before(t[1]), nil
}
