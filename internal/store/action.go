package store

import (
	"cmp"
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
	Rule     string          `json:"r"`
	Kind     relay.Kind      `json:"d"`
	Args     json.RawMessage `json:"a"`
	At       stamp           `json:"t"`
	NotAfter stamp           `json:"n"`
	Ends     stamp           `json:"e"`
	Limits   *relay.Limits   `json:"m"`
	Unused   stamp           `json:"u"`
	Later    *relay.Later    `json:"l"`
}

// actionsText writes actions as [readActions] reads them. It is on the path of every
// event, and does without reflection.
func actionsText(rule string, actions []relay.Action) (text []byte, err error) {
	text = append(text, '[')
	for i, a := range actions {
		if i > 0 {
			text = append(text, ',')
		}
		if text, err = appendAction(text, rule, a); err != nil {
			return nil, err
		}
	}
	return append(text, ']'), nil
}

func appendAction(b []byte, rule string, a relay.Action) (_ []byte, err error) {
	b = append(b, '{')
	add := func(name string, value any) {
		if err == nil {
			b = append(append(b, name...), ':')
			b, err = relay.AppendJSON(b, value)
		}
	}
	if rest, is := strings.CutPrefix(a.Key, rule); is {
		add(`"k"`, "="+rest)
	} else {
		add(`"k"`, "!"+a.Key)
	}
	if a.Rule != rule {
		add(`,"r"`, a.Rule)
	}
	add(`,"d"`, string(a.Kind))
	add(`,"a"`, json.RawMessage(cmp.Or(string(a.Args), "null")))
	for _, t := range []struct {
		name string
		at   time.Time
	}{{`,"t"`, a.At}, {`,"n"`, a.NotAfter}, {`,"e"`, a.Ends}, {`,"u"`, a.Unused}} {
		if !t.at.IsZero() {
			add(t.name, json.RawMessage(stamp(t.at).append(nil)))
		}
	}
	if a.Limits != nil {
		add(`,"m"`, a.Limits)
	}
	if a.Later != nil {
		add(`,"l"`, a.Later)
	}
	return append(b, '}'), err
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

func (s stamp) append(b []byte) []byte {
	t := time.Time(s)
	if t.Nanosecond() == 0 {
		return strconv.AppendInt(b, t.Unix(), 10)
	}
	return fmt.Appendf(b, `"%d.%09d"`, t.Unix(), t.Nanosecond())
}

// UnmarshalJSON reads what append wrote.
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
