//go:build linux

package main

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"time"
)

// trigger is a rule file that is measured, and how to call it.
type trigger struct {
	name, rules string
	header      string // that carries the credential
	events      func(run string) events
}

// events makes the n-th event of a run, and what shows who sends it. No two runs share one.
type events func(n int) (body, credential []byte)

// What the bench shows as Kisi and as whoever sends bookings.
const (
	webhookKey = "bench-webhook-key"
	token      = "bench-token"
)

const kisiHead = `
trigger: %s
from: kisi
auth: [{hmac: "kisi:${env.KISI_WEBHOOK_KEY}"}]
rules:
`

// The rules that are measured: one looks at every event and asks for nothing, one hands
// every event on, one in an hour, and one is what a booking asks for.
var (
	accepting = trigger{name: "accept", header: "X-Signature", events: kisiEvents, rules: fmt.Sprintf(kisiHead, "accept") + `
  - name: tell of what failed
    when: payload.type == "lock.unlock" && payload.success == false
    do: [{send: {url: "${env.SINK_URL}", json: "${payload}"}}]
`}
	delivering = trigger{name: "deliver", header: "X-Signature", events: kisiEvents, rules: fmt.Sprintf(kisiHead, "deliver") + `
  - name: hand on
    when: payload.type == "lock.unlock" && payload.success
    do: [{send: {url: "${env.SINK_URL}", json: "${payload}"}}]
`}
	later = trigger{name: "later", header: "X-Signature", events: kisiEvents, rules: fmt.Sprintf(kisiHead, "later") + `
  - name: hand on in an hour
    when: payload.type == "lock.unlock" && payload.success
    at: now() + hours(1)
    do: [{send: {url: "${env.SINK_URL}", json: "${payload}"}}]
`}
	booking = trigger{name: "booking", header: "Authorization", events: bookings(10 * time.Hour), rules: `
trigger: booking
timezone: America/New_York
auth: [{bearer: "${env.DOORHOOK_TOKEN}"}]

id:        payload.event_id
booking:   payload.booking_id
version:   payload.updated_at
cancelled: payload.status in ["cancelled", "canceled", "deleted"]

tables:
  studios:
    Studio A: {lock: 22281, group: 32693}
    Studio B: {lock: 22282, group: 32694}

let:
  studio: studios[payload.space]
  start: time(payload.start)
  end: time(payload.end)

limits:
  max_window: 25h

rules:
  - name: open for who comes
    when: studio != nil
    at: start - hours(1)
    do:
      - group_link:
          group_id: ${studio.group}
          name: Booking ${payload.booking_id}
          email: ${payload.email}
          valid_from: ${start - minutes(10)}
          valid_until: ${end}
      - schedule: {lock_id: "${studio.lock}", starts_at: "${start}", ends_at: "${end}", consequence: first_to_arrive}
`}
)

// kisiEvents are events of Kisi's, as its webhook sends them. They have just happened:
// doorhook does nothing about what is older than it remembers.
func kisiEvents(run string) events {
	return func(n int) ([]byte, []byte) {
		body := fmt.Appendf(nil, `{"uuid":"%s-%d","actor_type":null,"actor_id":null,"actor_name":null,"object_type":"Lock","object_id":22290,"object_name":"Front door","organization_id":3,"place_id":5,"success":true,"type":"lock.unlock","error_code":null,"error_message":null,"created_at":"%s"}`,
			run, n, time.Now().UTC().Format(time.RFC3339))
		mac := hmac.New(sha256.New, []byte(webhookKey))
		mac.Write(body)
		return body, []byte("sha256=" + hex.EncodeToString(mac.Sum(nil)))
	}
}

// bookings are of a studio, for two hours a while from now.
func bookings(ahead time.Duration) func(run string) events {
	return func(run string) events {
		now := time.Now().UTC()
		start, end := now.Add(ahead), now.Add(ahead+2*time.Hour)
		return func(n int) ([]byte, []byte) {
			return fmt.Appendf(nil, `{"event_id":"%s-%d","booking_id":"b-%s-%d","status":"confirmed","space":"Studio A","email":"guest%d@example.com","start":"%s","end":"%s","updated_at":"%s"}`,
				run, n, run, n, n, start.Format(time.RFC3339), end.Format(time.RFC3339), now.Format(time.RFC3339)), []byte("Bearer " + token)
		}
	}
}
