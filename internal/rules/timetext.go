package rules

import (
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// timeWords are a time as a text says it.
type timeWords struct {
	year    int
	month   time.Month
	day     int
	weekday string // "" if the text names none
	timed   bool   // the text has a clock; a date alone has none
	clock   time.Duration
	zone    *time.Location // nil if the text carries none
}

// longestTime is far above what a time takes in bytes, also in the words of a browser.
const longestTime = 100

var (
	errUnknown = errors.New("is not a time doorhook knows: write for example 2026-09-28T08:00:00")
	errDigits  = errors.New("is not a time that is safe to read: it does not say which number is the day and which the month. " +
		"Have it sent as 2026-09-28, or with the month's name")
	errTwoTimes     = errors.New("is not a time that is safe to read: it may be a window from one time to another, or an offset. Have the two sent apart, or write T before the time")
	errAbbreviation = errors.New("is not a time that is safe to read: such letters for a zone have several meanings. Have it sent with an offset such as -05:00")
)

var (
	icalTime  = regexp.MustCompile(`^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)(Z?)$`)
	isoTime   = regexp.MustCompile(`^(\d{4}-\d\d-\d\d)[Tt](\d)`)
	twoTimes  = regexp.MustCompile(`(?i)(?:^| )\d{1,2}(?::\d\d-|(?::\d\d)? ?[ap]\.?m\.?-)\d{1,2}(?::\d\d)?(?:[ ,]|$)`)
	fraction  = regexp.MustCompile(`(:\d\d),(\d)`)
	halfOfDay = regexp.MustCompile(`(?i)(\d) ?([ap])\.?m\b\.?`)

	isoDate   = regexp.MustCompile(`^(\d{4})-(\d\d)-(\d\d)$`)
	dashDate  = regexp.MustCompile(`^(\d{1,2})-([A-Za-z]+)-(\d\d|\d{4})$`)
	digitDate = regexp.MustCompile(`^\d{1,4}[./-]\d{1,2}[./-]\d{1,4}$`)
	clockWord = regexp.MustCompile(`^(\d{1,2})(?::(\d\d)(?::(\d\d)(?:\.(\d{1,9}))?)?)?(am|pm)?([Zz]|[+-][\d:]+)?$`)
	dayWord   = regexp.MustCompile(`^(\d{1,2})(?:st|nd|rd|th)?\.?$`)
	yearWord  = regexp.MustCompile(`^\d{4}$`)
	zoneWord  = regexp.MustCompile(`^[A-Z]{2,5}$`)
)

// readText takes a text apart into words, whose order then means nothing: the month has a
// name, or the date is year, month, day. Between day and month in digits it never guesses.
func readText(s string) (timeWords, error) {
	var w timeWords
	s = strings.Join(strings.Fields(s), " ")
	s = icalTime.ReplaceAllString(s, "$1-$2-$3 $4:$5:$6$7")
	if twoTimes.MatchString(s) {
		return w, errTwoTimes
	}
	s = isoTime.ReplaceAllString(s, "$1 $2")
	s = fraction.ReplaceAllString(s, "$1.$2")
	s, _, more := strings.Cut(s, " (") // browsers repeat the zone in words
	s = halfOfDay.ReplaceAllStringFunc(s, func(m string) string {
		return m[:1] + strings.ToLower(strings.NewReplacer(" ", "", ".", "").Replace(m[1:]))
	})
	for word := range strings.FieldsSeq(strings.ReplaceAll(s, ",", " ")) {
		if err := w.word(word); err != nil {
			return w, err
		}
	}
	if more && w.zone == nil { // others say it there alone
		return w, errUnknown
	}
	return w, w.check()
}

// word reads one word of a time.
func (w *timeWords) word(s string) error {
	if m := isoDate.FindStringSubmatch(s); m != nil {
		return w.date(m[1], time.Month(whole(m[2])), m[3])
	}
	if m := dashDate.FindStringSubmatch(s); m != nil {
		return w.date(fullYear(m[3]), monthNamed(m[2]), m[1])
	}
	switch clock := clockWord.FindStringSubmatch(s); {
	case digitDate.MatchString(s):
		return errDigits
	case clock != nil && (clock[2] != "" || clock[5] != ""):
		return w.time(clock)
	case yearWord.MatchString(s) && w.year == 0:
		w.year = whole(s)
	case dayWord.MatchString(s) && w.day == 0:
		w.day = whole(dayWord.FindStringSubmatch(s)[1])
	case monthNamed(s) != 0 && w.month == 0:
		w.month = monthNamed(s)
	case weekdayNamed(s) != "" && w.weekday == "":
		w.weekday = weekdayNamed(s)
	case s == "at":
	default:
		return w.zoned(s)
	}
	return nil
}

func (w *timeWords) date(year string, month time.Month, day string) error {
	if w.year != 0 || w.month != 0 || w.day != 0 || month == 0 {
		return errUnknown
	}
	w.year, w.month, w.day = whole(year), month, whole(day)
	return nil
}

// time takes hours, minutes, seconds, their fraction, am or pm, and a zone.
func (w *timeWords) time(m []string) error {
	hour, minute, second := whole(m[1]), whole(m[2]), whole(m[3])
	if m[5] != "" {
		if hour < 1 || hour > 12 {
			return errUnknown
		}
		if hour %= 12; m[5] == "pm" {
			hour += 12
		}
	}
	if w.timed || hour > 23 || minute > 59 || second > 59 {
		return errUnknown
	}
	nanoseconds := whole((m[4] + "000000000")[:9])
	w.timed = true
	w.clock = time.Duration(hour)*time.Hour + time.Duration(minute)*time.Minute + time.Duration(second)*time.Second + time.Duration(nanoseconds)
	if m[6] != "" {
		return w.zoned(m[6])
	}
	return nil
}

// zoned reads a zone, which stands behind the clock. Letters behind an offset only repeat it.
func (w *timeWords) zoned(s string) error {
	zone := offsetZone(s)
	if s == "Z" || s == "z" {
		zone = time.UTC
	}
	switch {
	case !w.timed:
		return errUnknown
	case w.zone == nil && zone != nil:
		w.zone = zone
	case w.zone == nil && zoneWord.MatchString(s):
		return errAbbreviation
	case !zoneWord.MatchString(s):
		return errUnknown
	}
	return nil
}

// check refuses days that no calendar has, and a weekday that is not that day's.
func (w *timeWords) check() error {
	day := w.wall()
	if w.year == 0 || day.Year() != w.year || day.Month() != w.month || day.Day() != w.day {
		return errUnknown
	}
	if is := day.Weekday().String(); w.weekday != "" && w.weekday != is {
		return fmt.Errorf("is not a time: that day is a %s", is)
	}
	return nil
}

// wall is what the clock on the wall shows, as if it hung in UTC.
func (w *timeWords) wall() time.Time {
	return time.Date(w.year, w.month, w.day, 0, 0, 0, 0, time.UTC).Add(w.clock)
}

func whole(digits string) int {
	n, _ := strconv.Atoi(digits)
	return n
}

// fullYear is the year that two digits stand for: mails of the old kind write such years.
func fullYear(year string) string {
	if len(year) == 4 {
		return year
	}
	return "20" + year
}

// monthNamed is 0 for what is not the name of a month, or its first letters.
func monthNamed(s string) time.Month {
	for m := time.January; m <= time.December; m++ {
		if begins(m.String(), s) {
			return m
		}
	}
	return 0
}

func weekdayNamed(s string) string {
	for d := time.Sunday; d <= time.Saturday; d++ {
		if begins(d.String(), s) {
			return d.String()
		}
	}
	return ""
}

// begins reports whether s is name, or short for it: three letters or more, with or without a point.
func begins(name, s string) bool {
	s = strings.TrimSuffix(s, ".")
	return len(s) >= 3 && len(s) <= len(name) && strings.EqualFold(name[:len(s)], s)
}
