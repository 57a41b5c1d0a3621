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
	query := map[string]any{}
	if len(req.Query) > 0 { // few have one
		var err error
		if query, err = fields(visibleQuery(req, t.Auth)); err != nil {
			return relay.Event{}, err
		}
	}
	ev := relay.Event{ID: id, Trigger: t.Name, ReceivedAt: at, Headers: visibleHeaders(req.Header, t), Query: query}
	if t.From == fromKisi {
		payload, err := readKisi(req)
		ev.Payload = payload
		return asKisi(ev, payload), err
	}
	if bySignature(t.Auth, req, at) {
		query = nil // which nobody signed
	}
	payload, err := read(req, query)
	ev.Payload = payload
	return ev, err
}

// visibleQuery leaves out what speaks to doorhook and not to the rules. A caller by an
// alias knows of no doorhook to speak to.
func visibleQuery(req Request, auths []relay.Auth) url.Values {
	hidden := map[string]bool{waitParam: req.Alias == "", dryRunParam: req.Alias == ""}
	for _, a := range auths {
		hidden[a.Name] = hidden[a.Name] || a.Kind == "query"
	}
	out := url.Values{}
	for name, values := range req.Query {
		if !hidden[name] && !secret(auths, values) {
			out[name] = values
		}
	}
	return out
}

// visibleHeaders leaves out credentials and signatures: an event is stored, shown
// and replayed.
func visibleHeaders(header map[string][]string, t relay.Trigger) map[string]any {
	hidden := func(a relay.Auth, name string) bool {
		return a.Kind == "header" && textproto.CanonicalMIMEHeaderKey(a.Name) == name || textproto.CanonicalMIMEHeaderKey(a.HMAC.Header) == name
	}
	out := make(map[string]any, len(header))
	for name, values := range header {
		name = textproto.CanonicalMIMEHeaderKey(name)
		if !slices.ContainsFunc(t.Auth, func(a relay.Auth) bool { return hidden(a, name) }) && !isCredential(name) && !secret(t.Auth, values) && !namesAlias(t, values) {
			// Header values may be in any encoding, the store keeps text.
			out[name] = strings.ToValidUTF8(strings.Join(values, ", "), "\uFFFD")
		}
	}
	return out
}

// longSecret is how long a secret has to be, in bytes, to be looked for inside of other
// texts: shorter ones are words.
const longSecret = 8

// secret reports whether one of values is a secret of auths, or has one in it: a sender
// that moved it to another place may have left it in the old one too, and proxies put
// whole addresses into headers.
func secret(auths []relay.Auth, values []string) bool {
	return slices.ContainsFunc(values, func(value string) bool {
		path, query := value, value
		if strings.ContainsAny(value, "%+") { // few are escaped, and each request has a dozen
			path, _ = url.PathUnescape(value)
			query, _ = url.QueryUnescape(value)
		}
		return slices.ContainsFunc(auths, func(a relay.Auth) bool {
			s := a.Secret.Reveal()
			return s != "" && value == s || len(s) >= longSecret &&
				(strings.Contains(value, s) || strings.Contains(path, s) || strings.Contains(query, s))
		})
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
