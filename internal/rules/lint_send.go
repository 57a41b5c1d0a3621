package rules

import (
	"strings"

	"doorhook/internal/relay"
)

// leads warns of a send whose secrets go wherever an event says.
func (rl *ruleLint) leads(x *effect) {
	v := x.fields["url"]
	if x.kind != relay.Send || v == nil || !(v.secret() || x.fields["headers"].secret()) {
		return
	}
	begin, all := v.known()
	_, host, scheme := strings.Cut(begin.String(), "://")
	if e := v.first(); !all && host == "" && (scheme || !begin.Secret()) && rl.flow.expression(e).other {
		rl.say(e.start().errorf("an event says where this is sent, and a secret goes there with it: take the host from a table, or write it out"))
	}
}

// secret reports whether v has ${env.NAME} in it.
func (v *value) secret() bool {
	if v == nil {
		return false
	}
	for _, p := range v.parts {
		if p.env != "" {
			return true
		}
	}
	for _, m := range v.object {
		if m.value.secret() {
			return true
		}
	}
	return false
}
