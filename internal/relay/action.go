package relay

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"time"
)

// Kind names what an action does.
type Kind string

// The kinds of action.
const (
	Unlock         Kind = "unlock"          // opens one lock for the time set at the lock
	Schedule       Kind = "schedule"        // keeps locks open for a window
	GroupLink      Kind = "group_link"      // mails a link that opens the locks of a group for a window
	RoleAssignment Kind = "role_assignment" // lets a user open the locks of a group for a window
	Send           Kind = "send"            // sends a request to any address
)

// Action is one effect that a rule asks for. Apart from a schedule for a group
// (see [Action.Expand]) it stands for at most one object in Kisi.
type Action struct {
	Key      string          `json:"key"` // its identity within the job; survives changes of the booking
	Rule     string          `json:"rule"`
	Kind     Kind            `json:"kind"`
	Args     json.RawMessage `json:"args"`               // Kisi's field names, one spelling per meaning: see [Fields]
	At       time.Time       `json:"at,omitzero"`        // when to tell Kisi; zero is at once
	NotAfter time.Time       `json:"not_after,omitzero"` // when it is too late; zero is never
	Ends     time.Time       `json:"ends,omitzero"`      // when its window ends; zero has none
	Limits   *Limits         `json:"limits,omitempty"`   // what can be told only when the locks of its group are known; nil has none
	Unused   time.Time       `json:"unused,omitzero"`    // when it is taken back if nobody has come to its doors by then; zero is never
	Later    *Later          `json:"later,omitempty"`    // what is computed when it is carried out; nil if nothing is
	Message  string          `json:"-"`                  // of a send that is carried out: its identity, the same in all attempts
}

// Later is what a part of an action is computed from when it is carried out, since it
// needs the person behind an event, whom only Kisi knows.
type Later struct {
	User  int64           `json:"user"`  // Kisi's id of the person
	Event json.RawMessage `json:"event"` // the whole event
}

// Person is who was behind an event.
type Person struct {
	ID    int64  `json:"id"`
	Email string `json:"email"`
	Name  string `json:"name"`
}

// Limits are what the locks of a group have to keep to before it is opened to anybody.
type Limits struct {
	MaxDoors int     `json:"max_doors,omitempty"` // how many locks it may have; 0 allows any number
	Never    []int64 `json:"never,omitempty"`     // locks that are never opened
}

// Asks is what a asks for, as a text. When it is to be done matters only for what
// happens once, and has no window of its own. Limits do not matter: a new one takes
// nothing back that was granted. Nor does when it is taken back unused.
func (a Action) Asks() string { return string(a.AppendAsks(nil)) }

// AppendAsks appends to b what a asks for.
func (a Action) AppendAsks(b []byte) []byte {
	b = append(append(append(b, a.Kind...), ' '), a.Args...)
	if a.Later != nil {
		b = append(append(b, ' '), a.Later.Event...)
	}
	if !a.Kind.Stands() {
		b = a.At.UTC().AppendFormat(append(b, ' '), time.RFC3339Nano)
	}
	return b
}

// Same reports whether a and b ask for the same thing, so that one which was
// carried out serves for the other.
func (a Action) Same(b Action) bool { // as Asks has it, without making the texts
	return a.Kind == b.Kind && bytes.Equal(a.Args, b.Args) && bytes.Equal(a.Later.event(), b.Later.event()) &&
		(a.Kind.Stands() || a.At.Equal(b.At))
}

func (l *Later) event() json.RawMessage {
	if l == nil {
		return nil
	}
	return l.Event
}

// Opens is the lock, or the group of locks, that a is for; the other is 0.
func (a Action) Opens() (lock, group int64) {
	var args struct {
		LockID  int64 `json:"lock_id"`
		GroupID int64 `json:"group_id"`
	}
	if err := json.Unmarshal(a.Args, &args); err != nil {
		return 0, 0
	}
	return args.LockID, args.GroupID
}

// Starts is when a's window begins; zero if it has none, or begins at once.
func (a Action) Starts() time.Time {
	var args struct {
		StartsAt  time.Time `json:"starts_at"`
		ValidFrom time.Time `json:"valid_from"`
	}
	if err := json.Unmarshal(a.Args, &args); err != nil {
		return time.Time{}
	}
	if args.StartsAt.IsZero() {
		return args.ValidFrom
	}
	return args.StartsAt
}

// Expired reports whether it is too late to carry a out.
func (a Action) Expired(now time.Time) bool {
	return !a.NotAfter.IsZero() && !now.Before(a.NotAfter)
}

// GroupToExpand is the group whose locks have to be known before a can be
// carried out. Kisi unlocks by lock only
// (POST /schedules takes consequence "unlock" with scheduleable_type "Lock" alone).
func (a Action) GroupToExpand() (group int64, ok bool) {
	if a.Kind != Schedule {
		return 0, false
	}
	var args struct {
		GroupID     int64  `json:"group_id"`
		Consequence string `json:"consequence"`
	}
	if err := json.Unmarshal(a.Args, &args); err != nil || args.GroupID == 0 || args.Consequence == "allow" {
		return 0, false
	}
	return args.GroupID, true
}

// Expand turns a schedule for a group into one for each of its locks.
func (a Action) Expand(locks []int64) []Action {
	var args map[string]json.RawMessage
	if err := json.Unmarshal(a.Args, &args); err != nil {
		panic(fmt.Sprintf("relay: args of %s are not an object: %v", a.Key, err)) // Args come from Encode only
	}
	delete(args, "group_id")
	out := make([]Action, len(locks))
	for i, lock := range locks {
		args["lock_id"] = json.RawMessage(strconv.FormatInt(lock, 10))
		out[i] = a
		out[i].Key = a.Key + "/" + strconv.FormatInt(lock, 10)
		out[i].Args = Encode(args)
	}
	return out
}

// Encode gives the one JSON text of args: names sorted, times in UTC. It is what
// encoding/json makes of it, without its reflection: a plan encodes every action.
func Encode[V any](args map[string]V) json.RawMessage {
	b := append(make([]byte, 0, 256), '{')
	for i, name := range slices.Sorted(maps.Keys(args)) {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(encoded(b, name), ':')
		b = encoded(b, args[name])
	}
	return append(b, '}')
}

func encoded(b []byte, v any) []byte {
	b, err := AppendJSON(b, v)
	if err != nil {
		panic(fmt.Sprintf("relay: args cannot be encoded: %v", err)) // only numbers, texts, booleans and times get here
	}
	return b
}

// Type is what a field of an action takes.
type Type int

// The types of fields.
const (
	ID       Type = iota + 1 // a positive integer, also written as text
	IDs                      // a list of them
	String                   // text; a number is taken as its digits
	Time                     // a time, or text that [rules] reads as one
	Bool                     // true or false
	Secretly                 // a [Text]: it may have ${env.NAME} in it
	Headers                  // names, each with a Text
	Key                      // ${env.NAME} and nothing else
	Form                     // names, each with a text
	Value                    // any value of JSON
)

// Field is a field that an action takes, by Kisi's own name.
type Field struct {
	Name     string
	Type     Type
	Required bool
	Filled   bool     // if it is given, nil and blank text are mistakes
	OneOf    []string // the texts it may be; nil allows any
	Default  any      // what Kisi assumes, or doorhook in its place
}

// Either lists for some kinds the fields of which one has to be there, and no two.
var Either = map[Kind][]string{
	Schedule:       {"lock_id", "lock_ids", "group_id"},
	RoleAssignment: {"email", "user_id"},
}

// Fields says what each kind of action takes. Sources: Kisi's POST
// /locks/{id}/unlock, POST /schedules, POST /group_links and POST /role_assignments.
var Fields = map[Kind][]Field{
	Unlock: {
		{Name: "lock_id", Type: ID, Required: true},
	},
	Schedule: {
		{Name: "lock_id", Type: ID},
		{Name: "lock_ids", Type: IDs},
		{Name: "group_id", Type: ID},
		{Name: "starts_at", Type: Time, Required: true},
		{Name: "ends_at", Type: Time, Required: true},
		{Name: "name", Type: String},
		{Name: "consequence", Type: String, OneOf: []string{"unlock", "allow", "first_to_arrive"}, Default: "unlock"},
		{Name: "override", Type: Bool, Default: false},
	},
	GroupLink: {
		{Name: "group_id", Type: ID, Required: true},
		{Name: "name", Type: String},
		{Name: "email", Type: String, Filled: true}, // a link that is mailed to nobody is of use to nobody
		{Name: "phone", Type: String},
		{Name: "valid_from", Type: Time},
		{Name: "valid_until", Type: Time},
		{Name: "quick_response_code_type", Type: String, OneOf: []string{"online", "offline"}},
		{Name: "link_enabled", Type: Bool, Default: true},
	},
	RoleAssignment: {
		{Name: "group_id", Type: ID, Required: true},
		{Name: "email", Type: String, Filled: true},
		{Name: "user_id", Type: ID},
		{Name: "role_id", Type: String, Filled: true, Default: "group_basic"},
		{Name: "valid_from", Type: Time},
		{Name: "valid_until", Type: Time},
		{Name: "notify", Type: Bool, Default: false},
	},
	Send: {
		{Name: "url", Type: Secretly, Required: true},
		{Name: "method", Type: String, OneOf: []string{"POST", "PUT", "PATCH", "DELETE", "GET"}, Default: "POST"},
		{Name: "headers", Type: Headers},
		{Name: "json", Type: Value},
		{Name: "form", Type: Form},
		{Name: "text", Type: String},
		{Name: "sign", Type: Key},
	},
}

// Changeable reports whether Kisi can change an object of this kind in its
// place. Schedules take a PATCH; an access link has none, and whether the window of a
// role assignment can be patched is not documented, so a new one is made instead.
func (k Kind) Changeable() bool { return k == Schedule }

// Exclusive reports whether Kisi refuses a second object of this kind beside the first,
// so that the old one goes before the new one is made.
func (k Kind) Exclusive() bool { return k == RoleAssignment }

// Stands reports whether an action of this kind leaves an object in Kisi, which can be
// found again and taken back. An unlock and a send leave nothing behind.
func (k Kind) Stands() bool { return k != Unlock && k != Send }
