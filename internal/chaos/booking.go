package main

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"
)

// booking is one booking and every message about it. Its number is what its traces
// in Kisi are known by.
type booking struct {
	n        int
	job      string     // as doorhook calls it
	messages []*message // by version
}

// message says what one version of a booking wants.
type message struct {
	of      *booking
	version int
	want

	// What became of it.
	tries    int
	accepted time.Time // when it was first answered 200
	answers  []string
	done     time.Time // when it was answered that all is done
}

// want is what a booking asks for.
type want struct {
	cancelled  bool
	room       room
	start, end time.Time
	email      string    // "" wants no link
	door       bool      // a schedule for the lock of the room
	whole      bool      // a schedule for every lock of the room's group
	opens      time.Time // when to unlock; zero is never
}

func (b *booking) name() string { return fmt.Sprintf("Booking %05d", b.n) }
func (b *booking) door() int64  { return firstDoor + int64(b.n) } // that it unlocks

// last is the message that counts: by version, whatever came last.
func (b *booking) last() *message { return b.messages[len(b.messages)-1] }

// body is the message as it is sent.
func (m *message) body() []byte {
	firstVersion := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	fields := map[string]any{
		"event_id": fmt.Sprintf("evt-%05d-%d", m.of.n, m.version), "booking_id": m.of.n, "name": m.of.name(),
		"status": "confirmed", "updated_at": firstVersion.Add(time.Duration(m.version) * time.Second).Format(time.RFC3339),
		"start": m.start.Format(time.RFC3339), "end": m.end.Format(time.RFC3339),
		"group": m.room.group, "whole": m.whole, "unlock": m.of.door(),
	}
	if m.cancelled {
		fields["status"] = "cancelled"
	}
	if m.email != "" {
		fields["email"] = m.email
	}
	if m.door {
		fields["lock"] = m.room.lock
	}
	if !m.opens.IsZero() {
		fields["opens"] = m.opens.Format(time.RFC3339Nano)
	}
	text, err := json.Marshal(fields)
	if err != nil {
		panic(err) // texts, numbers and booleans always have JSON
	}
	return text
}

// book has all bookings of a scenario. It invents them, and is safe for use by many
// goroutines.
type book struct {
	now func() time.Time

	mu       sync.Mutex
	rand     *rand.Rand
	bookings []*booking
}

// add is a new booking that asks for w.
func (k *book) add(w want) *message {
	k.mu.Lock()
	defer k.mu.Unlock()
	b := &booking{n: len(k.bookings)}
	k.bookings = append(k.bookings, b)
	return b.change(w)
}

// again is a further version of b.
func (k *book) again(b *booking) *message {
	k.mu.Lock()
	defer k.mu.Unlock()
	return b.change(k.changed(b.n, b.last().want))
}

func (b *booking) change(w want) *message {
	m := &message{of: b, version: len(b.messages), want: w}
	b.messages = append(b.messages, m)
	return m
}

// next invents what comes in about one booking, new or old: one to three versions
// of it, some of them twice.
func (k *book) next() []*message {
	k.mu.Lock()
	defer k.mu.Unlock()
	var b *booking
	var all []*message
	if old := len(k.bookings); old > 0 && k.rand.IntN(2) == 0 {
		b = k.bookings[k.rand.IntN(old)]
	} else {
		b = &booking{n: old}
		k.bookings = append(k.bookings, b)
		all = append(all, b.change(k.fresh(b.n)))
	}
	for len(all) == 0 || len(all) < 3 && k.rand.IntN(3) == 0 {
		all = append(all, b.change(k.changed(b.n, b.last().want)))
	}
	if k.rand.IntN(3) == 0 {
		all = append(all, all[k.rand.IntN(len(all))])
	}
	k.rand.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	return all
}

// fresh is what somebody wants who has never booked.
func (k *book) fresh(n int) want {
	w := want{email: fmt.Sprintf("guest%d@example.com", n), door: k.rand.IntN(5) > 0, whole: k.rand.IntN(4) == 0}
	k.move(&w)
	if k.rand.IntN(4) == 0 {
		k.open(&w)
	}
	return w
}

// move takes w to some room and quarter of an hour of the next month.
func (k *book) move(w *want) {
	w.room = rooms()[k.rand.IntN(len(rooms()))]
	w.start = k.now().UTC().Truncate(time.Hour).Add(24*time.Hour + time.Duration(k.rand.IntN(3000))*15*time.Minute)
	w.end = w.start.Add(time.Duration(1+k.rand.IntN(8)) * 15 * time.Minute)
}

// open has w unlock a door in the next seconds.
func (k *book) open(w *want) {
	w.opens = k.now().UTC().Add(time.Duration(1000+k.rand.IntN(5000)) * time.Millisecond)
}

// changed is what w may turn into.
func (k *book) changed(n int, w want) want {
	if w.cancelled {
		return k.fresh(n) // it is booked again
	}
	switch k.rand.IntN(8) {
	case 0, 1:
		w.cancelled = true
	case 2:
		w.email = fmt.Sprintf("guest%d.%d@example.com", n, k.rand.IntN(1000))
	case 3:
		w.door = !w.door
	case 4:
		w.whole = !w.whole
	case 5:
		k.open(&w)
	default:
		k.move(&w)
	}
	return w
}
