package relay

import (
	"strconv"
	"strings"
)

// LetterIDs are the ids of the dead letters that the problems of p leave of ev, one for
// each. An id starts with what the rules' author wrote and ends with what the sender did,
// so that no sender can choose an id that replaces another event's letter.
func (p Plan) LetterIDs(ev Event) []string {
	again := map[string]int{}
	ids := make([]string, len(p.Problems))
	for i, problem := range p.Problems {
		rule := problem.Rule
		if again[rule]++; again[rule] > 1 {
			rule += "#" + strconv.Itoa(again[rule])
		}
		ids[i] = strings.Join([]string{ev.Trigger, "rule", rule, "event", ev.ID}, ":")
	}
	return ids
}

// RefusalID is the id of the dead letter of an event that would grant more than its
// trigger may.
func (ev Event) RefusalID() string {
	return strings.Join([]string{ev.Trigger, "limits", "event", ev.ID}, ":")
}

// Happening is what is told of l.
func (l DeadLetter) Happening() Happening {
	kind := ""
	if l.Action != nil {
		kind = string(l.Action.Kind)
	}
	return Happening{Type: ActionDead, ID: l.ID, At: l.At, Says: map[string]any{
		"cause": string(l.Cause), "trigger": l.Trigger, "event_id": l.EventID, "job_id": l.JobID,
		"rule": l.Rule, "action": kind, "error": l.Error,
	}}
}
