package main

import (
	"errors"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	_ "doorhook/internal/cli" // go test has to see that the program changed, or it repeats an old result
	"doorhook/internal/kisi/kisifake"
)

// TestShort is a short make chaos.
func TestShort(t *testing.T) {
	var out strings.Builder
	err := run(t.Context(), options{rounds: 8, short: true, seed: rand.Uint64(), budget: longestSettle + time.Minute}, &out)
	switch {
	case errors.Is(err, errNoRedis) && os.Getenv("CI") == "true":
		t.Fatal(err)
	case errors.Is(err, errNoRedis):
		t.Skip(err)
	case err != nil:
		t.Error(err)
	}
	t.Log("\n" + out.String())
	if !strings.Contains(out.String(), "\nrounds 9 kills ") {
		t.Error("it did not play eight rounds of bookings, and one of events")
	}
}

// TestJudge: two bookings, of which the first wants everything and the second was
// cancelled, and what there may be in Kisi.
func TestJudge(t *testing.T) {
	at := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	all := want{
		room: rooms()[0], start: at.Add(24 * time.Hour), end: at.Add(25 * time.Hour),
		email: "jo@example.com", door: true, whole: true, opens: at,
	}
	older := all
	older.start = all.start.Add(-time.Hour)
	link := kisifake.GroupLink{
		GroupID: 11, Name: "Booking 00000", Email: "jo@example.com", LinkEnabled: true,
		ValidFrom: all.start.Add(-10 * time.Minute), ValidUntil: all.end,
	}
	schedule := func(name string, lock int64, end time.Time) kisifake.Schedule {
		return kisifake.Schedule{
			Name: name, Enabled: true, Consequence: "unlock", Type: "single_event",
			ScheduleableType: "Lock", ScheduleableID: lock, StartsAt: all.start, EndsAt: end,
		}
	}
	opened := func(booking int64, t time.Time) kisifake.Unlock {
		return kisifake.Unlock{Lock: firstDoor + booking, At: t}
	}
	tests := []struct {
		name   string
		change func(k *book, s *state)
		want   []string // kind and the beginning of the text
	}{
		{"as wanted", func(*book, *state) {}, nil},
		{"no link", func(_ *book, s *state) { s.links = nil }, []string{`lost link "Booking 00000"`}},
		{"two links", func(_ *book, s *state) { s.links = append(s.links, link) }, []string{`doubled link "Booking 00000"`}},
		{"the link of another mail address", func(_ *book, s *state) { s.links[0].Email = "al@example.com" }, []string{`lost link "Booking 00000" for jo`, `doubled link "Booking 00000" for al`}},
		{"a schedule as of an older version", func(_ *book, s *state) { s.schedules[0].StartsAt = older.start }, []string{"lost schedule", "doubled schedule"}},
		{"one lock of the group is left out", func(_ *book, s *state) { s.schedules = s.schedules[:2] }, []string{`lost schedule "Booking 00000, all", Lock 10`}},
		{"a schedule that is switched off", func(_ *book, s *state) { s.schedules[0].Enabled = false }, []string{"lost schedule", "doubled schedule"}},
		{"a link for one that was cancelled", func(_ *book, s *state) { s.links = append(s.links, kisifake.GroupLink{Name: "Booking 00001"}) }, []string{`doubled link "Booking 00001"`}},
		{"a link for nobody", func(_ *book, s *state) { s.links = append(s.links, kisifake.GroupLink{Name: "?"}) }, []string{`doubled link "?"`}},
		{"opened twice within the minute", func(_ *book, s *state) { s.unlocks = append(s.unlocks, opened(0, at.Add(time.Minute))) }, nil},
		{"not opened", func(_ *book, s *state) { s.unlocks = nil }, []string{"lost Booking 00000: unlock"}},
		{"not opened, and given up", func(_ *book, s *state) { s.unlocks, s.gaveUp = nil, func(job string) bool { return job == "job" } }, nil},
		{"not opened, since it was accepted too late", func(k *book, s *state) { s.unlocks, k.bookings[0].last().accepted = nil, at.Add(time.Minute) }, nil},
		{"opened late", func(_ *book, s *state) { s.unlocks = append(s.unlocks, opened(0, at.Add(63*time.Second))) }, []string{"late Booking 00000: unlock"}},
		{"opened early", func(_ *book, s *state) { s.unlocks = append(s.unlocks, opened(0, at.Add(-time.Second))) }, []string{"doubled Booking 00000: unlock"}},
		{"opened before it was cancelled", func(_ *book, s *state) { s.unlocks = append(s.unlocks, opened(1, at.Add(time.Second))) }, nil},
		{"opened after it was cancelled", func(_ *book, s *state) { s.unlocks = append(s.unlocks, opened(1, at.Add(3*time.Second))) }, []string{"doubled Booking 00001: unlock"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			k := &book{}
			k.add(older)
			k.bookings[0].change(all).accepted = at
			k.bookings[0].job = "job"
			k.add(all)
			cancelled := all
			cancelled.cancelled = true
			k.bookings[1].change(cancelled).done = at.Add(2 * time.Second)
			s := state{[]kisifake.GroupLink{link}, []kisifake.Schedule{
				schedule("Booking 00000", 1, all.start.Add(15*time.Minute)),
				schedule("Booking 00000, all", 1, all.end), schedule("Booking 00000, all", frontDoor, all.end),
			}, []kisifake.Unlock{opened(0, at.Add(time.Second))}, func(string) bool { return false }}
			tt.change(k, &s)
			var got []string
			for _, f := range k.judge(s) {
				got = append(got, f.kind+" "+f.text)
			}
			if !slices.EqualFunc(got, tt.want, strings.HasPrefix) {
				t.Errorf("got:\n%s\nwant:\n%s", strings.Join(got, "\n"), strings.Join(tt.want, "\n"))
			}
		})
	}
}
