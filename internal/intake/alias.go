package intake

import (
	"context"
	"strings"

	"doorhook/internal/relay"

	"github.com/google/uuid"
)

// caught is what Zapier answers to whoever calls one of its hooks, in this order of the
// fields; two of the ids are the same (a sample of an app of Zapier's own, in
// github.com/zapier/visual-builder, issue 133). Senders have come to expect it.
type caught struct {
	ID        string `json:"id"`
	RequestID string `json:"request_id"`
	Attempt   string `json:"attempt"`
	Status    string `json:"status"`
}

// namespace is that of the ids that doorhook derives.
var namespace = uuid.NewSHA1(uuid.NameSpaceURL, []byte("urn:doorhook:event"))

// catch makes of an answer what a caller by an alias is told: that the event is safe, and
// under which id, the same for all its repeats.
func (in *Intake) catch(trigger string, a Answer) Answer {
	once := in.o.NewUUID()
	a.Trigger = trigger
	a.caught = &caught{
		ID:        uuid.NewSHA1(namespace, []byte(trigger+":"+a.EventID)).String(),
		RequestID: once, Attempt: once, Status: "success",
	}
	return a
}

// receiveByAlias takes in what came to an alias. Where ?wait and ?dry_run are known of,
// so is the trigger's own address.
func (in *Intake) receiveByAlias(ctx context.Context, rules rulebook, t relay.Trigger, req Request) (Answer, error) {
	if empty(req.Body) && len(visibleQuery(req, t.Auth)) == 0 { // somebody looks whether the address is right
		return in.catch(t.Name, Answer{Status: relay.Ignored, EventID: in.o.NewID()}), nil
	}
	a, err := in.take(ctx, rules, t, req, wishes{})
	if err != nil {
		return Answer{}, err
	}
	return in.catch(t.Name, a), nil
}

// namesAlias reports whether values name the alias of t: proxies put whole addresses into
// headers, and that of an alias is a secret.
func namesAlias(t relay.Trigger, values []string) bool {
	return t.Alias != "" && strings.Contains(strings.Join(values, "\n"), t.Alias.Reveal())
}
