package cli

import (
	"cmp"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"

	"doorhook/internal/action"
	"doorhook/internal/relay"
	"doorhook/internal/rules"
)

// Words of an explanation besides the results of rules.
const (
	matches   = "matches"
	tooLate   = "too late"
	notNeeded = "not needed"
)

// print shows x to somebody who wants to know why a door stays shut.
func (x explained) print(p painter) {
	x.head(p)
	for _, m := range x.Mistakes {
		p.gap()
		p.lines(0, m.Shown)
		x.saw(p, 4, m.Problem.Values)
	}
	if x.Cancelled {
		return
	}
	at := 0
	for _, r := range x.Rules {
		p.gap()
		x.rule(p, r, x.Requests[at:at+len(r.Actions)])
		at += len(r.Actions)
	}
	for _, r := range x.LeftOut {
		p.gap()
		p.line(0, "RULE %s: left out  (%s)", r.Rule, r.Where)
		for _, name := range r.Missing {
			p.line(2, "%s is not set, and the rule needs it", name)
		}
	}
	if len(x.Lets) > 0 {
		p.gap()
		p.line(0, "VALUES")
		p.rows(2, lets(x.Lets)...)
	}
	if len(x.Respond) > 0 {
		p.gap()
		p.line(0, "ANSWER")
		var rows [][]string
		for _, v := range x.Respond {
			rows = append(rows, []string{v.Name, plain(v.Value)})
		}
		p.rows(2, rows...)
	}
}

func plain(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		return fmt.Sprint(v)
	}
	return short(string(b), 200)
}

func short(text string, most int) string {
	if len(text) <= most {
		return text
	}
	return strings.ToValidUTF8(text[:most], "") + "…"
}

// head says which event this is, and what comes of it.
func (x explained) head(p painter) {
	rows := [][]string{{"trigger", x.Trigger, x.File}, {"received", x.clock.Time(x.ReceivedAt), ""}}
	if !x.ExplainedAt.Equal(x.ReceivedAt) {
		rows = append(rows, []string{"explained", x.clock.Time(x.ExplainedAt), ""})
	}
	for _, k := range []struct{ name, value, none string }{
		{"id", x.EventID, "none: sent twice, it counts twice"},
		{"booking", x.Booking, "none: this event stands for itself"},
		{"version", x.version(), "none: what arrives last counts"},
		{"cancelled", map[bool]string{true: rules.Yes, false: rules.No}[x.Cancelled], ""},
	} {
		rd := reading(x.Identity, k.name)
		if rd.Expr == "" && k.name == "cancelled" {
			continue
		}
		value := cmp.Or(k.value, k.none)
		if rd.Error != "" {
			value = rules.Failed
		}
		rows = append(rows, []string{k.name, value, rd.Expr})
		if missing := firstMissing(rd); missing != "" && k.value == "" {
			rows = append(rows, []string{"", "", missing})
		}
	}
	p.rows(0, rows...)
	p.gap()
	for _, line := range x.verdict() {
		p.line(0, "%s", line)
	}
}

func (x explained) version() string {
	if x.Version == nil {
		return ""
	}
	if x.Timed {
		return x.clock.Time(time.UnixMicro(int64(*x.Version)))
	}
	return strconv.FormatFloat(*x.Version, 'f', -1, 64)
}

func reading(all []rules.Reading, name string) rules.Reading {
	for _, rd := range all {
		if rd.Name == name {
			return rd
		}
	}
	return rules.Reading{}
}

func firstMissing(rd rules.Reading) string {
	for _, from := range rd.From {
		if missing := cmp.Or(from.Missing, firstMissing(from)); missing != "" {
			return missing
		}
	}
	return ""
}

// verdict is the whole matter in a few lines.
func (x explained) verdict() []string {
	switch {
	case x.Cancelled && x.Booking == "" && !x.Fatal:
		return []string{"This event is refused: a cancellation needs a booking, and it names none."}
	case x.Cancelled && !x.Fatal:
		return []string{"This event cancels the booking. No rule is looked at: what stands for it is taken back, and nothing new is made."}
	case x.Fatal:
		return []string{"This event is refused (422) and changes nothing: nothing could be decided."}
	}
	matched, failed, actions, late := 0, 0, 0, 0
	for _, r := range x.Rules {
		actions += len(r.Actions)
		switch r.Result {
		case rules.Yes:
			matched++
		case rules.Failed:
			failed++
		}
	}
	for _, r := range x.Requests {
		if r.TooLate {
			late++
		}
	}
	verb := "match and ask"
	if matched == 1 {
		verb = "matches and asks"
	}
	lines := []string{fmt.Sprintf("%s of %d %s for %s.", count(matched, "rule"), len(x.Rules), verb, count(actions, "action"))}
	if matched == 0 {
		lines[0] = "No rule matches: nothing is asked of Kisi."
	}
	if late > 0 {
		lines = append(lines, fmt.Sprintf("For %s it is too late at %s: nothing would be sent.", count(late, "action"), x.clock.Time(x.ExplainedAt)))
	}
	if failed > 0 {
		they := map[bool]string{true: "it", false: "they"}[failed == 1]
		lines = append(lines, fmt.Sprintf("%s failed: what %s wanted before stays wanted.", count(failed, "rule"), they))
	}
	return lines
}

// outcome is the result of a rule in words.
func outcome(result string) string {
	return cmp.Or(map[string]string{rules.Yes: matches, rules.No: "does not match"}[result], result)
}

// rule shows what one rule made of the event.
func (x explained) rule(p painter, r rules.RuleExplanation, requests []requested) {
	fmt.Fprintf(p.out, "RULE %s: %s  (%s)\n", clean(r.Rule), p.paint(outcome(r.Result)), clean(r.Where))
	if r.Each != nil && r.Result != rules.NotReached {
		p.rows(2, []string{"for each of", r.Each.Expr, r.Each.Text})
	}
	for i, t := range r.Turns {
		indent := 2
		if t.Each != nil {
			indent = 4
			p.rows(2, []string{outcome(t.Result), fmt.Sprintf("each no. %d", i+1), t.Each.Text})
		}
		x.turn(p, indent, t)
	}
	if more := r.Count - len(r.Turns); more > 0 {
		p.line(2, "… and %d more", more)
	}
	if r.Mistake != nil {
		p.lines(2, r.Mistake.Shown)
		x.saw(p, 6, r.Mistake.Problem.Values)
	}
	for i, a := range r.Actions {
		p.gap()
		x.action(p, a, requests[i])
	}
}

func (x explained) turn(p painter, indent int, t rules.Turn) {
	if t.When == nil && t.Each == nil {
		p.line(indent, "always: it has no when")
	}
	if t.When != nil {
		p.rows(indent, conditions(*t.When, "")...)
	}
	p.rows(indent, lets(t.Lets)...)
}

// conditions are the parts of a condition, one below the other.
func conditions(c rules.Condition, indent string) [][]string {
	switch {
	case c.Op == "and" && indent == "":
		return parts(c, "")
	case c.Op != "":
		title := map[string]string{"and": "all of these", "or": "one of these", "not": "not this"}[c.Op]
		return append([][]string{{c.Result, indent + title, ""}}, parts(c, indent+"  ")...)
	}
	var details []string
	if c.Error != "" {
		details = append(details, c.Error)
	}
	for _, rd := range c.Reads {
		details = append(details, detail(rd, c.Result != rules.Yes, c.Expr)...)
	}
	rows := [][]string{{c.Result, indent + c.Expr, ""}}
	for i, d := range details {
		if i == 0 {
			rows[0][2] = d
		} else {
			rows = append(rows, []string{"", "", d})
		}
	}
	return rows
}

func parts(c rules.Condition, indent string) (rows [][]string) {
	for _, part := range c.Parts {
		rows = append(rows, conditions(part, indent)...)
	}
	return rows
}

// detail is a value, and if it is why a rule does not match, where it comes from.
func detail(rd rules.Reading, why bool, of string) []string {
	var lines []string
	switch {
	case rd.Error != "":
		lines = append(lines, rd.Name+" could not be computed: "+rd.Error)
	case rd.Name != of:
		lines = append(lines, rd.Name+" = "+rd.Text)
	}
	if rd.Missing != "" && (why || rd.Expr == "") {
		if rd.Name == of {
			lines = nil
		}
		lines = append(lines, rd.Missing)
	}
	if !why || rd.Expr == "" {
		return lines
	}
	lines = append(lines, "  "+rd.Expr)
	for _, from := range rd.From {
		for _, line := range detail(from, why, rd.Expr) {
			lines = append(lines, "  "+line)
		}
	}
	return lines
}

// lets are named values with how they are computed.
func lets(all []rules.Reading) (rows [][]string) {
	for _, rd := range all {
		row := []string{rd.Name, rd.Text, rd.Expr}
		switch {
		case rd.Unused:
			row[1] = notNeeded
		case rd.Later:
			row[1] = "computed when it is sent"
		case rd.Error != "":
			row[1] = rules.Failed
		}
		rows = append(rows, row)
		if rd.Error != "" {
			rows = append(rows, []string{"", "", rd.Error})
		}
	}
	return rows
}

func (x explained) saw(p painter, indent int, values []relay.NamedValue) {
	for _, v := range values {
		text := "nil" // as rules call it
		if v.Value != nil {
			text = plain(v.Value)
		}
		p.line(indent, "%s = %s", v.Name, text)
	}
}

// action shows what is asked for, when, and how.
func (x explained) action(p painter, a relay.Action, r requested) {
	p.line(2, "%s", title(a))
	rows := x.timing(a)
	switch {
	case r.TooLate:
		rows = append(rows, []string{tooLate, "since " + x.clock.Time(a.NotAfter) + ": nothing would be sent"})
	case !a.NotAfter.IsZero():
		rows = append(rows, []string{tooLate, "from " + x.clock.Time(a.NotAfter) + " on"})
	default:
		rows = append(rows, []string{tooLate, "never"})
	}
	if !a.Unused.IsZero() {
		rows = append(rows, []string{"if unused", "taken back at " + x.clock.Time(a.Unused) + " if nobody has come by then"})
	}
	if a.Later != nil {
		rows = append(rows, []string{"person", fmt.Sprintf("user %d: Kisi is asked when it is sent, and what needs the person is computed then", a.Later.User)})
	}
	p.rows(4, rows...)
	if r.Error != "" {
		p.line(4, "%s", r.Error)
	}
	for i, curl := range r.Curl {
		p.gap()
		if note := noteOn(r.Requests[i]); note != "" {
			p.line(4, "# %s", note)
		}
		p.lines(4, curl)
	}
}

// timing is the window of what is asked for, and when that is done.
func (x explained) timing(a relay.Action) [][]string {
	when := "at once"
	if !a.At.IsZero() {
		when = "at " + x.clock.Time(a.At)
	}
	if a.Kind == relay.Send {
		return [][]string{{"is sent", when}}
	}
	return [][]string{{"window", window(x.clock, a)}, {"Kisi is told", when}}
}

// title says what an action is about, without when.
func title(a relay.Action) string {
	var args struct {
		URL     relay.Text `json:"url"`
		Method  string     `json:"method"`
		UserID  int64      `json:"user_id"`
		LockID  int64      `json:"lock_id"`
		GroupID int64      `json:"group_id"`
		Email   string     `json:"email"`
		Name    string     `json:"name"`
	}
	_ = json.Unmarshal(a.Args, &args) // what cannot be read is left out
	var about []string
	if len(args.URL) > 0 {
		about = append(about, strings.TrimSpace(args.Method+" "+args.URL.String()))
	}
	for _, text := range []string{args.Email, numbered("user", args.UserID), numbered("lock", args.LockID), numbered("group", args.GroupID), args.Name} {
		if text != "" {
			about = append(about, text)
		}
	}
	return string(a.Kind) + " " + strings.Join(about, ", ")
}

func numbered(what string, id int64) string {
	if id == 0 {
		return ""
	}
	return what + " " + strconv.FormatInt(id, 10)
}

// window is when the door opens, and for how long.
func window(clock rules.Clock, a relay.Action) string {
	starts := a.Starts()
	switch {
	case a.Kind == relay.Unlock:
		return "as long as is set at the lock"
	case a.Ends.IsZero() && starts.IsZero():
		return "from when it is made, without an end"
	case a.Ends.IsZero():
		return "from " + clock.Time(starts) + ", without an end"
	case starts.IsZero():
		return "until " + clock.Time(a.Ends)
	}
	return clock.Window(starts, a.Ends) + ", " + rules.Length(a.Ends.Sub(starts))
}

// noteOn says what r is made for, and what stands in it for an id that is not known yet.
func noteOn(r action.Request) string {
	for _, place := range []string{"LOCK", "USER"} {
		if strings.Contains(r.Body, `_id":`+place+`,`) {
			return r.For + ", whose id takes the place of " + place
		}
	}
	return r.For
}
