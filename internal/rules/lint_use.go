package rules

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"doorhook/internal/relay"
)

// Use is a place in the rules that names a lock or a group of Kisi.
type Use struct {
	ID      int64
	Lock    bool       // else a group
	For     relay.Kind // of the action that takes it; "" of one that is never opened
	Guarded bool       // it is a group whose locks have to keep to limits

	cell *cell
}

// Uses are the locks and groups that the rules name: in actions, in tables that
// actions take them from, and in limits. What only an event tells is not among them.
func (s *Set) Uses() []Use {
	var all []Use
	seen := map[Use]bool{}
	for _, u := range slices.Concat(s.lint().uses, s.never) {
		if !seen[u] {
			seen[u] = true
			all = append(all, u)
		}
	}
	slices.SortStableFunc(all, func(a, b Use) int { return before(a.cell.place, b.cell.place) })
	return all
}

// Errorf is a mistake at that place.
func (u Use) Errorf(format string, args ...any) *Error { return u.cell.place.errorf(format, args...) }

// Kind is what it names: a lock or a group.
func (u Use) Kind() string {
	if u.Lock {
		return "lock"
	}
	return "group"
}

// String is what it names, like "lock 22281".
func (u Use) String() string { return fmt.Sprintf("%s %d", u.Kind(), u.ID) }

// Missing is the mistake that Kisi does not have what u names, but only those in
// has, which are names by id.
func (u Use) Missing(has map[int64]string) *Error {
	if len(has) == 0 {
		return u.Errorf("Kisi has no %s: this key sees no %ss at all", u, u.Kind())
	}
	var list, ids []string
	for _, id := range sortedKeys(has) {
		ids = append(ids, strconv.FormatInt(id, 10))
		list = append(list, ids[len(ids)-1]+" "+tidy(has[id]))
	}
	meant := slices.Index(ids, nearest(strconv.FormatInt(u.ID, 10), ids))
	for i, id := range sortedKeys(has) {
		if u.cell.entry != "" && plainName(has[id]) == plainName(u.cell.entry) {
			meant = i
		}
	}
	hint := ""
	if meant >= 0 {
		hint = fmt.Sprintf(" (did you mean %s?)", list[meant])
	}
	if len(list) > maxListed {
		list = append(list[:maxListed:maxListed], "…")
	}
	return u.Errorf("Kisi has no %s; it has: %s%s", u, strings.Join(list, ", "), hint)
}

const maxListed = 8

// tidy is a name that was chosen elsewhere, on one line and without what a terminal obeys.
func tidy(name string) string {
	return cut(strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return ' '
	}, name), 60)
}
