package intake

import (
	"net/textproto"
	"net/url"
	"slices"
	"strings"
	"time"

	"doorhook/internal/relay"
)

// Event reads req into an event of t that was received at at. It does not ask who
// calls.
func Event(req Request, t relay.Trigger, id string, at time.Time) (relay.Event, error) {
	query, err := fields(visibleQuery(req.Query, t.Auth))
	if err != nil {
		return relay.Event{}, err
	}
	payload, err := read(req, query)
	if err != nil {
		return relay.Event{}, err
	}
	return relay.Event{
		ID:         id,
		Trigger:    t.Name,
		ReceivedAt: at,
		Payload:    payload,
		Headers:    visibleHeaders(req.Header, t.Auth),
		Query:      query,
	}, nil
}

// visibleQuery leaves out what speaks to doorhook and not to the rules.
func visibleQuery(query url.Values, auths []relay.Auth) url.Values {
	hidden := names(auths, "query")
	hidden[waitParam], hidden[dryRunParam] = true, true
	out := url.Values{}
	for name, values := range query {
		if !hidden[name] && !secret(auths, values) {
			out[name] = values
		}
	}
	return out
}

// visibleHeaders leaves out credentials and signatures: an event is stored, shown
// and replayed.
func visibleHeaders(header map[string][]string, auths []relay.Auth) map[string]any {
	hidden := names(auths, "header")
	out := make(map[string]any, len(header))
	for name, values := range header {
		name = textproto.CanonicalMIMEHeaderKey(name)
		if !hidden[name] && !isCredential(name) && !secret(auths, values) {
			// Header values may be in any encoding, the store keeps text.
			out[name] = strings.ToValidUTF8(strings.Join(values, ", "), "\uFFFD")
		}
	}
	return out
}

// secret reports whether one of values is a secret of auths: a sender that moved it
// to another place may have left it in the old one too.
func secret(auths []relay.Auth, values []string) bool {
	return slices.ContainsFunc(auths, func(a relay.Auth) bool {
		return a.Secret != "" && slices.Contains(values, a.Secret.Reveal())
	})
}

// isCredential goes by the name alone: a sender may have configured a header that
// the trigger does not ask for.
func isCredential(name string) bool {
	name = strings.ToLower(name)
	return slices.ContainsFunc([]string{
		"authorization", "x-auth", "cookie", "signature", "secret", "token", "password", "api-key", "apikey",
	}, func(word string) bool { return strings.Contains(name, word) })
}

// names are the names that auths of one kind use, header names canonical.
func names(auths []relay.Auth, kind string) map[string]bool {
	out := map[string]bool{}
	for _, a := range auths {
		switch {
		case a.Kind == kind && kind == "header":
			out[textproto.CanonicalMIMEHeaderKey(a.Name)] = true
		case a.Kind == kind:
			out[a.Name] = true
		}
	}
	return out
}
