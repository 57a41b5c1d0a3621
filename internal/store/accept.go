package store

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"strconv"
	"strings"

	"doorhook/internal/relay"
)

const (
	maxVersion = 1 << 53  // beyond it Lua cannot tell neighbours apart
	keptEvent  = 16 << 10 // bytes of an event that the list of events keeps
)

// Accept takes in an event with what it asks for, in one step: a crash before it
// costs the sender one retry, a crash after it costs nothing. When it fails with
// [relay.ErrUnavailable] the answer may have been lost after Redis took the event
// in; that is safe, since the sender's retry is then a duplicate, or, without an
// identity, asks the same job for the same thing again if its event id is the same.
func (s *Store) Accept(ctx context.Context, ev relay.Event, p relay.Plan) (relay.Receipt, error) {
	return s.accept(ctx, ev, p, nil)
}

// Replay takes in an event once more, although it was accepted before, and lets go
// of the dead letters that it left. It has no effect, and is stale, if the job has
// changed since it was planned.
func (s *Store) Replay(ctx context.Context, ev relay.Event, p relay.Plan, r relay.Replay) (relay.Receipt, error) {
	return s.accept(ctx, ev, p, &r)
}

func (s *Store) accept(ctx context.Context, ev relay.Event, p relay.Plan, r *relay.Replay) (relay.Receipt, error) {
	receipt := relay.Receipt{EventID: ev.ID}
	c, err := s.acceptance(ev, p, r)
	if err != nil {
		return receipt, fmt.Errorf("store: accept event %s: %w", short(ev.ID), err)
	}
	answer, err := s.accepting.do(ctx, c.args())
	if err == nil && answer == "limited" {
		var args []string
		if args, receipt.Error, err = s.refused(c); err == nil {
			answer, err = s.accepting.do(ctx, args)
		}
	}
	if err != nil {
		return relay.Receipt{}, failed("accept event "+short(ev.ID), err)
	}
	status, rest, _ := strings.Cut(answer, " ")
	changes, job, _ := strings.Cut(rest, " ")
	if status == "busy" {
		return relay.Receipt{}, fmt.Errorf("store: accept event %s: %w", short(ev.ID), relay.ErrBusy)
	}
	if job == "=" {
		job = c.job
	}
	receipt.Status, receipt.JobID, receipt.Changes = relay.Status(status), job, number(changes)
	if receipt.Status != relay.Failed {
		receipt.Error = ""
	}
	return receipt, nil
}

// acceptance is what acceptScript is told of one event.
type acceptance struct {
	ev      relay.Event
	whole   json.RawMessage // ev
	plan    relay.Plan
	job     string // its id
	version string
	record  string
	replay  *relay.Replay
	wants   []string
	letters []string
}

func (s *Store) acceptance(ev relay.Event, p relay.Plan, r *relay.Replay) (c acceptance, err error) {
	c = acceptance{ev: ev, plan: p, job: relay.JobID(ev, p), replay: r}
	if c.version, err = versionText(p.Version); err != nil {
		return c, err
	}
	if err = c.write(r != nil && r.Unkept); err != nil {
		return c, err
	}
	if c.wants, err = wantTexts(p); err != nil {
		return c, err
	}
	c.letters, err = letterArgs(s.letters(ev, c.whole, p, c.job))
	return c, err
}

// args are in the order of acceptScript.
func (c acceptance) args() []string {
	p := c.plan
	name, seen := short(c.job), ""
	if p.EventID != "" {
		seen = seenAs(c.ev.Trigger, p.EventID)
	}
	received := strconv.FormatInt(c.ev.ReceivedAt.UnixMicro(), 10)
	args := append(
		make([]string, 0, 16+3*len(c.wants)/2+2*len(p.Undecided)+3*len(c.letters)/2),
		"", flagsOf(c.ev.Trigger, p), name, seen, received+" "+p.Revision+" "+c.ev.ID, c.record,
	)
	if name != c.job {
		args = append(args, "i", c.job)
	}
	if c.version != "" {
		args = append(args, "v", c.version)
	}
	if lock, at := openedArgs(p.Opened); lock != "" {
		args = append(args, "o", lock, at)
	}
	if p.GrantsPerMinute > 0 {
		args = append(args, "g", c.ev.Trigger, strconv.Itoa(p.GrantsPerMinute), "d", short(c.ev.RefusalID())) // if it is accepted now, it was refused before
	}
	if c.replay != nil {
		args = append(args, "p", strconv.FormatInt(c.replay.Changes, 10), c.replay.Place)
		for _, id := range c.replay.Letters {
			args = append(args, "d", short(id))
		}
	}
	for i := 0; i < len(c.wants); i += 2 {
		args = append(args, "w", c.wants[i], c.wants[i+1])
	}
	for _, rule := range p.Undecided {
		args = append(args, "u", rule)
	}
	return withCount(withLetters(args, c.letters))
}

// withLetters adds names and texts of letters.
func withLetters(args, letters []string) []string {
	for i := 0; i < len(letters); i += 2 {
		args = append(args, "l", letters[i], letters[i+1])
	}
	return args
}

// withCount says first how many arguments there are.
func withCount(args []string) []string {
	args[0] = strconv.Itoa(len(args))
	return args
}

// refused is what becomes of an event that would grant too much: it is listed, with a
// dead letter, and asks for nothing.
func (s *Store) refused(c acceptance) (args []string, why string, err error) {
	l := s.refusal(c.ev, c.whole, c.plan, c.job)
	letters, err := letterArgs([]relay.DeadLetter{l})
	if err != nil {
		return nil, "", fmt.Errorf("refuse it: %w", err)
	}
	seen := relay.Plan{EventID: c.plan.EventID, Booking: c.plan.Booking, Revision: c.plan.Revision, Opened: c.plan.Opened}
	bare := acceptance{ev: c.ev, plan: seen, job: c.job, record: c.record, letters: letters}
	if c.replay != nil {
		bare.replay = &relay.Replay{Changes: c.replay.Changes, Place: c.replay.Place} // its letters stay
	}
	args = bare.args()
	args[1] += "r"
	return args, l.Error, nil
}

// flagsOf are the letters by which acceptScript knows what kind of plan p is.
func flagsOf(trigger string, p relay.Plan) string {
	out := ""
	add := func(letter string, is bool) {
		if is {
			out += letter
		}
	}
	add("f", p.Fatal)
	add("t", p.Timed)
	add("c", p.Cancelled)
	add("b", p.Booking != "")
	add("m", p.Lane() == relay.Messages)
	add("o", trigger == relay.Own)
	return out
}

func versionText(v *float64) (string, error) {
	switch {
	case v == nil:
		return "", nil
	case math.IsNaN(*v) || math.Abs(*v) >= maxVersion:
		return "", fmt.Errorf("version %v: a version must be a number below 2^53", *v)
	}
	return strconv.FormatFloat(*v, 'f', -1, 64), nil
}

// kept is what the list of events has of one besides what became of it and when.
type kept struct {
	Rules    string          `json:"rules"`
	Revision string          `json:"revision"`
	ID       string          `json:"id"` // of one that is not kept whole, and so is its trigger
	Trigger  string          `json:"trigger"`
	Size     int             `json:"size"` // of one that is too large for it
	Event    json.RawMessage `json:"event"`
}

// write writes the event, once for all that keeps it, and its record, which [kept] reads.
// Most records have the event in them.
func (c *acceptance) write(unkept bool) error {
	b := make([]byte, 0, 1<<10)
	var err error
	add := func(name string, value any) {
		if err == nil {
			b, err = relay.AppendJSON(append(b, name...), value)
		}
	}
	add(`{"rules":`, c.plan.RuleNames())
	add(`,"revision":`, c.plan.Revision)
	head := len(b)
	b = append(b, `,"event":`...)
	from := len(b)
	if err == nil {
		b, err = c.ev.AppendJSON(b)
	}
	if err != nil {
		return fmt.Errorf("payload: %w", err)
	}
	c.whole = b[from:len(b):len(b)]
	if large := len(c.whole) > keptEvent; unkept || large {
		b = b[:head:head] // the event stays where it is
		add(`,"id":`, short(c.ev.ID))
		add(`,"trigger":`, c.ev.Trigger)
		if large && !unkept {
			add(`,"size":`, len(c.whole))
		}
	}
	c.record = string(append(b, '}'))
	return err
}

// letters are the problems of a plan as dead letters.
func (s *Store) letters(ev relay.Event, whole json.RawMessage, p relay.Plan, job string) []relay.DeadLetter {
	if len(p.Problems) == 0 {
		return nil
	}
	if p.Fatal && p.Booking == "" { // it might have been a booking's
		job = ""
	}
	out := make([]relay.DeadLetter, len(p.Problems))
	for i, id := range p.LetterIDs(ev) {
		problem := &p.Problems[i]
		out[i] = relay.DeadLetter{
			ID: id, At: s.Now().UTC(), Cause: relay.ByRule, Trigger: ev.Trigger, EventID: ev.ID, JobID: job,
			Rule: problem.Rule, Error: problem.Error(), Problem: problem, Revision: p.Revision,
		}
	}
	out[0].Event = whole
	for i := range out[1:] {
		out[i+1].First = out[0].ID
		out[0].Others = append(out[0].Others, out[i+1].ID)
	}
	return out
}
