package rules

import (
	"crypto/subtle"
	"fmt"
	"net/netip"
	"regexp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v4"

	"doorhook/internal/relay"
)

const (
	fromJSON = "json"
	fromKisi = "kisi"
)

// adapters are the ways to read a message.
func adapters() []string { return []string{fromJSON, fromKisi} }

func (fl *fileLoader) head() {
	if e, ok := fl.keys["trigger"]; ok {
		if name, ok := fl.scalar(e.node, "trigger"); ok && !triggerName.MatchString(name) {
			fl.errorf(e.node, "a trigger's name is part of its address: use letters, digits, - and _")
		} else {
			fl.f.trigger.Name = name
		}
	}
	fl.from()
	if e, ok := fl.keys["timezone"]; ok {
		if name, ok := fl.scalar(e.node, "timezone"); ok {
			zone, err := loadZone(name)
			if err != nil {
				fl.errorf(e.node, "%v", err)
			}
			fl.f.zone = zone
		}
	}
	fl.alias()
	fl.auth()
	fl.allowIP()
}

func (fl *fileLoader) from() {
	fl.f.trigger.From = fromJSON
	e, ok := fl.keys["from"]
	if !ok {
		return
	}
	fl.f.from = e.node
	from, ok := fl.scalar(e.node, "from")
	switch {
	case !ok:
	case !slices.Contains(adapters(), from):
		fl.errorf(e.node, `there is no adapter "%s"; there is json, which reads JSON, XML, forms and query strings alike, and kisi, which reads Kisi's event webhook`, from)
	default:
		fl.f.trigger.From = from
	}
}

func (fl *fileLoader) allowIP() {
	e, ok := fl.keys["allow_ip"]
	if !ok {
		return
	}
	items := fl.items(e.node, "allow_ip")
	if len(items) == 0 && e.node.Kind == yaml.SequenceNode {
		fl.errorf(e.node, "allow_ip is empty, so nobody could call this trigger: remove it, or name the addresses that may")
	}
	for _, n := range items {
		text, ok := fl.scalar(n, "allow_ip")
		if !ok {
			continue
		}
		network, err := Network(text)
		if err != nil {
			fl.errorf(n, "allow_ip: %v", err)
			continue
		}
		fl.f.trigger.AllowIP = append(fl.f.trigger.AllowIP, network)
	}
}

// Network reads an address, or a network such as 203.0.113.0/24.
func Network(text string) (netip.Prefix, error) {
	text = strings.TrimSpace(text)
	p, err := netip.ParsePrefix(text)
	if addr, bad := netip.ParseAddr(text); bad == nil && addr.Zone() == "" {
		p, err = netip.PrefixFrom(addr, addr.BitLen()), nil
	}
	switch {
	case err != nil:
		return p, fmt.Errorf("%q is no address: write it as 203.0.113.7 or 2001:db8::1, or a network as 203.0.113.0/24", text)
	case p.Addr().Is4In6():
		return p, fmt.Errorf("%s is no address that callers have: write it without the ::ffff: in front", text)
	case p != p.Masked():
		return p, fmt.Errorf("%s is no address of a network: it is %s, or %s alone", text, p.Masked(), p.Addr())
	}
	return p, nil
}

var (
	aliasPath = regexp.MustCompile(`^(/[A-Za-z0-9_.~-]+)+/?$`)
	// ownPath are the addresses that doorhook itself answers at, or may some day.
	ownPath = regexp.MustCompile(`^/(hooks/[^/]*/?$|(api|livez|readyz|metrics|openapi\.yaml)(/|$))`)
)

// minAlias is the shortest alias, in characters: it may be all that a caller has to know.
const minAlias = 16

// alias reads the second address of a trigger. What stands in variables is judged last:
// cases and explanations have other values for them.
func (fl *fileLoader) alias() {
	e, ok := fl.keys["alias"]
	if !ok {
		return
	}
	before := len(fl.errs)
	defer func() { fl.src.hide(fl.errs[before:], e.key.Line, lastLine(e.node)) }()
	path, ok := fl.scalar(e.node, "alias")
	if !ok {
		return
	}
	shape := references.ReplaceAllString(path, strings.Repeat("x", minAlias))
	if strings.HasPrefix(path, "${") { // the variable has all of it
		shape = "/" + shape
	}
	if fault := aliasFault(shape); fault != "" {
		fl.errorf(e.node, "%s", fault)
		return
	}
	if strings.Contains(path, "${") {
		secret, missing, ok := fl.reveal(e.node, path)
		if missing != "" {
			fl.unset(e.node, missing)
		}
		if !ok || missing != "" {
			return
		}
		path = secret.Reveal()
	}
	if fault := aliasFault(path); fault != "" {
		fl.close(e.node, "nobody can call this trigger by its alias: with the value of its variable, "+fault)
		return
	}
	fl.f.trigger.Alias = relay.Secret(strings.TrimSuffix(path, "/"))
}

// aliasFault says why path can be no alias; "" if it can. It does not show it.
func aliasFault(path string) string {
	switch {
	case !aliasPath.MatchString(path) || slices.Contains(strings.Split(path, "/"), "..") || slices.Contains(strings.Split(path, "/"), "."):
		return "an alias is the path of an address, such as /hooks/catch/123456/abcdef/: letters, digits, - _ . ~ and single slashes, and nothing else"
	case len(strings.TrimSuffix(path, "/")) < minAlias:
		return fmt.Sprintf("an alias has at least %d characters: who knows it may know enough to call this trigger", minAlias)
	case ownPath.MatchString(path):
		return "an alias cannot be an address at which doorhook itself answers, such as /api/… or /hooks/ and a name"
	}
	return ""
}

// close notes a way in that nobody can take.
func (fl *fileLoader) close(n *yaml.Node, why string) {
	e := fl.src.errorf(n.Line, n.Column, "%s", why)
	fl.src.hide(Errors{e}, n.Line, lastLine(n))
	fl.f.closed = append(fl.f.closed, e)
}

// Alias is the trigger that has path for its alias, with or without a slash at its end.
func (s *Set) Alias(path string) (relay.Trigger, bool) {
	path = strings.TrimSuffix(path, "/")
	for _, name := range s.names {
		t := s.files[name].trigger
		if t.Alias != "" && subtle.ConstantTimeCompare([]byte(t.Alias.Reveal()), []byte(path)) == 1 {
			return t, true
		}
	}
	return relay.Trigger{}, false
}

// uuid is the identity that Kisi gives each of its events.
func (r *run) uuid(ev relay.Event) (string, error) {
	payload, _ := ev.Payload.(map[string]any)
	id, _ := payload["uuid"].(string)
	if id = strings.TrimSpace(id); id == "" || len(id) > maxIDBytes {
		return "", &failure{node: r.file.from, msg: "this is no event of Kisi's: it has no uuid, and so could be taken twice"}
	}
	return id, nil
}
