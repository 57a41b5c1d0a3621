package intake

import (
	"encoding/json"
	"slices"
	"strconv"
	"strings"
	"time"

	"doorhook/internal/relay"
)

// Answer is what a caller is told. It encodes as one flat JSON object, because
// Zapier turns that into fields.
type Answer struct {
	Status     relay.Status
	EventID    string
	JobID      string
	Rules      string // the names of those that matched
	Actions    int
	GroupLinks []int64 // Kisi's ids
	Schedules  []int64
	Roles      []int64
	Errors     []string
	Respond    []relay.NamedValue

	Plan     []Planned // of a dry run
	Problems []string  // of a dry run

	Trigger string  // that has the alias which was called; "" for a call by its name
	caught  *caught // all that a caller by an alias is told; nil for others
}

// Planned is an action that a dry run did not carry out.
type Planned struct {
	Rule     string     `json:"rule"`
	Kind     relay.Kind `json:"kind"`
	At       time.Time  `json:"at,omitzero"`
	NotAfter time.Time  `json:"not_after,omitzero"`
	Requests []string   `json:"requests"`
}

const tooLate = "its time is over; nothing will be sent"

func answerTo(ev relay.Event, p relay.Plan, r relay.Receipt, now time.Time) Answer {
	a := answerFrom(ev, p)
	a.Status, a.JobID = r.Status, r.JobID
	a.Errors = problemTexts(p)
	if r.Error != "" {
		a.Errors = append([]string{r.Error}, a.Errors...)
	}
	for _, action := range p.Actions() {
		if action.Expired(now) {
			a.Errors = append(a.Errors, action.Rule+": "+tooLate)
		}
	}
	return a
}

func answerFrom(ev relay.Event, p relay.Plan) Answer {
	return Answer{EventID: ev.ID, Rules: p.RuleNames(), Actions: len(p.Actions()), Respond: p.Respond}
}

// add puts what waiting has brought into a. A duplicate stays one, so that the
// sender can tell; it gets the ids that its first message got.
func (a *Answer) add(pr progress) {
	if a.Status != relay.Duplicate {
		a.Status = pr.status
	}
	a.GroupLinks, a.Schedules, a.Roles = pr.links, pr.schedules, pr.roles
	for _, fault := range pr.faults {
		if !slices.Contains(a.Errors, fault) {
			a.Errors = append(a.Errors, fault)
		}
	}
}

// dryRun answers with what would be done.
func (in *Intake) dryRun(ev relay.Event, p relay.Plan) Answer {
	a := answerFrom(ev, p)
	a.Status = relay.DryRun
	a.Problems = problemTexts(p)
	if needsBooking(p) {
		a.Problems = append(a.Problems, noBooking)
	}
	for _, action := range p.Actions() {
		a.Plan = append(a.Plan, Planned{
			Rule: action.Rule, Kind: action.Kind, At: action.At, NotAfter: action.NotAfter,
			Requests: append([]string{}, in.o.Describe(action)...),
		})
	}
	return a
}

// fields are the answer's own fields in order; those that say nothing are nil.
func (a Answer) fields() []relay.NamedValue {
	return []relay.NamedValue{
		{Name: "status", Value: string(a.Status)},
		{Name: "event_id", Value: a.EventID},
		{Name: "job_id", Value: text(a.JobID)},
		{Name: "rules", Value: text(a.Rules)},
		{Name: "actions", Value: a.Actions},
		{Name: "group_link_id", Value: ids(a.GroupLinks)},
		{Name: "schedule_id", Value: ids(a.Schedules)},
		{Name: "role_assignment_id", Value: ids(a.Roles)},
		{Name: "error", Value: text(strings.Join(a.Errors, "; "))},
		{Name: "plan", Value: list(a.Plan)},
		{Name: "problems", Value: list(a.Problems)},
	}
}

// MarshalJSON keeps the order of the fields. A respond field cannot pass for one
// of the answer's own, also not for one that this answer leaves out.
func (a Answer) MarshalJSON() ([]byte, error) {
	if a.caught != nil {
		return json.Marshal(a.caught)
	}
	b := append(make([]byte, 0, 256), '{')
	own := a.fields()
	for _, f := range own {
		if f.Value != nil {
			b = appendField(b, f)
		}
	}
	for _, f := range a.Respond {
		if !slices.ContainsFunc(own, func(o relay.NamedValue) bool { return o.Name == f.Name }) {
			b = appendField(b, f)
		}
	}
	return append(b, '}'), nil
}

// appendField writes null for what has no JSON: the event is accepted by now, and
// one bad field must not take the answer with it.
func appendField(b []byte, f relay.NamedValue) []byte {
	if len(b) > len("{") {
		b = append(b, ',')
	}
	b, _ = relay.AppendJSON(b, f.Name) // text always has JSON
	b = append(b, ':')
	if whole, err := relay.AppendJSON(b, f.Value); err == nil {
		return whole
	}
	return append(b, "null"...)
}

func text(s string) any {
	if s == "" {
		return nil
	}
	return s
}

func list[E any](l []E) any {
	if len(l) == 0 {
		return nil
	}
	return l
}

// ids is a number if there is one id, and a text if there are several: Zapier
// has no fields for lists.
func ids(all []int64) any {
	switch len(all) {
	case 0:
		return nil
	case 1:
		return all[0]
	}
	texts := make([]string, len(all))
	for i, id := range all {
		texts[i] = strconv.FormatInt(id, 10)
	}
	return strings.Join(texts, ", ")
}
