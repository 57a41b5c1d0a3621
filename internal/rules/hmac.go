package rules

import (
	"encoding/base64"
	"slices"
	"strings"
	"time"

	"go.yaml.in/yaml/v4"

	"doorhook/internal/relay"
)

// signatureAge is how old a signature may be if the file does not say. It is what the
// senders of the presets advise.
const signatureAge = 5 * time.Minute

// preset is how the sender of that name signs; false if there is none.
//
// Sources: Kisi's API reference, signature_key of an integration (whether hex or base64,
// and whether sha256= is always there, it does not say); GitHub, "Validating webhook
// deliveries"; Stripe, "Verify webhook signatures manually"; Slack, "Verifying requests
// from Slack"; the specification at standardwebhooks.com.
func preset(name string) (relay.HMAC, bool) {
	switch name {
	case "kisi":
		return relay.HMAC{Header: "X-Signature", Prefix: "sha256=", Bare: true, Scheme: relay.SignsBody}, true
	case "github":
		return relay.HMAC{Header: "X-Hub-Signature-256", Prefix: "sha256=", Encoding: "hex", Scheme: relay.SignsBody}, true
	case "stripe":
		return relay.HMAC{Header: "Stripe-Signature", Prefix: "v1=", Encoding: "hex", Tolerance: signatureAge, Scheme: relay.SignsStripe}, true
	case "slack":
		return relay.HMAC{Header: "X-Slack-Signature", Prefix: "v0=", Encoding: "hex", Timestamp: "X-Slack-Request-Timestamp", Tolerance: signatureAge, Scheme: relay.SignsSlack}, true
	case relay.SignsStandardWebhooks:
		return relay.HMAC{
			Header: "Webhook-Signature", Prefix: "v1,", Encoding: "base64", Timestamp: "Webhook-Timestamp", Tolerance: signatureAge, Scheme: relay.SignsStandardWebhooks,
		}, true
	}
	return relay.HMAC{}, false
}

func presets() []string {
	return []string{"kisi", "github", "stripe", "slack", relay.SignsStandardWebhooks}
}

var (
	hmacKeys      = []string{"header", "prefix", "encoding", "timestamp", "tolerance", "scheme", "secret"}
	hmacEncodings = []string{"hex", "base64"}
	hmacSchemes   = []string{relay.SignsBody, relay.SignsTimestampBody}
)

// hmac reads how a sender signs: a preset with its key, or keys that say all of it.
func (fl *fileLoader) hmac(n *yaml.Node) (relay.Auth, bool) {
	way := relay.Auth{Kind: "hmac"}
	if n.Kind == yaml.MappingNode {
		return fl.ownHMAC(n)
	}
	text, ok := fl.scalar(n, "hmac")
	if !ok {
		return way, false
	}
	name, key, found := strings.Cut(text, ":")
	if way.HMAC, ok = preset(strings.TrimSpace(name)); !ok || !found {
		fl.errorf(n, "hmac takes one of %s, a colon and a secret: `hmac: github:${env.GITHUB_SECRET}`; or {header: …, secret: …}", strings.Join(presets(), ", "))
		return way, false
	}
	way.Secret, ok = fl.signatureKey(n, strings.TrimSpace(key))
	if ok && way.HMAC.Scheme == relay.SignsStandardWebhooks {
		way.Secret = fl.decoded(n, way.Secret)
	}
	return way, ok
}

// ownHMAC reads what no preset is for.
func (fl *fileLoader) ownHMAC(n *yaml.Node) (relay.Auth, bool) {
	way := relay.Auth{Kind: "hmac", HMAC: relay.HMAC{Scheme: relay.SignsBody}}
	before, keys := len(fl.errs), map[string]*yaml.Node{}
	for _, e := range fl.entries(n, "hmac", hmacKeys) {
		keys[e.name] = e.node
	}
	for _, name := range []string{"header", "secret"} {
		if keys[name] == nil {
			fl.errorf(n, "hmac needs %s", name)
		}
	}
	way.HMAC.Header = fl.headerNamed(keys["header"])
	way.HMAC.Prefix = fl.word(keys["prefix"], "prefix", nil)
	way.HMAC.Encoding = fl.word(keys["encoding"], "encoding", hmacEncodings)
	if scheme := fl.word(keys["scheme"], "scheme", hmacSchemes); scheme != "" {
		way.HMAC.Scheme = scheme
	}
	fl.signedTime(n, keys, &way.HMAC)
	if s := keys["secret"]; s != nil {
		if text, ok := fl.scalar(s, "secret"); ok {
			way.Secret, _ = fl.signatureKey(s, text)
		}
	}
	return way, len(fl.errs) == before
}

// signedTime reads when a signature was made.
func (fl *fileLoader) signedTime(n *yaml.Node, keys map[string]*yaml.Node, h *relay.HMAC) {
	h.Timestamp = fl.headerNamed(keys["timestamp"])
	signs, timed := h.Scheme == relay.SignsTimestampBody, keys["timestamp"] != nil
	switch {
	case timed && !signs:
		fl.errorf(keys["timestamp"], "a time that is not signed proves nothing: with timestamp goes `scheme: timestamp.body`")
	case signs && !timed:
		fl.errorf(n, "with `scheme: timestamp.body` goes timestamp: the header that has the time")
	}
	if timed {
		h.Tolerance = signatureAge
	}
	t := keys["tolerance"]
	if t == nil {
		return
	}
	d, ok := parseDuration(fl.word(t, "tolerance", nil))
	switch {
	case !ok || d <= 0:
		fl.errorf(t, "tolerance takes a length of time, such as 5m")
	case !timed:
		fl.errorf(t, "tolerance is how old the time in a header may be: timestamp: says in which")
	default:
		h.Tolerance = d
	}
}

// headerNamed is the name of a header; "" if n is nil.
func (fl *fileLoader) headerNamed(n *yaml.Node) string {
	name := fl.word(n, "a header's name", nil)
	if name != "" && !headerName.MatchString(name) {
		fl.errorf(n, "this is not the name of a header")
	}
	return name
}

// word is a plain text, one of some if there are any; "" if n is nil.
func (fl *fileLoader) word(n *yaml.Node, what string, oneOf []string) string {
	if n == nil {
		return ""
	}
	text, ok := fl.scalar(n, what)
	switch {
	case !ok:
	case strings.Contains(text, "${"):
		fl.errorf(n, "%s is plain text: ${…} is not computed in it", what)
	case oneOf != nil && !slices.Contains(oneOf, text):
		fl.errorf(n, "%s is %s", what, strings.Join(oneOf, " or "))
	}
	return text
}

// unkeyed is a way in whose secret is missing, and why.
type unkeyed struct {
	node *yaml.Node
	why  string
}

// signatureKey is what signatures are made with. The file for Kisi's events may come
// before the webhook is set up, with the key of which it is used: without the variable
// nobody gets in.
func (fl *fileLoader) signatureKey(n *yaml.Node, text string) (relay.Secret, bool) {
	s, missing, ok := fl.reveal(n, text)
	switch {
	case missing == "":
	case fl.f.trigger.From == fromKisi:
		fl.unkeyed = append(fl.unkeyed, unkeyed{n, missing + " is not set"})
		return "", true
	default:
		fl.unset(n, missing)
		return "", false
	}
	return relay.Secret(strings.TrimSpace(s.Reveal())), ok
}

// decoded is a key of Standard Webhooks as it is used. One that cannot be read lets
// nobody in: cases and explanations have other values for it, so it is no mistake.
func (fl *fileLoader) decoded(n *yaml.Node, s relay.Secret) relay.Secret {
	key, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(s.Reveal(), "whsec_"))
	if err == nil && len(key) > 0 {
		return relay.Secret(key)
	}
	if s != "" {
		fl.unkeyed = append(fl.unkeyed, unkeyed{n, "its key is not in base64, with or without whsec_ before it"})
	}
	return ""
}
