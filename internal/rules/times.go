package rules

import (
	"errors"
	"fmt"
	"math"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// zoned reads times as the clocks in a zone show them.
type zoned struct {
	zone *time.Location // nil if the file names none
	run  *run           // which of two readings is meant; nil takes the earlier one
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
		return z.unix(float64(v))
	case int64:
		return z.unix(float64(v))
	case float64:
		return z.unix(v)
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

var unixText = regexp.MustCompile(`^\d+(\.\d+)?$`)

// wallTime is a time without a zone, as [readText] would read it too.
const wallTime = "2006-01-02T15:04:05"

func (z zoned) text(s string) (time.Time, error) {
	if len(s) > longestTime { // even to cut its space off takes time
		return time.Time{}, fmt.Errorf("%q %w", cut(s, 60), errUnknown)
	}
	if t, err := time.Parse(time.RFC3339, s); err == nil && isOffset(t) { // what most senders write
		return z.show(t), nil
	}
	if wall, err := time.Parse(wallTime, s); err == nil && len(s) == len(wallTime) && z.zone != nil { // what booking systems write
		if err := z.run.spend(workOfWall, 0); err != nil {
			return time.Time{}, err
		}
		return z.onWall(wall), nil
	}
	s = strings.TrimSpace(s)
	if unixText.MatchString(s) {
		n, _ := strconv.ParseFloat(s, 64)
		return z.unix(n)
	}
	if err := z.run.spend(workOfText, 0); err != nil {
		return time.Time{}, err
	}
	w, err := readText(s)
	switch {
	case err != nil:
		return time.Time{}, fmt.Errorf("%q %w", s, err)
	case w.zone != nil:
		return z.show(time.Date(w.year, w.month, w.day, 0, 0, 0, int(w.clock), w.zone)), nil
	case z.zone == nil:
		return time.Time{}, fmt.Errorf("%q carries no zone: set timezone: in the rule file", s)
	case !w.timed:
		return z.startOf(w.wall()), nil
	}
	return z.onWall(w.wall()), nil
}

// isOffset reports whether t is as far from UTC as a place can be, and no further.
func isOffset(t time.Time) bool {
	_, seconds := t.Zone()
	return seconds >= -mostOffset && seconds <= mostOffset
}

// onWall is the instant at which the clocks show what wall shows. Where a change of the clocks
// leaves two readings, a start is the earlier one and an end the later.
func (z zoned) onWall(wall time.Time) time.Time {
	first, last := readings(wall, z.zone)
	if z.run == nil || first.Equal(last) {
		return first
	}
	if z.run.doubtful = true; z.run.end {
		return last
	}
	return first
}

// startOf is midnight. On a day whose midnight the clocks skip, the day begins when they are put
// forward, and not, as either reading of the clock would have it, in the day before.
func (z zoned) startOf(day time.Time) time.Time {
	midnight := time.Date(day.Year(), day.Month(), day.Day(), 0, 0, 0, 0, time.UTC)
	first, last := readings(midnight, z.zone)
	if _, change := first.ZoneBounds(); first.Before(last) && !shows(first, midnight) {
		return change
	}
	return z.onWall(midnight)
}

// readings are the instants at which the clocks in zone show what wall shows: one, or two if
// clocks are put back over that time. A time that they are put forward over is shown at none,
// and is read with the offset after the change and with the one before.
func readings(wall time.Time, zone *time.Location) (first, last time.Time) {
	const far = 26 * time.Hour // no offset is so large
	naive := time.Date(wall.Year(), wall.Month(), wall.Day(), wall.Hour(), wall.Minute(), wall.Second(), wall.Nanosecond(), time.UTC)
	var skipped [2]time.Time
	for at := naive.Add(-far).In(zone); ; {
		_, offset := at.Zone()
		t := naive.Add(-time.Duration(offset) * time.Second).In(zone)
		if shows(t, naive) {
			if last = t; first.IsZero() {
				first = t
			}
		}
		_, change := at.ZoneBounds()
		if change.IsZero() || change.After(naive.Add(far)) {
			break
		}
		if !change.After(at) { // Go is wrong so about the last day of leap years after 2037, on which no clock changes
			change = at.Add(24 * time.Hour)
		}
		_, next := change.Zone()
		after := naive.Add(-time.Duration(next) * time.Second).In(zone)
		if after.Before(change) && !t.Before(change) {
			skipped = [2]time.Time{after, t}
		}
		at = change
	}
	if first.IsZero() {
		return skipped[0], skipped[1]
	}
	return first, last
}

// shows reports whether the clocks of t show the same as those of wall.
func shows(t, wall time.Time) bool {
	return t.Day() == wall.Day() && t.Hour() == wall.Hour() && t.Minute() == wall.Minute() && t.Second() == wall.Second()
}

// unix tells seconds from milliseconds by size, for the years 2000 to 2199. Other
// numbers are something else, 20261201080000 for example.
func (z zoned) unix(n float64) (time.Time, error) {
	const from, to = 946_684_800, 7_258_118_400
	switch {
	case n >= from && n < to:
		return z.show(time.UnixMilli(int64(math.Round(n * 1000))).UTC()), nil
	case n >= from*1000 && n < to*1000:
		return z.show(time.UnixMilli(int64(n)).UTC()), nil
	}
	return time.Time{}, fmt.Errorf("%s is not a time in Unix seconds or milliseconds", strconv.FormatFloat(n, 'f', -1, 64))
}

// google reads the start and end of a Google Calendar event: dateTime with an
// offset or with a timeZone beside it, or the date of an all-day event, which
// begins at midnight.
func (z zoned) google(m map[string]any) (time.Time, error) {
	text, ok := m["dateTime"].(string)
	if !ok || text == "" {
		if text, ok = m["date"].(string); !ok || text == "" {
			return time.Time{}, errors.New("the object is not a time: it has neither dateTime nor date")
		}
	}
	name := m["timeZone"]
	if name == nil || name == "" {
		return z.text(text)
	}
	there, err := z.at(name)
	if err != nil {
		if t, plain := (zoned{}).text(text); plain == nil { // the offset says it all
			return z.show(t), nil
		}
		return time.Time{}, err
	}
	t, err := there.text(text)
	return z.show(t), err
}

// at is z in the zone of that name.
func (z zoned) at(name any) (zoned, error) {
	text, ok := name.(string)
	if !ok {
		return z, fmt.Errorf("a time zone is text, not %s", typeName(name))
	}
	if z.run != nil && z.run.left.steps < workOfZone {
		return z, errTooMuch
	}
	zone, err := zoneNamed(text)
	if err != nil && z.run.spend(workOfZone, 0) == nil && z.run.spend(workOfHint, 0) == nil {
		err = fmt.Errorf("%w%s", err, zoneMeant(text))
	}
	return zoned{zone, z.run}, err
}

// local is v as a time that the clocks of z show.
func (z zoned) local(v any) (time.Time, error) {
	if z.zone == nil {
		return time.Time{}, errors.New("no zone is known: set timezone: in the rule file, or give the zone as the last argument")
	}
	t, err := z.read(v)
	return t.In(z.zone), err
}

func (z zoned) time(a []any) (any, error) { return z.read(a[0]) }

// addDays keeps the wall clock: over a clock change a day has 23 or 25 hours.
func (z zoned) addDays(a []any) (any, error) {
	t, err := z.local(a[0])
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
	return z.onWall(time.Date(t.Year(), t.Month(), t.Day()+n, t.Hour(), t.Minute(), t.Second(), t.Nanosecond(), time.UTC)), nil
}

func (z zoned) startOfDay(a []any) (any, error) {
	t, err := z.local(a[0])
	if err != nil {
		return nil, err
	}
	return z.startOf(t), nil
}

// atTime is the same day at another time of the wall clock.
func (z zoned) atTime(a []any) (any, error) {
	t, err := z.local(a[0])
	if err != nil {
		return nil, err
	}
	text, err := textArg(a, 1)
	if err != nil {
		return nil, err
	}
	clock, err := time.Parse("15:04", cut(text, 30))
	if err != nil {
		return nil, fmt.Errorf(`%q is not a time of day: write for example "09:00"`, cut(text, 30))
	}
	return z.onWall(time.Date(t.Year(), t.Month(), t.Day(), clock.Hour(), clock.Minute(), 0, 0, time.UTC)), nil
}

// weekday is mon, tue, wed, thu, fri, sat or sun.
func (z zoned) weekday(a []any) (any, error) {
	t, err := z.local(a[0])
	if err != nil {
		return nil, err
	}
	return strings.ToLower(t.Weekday().String()[:3]), nil
}

// format takes Go's layouts, which show a sample time: "2 Jan 2006 15:04".
func (z zoned) format(a []any) (any, error) {
	t, err := z.local(a[0])
	if err != nil {
		return nil, err
	}
	layout, err := textArg(a, 1)
	if err != nil {
		return nil, err
	}
	return cut(t.Format(cut(layout, 200)), 1000), nil
}

// overlaps reports whether the windows a-b and c-d share any time. Where one ends the
// other may begin.
func (z zoned) overlaps(a []any) (any, error) {
	var t [4]time.Time
	for i := range t {
		var err error
		if t[i], err = z.read(a[i]); err != nil {
			return nil, err
		}
	}
	return t[0].Before(t[3]) && t[2].Before(t[1]), nil
}
