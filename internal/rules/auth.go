package rules

import (
	"regexp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v4"

	"doorhook/internal/relay"
)

func (fl *fileLoader) auth() {
	if fl.own() {
		return
	}
	e, ok := fl.keys["auth"]
	if !ok {
		fl.errorf(fl.keys["trigger"].key, "auth: is missing: say who may call this trigger (`- bearer: ${env.DOORHOOK_TOKEN}`), or `none: true` if anybody may")
		return
	}
	nodes := []*yaml.Node{e.node}
	before := len(fl.errs)
	defer func() { fl.src.hide(fl.errs[before:], e.key.Line, lastLine(e.node)) }()
	if e.node.Kind == yaml.SequenceNode {
		nodes = fl.items(e.node, "auth")
	}
	if len(nodes) == 0 {
		fl.errorf(e.node, "auth is empty")
	}
	for _, n := range nodes {
		if n.Kind == yaml.MappingNode && len(n.Content) == 0 {
			fl.errorf(n, "auth is empty")
		}
		for _, a := range fl.entries(n, "auth", authKeys) {
			fl.oneAuth(a)
		}
	}
	if open := slices.IndexFunc(fl.f.trigger.Auth, func(a relay.Auth) bool { return a.Kind == "none" }); open >= 0 && len(fl.f.trigger.Auth) > 1 {
		fl.errorf(e.key, "`none: true` lets anybody in, so the other ways in this list mean nothing: remove it or them")
	}
	fl.tellClosed()
}

// tellClosed says of the secrets that are missing whether anybody can call the trigger
// without them.
func (fl *fileLoader) tellClosed() {
	all := "nobody can call this trigger"
	if slices.ContainsFunc(fl.f.trigger.Auth, func(a relay.Auth) bool { return a.Secret != "" || a.Kind == "alias" }) {
		all += " this way"
	}
	for _, w := range fl.unkeyed {
		fl.close(w.node, all+": "+w.why)
	}
}

func (fl *fileLoader) oneAuth(a entry) {
	way := relay.Auth{Kind: a.name}
	var ok bool
	switch a.name {
	case "none":
		if ok = isTrue(a.node); !ok {
			fl.errorf(a.node, "write `none: true` if anybody may call this trigger, or remove it")
		}
	case "alias":
		if ok = isTrue(a.node); !ok {
			fl.errorf(a.node, "write `alias: true` if who knows the alias may call this trigger by it, or remove it")
		}
	case "hmac":
		way, ok = fl.hmac(a.node)
	case "bearer":
		way.Secret, ok = fl.secret(a.node, a.name)
	default:
		way.Name, way.Secret, ok = fl.namedSecret(a)
	}
	switch {
	case !ok:
	case a.name == "query" && slices.Contains([]string{"wait", "dry_run"}, way.Name):
		fl.errorf(a.node, "the query parameter %s means something else", way.Name)
	case a.name == "none" && fl.f.trigger.From == fromKisi:
		fl.errorf(a.node, "Kisi's events open doors: with `none: true` anybody could make one up. Give Kisi a signature key, and take `- hmac: kisi:${env.KISI_WEBHOOK_KEY}`")
	case a.name == "alias" && fl.keys["alias"].node == nil:
		fl.errorf(a.node, "this file has no alias: that somebody could know")
	case a.name == "header" && !headerName.MatchString(way.Name):
		fl.errorf(a.node, "this is not the name of a header")
	default:
		fl.f.trigger.Auth = append(fl.f.trigger.Auth, way)
	}
}

// namedSecret reads `name: secret` as a key with a value, or as one text with a colon.
func (fl *fileLoader) namedSecret(a entry) (string, relay.Secret, bool) {
	if a.node.Kind == yaml.MappingNode {
		entries := fl.entries(a.node, a.name, nil)
		if len(entries) != 1 {
			fl.errorf(a.node, "%s takes one name with its secret", a.name)
			return "", "", false
		}
		s, ok := fl.secret(entries[0].node, a.name)
		return entries[0].name, s, ok
	}
	s, ok := fl.secret(a.node, a.name)
	if !ok {
		return "", "", false
	}
	name, secret, found := strings.Cut(s.Reveal(), ":")
	name, secret = strings.TrimSpace(name), strings.TrimSpace(secret)
	if !found || name == "" || secret == "" {
		fl.errorf(a.node, "%s takes a name, a colon and a secret: `%s: name:${env.DOORHOOK_TOKEN}`", a.name, a.name)
		return "", "", false
	}
	return name, relay.Secret(secret), true
}

var envRef = regexp.MustCompile(`^\s*env\.([A-Za-z_][A-Za-z0-9_]*)\s*$`)

// secret is a text in which ${env.NAME} is replaced by that variable. The text
// itself never gets into a message.
func (fl *fileLoader) secret(n *yaml.Node, what string) (relay.Secret, bool) {
	text, ok := fl.scalar(n, what)
	if !ok {
		return "", false
	}
	s, missing, ok := fl.reveal(n, text)
	if missing != "" {
		fl.unset(n, missing)
		return "", false
	}
	return s, ok
}

func (fl *fileLoader) unset(n *yaml.Node, name string) {
	fl.errorf(n, "the environment variable %s is not set, or empty", name)
}

// reveal puts the variables into a text. missing is the first that is not set, or empty.
func (fl *fileLoader) reveal(n *yaml.Node, text string) (s relay.Secret, missing string, ok bool) {
	found, unclosed := spans(text)
	if unclosed >= 0 {
		fl.errorf(n, "this ${ has no } that closes it")
		return "", "", false
	}
	if len(found) == 0 {
		fl.errorf(n, "a secret does not belong into a file: put it into a variable and write ${env.NAME}")
		return "", "", false
	}
	var b strings.Builder
	rs, end := []rune(text), 0
	for _, f := range found {
		m := envRef.FindStringSubmatch(f.inner)
		if m == nil {
			fl.errorf(n, "only ${env.NAME} can stand here")
			return "", "", false
		}
		v := fl.getenv(m[1])
		if strings.TrimSpace(v) == "" && missing == "" {
			missing = m[1]
		}
		b.WriteString(string(rs[end:f.from]))
		b.WriteString(v)
		end = f.to
	}
	b.WriteString(string(rs[end:]))
	return relay.Secret(b.String()), missing, true
}

func isTrue(n *yaml.Node) bool { return n.Tag == "!!bool" && plainOf(n, n.Value) == true }
