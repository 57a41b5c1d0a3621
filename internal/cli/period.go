package cli

import (
	"errors"
	"strconv"
	"strings"
	"time"
)

// period is a duration that may be told in days: 7d, 12h, 1d12h. The zero period was
// not told.
type period time.Duration

func (p period) duration() time.Duration { return time.Duration(p) }

// UnmarshalText reads a period.
func (p *period) UnmarshalText(text []byte) error {
	rest := string(text)
	var d time.Duration
	if days, after, ok := strings.Cut(rest, "d"); ok {
		n, err := strconv.Atoi(days)
		if err != nil || n < 0 || n > 36500 {
			return errPeriod
		}
		d, rest = time.Duration(n)*24*time.Hour, after
	}
	if rest != "" {
		more, err := time.ParseDuration(rest)
		if err != nil || more < 0 {
			return errPeriod
		}
		d += more
	}
	if d <= 0 {
		return errPeriod
	}
	*p = period(d)
	return nil
}

var errPeriod = errors.New("it takes a time such as 7d, 12h or 1d12h")

// interval is a period, or 0 or off for never.
type interval time.Duration

// UnmarshalText reads an interval.
func (i *interval) UnmarshalText(text []byte) error {
	*i = 0
	if s := string(text); s == "0" || s == "off" {
		return nil
	}
	if (*period)(i).UnmarshalText(text) != nil {
		return errInterval
	}
	return nil
}

var errInterval = errors.New("it takes a time such as 1h or 30m, or off")
