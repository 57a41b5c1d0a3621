package golden

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"slices"
	"strings"

	"doorhook/internal/action"
	"doorhook/internal/kisi/kisifake"
	"doorhook/internal/relay"
)

// outside is everybody that messages are sent to, within this process. They take each
// with a 200, unless the case says otherwise.
type outside struct {
	faults []kisifake.Fault // whose path is how an address begins, as the rule file writes it
	url    string           // of the message under way, without its secrets
	got    []message
}

// message is one that was sent.
type message struct {
	line   string
	status int // 0 is no answer
	after  int // how many requests Kisi had got by then
}

// isOutside reports whether text is how an address of a send begins, and no path of Kisi's.
func isOutside(text string) bool {
	return strings.HasPrefix(text, "${env.") || strings.Contains(text, "://")
}

// RoundTrip implements http.RoundTripper.
func (o *outside) RoundTrip(r *http.Request) (*http.Response, error) {
	f := o.fault(r.Method)
	m := &o.got[len(o.got)-1]
	body := f.Reason
	switch {
	case f.Then == kisifake.Hang:
		return nil, context.DeadlineExceeded
	case f.Then == kisifake.Reset:
		return nil, errReset
	case f.Then == kisifake.Crash:
		m.status = http.StatusInternalServerError
	case f.Status != 0:
		m.status = f.Status
	case f.Junk:
		m.status, body = http.StatusOK, "<html></html>"
	default:
		m.status = http.StatusOK
	}
	header := http.Header{}
	if f.RetryAfter != "" {
		header.Set("Retry-After", f.RetryAfter)
	}
	return &http.Response{StatusCode: m.status, Header: header, Body: io.NopCloser(strings.NewReader(body)), Request: r}, nil
}

// fault is what goes wrong with the message under way.
func (o *outside) fault(method string) kisifake.Fault {
	i := slices.IndexFunc(o.faults, func(f kisifake.Fault) bool {
		return (f.Method == "" || f.Method == method) && strings.HasPrefix(o.url, f.Path)
	})
	if i < 0 {
		return kisifake.Fault{}
	}
	f := o.faults[i]
	if o.faults[i].Times--; f.Times <= 1 && f.Times >= 0 {
		o.faults = slices.Delete(o.faults, i, i+1)
	}
	return f
}

// doer does what the worker wants with the client of the moment.
type doer struct {
	*action.Doer
	world *world
}

// Create lets a message be sent under the name that the rule file has for it.
func (d *doer) Create(ctx context.Context, a relay.Action) relay.Outcome {
	if a.Kind != relay.Send {
		return d.Doer.Create(ctx, a)
	}
	o := d.world.outside
	sent := len(o.got)
	if requests, err := (action.Caller{}).Requests(ctx, a); err == nil {
		o.url = requests[0].URL
		o.got = append(o.got, message{line: requests[0].String(), after: len(d.world.kisi.Journal())})
	}
	out := d.Doer.Create(ctx, unsigned(a))
	if out.Verdict != relay.Retry && len(o.got) > sent && o.got[sent].status == 0 { // it was never sent
		o.got = o.got[:sent]
	}
	return out
}

// unsigned is a without a signature, which no case shows, and which takes a real key.
func unsigned(a relay.Action) relay.Action {
	var args map[string]json.RawMessage
	if err := json.Unmarshal(a.Args, &args); err == nil {
		delete(args, "sign")
		a.Args = relay.Encode(args)
	}
	return a
}

// secretSent stands for every secret in a message. Wherever it stands in an address, that
// is one.
func secretSent(name string) string { return "https://" + strings.ToLower(name) + ".example" }
