package relay

import (
	"context"
	"errors"
	"time"
)

// Operator is what a person who runs doorhook can ask and do, of a running server or
// of its Redis.
type Operator interface {
	// Recent gives the jobs that events changed last, the newest first; Waiting
	// those that are looked at next, the next first.
	Recent(ctx context.Context, limit int) ([]Job, error)
	Waiting(ctx context.Context, limit int) ([]Job, error)
	Job(ctx context.Context, id string) (Job, bool, error)
	// Events gives accepted events, the newest first: those before a place in the
	// list ([Record.ID]), or all if it is "".
	Events(ctx context.Context, before string, limit int) ([]Record, error)
	// Letters gives the newest dead letters, newest first.
	Letters(ctx context.Context, limit int) ([]DeadLetter, error)
	// Replay plans the events of dead letters again, with today's rules, and says
	// what became of each. No ids are all there are.
	Replay(ctx context.Context, ids []string) ([]Replayed, error)
	// Catchup takes in the events of Kisi since a time that did not come before, for
	// one trigger or, with "", all that Kisi calls.
	Catchup(ctx context.Context, since time.Time, trigger string) ([]CaughtUp, error)
	// Doctor examines everything doorhook depends on.
	Doctor(ctx context.Context) ([]Check, error)
}

// Check is one finding about what doorhook depends on.
type Check struct {
	Name   string `json:"name"`
	Health Health `json:"health"`
	Says   string `json:"says"`             // what was found
	Advice string `json:"advice,omitempty"` // what to do about it
}

// Health sums up a finding.
type Health string

// The healths.
const (
	Healthy Health = "ok"
	Doubt   Health = "warning" // works, and may not when it matters
	Sick    Health = "failed"
)

// CaughtUp is what a look at the events that Kisi kept came to.
type CaughtUp struct {
	Trigger    string    `json:"trigger"`
	From       time.Time `json:"from"`
	Until      time.Time `json:"until"`
	Read       int       `json:"read"`       // events in all
	New        int       `json:"new"`        // that had not come before
	Duplicates int       `json:"duplicates"` // that had
	Failed     int       `json:"failed"`     // that could not be taken in, or that no rule could decide on
}

// Reasons for which a catch-up is refused.
var (
	ErrTooFarBack = errors.New("too far back")
	ErrNotKisi    = errors.New("there is no such trigger that Kisi calls: catching up is for rule files with from: kisi whose auth has a key that is set")
)
