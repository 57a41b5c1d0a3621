package cli

import (
	"context"
	"fmt"
	"io"
	"iter"
	"net/textproto"
	"net/url"
	"os"
	"strings"
	"time"

	"doorhook/internal/action"
	"doorhook/internal/intake"
	"doorhook/internal/relay"
	"doorhook/internal/rules"
)

type explainCmd struct {
	askFlags
	rulesFlag
	kisiFlags
	Payload     string   `arg:"" optional:"" name:"payload" help:"File with what was sent, or - for what comes in."`
	Event       string   `placeholder:"ID" help:"Or an event that a doorhook has recorded: its id, or its place in the list."`
	Trigger     string   `placeholder:"NAME" help:"Its trigger; not needed if there is one."`
	At          string   `placeholder:"TIME" help:"Explain as if it were then: 2026-11-23 10:00 at the venue, or with a zone; default now."`
	Header      []string `sep:"none" placeholder:"NAME: VALUE" help:"A header that came with it; may be repeated."`
	Query       []string `sep:"none" placeholder:"NAME=VALUE" help:"A query parameter that came with it; may be repeated."`
	ContentType string   `default:"application/json" placeholder:"TYPE" help:"How the file is to be read; default application/json."`
}

// Help says what is needed.
func (explainCmd) Help() string {
	return `Shows every rule, every condition with its values, and the requests that Kisi would get. It sends nothing and needs no secret.`
}

// Run explains.
func (c explainCmd) Run(ctx context.Context, env Env) error {
	if (c.Payload == "") == (c.Event == "") {
		return usageError("say what to explain: a file with a payload (- is what comes in), or --event with the id of a recorded event")
	}
	set, err := planning(c.Rules, env)
	if err != nil {
		return err
	}
	ev, now, err := c.event(ctx, env, set)
	if err != nil {
		return err
	}
	x := newExplained(ctx, set, ev, now, action.Caller{
		URL: c.KisiURL, Integration: c.KisiIntegration, Contact: c.KisiContact, UserAgent: "doorhook/" + env.Version,
	})
	if c.JSON {
		return printJSON(env.Out, x)
	}
	x.print(newPainter(env.Out))
	return nil
}

// planning loads rules that only plan: what a secret is does not matter to them.
func planning(dir string, env Env) (*rules.Set, error) {
	fsys, err := openRules(dir)
	if err != nil {
		return nil, err
	}
	return rules.Pretend(fsys, dir, func(name string) bool { return strings.TrimSpace(env.Getenv(name)) != "" })
}

// event is what is to be explained, and when that is done.
func (c explainCmd) event(ctx context.Context, env Env, set *rules.Set) (ev relay.Event, now time.Time, err error) {
	if c.Event != "" {
		ev, err = c.recorded(ctx, env, set)
	} else {
		ev.Trigger, err = c.trigger(set)
	}
	if err != nil {
		return ev, now, err
	}
	now = time.Now()
	if c.At != "" {
		if now, err = set.Clock(ev.Trigger).Read(c.At); err != nil {
			return ev, now, usageError("--at: " + err.Error())
		}
	}
	if c.Event == "" {
		ev, err = c.sent(set, ev.Trigger, now)
	}
	return ev, now, err
}

// trigger is the one that is meant.
func (c explainCmd) trigger(set *rules.Set) (string, error) {
	names := set.Triggers()
	if set.Has(c.Trigger) {
		return c.Trigger, nil
	}
	there := "there are " + strings.Join(names, ", ")
	switch {
	case c.Trigger != "":
		return "", usageError(fmt.Sprintf("%s has no trigger %q; %s", c.Rules, c.Trigger, there))
	case len(names) > 1:
		return "", usageError(fmt.Sprintf("say which trigger gets this with --trigger; %s", there))
	}
	return names[0], nil
}

const mostSent = 16 << 20 // bytes; far more than any trigger takes

// sent reads the payload as a trigger does.
func (c explainCmd) sent(set *rules.Set, trigger string, now time.Time) (relay.Event, error) {
	in, name := io.Reader(os.Stdin), "what came in"
	if c.Payload != "-" {
		f, err := os.Open(c.Payload)
		if err != nil {
			return relay.Event{}, fmt.Errorf("read the payload: %w", err)
		}
		defer f.Close()
		in, name = f, c.Payload
	}
	body, err := io.ReadAll(io.LimitReader(in, mostSent+1))
	if err != nil {
		return relay.Event{}, fmt.Errorf("read the payload: %w", err)
	}
	if len(body) > mostSent {
		return relay.Event{}, fmt.Errorf("%s is larger than %d MiB, which is more than a trigger takes", name, mostSent>>20)
	}
	req := intake.Request{Trigger: trigger, Method: "POST", ContentType: c.ContentType, Body: body}
	if req.Header, req.Query, err = c.around(); err != nil {
		return relay.Event{}, err
	}
	t, ok := set.Trigger(trigger)
	if !ok { // nobody can call it
		t.Name = trigger
	}
	ev, err := intake.Event(req, t, "evt_explained", now)
	if err != nil {
		return ev, fmt.Errorf("%s cannot be read as %s: %w; --content-type says what it is", name, c.ContentType, err)
	}
	return ev, nil
}

// around is what comes with a body.
func (c explainCmd) around() (map[string][]string, url.Values, error) {
	header, query := map[string][]string{"Content-Type": {c.ContentType}}, url.Values{}
	for _, h := range c.Header {
		name, value, ok := strings.Cut(h, ":")
		if !ok {
			return nil, nil, usageError(fmt.Sprintf("--header %q: write 'Name: value'", h))
		}
		name = textproto.CanonicalMIMEHeaderKey(strings.TrimSpace(name))
		header[name] = append(header[name], strings.TrimSpace(value))
	}
	for _, q := range c.Query {
		name, value, ok := strings.Cut(q, "=")
		if !ok {
			return nil, nil, usageError(fmt.Sprintf("--query %q: write name=value", q))
		}
		query.Add(name, value)
	}
	return header, query, nil
}

// recorded finds an event that a doorhook has in its list.
func (c explainCmd) recorded(ctx context.Context, env Env, set *rules.Set) (relay.Event, error) {
	op, err := c.operator(ctx, env, c.settings())
	if err != nil {
		return relay.Event{}, err
	}
	defer op.Close()
	for r, err := range records(ctx, op) {
		switch {
		case err != nil:
			return relay.Event{}, err
		case r.EventID != c.Event && r.ID != c.Event || c.Trigger != "" && r.Trigger != c.Trigger:
			continue
		case r.Event == nil:
			return relay.Event{}, fmt.Errorf("event %s was too large to be kept: explain it from a file with what was sent", c.Event)
		}
		if !set.Has(r.Trigger) {
			return relay.Event{}, fmt.Errorf("event %s came to the trigger %q, which no file in %s has", c.Event, r.Trigger, c.Rules)
		}
		return intake.EventOf(r.Event)
	}
	return relay.Event{}, fmt.Errorf("there is no event %s, or not any more: doorhook events lists those there are", c.Event)
}

// records are all recorded events, the newest first, read page by page. An error ends them.
func records(ctx context.Context, op operator) iter.Seq2[relay.Record, error] {
	const page = 1000
	return func(yield func(relay.Record, error) bool) {
		for before := ""; ; {
			events, err := op.Events(ctx, before, page)
			for _, r := range events {
				if before = r.ID; !yield(r, nil) {
					return
				}
			}
			if err != nil {
				yield(relay.Record{}, err)
			}
			if err != nil || len(events) < page {
				return
			}
		}
	}
}

// explained is an explanation with what Kisi would be asked.
type explained struct {
	rules.Explanation
	ExplainedAt time.Time   `json:"explained_at"`
	Requests    []requested `json:"requests"`

	clock rules.Clock
}

// requested is what carries out an action.
type requested struct {
	Action   string           `json:"action"` // its key
	Rule     string           `json:"rule"`
	TooLate  bool             `json:"too_late"` // at the time of the explanation
	Requests []action.Request `json:"requests"`
	Curl     []string         `json:"curl"`
	Error    string           `json:"error,omitempty"`
}

func newExplained(ctx context.Context, set *rules.Set, ev relay.Event, now time.Time, caller action.Caller) explained {
	x := explained{Explanation: set.Explain(ev), ExplainedAt: now, Requests: []requested{}, clock: set.Clock(ev.Trigger)}
	for _, r := range x.Rules {
		for _, a := range r.Actions {
			x.Requests = append(x.Requests, newRequested(ctx, a, now, caller))
		}
	}
	return x
}

func newRequested(ctx context.Context, a relay.Action, now time.Time, caller action.Caller) requested {
	out := requested{Action: a.Key, Rule: a.Rule, TooLate: a.Expired(now), Curl: []string{}}
	var err error
	if out.Requests, err = caller.Requests(ctx, a); err != nil {
		out.Error = err.Error()
	}
	for _, r := range out.Requests {
		out.Curl = append(out.Curl, printable(r.Curl()))
	}
	return out
}
