package relay

import (
	"encoding/json"
	"errors"
	"net/netip"
	"slices"
	"strings"
	"time"
)

// Errors that more than one package branches on.
var (
	// ErrUnavailable says that the store could not be reached, so nothing was accepted.
	ErrUnavailable = errors.New("the store cannot be reached")
	// ErrBusy says that so much work waits that no more is accepted now.
	ErrBusy = errors.New("too much work waits already")
	// ErrUntried says that a request was not made: Kisi is down, or others went first.
	ErrUntried = errors.New("it was not attempted")
	// ErrLeaseLost says that a worker no longer holds the job it wanted to save.
	ErrLeaseLost = errors.New("the lease on this job has run out or passed to another worker")
	// ErrLimit begins what is said of an action that goes beyond a limit of its rule
	// file, by the name that the limit has there.
	ErrLimit = errors.New("limits")
)

// Event is one thing that happened. It does not change after it was received.
type Event struct {
	ID         string         `json:"id"`
	Trigger    string         `json:"trigger"`
	ReceivedAt time.Time      `json:"received_at"`       // of Kisi's: when it happened
	HeardAt    time.Time      `json:"heard_at,omitzero"` // of Kisi's: when it came, if that was late
	Payload    any            `json:"payload"`
	Headers    map[string]any `json:"headers,omitempty"` // by canonical name, without credentials
	Query      map[string]any `json:"query,omitempty"`   // without credentials
}

// Trigger is a configured way in.
type Trigger struct {
	Name string
	From string // the adapter that reads its requests: "json" or "kisi"
	Auth []Auth // any one suffices; empty lets nobody in

	// AllowIP are the addresses that may call it besides showing one of Auth; empty
	// allows any.
	AllowIP []netip.Prefix
	// Alias is a second address of the trigger, such as /hooks/catch/123456/abcdef,
	// without a slash at its end; "" is none. Who calls it is answered as Zapier does.
	Alias Secret
}

// Auth is one way in which a caller may show that it may call a trigger.
type Auth struct {
	Kind   string // "bearer", "basic", "header", "query", "hmac", "alias" or "none"
	Name   string // the user of basic, the name of a header or of a query parameter
	Secret Secret // empty lets nobody in, except by "alias", which needs none beside the address, and "none"
	HMAC   HMAC   // of hmac
}

// HMAC says how a sender signs what it sends: with an HMAC-SHA256 under a shared key.
type HMAC struct {
	Header    string        // that carries the signature
	Prefix    string        // that stands before it there, such as "sha256="
	Bare      bool          // the signature may also stand there without Prefix
	Encoding  string        // "hex", "base64", or "" for either
	Timestamp string        // the header that says when it was signed, in Unix seconds; "" has none
	Tolerance time.Duration // how old it may be, and how far ahead; set if there is a time
	Scheme    string        // what is signed: one of those below
}

// What a sender signs. A time that is not signed proves nothing, so that it is part of
// what is signed wherever there is one.
const (
	SignsBody             = "body"              // the body as it was sent
	SignsTimestampBody    = "timestamp.body"    // the time, a dot and the body
	SignsStripe           = "stripe"            // the same; the header is t=TIME,v1=SIGNATURE, the last once or more
	SignsSlack            = "slack"             // v0:TIME:BODY
	SignsStandardWebhooks = "standard_webhooks" // ID.TIME.BODY, with the header webhook-id; there may be several signatures with spaces between
)

// Plan is all that one event asks for. The same event and rules give the same plan.
type Plan struct {
	EventID   string       // the sender's identity of the event; "" has none, and is not deduplicated
	Booking   string       // the identity of the booking; "" has none
	Version   *float64     // orders the events of one booking; nil lets arrival decide
	Timed     bool         // Version is a time, in Unix microseconds
	Cancelled bool         // the booking is to have nothing
	Rules     []Match      // the rules that matched, in the order of the file
	Undecided []string     // rules that failed: what they wanted before stays wanted
	Respond   []NamedValue // extra fields of the answer, in the order of the file
	Problems  []Problem    // what went wrong, in the order of the file
	Fatal     bool         // nothing at all could be decided; Problems says why
	Revision  string       // of the rules that decided
	// GrantsPerMinute is how many actions all events of the trigger may be granted in
	// any minute; 0 has no limit.
	GrantsPerMinute int
	// Opened says that somebody has opened a door; nil says nothing.
	Opened *Opened
}

// Opened is a door that somebody has opened.
type Opened struct {
	Lock int64
	At   time.Time
}

// Lane is beside what the job of p waits. What a booking asks for is never a message
// alone: the next of its events may ask for a door.
func (p Plan) Lane() Lane {
	if p.Booking != "" {
		return Doors
	}
	for _, m := range p.Rules {
		for _, a := range m.Actions {
			if a.Kind != Send {
				return Doors
			}
		}
	}
	return Messages
}

// Match is a rule that matched and what it asks for.
type Match struct {
	Rule    string   `json:"rule"`
	Actions []Action `json:"actions"`
	Place   int      `json:"place,omitempty"` // of the rule in its file; the first is 0
}

// Actions are the actions of all rules, in the order of the file.
func (p Plan) Actions() []Action {
	n := 0
	for _, m := range p.Rules {
		n += len(m.Actions)
	}
	all := slices.Grow([]Action(nil), n)
	for _, m := range p.Rules {
		all = append(all, m.Actions...)
	}
	return all
}

// RuleNames names the rules that matched, as the answer shows them.
func (p Plan) RuleNames() string {
	names := make([]string, len(p.Rules))
	for i, m := range p.Rules {
		names[i] = m.Rule
	}
	return strings.Join(names, ", ")
}

// NamedValue is a value with the name its author gave it.
type NamedValue struct {
	Name  string `json:"name"`
	Value any    `json:"value"`
}

// Problem is something in a rule file that could not be computed for one event.
type Problem struct {
	Rule    string       `json:"rule,omitempty"` // "" if it concerns the whole file
	Where   string       `json:"where"`          // file:line:column; "" if it is no place in a file
	Expr    string       `json:"expr"`           // the expression
	Message string       `json:"message"`
	Values  []NamedValue `json:"values,omitempty"` // what the expression saw
}

// Error says where the problem is and what it is, on one line.
func (p Problem) Error() string {
	s := p.Message
	if p.Where != "" {
		s = p.Where + ": " + s
	}
	if p.Rule != "" {
		s = `rule "` + p.Rule + `": ` + s
	}
	return s
}

// JobID is the identity of the job that ev belongs to: that of its booking, or
// its own. It is derived, so that repeats collapse. A trigger's name has no
// colon, so no booking can pass for another trigger's.
func JobID(ev Event, p Plan) string {
	if p.Booking != "" {
		return ev.Trigger + ":booking:" + p.Booking
	}
	return ev.Trigger + ":event:" + ev.ID
}

// Status is what became of an event, as the answer says it.
type Status string

// The statuses of an answer.
const (
	Accepted  Status = "accepted"  // safe in the store
	Duplicate Status = "duplicate" // was accepted before
	Stale     Status = "stale"     // a newer version of the booking was accepted before
	Ignored   Status = "ignored"   // asked for nothing, and nothing stands
	Finished  Status = "done"      // all that was due is done
	Pending   Status = "pending"   // something due is still to come
	Failed    Status = "failed"    // something due failed for good
	DryRun    Status = "dry_run"   // only planned
	Expired   Status = "expired"   // of a replay: the time of what it asks for is over
)

// Receipt is what the store says about an event it was given.
type Receipt struct {
	Status  Status
	JobID   string // "" if the event left no job
	EventID string
	Changes int64  // the job's change count with this event in it
	Error   string // with Failed: why, if it is not that nothing could be decided
}

// Record is an event as the list of events keeps it.
type Record struct {
	ID       string          `json:"id"` // its place in the list, which rises
	At       time.Time       `json:"at"`
	Trigger  string          `json:"trigger"`
	EventID  string          `json:"event_id"`
	Status   Status          `json:"status"`
	JobID    string          `json:"job_id,omitempty"`
	Rules    string          `json:"rules,omitempty"`    // the names of those that matched
	Revision string          `json:"revision,omitempty"` // of the rules that decided
	Event    json.RawMessage `json:"event,omitempty"`    // the whole event, unless it is very large
	Size     int64           `json:"size,omitempty"`     // of the event that was too large to keep, in bytes
}

// Replay is what the store has to know when an event is accepted once more.
type Replay struct {
	Changes int64    // of the job when it was planned; with any other number it has no effect
	Place   string   // where the event stood in the list of events when it came; "" is not known
	Letters []string // the ids of the dead letters that it makes up for
	Unkept  bool     // the event itself is not kept any more, only what it asked for
}

// Replayed is what became of a dead letter that was to be replayed.
type Replayed struct {
	ID     string `json:"id"`
	Status Status `json:"status"` // accepted, or why not: stale, expired, failed
	JobID  string `json:"job_id,omitempty"`
	Note   string `json:"note,omitempty"` // for people
}

// DeadLetter is an action or an event that gave up. It is kept and can be replayed.
type DeadLetter struct {
	ID       string    `json:"id"` // derived, so that a repeat replaces it
	At       time.Time `json:"at"`
	Cause    Cause     `json:"cause"`
	Trigger  string    `json:"trigger"`
	EventID  string    `json:"event_id,omitempty"`
	JobID    string    `json:"job_id,omitempty"`
	Rule     string    `json:"rule,omitempty"`
	Action   *Action   `json:"action,omitempty"`
	Error    string    `json:"error"`
	Problem  *Problem  `json:"problem,omitempty"`
	Revision string    `json:"revision,omitempty"` // of the rules that decided
	Place    string    `json:"place,omitempty"`    // of a rule fault: where the event stood in the list of events when it came

	// Of all letters of a rule fault, the first has the whole event and the ids of
	// the others, which have its id: an event may be large, and fifty rules may fail.
	Event  json.RawMessage `json:"event,omitempty"`
	Others []string        `json:"others,omitempty"`
	First  string          `json:"first,omitempty"`
}

// Cause tells dead letters apart.
type Cause string

// The causes of a dead letter.
const (
	ByKisi  Cause = "kisi"  // Kisi rejected the action for good
	ByRelay Cause = "relay" // doorhook or the network was at fault until it was too late
	ByRule  Cause = "rule"  // a rule could not be computed, or went beyond a limit
	// ByReceiver is a send that its receiver rejected for good, or that could not be sent.
	ByReceiver Cause = "receiver"
)
