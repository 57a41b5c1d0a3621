package main

import (
	"fmt"
	"os"
	"path/filepath"

	"doorhook/internal/kisi/kisifake"
)

// Each booking has a door of its own to unlock: an unlock carries no name, so the
// door has to show whose it is.
const (
	frontDoor   = 10
	firstDoor   = 100_000 // of booking 0
	maxBookings = 20_000
)

// room is what a booking is for.
type room struct{ lock, group int64 }

// rooms are few, so that what is looked for in Kisi is one of many.
func rooms() []room { return []room{{lock: 1, group: 11}, {lock: 2, group: 12}} }

// site is what the pretend Kisi knows. Whoever is to be killed in the middle of work
// must get to work: it takes any number of requests.
func site(onCall func(kisifake.Call)) kisifake.Options {
	o := kisifake.Options{Rate: -1, EmailLinks: -1, OnCall: onCall, Locks: []kisifake.Lock{{ID: frontDoor, Name: "Front door"}}}
	for _, r := range rooms() {
		o.Locks = append(o.Locks, kisifake.Lock{ID: r.lock, Name: fmt.Sprint("Room ", r.lock)})
		o.Groups = append(o.Groups, kisifake.Group{ID: r.group, Name: fmt.Sprint("Group ", r.group), Locks: []int64{r.lock, frontDoor}})
	}
	for n := range int64(maxBookings) {
		o.Locks = append(o.Locks, kisifake.Lock{ID: firstDoor + n, Name: fmt.Sprint("Door ", n)})
	}
	return o
}

// token lets the senders in.
const token = "chaos-token"

// ruleFile asks for every kind of action, each under a condition of its own.
const ruleFile = `
trigger: chaos
from: json
timezone: UTC
auth: [{bearer: "${env.DOORHOOK_TOKEN}"}]

id:        payload.event_id
booking:   payload.booking_id
version:   payload.updated_at
cancelled: payload.status == "cancelled"

let:
  start: time(payload.start)
  end:   time(payload.end)

rules:
  - name: link
    when: payload.email != nil
    do:
      - group_link:
          group_id:    ${payload.group}
          name:        ${payload.name}
          email:       ${payload.email}
          valid_from:  ${start - minutes(10)}
          valid_until: ${end}
  - name: door
    when: payload.lock != nil
    do:
      - schedule: {lock_id: "${payload.lock}", name: "${payload.name}", starts_at: "${start}", ends_at: "${start + minutes(15)}"}
  - name: every door of the group
    when: payload.whole
    do:
      - schedule: {group_id: "${payload.group}", name: "${payload.name}, all", starts_at: "${start}", ends_at: "${end}"}
  - name: unlock
    when: payload.opens != nil
    at: time(payload.opens)
    do:
      - unlock: {lock_id: "${payload.unlock}"}
`

func writeRules(dir string) error {
	if err := os.Mkdir(dir, 0o700); err != nil {
		return err
	}
	for name, text := range map[string]string{"chaos.yaml": ruleFile, "kisi.yaml": eventRules} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			return err
		}
	}
	return nil
}
