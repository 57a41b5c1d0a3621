package intake

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"doorhook/internal/relay"
)

// fromKisi is the adapter that reads Kisi's events, of its event webhook and of the
// event sets of its API.
const fromKisi = "kisi"

// Take makes an event of payload and answers when the store has it, as for a call of
// the trigger, but asks nobody who they are.
func (in *Intake) Take(ctx context.Context, trigger string, payload any) (Answer, error) {
	rules := *in.rules.Load()
	t, ok := rules.Trigger(trigger)
	if !ok {
		return Answer{}, ErrUnknownTrigger
	}
	body, err := json.Marshal(payload)
	if err != nil {
		return Answer{}, fmt.Errorf("read what is for trigger %s: %w", trigger, err)
	}
	return in.take(ctx, rules, t, Request{Trigger: trigger, ContentType: "application/json", Body: body}, wishes{})
}

// readKisi reads an event of Kisi's. Kisi says that it sends JSON in its documentation;
// what its content type says is not documented, and not asked.
func readKisi(req Request) (map[string]any, error) {
	if err := uncompressed(req); err != nil {
		return nil, err
	}
	if empty(req.Body) {
		return nil, errNotKisi
	}
	payload, err := readJSON(req.Body)
	if err != nil {
		return nil, err
	}
	event, ok := payload.(map[string]any)
	if !ok {
		return nil, errNotKisi
	}
	likeWebhook(event)
	return event, nil
}

var errNotKisi = unreadable("an event of Kisi's is one JSON object")

// likeWebhook adds to an event of an event set what the event webhook says elsewhere:
// the object in one piece, and what went wrong as code and message (Kisi's API reference,
// Event; its guide to event webhooks).
func likeWebhook(event map[string]any) {
	add := func(name string, value any) {
		if event[name] == nil && value != nil {
			event[name] = value
		}
	}
	if object, ok := event["object"].(map[string]any); ok {
		kind := object["type"]
		if kind == nil {
			kind = object["resource_type"]
		}
		add("object_type", kind)
		add("object_id", object["id"])
		add("object_name", object["name"])
	}
	if event["success"] == false {
		add("error_code", event["code"])
		add("error_message", event["message"])
	}
}

// maxID is the longest identity that the rules take an event to have, in bytes.
const maxID = 1024

// atOnce is how long an event may be on its way without being late.
const atOnce = time.Minute

// asKisi gives ev the identity and the time that Kisi gave it: an unlock that is asked for
// is late by when something happened, not by when it was heard of.
func asKisi(ev relay.Event, payload map[string]any) relay.Event {
	id, _ := payload["uuid"].(string)
	if id = strings.TrimSpace(id); len(id) <= maxID {
		ev.ID = cmp.Or(id, ev.ID)
	}
	text, _ := payload["created_at"].(string)
	if at, err := time.Parse(time.RFC3339, text); err == nil && at.Before(ev.ReceivedAt) {
		if ev.ReceivedAt.Sub(at) > atOnce {
			ev.HeardAt = ev.ReceivedAt
		}
		ev.ReceivedAt = at.UTC()
	}
	return ev
}
