package rules

import (
	"encoding/base64"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"unicode"

	"go.yaml.in/yaml/v4"

	"doorhook/internal/relay"
)

// bodies are the fields of a send that say what is sent; one of them, or none.
var bodies = []string{"json", "form", "text"}

// bodiless are the methods that send nothing.
var bodiless = []string{"GET", "DELETE"}

// noHeaders are headers that doorhook sets by itself, in lower case.
var noHeaders = []string{"host", "content-length", "transfer-encoding", "connection", "webhook-id", "webhook-timestamp", "webhook-signature"}

// oneText is a text, which a list is not.
func (fl *fileLoader) oneText(n *yaml.Node, what string, sc scope) *value {
	v := fl.value(n, what, sc)
	if v != nil && v.list != nil {
		fl.errorf(n, "%s takes one value, not a list", what)
		return nil
	}
	return v
}

// secretly is a text that may have secrets in it.
func (fl *fileLoader) secretly(n *yaml.Node, what string, sc scope) *value {
	sc.secrets = true
	return fl.oneText(n, what, sc)
}

// address is where something is sent to. What is known of it now is checked now.
func (fl *fileLoader) address(n *yaml.Node, what string, sc scope) *value {
	v := fl.secretly(n, what, sc)
	if v == nil || v.lone != nil {
		return v
	}
	t, all := v.known()
	if len(t) == 0 {
		return v
	}
	if begin := t[0].Text; strings.TrimSpace(begin) != "" && !httpAddress(begin) {
		fl.errorf(n, "%s begins with http:// or https://", what)
		return nil
	}
	if t.Secret() && fl.pretend {
		return v
	}
	if err := fl.isAddress(t, all); err != nil {
		fl.errorf(n, "%s: %v", what, err)
		return nil
	}
	return v
}

// isAddress looks at t with the values of its secrets, and shows none. all says that
// nothing comes after it.
func (fl *fileLoader) isAddress(t relay.Text, all bool) error {
	if !t.Secret() && all {
		_, err := address(t)
		return err
	}
	var names []string
	var spaces bool
	for _, p := range t {
		if p.Env != "" {
			names = append(names, p.Env)
			spaces = spaces || strings.ContainsFunc(strings.TrimSpace(fl.getenv(p.Env)), unicode.IsSpace)
		}
	}
	whole, err := t.Reveal(fl.getenv)
	switch {
	case err != nil: // which said before that it is not set
	case spaces:
		err = errors.New("an address has no space in it")
	case all && !httpAddress(whole.Reveal()):
		err = errNoAddress
	case all:
		err = addressError(strings.ReplaceAll(whole.Reveal(), " ", "%20"))
	default:
		err = beginsAddress(whole.Reveal())
	}
	if err != nil && len(names) > 0 {
		return fmt.Errorf("with the environment variable %s as it is set: %w", strings.Join(names, " and "), err)
	}
	return err
}

var errNoAddress = errors.New("an address begins with http:// or https://")

// beginsAddress refuses the beginning of an address, before something that an event
// tells, if that could lead it to another host.
func beginsAddress(text string) error {
	_, host, ok := strings.Cut(strings.TrimSpace(text), "://")
	switch {
	case strings.TrimSpace(text) == "":
		return nil
	case !ok || !httpAddress(text):
		return errNoAddress
	case host != "" && !strings.ContainsAny(host, "/?#"):
		return errors.New("what stands right behind the host could make another host of it: write a / before ${…}, or compute all of the host")
	}
	return addressError(text + "1")
}

// known are the parts of v that are known before any event, up to the first that is
// not. all reports whether that is all of it.
func (v *value) known() (t relay.Text, all bool) {
	if v.lone != nil {
		return nil, false
	}
	if v.parts == nil {
		text, _ := textOf(v.plain)
		return relay.Plain(text), true
	}
	for _, p := range v.parts {
		if p.e != nil {
			return t, false
		}
		t = appendPart(t, p)
	}
	return t, true
}

// appendPart adds a part that is no expression.
func appendPart(t relay.Text, p part) relay.Text {
	if p.env != "" {
		return append(t, relay.Part{Env: p.env})
	}
	return append(t, relay.Part{Text: p.text})
}

func httpAddress(text string) bool {
	text = strings.ToLower(strings.TrimSpace(text))
	return strings.HasPrefix(text, "http://") || strings.HasPrefix(text, "https://")
}

// address is t as it is asked for: a space is written %20. It refuses what is no address
// whatever its secrets are.
func address(t relay.Text) (relay.Text, error) {
	out := slices.Clone(t)
	var as strings.Builder
	for i, p := range out {
		if i == 0 {
			p.Text = strings.TrimLeftFunc(p.Text, unicode.IsSpace)
		}
		if i == len(out)-1 {
			p.Text = strings.TrimRightFunc(p.Text, unicode.IsSpace)
		}
		p.Text = strings.ReplaceAll(p.Text, " ", "%20")
		out[i] = p
		switch as.WriteString(p.Text); {
		case p.Env == "":
		case as.Len() == 0:
			as.WriteString("https://1")
		default:
			as.WriteString("1") // which may stand in a path, in a host, and for a port
		}
	}
	switch {
	case !httpAddress(as.String()):
		return nil, fmt.Errorf("%w, and this is %q", errNoAddress, cut(t.String(), 200))
	case addressError(as.String()) != nil:
		return nil, fmt.Errorf("%w, and this is %q", addressError(as.String()), cut(t.String(), 200))
	}
	return out, nil
}

// withinAddress is a result as it stands in an address behind its host: percent-encoded,
// so that whoever chose it chose that and nothing else of the address. What stands in the
// host is a part of that alone; with nothing before it, it may be all of the address.
func withinAddress(before relay.Text, result string) (string, error) {
	text := before.String()
	_, host, scheme := strings.Cut(text, "://")
	inHost := scheme && !strings.ContainsAny(host, "/?#")
	switch {
	case !before.Secret() && inHost && strings.ContainsAny(result, `/?#@\`): // a secret ends behind its host
		return "", fmt.Errorf("send.url: %q is not a part of a host: what comes behind that stands after a /", result)
	case !before.Secret() && (inHost || !scheme):
		return result, nil
	case strings.Trim(result, ".") == "" && !strings.ContainsAny(text, "?#"):
		return "", fmt.Errorf("send.url: %q would lead to another place of the host", result)
	}
	return strings.ReplaceAll(url.QueryEscape(result), "+", "%20"), nil
}

// addressError is what is wrong with an address that begins as one.
func addressError(text string) error {
	u, err := url.Parse(text)
	switch {
	case err != nil:
		return errors.New("it has to be the address of a web server")
	case u.User != nil:
		return errors.New("an address has no user and no password in it: they go into a header")
	case u.Hostname() == "":
		return errors.New("an address has a host")
	}
	return nil
}

// headers are names with texts that may have secrets in them.
func (fl *fileLoader) headers(n *yaml.Node, what string, sc scope) *value {
	v := &value{node: n, object: []member{}}
	seen := map[string]bool{}
	for _, e := range fl.entries(n, what, nil) {
		name := strings.ToLower(e.name)
		switch {
		case !headerName.MatchString(e.name):
			fl.errorf(e.key, "this is not the name of a header")
		case slices.Contains(noHeaders, name):
			fl.errorf(e.key, "doorhook sets the header %s by itself", e.name)
		case seen[name]:
			fl.errorf(e.key, `the header "%s" stands here twice, since upper and lower case are the same in it`, e.name)
		default:
			if x := fl.header(e.node, what+"."+e.name, sc); x != nil {
				v.object = append(v.object, member{e.name, x})
			}
		}
		seen[name] = true
	}
	return v
}

func (fl *fileLoader) header(n *yaml.Node, what string, sc scope) *value {
	v := fl.secretly(n, what, sc)
	if v == nil || v.lone != nil {
		return v
	}
	if v.parts == nil {
		if t, _ := v.known(); strings.ContainsFunc(t.String(), breaks) {
			fl.errorf(n, "%s %s", what, hasBreak)
		}
		return v
	}
	for _, p := range v.parts {
		switch {
		case p.env != "" && strings.ContainsFunc(strings.TrimSpace(fl.getenv(p.env)), breaks):
			fl.errorf(n, "%s: the environment variable %s %s", what, p.env, hasBreak)
		case p.env == "" && strings.ContainsFunc(p.text, breaks):
			fl.errorf(n, "%s %s", what, hasBreak)
		}
	}
	return v
}

const hasBreak = "has a line break or another control character in it, which a header cannot have"

// breaks reports whether r ends the line of a header, or cannot stand in one.
func breaks(r rune) bool { return r < ' ' && r != '\t' || r == 0x7f }

// signingKey is ${env.NAME} and nothing else.
func (fl *fileLoader) signingKey(n *yaml.Node, what string) *value {
	text, ok := fl.scalar(n, what)
	if !ok {
		return nil
	}
	found, _ := spans(text)
	if len(found) != 1 || strings.TrimSpace(text) != "${"+found[0].inner+"}" || envRef.FindStringSubmatch(found[0].inner) == nil {
		fl.errorf(n, "%s takes ${env.NAME} and nothing else: a key does not belong into a file", what)
		if !harmless(text) {
			fl.src.hide(fl.errs[len(fl.errs)-1:], n.Line, lastLine(n))
		}
		return nil
	}
	name := envRef.FindStringSubmatch(found[0].inner)[1]
	if !fl.envIsSet(n, name) {
		return nil
	}
	if !fl.pretend && !signs(fl.getenv(name)) {
		fl.errorf(n, "%s: the environment variable %s is no key, which is 24 to 64 bytes in base64, after whsec_ or without: make one with `openssl rand -base64 32`", what, name)
		return nil
	}
	return &value{node: n, parts: []part{{text: "${env." + name + "}", env: name}}}
}

// signs reports whether text is a key as Standard Webhooks has it
// (https://github.com/standard-webhooks/standard-webhooks: 24 to 64 bytes).
func signs(text string) bool {
	key, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(strings.TrimSpace(text), "whsec_"))
	return err == nil && len(key) >= 24 && len(key) <= 64
}

// form are names with texts.
func (fl *fileLoader) form(n *yaml.Node, what string, sc scope) *value {
	v := &value{node: n, object: []member{}}
	for _, e := range fl.entries(n, what, nil) {
		if x := fl.oneText(e.node, what+"."+e.name, sc); fl.plainName(e, what) && x != nil {
			v.object = append(v.object, member{e.name, x})
		}
	}
	return v
}

// body is what is sent as JSON: anything, but not nothing.
func (fl *fileLoader) body(n *yaml.Node, what string, sc scope) *value {
	if n.Kind == yaml.ScalarNode && n.Tag == "!!null" {
		fl.scalar(n, what)
		return nil
	}
	return fl.structure(n, what, sc)
}

// structure is YAML of any shape, with ${…} in its texts.
func (fl *fileLoader) structure(n *yaml.Node, what string, sc scope) *value {
	v := &value{node: n}
	switch {
	case n.Kind == yaml.MappingNode:
		v.object = []member{}
		for _, e := range fl.entries(n, what, nil) {
			if x := fl.structure(e.node, what+"."+e.name, sc); fl.plainName(e, what) && x != nil {
				v.object = append(v.object, member{e.name, x})
			}
		}
	case n.Kind == yaml.SequenceNode:
		v.list = []*value{}
		for _, item := range fl.items(n, what) {
			if x := fl.structure(item, what, sc); x != nil {
				v.list = append(v.list, x)
			}
		}
	case n.Kind == yaml.ScalarNode && n.Tag == "!!null": // null is a value of JSON
	case n.Kind == yaml.ScalarNode && n.Tag == "!!str" && strings.TrimSpace(n.Value) == "" && n.Style&yaml.TaggedStyle == 0:
		v.plain = n.Value // so is an empty text
	default:
		return fl.value(n, what, sc)
	}
	return v
}

// plainName refuses ${…} in a name, where it is not computed.
func (fl *fileLoader) plainName(e entry, what string) bool {
	if found, _ := spans(e.name); len(found) > 0 {
		fl.errorf(e.key, "%s: ${…} is not computed in a name", what)
		return false
	}
	return true
}

// oneBody refuses what a request cannot have.
func (fl *fileLoader) oneBody(x *effect) {
	var given []string
	for _, name := range bodies {
		if _, ok := x.fields[name]; ok {
			given = append(given, name)
		}
	}
	if len(given) > 1 {
		fl.errorf(x.node, "send takes one of %s, and not %s together", strings.Join(bodies, ", "), strings.Join(given, " and "))
	}
	if m := x.fields["method"]; m != nil && len(given) > 0 {
		if method, _ := m.plain.(string); slices.Contains(bodiless, method) {
			fl.errorf(m.node, "%s sends nothing beside the address: it takes no %s", method, given[0])
		}
	}
}
