package rules

import (
	"strings"

	"go.yaml.in/yaml/v4"
)

// value is what stands behind a key that takes text: a text with ${…} in it, a
// plain YAML value, or a list of such, or names with such.
type value struct {
	node   *yaml.Node
	plain  any         // a number, true or false, or text without ${…}
	lone   *expression // one ${…} and nothing else: keeps its type
	parts  []part      // text around several
	list   []*value    // a YAML list
	object []member    // names with values, in the order of the file
}

// member is a name with its value.
type member struct {
	name  string
	value *value
}

type part struct {
	text string
	e    *expression // nil for text
	env  string      // the variable whose value stands there; "" for text
}

// compute gives the value for one event.
func (v *value) compute(r *run) (any, error) {
	switch {
	case v.lone != nil:
		return r.eval(v.lone)
	case v.list != nil:
		out := make([]any, len(v.list))
		for i, item := range v.list {
			var err error
			if out[i], err = item.compute(r); err != nil {
				return nil, err
			}
		}
		return out, nil
	case v.object != nil:
		out := make(map[string]any, len(v.object))
		for _, m := range v.object {
			var err error
			if out[m.name], err = m.value.compute(r); err != nil {
				return nil, err
			}
		}
		return out, nil
	case v.parts == nil:
		return v.plain, nil
	}
	var b strings.Builder
	for _, p := range v.parts {
		if p.e == nil {
			b.WriteString(p.text)
			continue
		}
		x, err := r.eval(p.e)
		if err != nil {
			return nil, err
		}
		s, err := textOf(x)
		if err == nil {
			err = r.spend(0, 2*len(s)) // twice: the text is moved as it grows
		}
		if err != nil {
			return nil, &failure{e: p.e, msg: err.Error()}
		}
		b.WriteString(s)
	}
	return b.String(), nil
}

// first is an expression of v to blame where v as a whole is wrong.
func (v *value) first() *expression {
	if v.list != nil || v.object != nil {
		return nil
	}
	for _, e := range v.expressions() {
		return e
	}
	return nil
}

// expressions are all that v is computed from.
func (v *value) expressions() (all []*expression) {
	if v == nil {
		return nil
	}
	if v.lone != nil {
		all = append(all, v.lone)
	}
	for _, p := range v.parts {
		if p.e != nil {
			all = append(all, p.e)
		}
	}
	for _, item := range v.list {
		all = append(all, item.expressions()...)
	}
	for _, m := range v.object {
		all = append(all, m.value.expressions()...)
	}
	return all
}

// template compiles the expressions of a text.
func (l *loader) template(n *yaml.Node, text string, found []span, sc scope) *value {
	rs := []rune(text)
	v := &value{node: n}
	end := 0
	for _, f := range found {
		if m := envRef.FindStringSubmatch(f.inner); m != nil && sc.secrets {
			if !l.envIsSet(n, m[1]) {
				return nil
			}
			v.parts = append(v.between(rs[end:f.from]), part{text: "${env." + m[1] + "}", env: m[1]})
			end = f.to
			continue
		}
		e := l.compile(n, f.from+2, f.inner, sc)
		if e == nil {
			return nil
		}
		if len(found) == 1 && strings.TrimSpace(string(rs[:f.from]))+strings.TrimSpace(string(rs[f.to:])) == "" {
			v.lone = e
			return v
		}
		v.parts = append(v.between(rs[end:f.from]), part{e: e})
		end = f.to
	}
	v.parts = v.between(rs[end:])
	return v
}

// between are the parts of v with a text after them, if it has any.
func (v *value) between(text []rune) []part {
	if len(text) == 0 {
		return v.parts
	}
	return append(v.parts, part{text: unescape(string(text))})
}

// span is one ${…} in a text: runes from to to, with the expression between.
type span struct {
	from, to int // of the whole ${…}
	inner    string
}

// spans finds every ${…} in text. $${ stands for a ${ that is meant as text. A
// negative result is the rune of a ${ that is not closed.
func spans(text string) (found []span, unclosed int) {
	if !strings.Contains(text, "${") {
		return nil, -1
	}
	rs := []rune(text)
	for i := 0; i+1 < len(rs); i++ {
		if rs[i] != '$' {
			continue
		}
		if rs[i+1] == '$' && i+2 < len(rs) && rs[i+2] == '{' {
			i += 2
			continue
		}
		if rs[i+1] != '{' {
			continue
		}
		end := closing(rs, i+2)
		if end < 0 {
			return found, i
		}
		found = append(found, span{from: i, to: end + 1, inner: string(rs[i+2 : end])})
		i = end
	}
	return found, -1
}

// closing is the } that ends the expression that begins at i, or -1. Braces in
// texts and inner pairs of braces do not end it.
func closing(rs []rune, i int) int {
	depth := 0
	for ; i < len(rs); i++ {
		switch rs[i] {
		case '"', '\'', '`':
			if i = endOfString(rs, i); i < 0 {
				return -1
			}
		case '{':
			depth++
		case '}':
			if depth == 0 {
				return i
			}
			depth--
		}
	}
	return -1
}

func endOfString(rs []rune, start int) int {
	for i := start + 1; i < len(rs); i++ {
		switch {
		case rs[i] == '\\' && rs[start] != '`':
			i++
		case rs[i] == rs[start]:
			return i
		}
	}
	return -1
}

// unescape makes $${ a plain ${.
func unescape(s string) string { return strings.ReplaceAll(s, "$${", "${") }
