package rules

import (
	"regexp"
	"strconv"
	"strings"
	"time"
)

// Clock shows times as people at the venue read them, and in UTC.
type Clock struct{ zone *time.Location } // nil is UTC alone

// Clock is that of a trigger's venue.
func (s *Set) Clock(trigger string) Clock {
	if f, ok := s.files[trigger]; ok {
		return Clock{f.zone}
	}
	return Clock{}
}

// Read reads a time as rules do. Without a zone it is one of the venue.
func (c Clock) Read(text string) (time.Time, error) { return zoned{zone: c.zone}.read(text) }

// Time is one moment: Tue 14 May 2030 10:00 EDT (14:00 UTC).
func (c Clock) Time(t time.Time) string {
	return c.both(t, func(t time.Time, day bool) string { return onClock(t, day) + t.Format(" MST") })
}

// Window is all from one moment to another: Tue 14 May 2030 10:00–11:00 EDT (14:00–15:00 UTC).
func (c Clock) Window(from, to time.Time) string {
	return c.both(from, func(from time.Time, day bool) string {
		to := to.In(from.Location())
		head, gap := onClock(from, day), "–"
		if from.Format("MST") != to.Format("MST") { // the clocks are changed in between
			head += from.Format(" MST")
		}
		same := sameDay(from, to)
		if !same {
			gap = " – "
		}
		return head + gap + onClock(to, !same) + to.Format(" MST")
	})
}

// both writes t in the venue's zone and in UTC, where the day is named if it is another.
func (c Clock) both(t time.Time, write func(t time.Time, day bool) string) string {
	if c.zone == nil || c.zone == time.UTC || c.zone.String() == "UTC" {
		return write(t.UTC(), true)
	}
	local := t.In(c.zone)
	return write(local, true) + " (" + write(t.UTC(), !sameDay(local, t.UTC())) + ")"
}

func sameDay(a, b time.Time) bool { return a.Format(time.DateOnly) == b.Format(time.DateOnly) }

func onClock(t time.Time, day bool) string {
	layout := "15:04"
	if t.Second() != 0 {
		layout = "15:04:05"
	}
	if day {
		layout = "Mon 2 Jan 2006 " + layout
	}
	return t.Format(layout)
}

// value is v as people read it, bounded.
func (c Clock) value(v any, depth int) string {
	switch v := v.(type) {
	case nil:
		return "nil"
	case string:
		return strconv.Quote(cut(v, 120))
	case time.Time:
		return c.Time(v)
	case time.Duration:
		return Length(v)
	case map[string]any:
		return c.object(v, depth)
	}
	if list, ok := listOf(v); ok {
		return c.list(list, depth)
	}
	if text, err := textOf(v); err == nil {
		return text
	}
	return typeName(v)
}

const maxShown = 6 // elements of a list or an object

func (c Clock) object(m map[string]any, depth int) string {
	var parts []string
	for _, name := range sortedKeys(m) {
		if len(parts) == maxShown || depth > 1 {
			parts = append(parts, "…")
			break
		}
		parts = append(parts, bareName(name)+": "+c.value(m[name], depth+1))
	}
	return "{" + strings.Join(parts, ", ") + "}"
}

func (c Clock) list(list []any, depth int) string {
	var parts []string
	for _, v := range list {
		if len(parts) == maxShown || depth > 1 {
			parts = append(parts, "…")
			break
		}
		parts = append(parts, c.value(v, depth+1))
	}
	return "[" + strings.Join(parts, ", ") + "]"
}

// Length is a length of time without its zeros: 1h30m, 15m, 2d1h.
func Length(d time.Duration) string {
	const day = 24 * time.Hour
	switch {
	case d < 0:
		return "-" + Length(-d)
	case d >= 2*day && d%day == 0:
		return strconv.Itoa(int(d/day)) + "d"
	case d >= 2*day:
		return strconv.Itoa(int(d/day)) + "d" + Length(d%day)
	}
	text := d.String()
	for _, zero := range []string{"m0s", "h0m"} {
		if strings.HasSuffix(text, zero) {
			text = text[:len(text)-2]
		}
	}
	return text
}

var simpleName = regexp.MustCompile(`^[\pL\pN_][\pL\pN_ .-]{0,59}$`)

// bareName is the name of a field or of a row; one that a sender made odd is quoted.
func bareName(name string) string {
	if simpleName.MatchString(name) {
		return name
	}
	return quotedName(name)
}

func quotedName(name string) string { return strconv.Quote(cut(name, 60)) }
