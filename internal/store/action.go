package store

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"

	"doorhook/internal/relay"
)

// keptAction is how a job's hash has an action. It is short, since many of them wait; the rule
// is in the name of their field.
type keptAction struct {
	Key      string          `json:"k"` // = and what follows the rule's name, or ! and all of it
	Rule     string          `json:"r,omitempty"`
	Kind     relay.Kind      `json:"d"`
	Args     json.RawMessage `json:"a"`
	At       stamp           `json:"t,omitzero"`
	NotAfter stamp           `json:"n,omitzero"`
	Ends     stamp           `json:"e,omitzero"`
	Limits   *relay.Limits   `json:"m,omitempty"`
	Unused   stamp           `json:"u,omitzero"`
	Later    *relay.Later    `json:"l,omitempty"`
}

func actionsText(rule string, actions []relay.Action) (string, error) {
	wants := make([]keptAction, len(actions))
	for i, a := range actions {
		w := keptAction{
			Key: "!" + a.Key, Kind: a.Kind, Args: a.Args, At: stamp(a.At), NotAfter: stamp(a.NotAfter), Ends: stamp(a.Ends),
			Limits: a.Limits, Unused: stamp(a.Unused), Later: a.Later,
		}
		if rest, is := strings.CutPrefix(a.Key, rule); is {
			w.Key = "=" + rest
		}
		if a.Rule != rule {
			w.Rule = a.Rule
		}
		wants[i] = w
	}
	b, err := json.Marshal(wants)
	return string(b), err
}

func readActions(rule, text string) ([]relay.Action, error) {
	var wants []keptAction
	if err := json.Unmarshal([]byte(text), &wants); err != nil {
		return nil, err
	}
	actions := make([]relay.Action, len(wants))
	for i, w := range wants {
		a := relay.Action{
			Key: strings.TrimPrefix(w.Key, "!"), Rule: rule, Kind: w.Kind, Args: w.Args, At: time.Time(w.At), NotAfter: time.Time(w.NotAfter), Ends: time.Time(w.Ends),
			Limits: w.Limits, Unused: time.Time(w.Unused), Later: w.Later,
		}
		if rest, is := strings.CutPrefix(w.Key, "="); is {
			a.Key = rule + rest
		}
		if w.Rule != "" {
			a.Rule = w.Rule
		}
		actions[i] = a
	}
	return actions, nil
}

// stamp is a time as Unix seconds, with as much of a second as it has.
type stamp time.Time

// IsZero reports whether there is no time.
func (s stamp) IsZero() bool { return time.Time(s).IsZero() }

// MarshalJSON writes a number.
func (s stamp) MarshalJSON() ([]byte, error) {
	t := time.Time(s)
	if t.Nanosecond() == 0 {
		return strconv.AppendInt(nil, t.Unix(), 10), nil
	}
	return fmt.Appendf(nil, `"%d.%09d"`, t.Unix(), t.Nanosecond()), nil
}

// UnmarshalJSON reads what MarshalJSON wrote.
func (s *stamp) UnmarshalJSON(text []byte) error {
	seconds, rest, _ := strings.Cut(strings.Trim(string(text), `"`), ".")
	var nanos int64
	unix, err := strconv.ParseInt(seconds, 10, 64)
	if err == nil && rest != "" {
		nanos, err = strconv.ParseInt(rest, 10, 64)
	}
	if err != nil {
		return fmt.Errorf("the time %s: %w", text, err)
	}
	*s = stamp(time.Unix(unix, nanos).UTC())
	return nil
}
