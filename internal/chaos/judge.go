package main

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"doorhook/internal/kisi/kisifake"
)

// The ways to be wrong.
const (
	lost    = "lost"    // wanted, and not there
	doubled = "doubled" // there, and wanted by nobody: a second one, an old one, one that was cancelled
	late    = "late"    // a door that opened after its time
)

// finding is one thing that is wrong.
type finding struct {
	kind    string
	booking *booking // nil if it is nobody's
	text    string
}

// state is what there is in Kisi.
type state struct {
	links     []kisifake.GroupLink
	schedules []kisifake.Schedule
	unlocks   []kisifake.Unlock
	gaveUp    func(job string) bool // doorhook was too late for an unlock of it, and says so
}

func (a *arena) state() state {
	return state{a.fake.GroupLinks(), a.fake.Schedules(), a.fake.Unlocks(), func(job string) bool {
		return slices.ContainsFunc(a.doors, func(p *process) bool { return p.gaveUp(job) })
	}}
}

// judge compares Kisi with the last version of every booking.
func (k *book) judge(s state) []finding {
	k.mu.Lock()
	defer k.mu.Unlock()
	there := map[string]int{}
	for _, l := range s.links {
		there[linkText(l)]++
	}
	for _, one := range s.schedules {
		there[scheduleText(one)]++
	}
	opened := map[int64][]time.Time{}
	for _, u := range s.unlocks {
		opened[u.Lock] = append(opened[u.Lock], u.At)
	}
	var found []finding
	for _, b := range k.bookings {
		for _, text := range b.last().objects() {
			if there[text] == 0 {
				found = append(found, finding{lost, b, text})
				continue
			}
			there[text]--
		}
		found = append(found, b.judgeUnlocks(opened[b.door()], s.gaveUp(b.job))...)
	}
	for _, text := range slices.Sorted(maps.Keys(there)) {
		for range there[text] {
			found = append(found, finding{doubled, k.owner(text), text})
		}
	}
	return found
}

// owner is the booking whose name is in text.
func (k *book) owner(text string) *booking {
	i := slices.IndexFunc(k.bookings, func(b *booking) bool { return strings.Contains(text, b.name()) })
	if i < 0 {
		return nil
	}
	return k.bookings[i]
}

// objects are the links and schedules that m wants, every field of them.
func (m *message) objects() []string {
	if m.cancelled {
		return nil
	}
	var all []string
	if m.email != "" {
		all = append(all, linkText(kisifake.GroupLink{
			GroupID: m.room.group, Name: m.of.name(), Email: m.email, LinkEnabled: true,
			ValidFrom: m.start.Add(-10 * time.Minute), ValidUntil: m.end,
		}))
	}
	schedule := kisifake.Schedule{
		Name: m.of.name(), Enabled: true, Consequence: "unlock", Type: "single_event",
		ScheduleableType: "Lock", ScheduleableID: m.room.lock, StartsAt: m.start, EndsAt: m.start.Add(15 * time.Minute),
	}
	if m.door {
		all = append(all, scheduleText(schedule))
	}
	if m.whole {
		schedule.Name, schedule.EndsAt = m.of.name()+", all", m.end
		for _, lock := range []int64{m.room.lock, frontDoor} {
			schedule.ScheduleableID = lock
			all = append(all, scheduleText(schedule))
		}
	}
	return all
}

func linkText(l kisifake.GroupLink) string {
	return fmt.Sprintf("link %q for %s, group %d, phone %q, enabled %t, code %q, %s to %s",
		l.Name, l.Email, l.GroupID, l.Phone, l.LinkEnabled, l.QuickResponseCodeType, stamp(l.ValidFrom), stamp(l.ValidUntil))
}

func scheduleText(s kisifake.Schedule) string {
	return fmt.Sprintf("schedule %q, %s %d, %s, enabled %t, override %t, %s, %s to %s",
		s.Name, s.ScheduleableType, s.ScheduleableID, s.Consequence, s.Enabled, s.Override, s.Type, stamp(s.StartsAt), stamp(s.EndsAt))
}

func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339) }

// goodFor is how long after its time an unlock may be sent; the rest is for its way.
const goodFor = time.Minute + 2*time.Second

// judgeUnlocks wants a door opened at least once, if there was time to and doorhook
// did not give it up, and never when no version asked for it. Opening it twice within
// its minute harms nobody.
func (b *booking) judgeUnlocks(opened []time.Time, gaveUp bool) []finding {
	var found []finding
	say := func(kind, format string, args ...any) {
		found = append(found, finding{kind, b, b.name() + ": " + fmt.Sprintf(format, args...)})
	}
	last := b.last()
	for _, t := range opened {
		due := func(m *message) bool { return !m.opens.IsZero() && !m.cancelled && !t.Before(m.opens) }
		inTime := func(m *message) bool { return due(m) && t.Before(m.opens.Add(goodFor)) }
		switch {
		case !slices.ContainsFunc(b.messages, due):
			say(doubled, "unlock at %s, before its time", clock(t))
		case !slices.ContainsFunc(b.messages, inTime):
			say(late, "unlock at %s", clock(t))
		case last.cancelled && !last.done.IsZero() && t.After(last.done):
			say(doubled, "unlock at %s, though it was answered at %s that the cancellation is done", clock(t), clock(last.done))
		}
	}
	if !gaveUp && b.unopened(opened) {
		say(lost, "unlock at %s", clock(last.opens))
	}
	return found
}

// unopened reports whether there was time for the unlock that b wants, and none came.
func (b *booking) unopened(opened []time.Time) bool {
	last := b.last()
	inTime := last.accepted.Before(last.opens.Add(goodFor / 2))
	return !last.cancelled && !last.opens.IsZero() && inTime && !slices.ContainsFunc(opened, func(t time.Time) bool { return !t.Before(last.opens) })
}
