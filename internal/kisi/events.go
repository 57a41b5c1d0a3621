package kisi

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"
)

// What Kisi allows of event sets. Source: OpenAPI, POST /event_sets.
const (
	MostEventDays = 90 // how wide an interval may be, in days
	setPause      = time.Second + 50*time.Millisecond
	setPage       = 50 // the documented default; a maximum is not documented
	firstPoll     = 500 * time.Millisecond
	slowestPoll   = 5 * time.Second
)

// EventQuery says which of the things that happened are meant.
type EventQuery struct {
	From, Until time.Time // whole seconds count; at most [MostEventDays] apart
	Types       []string  // such as "lock.unlock"; none are all
	ObjectType  string    // "Lock", for example; "" is any
	ObjectID    int64     // of the object; 0 is any
	Succeeded   bool      // only what succeeded
}

func (q EventQuery) body() map[string]any {
	set := map[string]any{"interval": moment(q.From) + "/" + moment(q.Until.Add(time.Second-time.Nanosecond))}
	if len(q.Types) > 0 {
		set["event_type"] = strings.Join(q.Types, ",")
	}
	if q.ObjectType != "" {
		set["event_object_type"] = q.ObjectType
	}
	if q.ObjectID != 0 {
		set["event_object_id"] = q.ObjectID
	}
	if q.Succeeded {
		set["event_success"] = true
	}
	return wrap("event_set", set)
}

type eventSet struct {
	ID     int64             `json:"id"`
	Status string            `json:"status"`
	Events []json.RawMessage `json:"events"`
	Cursor *string           `json:"cursor"`
}

// Events asks Kisi to put together the events that q means, waits until it has, and
// gives them to do page by page, each as Kisi tells it. Their order is Kisi's, which
// is not documented. An error of do ends the reading and is given back.
//
// It takes a second and more: Kisi takes one such request a second.
func (c *Client) Events(ctx context.Context, q EventQuery, do func(page []json.RawMessage) error) error {
	if err := c.sets.wait(ctx, c.now); err != nil {
		return &Error{Op: "POST /event_sets", Unsent: true, Err: fmt.Errorf("%w: %w", errTurn, err)}
	}
	var set eventSet
	if err := c.create(ctx, request{method: http.MethodPost, path: "/event_sets", body: q.body()}, &set, &set.ID); err != nil {
		return err
	}
	path := "/event_sets/" + itoa(set.ID)
	set, err := c.finishedSet(ctx, path)
	seen := map[string]bool{}
	for ; err == nil; set, err = c.eventPage(ctx, path, *set.Cursor) {
		if err := do(set.Events); err != nil {
			return err
		}
		if set.Cursor == nil || *set.Cursor == "" {
			return nil
		}
		if seen[*set.Cursor] {
			return &Error{Op: "GET " + path, Status: http.StatusOK, Err: errors.New("the pages of the events go round in a circle")}
		}
		seen[*set.Cursor] = true
	}
	return err
}

// finishedSet is the first page of a set that Kisi has put together.
func (c *Client) finishedSet(ctx context.Context, path string) (eventSet, error) {
	for pause := firstPoll; ; pause = min(2*pause, slowestPoll) {
		set, err := c.eventPage(ctx, path, "")
		switch {
		case err != nil:
			return set, err
		case set.Status == "finished":
			return set, nil
		case set.Status == "failed":
			return set, fmt.Errorf("GET %s: Kisi could not put the events together; ask again", path)
		}
		if err := rest(ctx, pause); err != nil {
			return set, fmt.Errorf("GET %s: Kisi is still putting the events together: %w", path, err)
		}
	}
}

func (c *Client) eventPage(ctx context.Context, path, cursor string) (set eventSet, err error) {
	query := url.Values{"limit": {strconv.Itoa(setPage)}}
	if cursor != "" {
		query.Set("cursor", cursor)
	}
	err = c.call(ctx, request{method: http.MethodGet, path: path, query: query}, &set)
	return set, err
}

// Happened is what doorhook itself looks at in an event of Kisi.
type Happened struct {
	UUID      string    `json:"uuid"`
	ObjectID  int64     `json:"object_id"`
	CreatedAt time.Time `json:"created_at"`
}

// Happening reads an event as Kisi tells it.
func Happening(raw json.RawMessage) (Happened, error) {
	var h Happened
	if err := json.Unmarshal(raw, &h); err != nil {
		return h, fmt.Errorf("an event of Kisi cannot be read: %w", plainJSON(err))
	}
	return h, nil
}

// setTurns lets one event set be asked for at a time, and then none for a second.
type setTurns struct {
	mu   sync.Mutex
	next time.Time
}

// wait takes the next turn. Who cannot wait for it takes none.
func (t *setTurns) wait(ctx context.Context, now func() time.Time) error {
	t.mu.Lock()
	at := now()
	if t.next.After(at) {
		at = t.next
	}
	if end, ok := ctx.Deadline(); ok && end.Before(at) {
		t.mu.Unlock()
		return errors.New("Kisi takes one request for events a second, and too many are waiting") //nolint:staticcheck // ST1005: it is a name
	}
	t.next = at.Add(setPause)
	t.mu.Unlock()
	return rest(ctx, at.Sub(now()))
}

// rest waits for d; an end of ctx ends it.
func rest(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return ctx.Err()
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// Integration is a way in which Kisi tells others of what happens.
type Integration struct {
	ID       int64    `json:"id"`
	Name     string   `json:"name"`
	Type     string   `json:"type"`           // "event_webhook" tells of events
	URL      string   `json:"url"`            // whom it tells
	Types    []string `json:"enabled_events"` // of the events; none are all
	Enabled  bool     `json:"enabled"`
	Disabled bool     `json:"disabled_due_to_error"` // Kisi has switched it off, since what it told was not taken
}

// Integrations lists those that the key may see.
func (c *Client) Integrations(ctx context.Context) ([]Integration, error) {
	return list(ctx, c, "/integrations", nil, func(i Integration) int64 { return i.ID })
}
