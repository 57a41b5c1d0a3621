package rules

import (
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"doorhook/internal/relay"
)

const (
	maxSend  = 256 << 10      // bytes of all that one send is made of
	sendLate = 24 * time.Hour // a send is too late so long after its time
)

// send is the action of a send.
func (b builder) send(x *effect, a relay.Action) ([]relay.Action, error) {
	err := b.aheadWithin(a.At)
	if err != nil {
		return nil, err
	}
	if a.NotAfter, err = b.notAfter(a); err != nil {
		return nil, err
	}
	waits := x.person && b.run.actor != 0
	args, err := b.message(x, waits)
	if err != nil {
		return nil, err
	}
	if a.Args = relay.Encode(args); len(a.Args) > maxSend {
		return nil, &failure{node: x.node, msg: fmt.Sprintf("this send has %d bytes, and no more than %d are sent", len(a.Args), maxSend)}
	}
	if err := b.run.spend(0, len(a.Args)); err != nil {
		return nil, &failure{node: x.node, msg: err.Error()}
	}
	if waits {
		if a.Later, err = b.later(x); err != nil {
			return nil, err
		}
	}
	a.Key = b.unique(a.Key)
	return []relay.Action{a}, nil
}

// message computes the fields of a send: what does not wait for the person is the
// address alone.
func (b builder) message(x *effect, waits bool) (map[string]any, error) {
	args := map[string]any{}
	for _, f := range relay.Fields[relay.Send] {
		v := x.fields[f.Name]
		if waits && (f.Name != "url" || v.person()) {
			continue
		}
		if f.Default != nil {
			args[f.Name] = f.Default
		}
		if v == nil {
			continue
		}
		arg, err := b.sendArg(f, v)
		if err != nil {
			return nil, err
		}
		if arg != nil {
			args[f.Name] = arg
		}
	}
	if method, _ := args["method"].(string); slices.Contains(bodiless, method) {
		for _, name := range bodies {
			if _, has := args[name]; has {
				return nil, b.run.errAt(x.fields["method"], "%s sends nothing beside the address: it takes no %s", method, name)
			}
		}
	}
	return args, nil
}

// sendArg computes one field, or nil if it is left out.
func (b builder) sendArg(f relay.Field, v *value) (any, error) {
	switch f.Type {
	case relay.Secretly:
		return b.addressArg(v)
	case relay.Headers:
		return b.headersArg(v)
	case relay.Key:
		return v.text(b.run)
	case relay.Form:
		return b.formArg(v)
	case relay.Value:
		return b.jsonArg(v)
	}
	raw, err := v.compute(b.run)
	if err != nil || raw == nil {
		return nil, err
	}
	text, err := textOf(raw)
	if err == nil && f.OneOf != nil {
		_, err = zoned{b.run.file.zone, b.run}.convert(f, text)
	}
	if err != nil {
		return nil, b.run.errAt(v, "send.%s: %v", f.Name, err)
	}
	return text, nil
}

func (b builder) addressArg(v *value) (any, error) {
	t, err := v.textWith(b.run, withinAddress)
	if err != nil {
		return nil, err
	}
	if strings.TrimSpace(t.String()) == "" {
		return nil, b.run.errAt(v, "send.url is nil")
	}
	if t, err = address(t); err != nil {
		return nil, b.run.errAt(v, "send.url: %v", err)
	}
	return t, nil
}

func (b builder) headersArg(v *value) (any, error) {
	out := map[string]relay.Text{}
	for _, m := range v.object {
		t, err := m.value.text(b.run)
		if err != nil {
			return nil, err
		}
		for _, p := range t {
			if strings.ContainsFunc(p.Text, breaks) {
				return nil, b.run.errAt(m.value, "send.headers.%s %s", m.name, hasBreak)
			}
		}
		if len(t) > 0 {
			out[m.name] = t
		}
	}
	return out, nil
}

func (b builder) formArg(v *value) (any, error) {
	out := map[string]string{}
	for _, m := range v.object {
		raw, err := m.value.compute(b.run)
		if err != nil {
			return nil, err
		}
		text, err := textOf(raw)
		if err != nil {
			return nil, b.run.errAt(m.value, "send.form.%s: %v", m.name, err)
		}
		if raw != nil {
			out[m.name] = text
		}
	}
	return out, nil
}

func (b builder) jsonArg(v *value) (any, error) {
	raw, err := v.compute(b.run)
	if err != nil {
		return nil, err
	}
	if err := b.run.write(raw); err != nil {
		return nil, b.run.errAt(v, "%v", err)
	}
	plain, err := zoned{zone: b.run.file.zone}.json(raw)
	if err == nil {
		var text []byte
		if text, err = relay.AppendJSON(nil, plain); err == nil {
			return json.RawMessage(text), nil
		}
	}
	return nil, b.run.errAt(v, "send.json: %v", err)
}

// json is v as JSON has it: a time is text in the file's zone.
func (z zoned) json(v any) (any, error) {
	switch v := v.(type) {
	case nil, string, bool, int, int64:
		return v, nil
	case float64:
		if math.IsInf(v, 0) || math.IsNaN(v) {
			return nil, fmt.Errorf("%v is not a number that JSON has", v)
		}
		return v, nil
	case time.Time:
		return z.show(v).Format(time.RFC3339), nil
	case time.Duration:
		return v.String(), nil
	case map[string]any:
		out := make(map[string]any, len(v))
		for name, x := range v {
			var err error
			if out[name], err = z.json(x); err != nil {
				return nil, err
			}
		}
		return out, nil
	}
	list, ok := listOf(v)
	if !ok {
		return nil, fmt.Errorf("%s cannot be written as JSON", typeName(v))
	}
	out := make([]any, len(list))
	for i, x := range list {
		var err error
		if out[i], err = z.json(x); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// text is v with the names of its secrets; nil if it has nothing to say. What an expression gives is text,
// whatever it looks like: it names no secret.
func (v *value) text(r *run) (relay.Text, error) {
	return v.textWith(r, func(_ relay.Text, result string) (string, error) { return result, nil })
}

// textWith has each result that stands among other text pass through fit, which is told
// what stands before it.
func (v *value) textWith(r *run, fit func(before relay.Text, result string) (string, error)) (relay.Text, error) {
	if v.parts == nil {
		return v.result(r)
	}
	var t relay.Text
	for _, p := range v.parts {
		if p.e == nil {
			t = appendPart(t, p)
			continue
		}
		one := value{node: v.node, lone: p.e}
		x, err := one.result(r)
		if err != nil {
			return nil, err
		}
		if len(x) == 0 {
			continue
		}
		if x[0].Text, err = fit(t, x[0].Text); err != nil {
			return nil, r.errAt(&one, "%v", err)
		}
		t = append(t, x...)
	}
	return t, nil
}

// result is the text that v gives, which is all of it; nil if that is nothing.
func (v *value) result(r *run) (relay.Text, error) {
	raw, err := v.compute(r)
	if err != nil {
		return nil, err
	}
	text, err := textOf(raw)
	if err != nil {
		return nil, r.errAt(v, "%v", err)
	}
	if text == "" {
		return nil, nil
	}
	return relay.Plain(text), nil
}
