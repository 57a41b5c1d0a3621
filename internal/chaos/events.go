package main

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

const (
	eventCount  = 20_000 // messages of a round, two of each event
	connections = 64
	// inHandAtOnce is how many messages doorhook has under way at a time, or more.
	inHandAtOnce = 150
	webhookKey   = "chaos-webhook-key"
)

// eventRules hand Kisi's events on to the receiver, if there is one.
const eventRules = `
trigger: kisi
from: kisi
auth: [{hmac: "kisi:${env.KISI_WEBHOOK_KEY}"}]
rules:
  - name: forward
    needs: EVENTS_URL
    do:
      - send: {url: "${env.EVENTS_URL}", json: "${payload}"}
`

// forwarded sends doorhook Kisi's events, each twice and in no order, over many
// connections, and kills it in the middle. Then it sends all of them again, as a sender
// does that does not know what arrived. Each has to be handed on once.
func forwarded(ctx context.Context, a *arena) error {
	for a.more(ctx) {
		n := eventCount
		if a.short {
			n /= 10
		}
		events := a.events(n / 2)
		sent := slices.Concat(events, events)
		a.rand.Shuffle(len(sent), func(i, j int) { sent[i], sent[j] = sent[j], sent[i] })
		if err := a.throughKill(ctx, events, sent); err != nil {
			return err
		}
	}
	return nil
}

// event is one of Kisi's.
type event struct {
	uuid string
	body []byte
	mac  string
}

func (a *arena) events(n int) []event {
	all := make([]event, n)
	for i := range all {
		uuid := fmt.Sprintf("%08x-%04x-4000-8000-%012x", a.rand.Uint32(), a.rounds, i)
		body, _ := json.Marshal(map[string]any{ // texts and numbers always have JSON
			"uuid": uuid, "type": "lock.unlock", "success": true, "created_at": a.now().UTC().Format(time.RFC3339),
			"object_type": "Lock", "object_id": frontDoor, "object_name": "Front door", "actor_type": nil, "place_id": 5,
		})
		mac := hmac.New(sha256.New, []byte(webhookKey))
		mac.Write(body)
		all[i] = event{uuid, body, "sha256=" + hex.EncodeToString(mac.Sum(nil))}
	}
	return all
}

// throughKill sends all, kills doorhook when a quarter of the events were handed on, and
// sends all again when it is back.
func (a *arena) throughKill(ctx context.Context, events, sent []event) error {
	door := a.doors[0]
	started := a.now()
	before := a.sink.count()
	killed := make(chan error, 1)
	go func() {
		err := await(ctx, settleTime, "a quarter of the events", func() bool { return a.sink.count()-before > len(events)/4 })
		a.kill(door)
		door.start(ctx)
		killed <- err
	}()
	lost := a.pass(ctx, sent, false)
	if err := <-killed; err != nil {
		return err
	}
	if err := door.serving(ctx); err != nil {
		return err
	}
	a.pass(ctx, sent, true)
	err := await(ctx, settleTime, "the last event", func() bool { return a.sink.count()-before >= len(events) })
	took := a.now().Sub(started)
	pause(ctx, lease+leaseSlack) // what was in hand when it was killed comes up again
	again := a.judgeEvents(events)
	a.remark("%d messages about %d events, all sent twice, in %.1f s; %d got no answer the first time; %d events were handed on again, with the same webhook-id",
		2*len(sent), len(events), took.Seconds(), lost, again)
	return err
}

// pass sends all once, or, if it insists, until each is answered 200. It gives the number
// of those that were not.
func (a *arena) pass(ctx context.Context, all []event, insist bool) int {
	var next, lost atomic.Int64
	var wg sync.WaitGroup
	for range connections {
		wg.Go(func() {
			for i := next.Add(1) - 1; int(i) < len(all) && ctx.Err() == nil; i = next.Add(1) - 1 {
				ok := a.deliver(ctx, all[i])
				for !ok && insist && pause(ctx, 50*time.Millisecond) {
					ok = a.deliver(ctx, all[i])
				}
				if !ok {
					lost.Add(1)
				}
			}
		})
	}
	wg.Wait()
	return int(lost.Load())
}

// deliver sends e as Kisi does, and reports whether it was answered 200.
func (a *arena) deliver(ctx context.Context, e event) bool {
	url, _ := a.doors[0].at()
	if url == "" {
		return false
	}
	ctx, cancel := context.WithTimeout(ctx, 12*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url+"/hooks/kisi", bytes.NewReader(e.body))
	if err != nil {
		return false
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("X-Signature", e.mac)
	resp, err := a.client.Do(req)
	if err != nil {
		return false
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if resp.StatusCode != http.StatusOK && resp.StatusCode != http.StatusServiceUnavailable {
		a.complain("an event was answered %d %s", resp.StatusCode, text)
	}
	return err == nil && resp.StatusCode == http.StatusOK
}

// judgeEvents finds events that were not handed on, or more than once. Handed on again is
// what was on its way when doorhook was killed: then the receiver's answer reached nobody.
func (a *arena) judgeEvents(events []event) (again int) {
	a.sink.mu.Lock()
	defer a.sink.mu.Unlock()
	for _, e := range events {
		got := a.sink.got[e.uuid]
		switch {
		case len(got) == 0:
			a.eventFindings = append(a.eventFindings, finding{lost, nil, "event " + e.uuid})
		case len(got) > 1:
			again++
			if slices.ContainsFunc(got, func(id string) bool { return id != got[0] || id == "" }) {
				a.eventFindings = append(a.eventFindings, finding{doubled, nil, "event " + e.uuid + " was handed on under several ids"})
			}
		}
	}
	if again > inHandAtOnce {
		a.eventFindings = append(a.eventFindings, finding{doubled, nil, fmt.Sprintf("%d events were handed on again, and no more than %d were on their way when doorhook was killed", again, inHandAtOnce)})
	}
	return again
}

// sink receives what is handed on.
type sink struct {
	url string
	web *http.Server

	mu  sync.Mutex
	got map[string][]string // the ids of the messages about each event
}

func newSink() (*sink, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // it serves until close
	if err != nil {
		return nil, err
	}
	s := &sink{url: "http://" + l.Addr().String() + "/", got: map[string][]string{}}
	s.web = &http.Server{Handler: s, ReadHeaderTimeout: 10 * time.Second}
	go func() { _ = s.web.Serve(l) }() // ends with ErrServerClosed, by close
	return s, nil
}

func (s *sink) close() { _ = s.web.Close() }

func (s *sink) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var e struct {
		UUID string `json:"uuid"`
	}
	if err := json.NewDecoder(r.Body).Decode(&e); err != nil || e.UUID == "" {
		http.Error(w, "no event", http.StatusBadRequest)
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.got[e.UUID] = append(s.got[e.UUID], r.Header.Get("Webhook-Id"))
}

// count is how many events were handed on, each once.
func (s *sink) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.got)
}
