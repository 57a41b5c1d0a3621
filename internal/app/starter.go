package app

import (
	"cmp"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode"
)

// SchemaFile is the name of the schema that a starter file points to, beside it. The
// loader of rules leaves files alone whose name begins with a dot.
const SchemaFile = ".doorhook.schema.json"

// Starter is a rule file for a site: a table of its doors, each with the group that
// is for it alone, and the usual rules. Doors for which that cannot be told are
// comments in it. paired counts the others.
func Starter(site Site, trigger string) (text string, paired int) {
	var table strings.Builder
	pairs := pair(site)
	for _, p := range pairs {
		if p.why == "" {
			paired++
			fmt.Fprintf(&table, "    %s: {lock: %d, group: %d}%s\n", yamlText(p.door.Name), p.door.ID, p.group.ID, p.also)
		}
	}
	for _, p := range pairs {
		if p.why != "" {
			fmt.Fprintf(&table, "    # %s: {lock: %d}   # %s\n", yamlText(p.door.Name), p.door.ID, p.why)
		}
	}
	for _, g := range site.Groups {
		if !slices.ContainsFunc(pairs, func(p pairing) bool { return p.why == "" && p.group.ID == g.ID }) {
			fmt.Fprintf(&table, "    # group %d, %s, opens %s\n", g.ID, short(g.Name), site.doorsOf(g))
		}
	}
	open := ""
	if paired == 0 {
		open = " {}   # write your doors below, one a line, and take the {} away"
	}
	return fmt.Sprintf(starter, SchemaFile, site.says(), yamlText(trigger), site.zone(), open, table.String()), paired
}

// pairing is a door with its group, or why none is its own.
type pairing struct {
	door  SiteDoor
	group SiteGroup
	why   string
	also  string // what else the group opens
}

// pair finds for each door the smallest group that has it. A group that several doors
// would share is no door's own: a link to it would open the others, too.
func pair(site Site) []pairing {
	var all []pairing
	for _, d := range site.Doors {
		p := pairing{door: d}
		p.group, p.why = site.smallest(d)
		if same := site.called(d.Name); same > 1 {
			p.why = fmt.Sprintf("%d doors are called like this: give them names of their own", same)
		}
		if plain := strings.TrimSpace(d.Name); plain == "" {
			p.why = "it has no name in Kisi"
		} else if len([]rune(plain)) > 200 {
			p.why = "its name in Kisi is too long"
		}
		all = append(all, p)
	}
	takers := map[int64]int{}
	for _, p := range all {
		if p.why == "" {
			takers[p.group.ID]++
		}
	}
	for i, p := range all {
		switch {
		case p.why != "":
		case takers[p.group.ID] > 1:
			all[i].why = fmt.Sprintf("group %d, %s, is the smallest that has it, and the smallest of other doors, too: make it a group of its own", p.group.ID, short(p.group.Name))
		case len(p.group.Doors) > 1:
			all[i].also = fmt.Sprintf("   # the group, %s, opens %s", short(p.group.Name), site.doorsOf(p.group))
		}
	}
	return all
}

// smallest is the group with the fewest doors that has d, if there is one such.
func (s Site) smallest(d SiteDoor) (best SiteGroup, why string) {
	var having []SiteGroup
	for _, g := range s.Groups {
		if slices.Contains(g.Doors, d.ID) {
			having = append(having, g)
		}
	}
	slices.SortStableFunc(having, func(a, b SiteGroup) int { return cmp.Compare(len(a.Doors), len(b.Doors)) })
	switch {
	case len(having) == 0:
		return best, "no group has it, so no link can open it"
	case len(having) > 1 && len(having[0].Doors) == len(having[1].Doors):
		return best, fmt.Sprintf("which group is for it? %d, %s, or %d, %s", having[0].ID, short(having[0].Name), having[1].ID, short(having[1].Name))
	}
	return having[0], ""
}

// called counts the doors with that name, whatever its case and spaces.
func (s Site) called(name string) int {
	plain := func(name string) string { return strings.ToLower(strings.Join(strings.Fields(name), " ")) }
	n := 0
	for _, d := range s.Doors {
		if plain(d.Name) == plain(name) {
			n++
		}
	}
	return n
}

func (s Site) doorsOf(g SiteGroup) string {
	var names []string
	for _, d := range s.Doors {
		if slices.Contains(g.Doors, d.ID) {
			names = append(names, short(d.Name))
		}
	}
	switch {
	case len(names) == 0:
		return "no door that this key sees"
	case len(names) > 5:
		return fmt.Sprintf("%d doors: %s …", len(names), strings.Join(names[:5], ", "))
	}
	return strings.Join(names, ", ")
}

// says names the places.
func (s Site) says() string {
	var names []string
	for _, p := range s.Places {
		names = append(names, short(p.Name))
	}
	if len(names) == 0 {
		return "your site"
	}
	if len(names) > 5 {
		return fmt.Sprintf("%d places: %s …", len(names), strings.Join(names[:5], ", "))
	}
	return strings.Join(names, ", ")
}

// zone is the line for the time zone of the places, a comment if they have none or several.
func (s Site) zone() string {
	zones := map[string]bool{}
	for _, p := range s.Places {
		if p.TimeZone != "" {
			zones[p.TimeZone] = true
		}
	}
	for name := range zones {
		if _, err := time.LoadLocation(name); len(zones) == 1 && err == nil && zoneName.MatchString(name) {
			return "timezone: " + name + "   # of the venue, as Kisi has it: bookings often carry no zone"
		}
	}
	return "# timezone: Europe/Berlin   # of the venue: set it, unless your bookings carry a zone"
}

var zoneName = regexp.MustCompile(`^[A-Z][A-Za-z]+(/[A-Za-z0-9_+-]+)+$`)

// short is a name for a comment.
func short(name string) string {
	rs := []rune(strings.TrimSpace(oneLine(name)))
	if len(rs) > 40 {
		return string(rs[:40]) + "…"
	}
	return string(rs)
}

var plainYAML = regexp.MustCompile(`^\p{L}[\p{L}\p{N} _-]*[\p{L}\p{N}]$`)

// yamlText is text as YAML reads it back, in quotes where it would read something else.
func yamlText(text string) string {
	if plainYAML.MatchString(text) && !slices.Contains(strings.Fields("true false null yes no on off"), strings.ToLower(text)) {
		return text
	}
	var b strings.Builder
	b.WriteByte('"')
	for _, r := range text {
		switch {
		case r == '"' || r == '\\':
			b.WriteByte('\\')
			b.WriteRune(r)
		case unicode.IsPrint(r):
			b.WriteRune(r)
		default:
			fmt.Fprintf(&b, `\U%08x`, r)
		}
	}
	b.WriteByte('"')
	return b.String()
}

const starter = `# yaml-language-server: $schema=%s
# Doors of %s, as Kisi has them. An editor that knows YAML explains each key.
#
# Check it after editing: doorhook check --online

trigger: %s
from: json                            # reads JSON, forms and query strings alike
%s

auth:                                 # any one of these lets a caller in
  - bearer: ${env.DOORHOOK_TOKEN}
  - basic: zapier:${env.DOORHOOK_TOKEN}
  - header: {X-Doorhook-Token: "${env.DOORHOOK_TOKEN}"}

id:        payload.event_id           # the same event is accepted once, however often it is sent
booking:   payload.booking_id         # what has the same booking id changes the same doors
version:   payload.updated_at         # an older message never undoes a newer one
cancelled: payload.status in ["cancelled", "canceled", "deleted"]

tables:
  # The name of a space, as your bookings say it: its lock and its group in Kisi.
  # The names here are those of the doors in Kisi. A link opens all doors of its group.
  spaces:%s
%s
limits:                               # whatever a rule says: more than this opens nothing, and says so
  max_window: 25h                     # a day, and the hour more that one day in autumn has
  grants_per_minute: 60
  # never: [LOCK]                     # doors that must not open, by no rule and no group

let:
  space: spaces[payload.space]        # nil for a space without a door
  start: time(payload.start)
  end: time(payload.end)

respond:                              # extra fields of the answer, for later steps of a Zap
  lock_id: ${space?.lock}

rules:
  - name: access link                 # Kisi mails it to the holder; it works from ten minutes before
    when: space?.group != nil && payload.email != nil
    do:
      - group_link:
          group_id:    ${space.group}
          name:        Booking ${payload.booking_id}
          email:       ${payload.email}
          valid_from:  ${start - minutes(10)}
          valid_until: ${end}

  - name: open the door for the first quarter of an hour
    when: space?.lock != nil
    do:
      - schedule:
          lock_id:   ${space.lock}
          name:      Booking ${payload.booking_id}
          starts_at: ${start}
          ends_at:   ${min(start + minutes(15), end)}
`
