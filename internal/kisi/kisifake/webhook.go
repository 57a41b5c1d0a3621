package kisifake

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"slices"
	"sync"
	"time"
)

// How Kisi delivers is not documented, but that it gives a receiver up that errs.
const (
	deliveryTimeout = 10 * time.Second
	mostErrors      = 10 // in a row, before a webhook is disabled
)

// WebhookOptions say whom a Server tells of what happens.
type WebhookOptions struct {
	URL       string
	Key       string            // of the signature; "" sends none
	Encoding  string            // of the signature: "sha256=hex", which "" is, "hex" or "base64"
	Types     []string          // of the events; none are all
	Transport http.RoundTripper // nil is the network
}

// Misdelivery is what goes wrong on the way to a receiver.
type Misdelivery struct {
	Copies int  // how often each event comes again
	Drop   bool // nothing comes
	Hold   bool // nothing comes while it is set; then all of it comes, the newest first
}

// Delivery is an event that was sent and what was answered.
type Delivery struct {
	UUID   string
	Status int // 0: no answer
	Err    error
}

// Webhook tells a receiver of what happens, one event after the other.
type Webhook struct {
	o    WebhookOptions
	id   int64
	stop context.CancelFunc
	wake chan struct{}

	mu         sync.Mutex
	mis        Misdelivery
	waiting    []Event
	busy       bool
	deliveries []Delivery
	errors     int // in a row
	disabled   time.Time
}

// Webhook adds a webhook, which ends with the server.
func (s *Server) Webhook(o WebhookOptions) *Webhook {
	if o.Transport == nil {
		o.Transport = http.DefaultTransport
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	ctx, stop := context.WithCancel(context.Background())
	w := &Webhook{o: o, id: s.id(), stop: stop, wake: make(chan struct{}, 1)}
	s.webhooks = append(s.webhooks, w)
	s.sending.Go(func() { w.run(ctx, s) })
	return w
}

// Set makes deliveries go wrong from now on.
func (w *Webhook) Set(m Misdelivery) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.mis.Hold && !m.Hold {
		slices.Reverse(w.waiting)
	}
	w.mis = m
	w.signal()
}

// Deliver sends e once more, or for the first time, without its having happened.
func (w *Webhook) Deliver(e Event) { w.enqueue(e) }

// Deliveries are those so far.
func (w *Webhook) Deliveries() []Delivery {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.deliveries)
}

// Idle reports whether nothing is on its way.
func (w *Webhook) Idle() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.waiting) == 0 && !w.busy
}

// Disabled reports whether it was given up, as its receiver erred.
func (w *Webhook) Disabled() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return !w.disabled.IsZero()
}

func (w *Webhook) enqueue(e Event) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.mis.Drop || !w.disabled.IsZero() || len(w.o.Types) > 0 && !slices.Contains(w.o.Types, e.Type) {
		return
	}
	for range w.mis.Copies + 1 {
		w.waiting = append(w.waiting, e)
	}
	w.signal()
}

func (w *Webhook) signal() {
	select {
	case w.wake <- struct{}{}:
	default:
	}
}

func (w *Webhook) run(ctx context.Context, s *Server) {
	for ctx.Err() == nil {
		e, ok := w.next()
		if !ok {
			select {
			case <-w.wake:
				continue
			case <-ctx.Done():
				return
			}
		}
		if w.settle(w.send(ctx, e), s.now()) {
			s.AddEvent(Event{Type: "integration.disable_due_to_error", ObjectType: "Integration", ObjectID: w.id})
		}
	}
}

func (w *Webhook) next() (Event, bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.mis.Hold || len(w.waiting) == 0 {
		return Event{}, false
	}
	e := w.waiting[0]
	w.waiting, w.busy = w.waiting[1:], true
	return e, true
}

// settle notes a delivery, and reports whether it was the one error too many.
func (w *Webhook) settle(d Delivery, now time.Time) (gaveUp bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.busy = false
	w.deliveries = append(w.deliveries, d)
	if d.Status/100 == 2 {
		w.errors = 0
		return false
	}
	w.errors++
	if w.errors != mostErrors {
		return false
	}
	w.disabled, w.waiting = now, nil
	return true
}

func (w *Webhook) send(ctx context.Context, e Event) Delivery {
	ctx, cancel := context.WithTimeout(ctx, deliveryTimeout)
	defer cancel()
	d := Delivery{UUID: e.UUID}
	body := encode(webhookBody(e))
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, w.o.URL, bytes.NewReader(body))
	if err != nil {
		d.Err = fmt.Errorf("build a delivery: %w", err)
		return d
	}
	req.Header.Set("Content-Type", "application/json")
	if w.o.Key != "" {
		req.Header.Set("X-Signature", sign(body, w.o.Key, w.o.Encoding))
	}
	resp, err := w.o.Transport.RoundTrip(req)
	if err != nil {
		d.Err = err
		return d
	}
	defer resp.Body.Close()
	_, _ = io.Copy(io.Discard, io.LimitReader(resp.Body, 1<<20))
	d.Status = resp.StatusCode
	return d
}

// sign is the header X-Signature. Source: OpenAPI, signature_key of an integration,
// which does not say whether the MAC is hex or base64.
func sign(body []byte, key, encoding string) string {
	mac := hmac.New(sha256.New, []byte(key))
	mac.Write(body)
	sum := mac.Sum(nil)
	switch encoding {
	case "base64":
		return base64.StdEncoding.EncodeToString(sum)
	case "hex":
		return hex.EncodeToString(sum)
	}
	return "sha256=" + hex.EncodeToString(sum)
}

// getIntegrations lists: GET /integrations.
func (s *Server) getIntegrations(c *call) answer {
	p := readParams(c, 10, "query", "place_id", "scope", "group_id", "enabled")
	p.oneOf("scope", "organization", "place")
	var all []map[string]any
	for _, w := range s.webhooks {
		w.mu.Lock()
		at := w.disabled
		w.mu.Unlock()
		if p.inIDs(w.id) && p.is("enabled", at.IsZero()) {
			all = append(all, map[string]any{
				"id": w.id, "resource_type": "Integration", "name": "Event webhook", "type": "event_webhook", "url": w.o.URL,
				"enabled": at.IsZero(), "enabled_events": append([]string{}, w.o.Types...), "place_id": nil, "scope": "organization",
				"disabled_due_to_error": !at.IsZero(), "disabled_due_to_error_at": stamp(at),
			})
		}
	}
	return page(p, all)
}
