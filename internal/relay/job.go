package relay

import (
	"slices"
	"strings"
	"time"
)

// Job is what one booking asks for and how far each action has got.
type Job struct {
	ID      string   `json:"id"`
	Trigger string   `json:"trigger"`
	Booking string   `json:"booking,omitempty"`
	EventID string   `json:"event_id"` // the newest event that changed it
	Version *float64 `json:"version,omitempty"`
	Changes int64    `json:"changes"` // counts the accepted events
	Worked  int64    `json:"worked"`  // the change count at which a worker last let it go

	ChangedAt time.Time `json:"changed_at,omitzero"` // when the newest of them was accepted, by the store's clock
	Cancelled bool      `json:"cancelled,omitempty"`
	// When the newest of them was received, which a replay does not change, and
	// whether it had no version.
	ReceivedAt  time.Time `json:"received_at,omitzero"`
	Unversioned bool      `json:"unversioned,omitempty"`
	Record      string    `json:"record,omitempty"`   // where the newest event stands in the list of events
	Place       string    `json:"-"`                  // where it stood there when it came, which a replay does not change; "" is not known
	Revision    string    `json:"revision,omitempty"` // of the rules that decided on it
	DueAt       time.Time `json:"due_at,omitzero"`    // when it is looked at next; zero is not before something happens

	Want     []Action  `json:"want"`
	Have     []Held    `json:"have"`
	Attempts []Attempt `json:"attempts,omitempty"` // the newest, oldest first
	Token    string    `json:"-"`                  // of the worker that has it in hand
	// Since is when a worker took it first after one let it go in good order: the same
	// after a crash. It is known of a claimed job alone.
	Since time.Time `json:"-"`
	Lane  Lane      `json:"-"`
}

// Lane says beside what a job waits for its turn. Messages wait beside messages alone:
// however many there are, and however slow those who get them, no door waits for them.
type Lane string

// The lanes.
const (
	Doors    Lane = "" // all that is not a message
	Messages Lane = "messages"
)

// Held is how far one action has got, and what of it stands in Kisi.
type Held struct {
	Action   Action    `json:"action"`           // as it was last tried
	Object   int64     `json:"object,omitempty"` // Kisi's id of what doorhook made
	Until    time.Time `json:"until,omitzero"`   // when Object ends, if that is before it should: something that begins then was in the way
	Old      []int64   `json:"old,omitempty"`    // replaced objects that are still to be deleted
	Locks    []int64   `json:"locks,omitempty"`  // the locks of the group of a schedule
	State    State     `json:"state,omitempty"`
	Changes  int64     `json:"changes"`            // the job's change count when it was last tried
	Attempts int       `json:"attempts,omitempty"` // that failed in a row, revokes apart
	TriedAt  time.Time `json:"tried_at,omitzero"`  // when the first create that may have had its effect was sent
	Unsure   bool      `json:"unsure,omitempty"`   // a create may have had its effect: look before the next
	Lost     []Lost    `json:"lost,omitempty"`     // creates without an answer that a look did not find, and Kisi may still finish
	RetryAt  time.Time `json:"retry_at,omitzero"`
	Revokes  int       `json:"revokes,omitempty"` // that failed in a row; they rest by themselves
	RevokeAt time.Time `json:"revoke_at,omitzero"`
	Error    string    `json:"error,omitempty"`  // of the last attempt
	Answer   string    `json:"answer,omitempty"` // of the receiver of a send, to the last attempt; at most 4 KiB, without secrets
	Served   bool      `json:"served,omitempty"` // at the last try something that is not ours did as much: nobody misses it
	MadeAt   time.Time `json:"made_at,omitzero"` // of what is taken back unused: when it was made, or last changed
	Used     bool      `json:"used,omitempty"`   // somebody has come to its doors: it is not taken back as unused
}

// Lost is a create that got no answer and had no effect when it was looked for.
type Lost struct {
	Action  Action    `json:"action"`
	TriedAt time.Time `json:"tried_at"`
	LookAt  time.Time `json:"look_at"` // when to look once more
}

// State is how an action stands.
type State string

// The states of an action.
const (
	Waiting  State = ""         // its time has not come, or nobody has got to it
	Retrying State = "retrying" // failed, and will be tried again
	Done     State = "done"
	Dead     State = "failed"  // gave up; a dead letter says why
	TooLate  State = "expired" // was not carried out before its NotAfter; never will be
	Unused   State = "unused"  // was taken back, since nobody came
)

// Standing reports whether anything that doorhook made for j is still in Kisi,
// or may be.
func (j Job) Standing() bool {
	for _, h := range j.Have {
		if h.Object != 0 || len(h.Old) > 0 || h.Unsure {
			return true
		}
	}
	return false
}

// Wants reports whether j wants what h is held for, or a schedule for a group of
// which h is one lock's.
func (j Job) Wants(h Held) bool {
	return slices.ContainsFunc(j.Want, func(w Action) bool {
		return w.Key == h.Action.Key || strings.HasPrefix(h.Action.Key, w.Key+"/")
	})
}

// Claim is what a worker gets when it asks for due jobs.
type Claim struct {
	Jobs []Job
	Now  time.Time // by the store's clock
	Next time.Time // when the next job comes due; zero if none waits
}
