package golden

import (
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"doorhook/internal/action"
	"doorhook/internal/kisi/kisifake"
	"doorhook/internal/relay"
)

// actions are what a plan asks for, as a rule file would write it.
func actions(p relay.Plan) any {
	out := []any{}
	for _, a := range p.Actions() {
		one := fields{{"rule", a.Rule}, {string(a.Kind), args(a)}}
		for _, when := range []field{{"at", moment(a.At)}, {"not_after", moment(a.NotAfter)}} {
			if when.value != nil {
				one = append(one, when)
			}
		}
		out = append(out, one)
	}
	return out
}

func args(a relay.Action) fields {
	all, _ := decode(a.Args).(fields)
	if a.Kind == relay.Send {
		for i, f := range all {
			all[i].value = unsecret(f)
		}
	}
	return inOrder(a.Kind, all)
}

// unsecret writes the texts of a send that may have secrets in them as a rule file does.
func unsecret(f field) any {
	switch f.name {
	case "url", "sign":
		return textOf(f.value)
	case "headers":
		headers, _ := f.value.(fields)
		for i, h := range headers {
			headers[i].value = textOf(h.value)
		}
	}
	return f.value
}

func textOf(v any) any {
	var t relay.Text
	if err := t.UnmarshalJSON(encode(v)); err != nil {
		return v
	}
	return t.String()
}

// inOrder puts the fields of an action into the order in which Kisi's are listed, and
// leaves out what is so by default.
func inOrder(k relay.Kind, all fields) fields {
	out := fields{}
	for _, f := range relay.Fields[k] {
		if v, ok := all.get(f.Name); ok && v != nil && !isDefault(k, field{f.Name, v}) {
			out = append(out, field{f.Name, v})
		}
	}
	return out
}

func isDefault(k relay.Kind, f field) bool {
	return slices.ContainsFunc(relay.Fields[k], func(known relay.Field) bool {
		return known.Name == f.name && known.Default != nil && known.Default == f.value
	})
}

// target is the group or the lock that a is for, or 0.
func target(a relay.Action) (group, lock int64) {
	id := func(name string) int64 {
		v, _ := args(a).get(name)
		return idOf(v)
	}
	return id("group_id"), id("lock_id")
}

// requests are all that Kisi and others got, in order, and what was refused.
func (w *world) requests() any {
	out := []any{}
	messages := w.outside.got
	for i, c := range w.kisi.Journal() {
		for ; len(messages) > 0 && messages[0].after <= i; messages = messages[1:] {
			out = append(out, answered(messages[0].line, messages[0].status))
		}
		line := action.Request{Method: c.Method, URL: strings.TrimSuffix(c.Path+"?"+c.Query, "?"), Body: string(c.Body)}.String()
		out = append(out, answered(line, c.Status))
	}
	for _, m := range messages {
		out = append(out, answered(m.line, m.status))
	}
	if w.cut() {
		out = append(out, fmt.Sprintf("and so on: the story was cut after %d requests", len(out)))
	}
	return out
}

// answered is the line of a request, and what it was answered if that is not its usual answer.
func answered(line string, status int) string {
	switch {
	case status == 0:
		return line + " -> no answer"
	case status >= http.StatusMultipleChoices:
		return line + " -> " + strconv.Itoa(status)
	}
	return line
}

// standing is what there is in Kisi.
func (w *world) standing() any {
	out := []any{}
	for _, l := range w.kisi.GroupLinks() {
		out = append(out, fields{{"group_link " + strconv.FormatInt(l.ID, 10), inOrder(relay.GroupLink, fields{
			{"group_id", number(l.GroupID)},
			{"name", l.Name},
			{"email", filled(l.Email)},
			{"phone", filled(l.Phone)},
			{"valid_from", moment(l.ValidFrom)},
			{"valid_until", moment(l.ValidUntil)},
			{"quick_response_code_type", filled(l.QuickResponseCodeType)},
			{"link_enabled", l.LinkEnabled},
		})}})
	}
	for _, s := range w.kisi.Schedules() {
		out = append(out, fields{{"schedule " + strconv.FormatInt(s.ID, 10), scheduleFields(s)}})
	}
	return append(out, w.roles()...)
}

func scheduleFields(s kisifake.Schedule) fields {
	of := "lock_id"
	if s.ScheduleableType == "Group" {
		of = "group_id"
	}
	return inOrder(relay.Schedule, fields{
		{of, number(s.ScheduleableID)},
		{"starts_at", moment(s.StartsAt)},
		{"ends_at", moment(s.EndsAt)},
		{"name", s.Name},
		{"consequence", s.Consequence},
		{"override", s.Override},
	})
}

func number(n int64) any { return decode([]byte(strconv.FormatInt(n, 10))) }

func filled(text string) any {
	if text == "" {
		return nil
	}
	return text
}

func moment(t time.Time) any {
	if t.IsZero() {
		return nil
	}
	return stamp(t)
}
