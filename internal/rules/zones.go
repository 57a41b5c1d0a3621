package rules

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// loadZone is the zone of that name: IANA's, Microsoft's, or an offset such as UTC-05:00. An
// unknown one is refused with the name that may be meant.
func loadZone(name string) (*time.Location, error) {
	zone, err := zoneNamed(name)
	if err != nil {
		return nil, fmt.Errorf("%w%s", err, zoneMeant(name))
	}
	return zone, nil
}

// zoneNamed refuses what Go would take for UTC, for the zone of this machine, or for the files
// of another purpose that stand beside the zones.
func zoneNamed(name string) (*time.Location, error) {
	if zone := offsetZone(name); zone != nil {
		return zone, nil
	}
	if iana, ok := windowsZones[name]; ok {
		name = iana
	}
	switch {
	case len(name) > 60 || name == "":
	case strings.HasPrefix(name, "tzone:"):
		return nil, fmt.Errorf("%q is a zone of its sender's own, which nobody else can know: choose a named zone there", name)
	case slices.Contains([]string{"EST", "MST", "HST"}, name):
		return nil, fmt.Errorf("%q is not a time zone to go by: it stays the same in summer. Write for example America/New_York", name)
	case slices.Contains([]string{"Local", "Factory", "localtime", "posixrules"}, name),
		strings.HasPrefix(name, "right/"), strings.HasPrefix(name, "posix/"):
	default:
		if zone, err := zones.get(name); err == nil {
			return zone, nil
		}
	}
	return nil, fmt.Errorf("%q is not a time zone: write for example Europe/Berlin", cut(name, 60))
}

var fixedOffset = regexp.MustCompile(`^(?:UTC|GMT)?([+-])(\d{1,2})(?::?(\d\d))?$`)

const mostOffset = 14 * 3600 // seconds; no place is further from UTC

// offsetZone reads UTC, UTC-05, UTC+05:30, GMT-5 and +02:00. It is nil for other names.
func offsetZone(name string) *time.Location {
	if name == "UTC" || name == "GMT" {
		return time.UTC
	}
	m := fixedOffset.FindStringSubmatch(name)
	if m == nil {
		return nil
	}
	hours, _ := strconv.Atoi(m[2])
	minutes, _ := strconv.Atoi("0" + m[3])
	seconds := hours*3600 + minutes*60
	if minutes > 59 || seconds > mostOffset {
		return nil
	}
	if m[1] == "-" {
		seconds = -seconds
	}
	return time.FixedZone(name, seconds)
}

// zoneMeant is a hint for a misspelt zone, or "". A city alone is enough to find it.
func zoneMeant(name string) string {
	name = strings.ReplaceAll(cut(name, 60), " ", "_")
	known := zoneNames()
	city := func(zone string) bool {
		_, last, _ := strings.Cut(zone, "/")
		return strings.EqualFold(zone, name) || strings.EqualFold(last[strings.LastIndex(last, "/")+1:], name)
	}
	if i := slices.IndexFunc(known, city); i >= 0 && name != "" {
		return fmt.Sprintf(`; did you mean "%s"?`, known[i])
	}
	return didYouMean(name, known)
}

// zones keeps zones that were loaded, since loading one reads a file.
var zones = &zoneCache{known: map[string]*time.Location{}}

type zoneCache struct {
	sync.RWMutex
	known map[string]*time.Location
}

func (c *zoneCache) get(name string) (*time.Location, error) {
	c.RLock()
	zone, ok := c.known[name]
	c.RUnlock()
	if ok {
		return zone, nil
	}
	zone, err := time.LoadLocation(name)
	if err != nil {
		return nil, err
	}
	c.Lock()
	defer c.Unlock()
	if len(c.known) < 1000 {
		c.known[name] = zone
	}
	return zone, nil
}
