package rules

import (
	"slices"
	"strings"

	"go.yaml.in/yaml/v4"

	"doorhook/internal/relay"
)

// effect is an action as it is written.
type effect struct {
	kind   relay.Kind
	node   *yaml.Node
	fields map[string]*value
	person bool // some field of it needs the person
}

func (fl *fileLoader) effects(r *rule, n *yaml.Node, sc scope) {
	for _, item := range fl.items(n, "do") {
		if item.Kind == yaml.MappingNode && len(item.Content) == 0 {
			fl.errorf(item, "there is no action on this line")
		}
		for i, e := range fl.entries(item, "do", kinds()) {
			if i > 0 {
				fl.errorf(e.key, "one action a line: begin this one with `- `")
				continue
			}
			r.do = append(r.do, fl.effect(e, sc))
		}
	}
	if len(r.do) == 0 && n.Kind == yaml.SequenceNode && len(n.Content) == 0 {
		fl.errorf(n, "do is empty")
	}
}

// kinds are the actions that a rule may ask for.
func kinds() []string {
	return []string{string(relay.Unlock), string(relay.Schedule), string(relay.GroupLink), string(relay.RoleAssignment), string(relay.Send)}
}

func (fl *fileLoader) effect(e entry, sc scope) *effect {
	x := &effect{kind: relay.Kind(e.name), node: e.key, fields: map[string]*value{}}
	fields := relay.Fields[x.kind]
	for _, f := range fl.entries(e.node, e.name, fieldNames(fields)) {
		v := fl.field(fieldNamed(fields, f.name), f.node, e.name+"."+f.name, sc)
		x.fields[f.name] = v
		x.person = x.person || v.person()
	}
	if e.node.Kind == yaml.MappingNode {
		fl.requireFields(x, fields)
	}
	if x.kind == relay.Send {
		fl.oneBody(x)
	}
	return x
}

// field is what is written for one field of an action.
func (fl *fileLoader) field(f relay.Field, n *yaml.Node, what string, sc scope) *value {
	switch f.Type {
	case relay.Secretly:
		return fl.address(n, what, sc.lately())
	case relay.Headers:
		return fl.headers(n, what, sc.lately())
	case relay.Key:
		return fl.signingKey(n, what)
	case relay.Form:
		return fl.form(n, what, sc.lately())
	case relay.Value:
		return fl.body(n, what, sc.lately())
	}
	if what == "send.text" {
		sc = sc.lately()
	}
	v := fl.value(n, what, sc)
	fl.fits(f, v, what)
	return v
}

// fits refuses a value that the field never takes. What is computed is seen when it is.
func (fl *fileLoader) fits(field relay.Field, v *value, what string) {
	switch {
	case v == nil || v.lone != nil || v.parts != nil:
	case v.list == nil:
		if _, err := (zoned{zone: fl.f.zone}).convert(field, v.plain); err != nil {
			fl.errorf(v.node, "%s: %v", what, err)
		}
	case field.Type != relay.IDs:
		fl.errorf(v.node, "%s takes one value, not a list", what)
	case len(v.list) == 0:
		fl.errorf(v.node, "%s: the list is empty", what)
	}
	if v != nil && field.Type == relay.IDs {
		for _, item := range v.list {
			fl.fits(relay.Field{Type: relay.ID}, item, what)
		}
	}
}

func (fl *fileLoader) requireFields(x *effect, fields []relay.Field) {
	for _, f := range fields {
		if _, ok := x.fields[f.Name]; f.Required && !ok {
			fl.errorf(x.node, "%s needs %s", x.kind, f.Name)
		}
	}
	either := relay.Either[x.kind]
	var given []string
	for _, name := range either {
		if _, ok := x.fields[name]; ok {
			given = append(given, name)
		}
	}
	if either != nil && len(given) != 1 {
		fl.errorf(x.node, "%s needs exactly one of %s", x.kind, strings.Join(either, ", "))
	}
}

func fieldNames(fields []relay.Field) []string {
	names := make([]string, len(fields))
	for i, f := range fields {
		names[i] = f.Name
	}
	return names
}

func fieldNamed(fields []relay.Field, name string) relay.Field {
	return fields[slices.IndexFunc(fields, func(f relay.Field) bool { return f.Name == name })]
}
