package relay

import (
	"slices"
	"time"
)

// Attempt is one try at one step of an action, and what it came to.
type Attempt struct {
	At     time.Time `json:"at"`
	Action string    `json:"action"` // its key
	Step   string    `json:"step"`   // what was tried: create, change, revoke, find, resolve
	Result string    `json:"result"` // created, changed, revoked, adopted and so on, or a verdict
	Object int64     `json:"object,omitempty"`
	TookMS int64     `json:"took_ms"`
	Error  string    `json:"error,omitempty"`
	Times  int       `json:"times,omitempty"` // how often in a row it came to this, if more than once
	Last   time.Time `json:"last,omitzero"`   // the last of them
}

// maxAttempts is how many a job remembers. Repeats count as one, so that it takes
// a booking with a long story to get there.
const maxAttempts = 50

// Note adds an attempt to those of the job. One that came to the same as the one
// before it is counted there: what is tried every minute for a month is one line.
func (j *Job) Note(a Attempt) {
	if n := len(j.Attempts); n > 0 {
		last := j.Attempts[n-1]
		if last.Action == a.Action && last.Step == a.Step && last.Result == a.Result && last.Object == a.Object && last.Error == a.Error {
			last.Times, last.Last, last.TookMS = max(last.Times, 1)+1, a.At, a.TookMS
			j.Attempts = append(slices.Clone(j.Attempts[:n-1]), last) // a claim that was copied keeps its own
			return
		}
	}
	from := max(0, len(j.Attempts)+1-maxAttempts)
	j.Attempts = append(slices.Clone(j.Attempts[from:]), a)
}
