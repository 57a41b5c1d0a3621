package relay

import "context"

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
