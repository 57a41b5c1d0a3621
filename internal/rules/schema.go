package rules

import (
	"bytes"
	"encoding/json"
	"maps"
	"slices"
	"strings"

	"doorhook/internal/relay"
)

// js is a part of a JSON Schema.
type js = map[string]any

// Texts that a value may have to look like. They are read by Go and by JavaScript.
const (
	notBlank   = `\S`
	inPart     = `(^|[^$])\$\{`
	positive   = `^\s*\+?0*[1-9][0-9]*(\.0+)?\s*$`
	trueOrNot  = `^(true|false)$`
	fromEnv    = `\$\{\s*env\.[A-Za-z_][A-Za-z0-9_]*\s*\}`
	variable   = `^([A-Za-z][A-Za-z0-9_]*|_([A-Za-z0-9][A-Za-z0-9_]*)?)$`
	inBraces   = `^\$\{[^{}]*\}$`
	loneBraces = `^\s*\$\{[\s\S]*\}\s*$`
	anyBraces  = `(^|[^$])\$\{[\s\S]*\}`
	period     = `^\s*(\+?[0-9]+d)?\+?(([0-9]+(\.[0-9]*)?|\.[0-9]+)(ns|us|µs|μs|ms|s|m|h))*\s*$`
)

// Schema is a JSON Schema of rule files, for editors: draft-07, which the language
// server of YAML knows best. It is made of the tables that the loader reads files
// with. What stands inside expressions it does not see.
func Schema() []byte {
	var text bytes.Buffer
	enc := json.NewEncoder(&text)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	if err := enc.Encode(fileSchema()); err != nil {
		panic("rules: the schema cannot be encoded: " + err.Error()) // it is made of texts and numbers
	}
	return text.Bytes()
}

func fileSchema() js {
	known := js{
		"trigger":  js{"type": []string{"string", "integer", "boolean"}, "minimum": 0, "pattern": triggerName.String()},
		"from":     js{"enum": adapters()},
		"allow_ip": js{"type": "array", "minItems": 1, "items": ref("text")},
		"alias":    js{"type": "string", "pattern": `^(/|\$\{)`},
		"auth":     js{"anyOf": []js{ref("way"), {"type": "array", "minItems": 1, "items": ref("way"), "if": js{"contains": js{"required": []string{"none"}}}, "then": js{"maxItems": 1}}}},
		"timezone": ref("text"),
		"tables":   js{"type": "object", "propertyNames": ref("variable"), "additionalProperties": js{"type": "object", "additionalProperties": ref("data")}},
		"limits":   limitsSchema(),
		"let":      js{"type": "object", "propertyNames": ref("variable"), "additionalProperties": ref("expression")},
		"respond":  js{"type": "object", "propertyNames": js{"not": js{"enum": answerFields}}, "additionalProperties": ref("value")},
		"rules":    js{"type": "array", "items": ref("rule")},
	}
	return js{
		"$schema": "http://json-schema.org/draft-07/schema#", "title": "doorhook rule file", "description": help("file"),
		"type": "object", "properties": described("file", fileKeys, known), "additionalProperties": false,
		"if": js{"required": []string{"trigger"}}, "then": js{"allOf": calledOrOwn()},
		"else": js{"minProperties": 1, "propertyNames": js{"enum": []string{"tables", "limits"}}},
		"allOf": []js{
			{"if": hasWay("alias"), "then": js{"required": []string{"alias"}}},
			{"if": js{"required": []string{"from"}, "properties": js{"from": js{"const": fromKisi}}}, "then": js{"not": hasWay("none")}},
		},
		"dependencies": js{"cancelled": []string{"booking"}, "version": []string{"booking"}},
		"definitions": js{
			"text": js{"type": []string{"string", "number", "boolean"}, "pattern": notBlank},
			"expression": js{
				"type": []string{"string", "number", "boolean"}, "pattern": notBlank,
				"not": js{"type": "string", "pattern": inBraces}, "errorMessage": "this is an expression by itself: write it without ${ }",
			},
			"value":    js{"type": []string{"string", "number", "boolean", "array"}, "pattern": notBlank, "items": ref("value")},
			"variable": js{"pattern": variable, "not": js{"enum": reserved()}},
			"data": js{
				"type": []string{"string", "number", "boolean", "array", "object"}, "pattern": notBlank,
				"not": js{"type": "string", "pattern": anyBraces}, "items": ref("data"), "additionalProperties": ref("data"),
			},
			"structure": structureSchema(),
			"way":       waySchema(),
			"rule":      ruleSchema(),
		},
	}
}

// hasWay is a file that has this way in its auth.
func hasWay(name string) js {
	way := js{"type": "object", "required": []string{name}}
	return js{"required": []string{"auth"}, "properties": js{"auth": js{"anyOf": []js{way, {"type": "array", "contains": way}}}}}
}

func limitsSchema() js {
	longest := func() js { return js{"type": "string", "allOf": []js{{"pattern": period}, {"pattern": "[1-9]"}}} }
	most := func() js { return js{"type": "integer", "minimum": 1, "maximum": mostCounted} }
	return js{"type": "object", "additionalProperties": false, "properties": described("limits", limitKeys, js{
		"max_window": longest(), "max_ahead": longest(), "max_doors": most(), "grants_per_minute": most(),
		"never": js{"type": "array", "items": js{"type": []string{"integer", "string"}, "minimum": 1, "pattern": positive}},
	})}
}

// reserved are the names that no table and no value can have.
func reserved() []string {
	all := slices.Concat(keywords(), inputs(), functionNames())
	slices.Sort(all)
	return slices.Compact(all)
}

func ref(name string) js { return js{"$ref": "#/definitions/" + name} }

// described are the properties for keys; those that known leaves out take an expression.
// A $ref hides what stands beside it, so it goes into an allOf.
func described(of string, keys []string, known js) js {
	all := js{}
	for _, key := range keys {
		p, ok := known[key].(js)
		if !ok {
			p = ref("expression")
		}
		if _, isRef := p["$ref"]; isRef {
			p = js{"allOf": []js{p}}
		}
		p["description"] = help(of + "." + key)
		if e := example(of + "." + key); e != "" {
			p["examples"] = []string{e}
		}
		all[key] = p
	}
	return all
}

// waySchema is one way to say who may call a trigger.
func waySchema() js {
	secret := js{"type": "string", "pattern": fromEnv, "errorMessage": "a secret does not belong into a file: put it into a variable and write ${env.NAME}"}
	named := func(names js) js {
		return js{"anyOf": []js{secret, {"type": "object", "minProperties": 1, "maxProperties": 1, "propertyNames": names, "additionalProperties": secret}}}
	}
	return js{
		"type": "object", "minProperties": 1, "additionalProperties": false, "dependencies": js{"none": js{"maxProperties": 1}},
		"properties": described("auth", authKeys, js{
			"bearer": secret,
			"basic":  named(js{}),
			"header": named(js{"pattern": headerName.String()}),
			"query":  named(js{"not": js{"enum": []string{"wait", "dry_run"}}}),
			"hmac":   hmacSchema(secret),
			"alias":  js{"const": true},
			"none":   js{"const": true},
		}),
	}
}

// hmacSchema is a preset with its key, or all that a preset says.
func hmacSchema(secret js) js {
	header := js{"type": []string{"string", "number", "boolean"}, "pattern": headerName.String()}
	return js{"anyOf": []js{
		{"type": "string", "pattern": `^\s*(` + strings.Join(presets(), "|") + `)\s*:.*` + fromEnv},
		{
			"type": "object", "additionalProperties": false, "required": []string{"header", "secret"},
			"properties": described("hmac", hmacKeys, js{
				"header":    header,
				"prefix":    js{"type": []string{"string", "number", "boolean"}, "pattern": notBlank, "not": js{"type": "string", "pattern": `\$\{`}},
				"encoding":  js{"enum": hmacEncodings},
				"timestamp": maps.Clone(header),
				"tolerance": js{"type": "string", "allOf": []js{{"pattern": period}, {"pattern": "[1-9]"}}},
				"scheme":    js{"enum": hmacSchemes, "default": relay.SignsBody},
				"secret":    maps.Clone(secret),
			}),
			"dependencies": js{
				"timestamp": js{"required": []string{"scheme"}, "properties": js{"scheme": js{"const": relay.SignsTimestampBody}}},
				"tolerance": []string{"timestamp"},
			},
			"if":   js{"required": []string{"scheme"}, "properties": js{"scheme": js{"const": relay.SignsTimestampBody}}},
			"then": js{"required": []string{"timestamp"}},
		},
	}}
}

func ruleSchema() js {
	actions := js{}
	for _, kind := range kinds() {
		actions[kind] = actionSchema(relay.Kind(kind))
	}
	until := js{"type": "string", "anyOf": []js{
		{"pattern": loneBraces}, {"allOf": []js{{"pattern": period}, {"pattern": "[1-9]"}}},
	}}
	return js{
		"type": "object", "required": []string{"name", "do"}, "additionalProperties": false, "allOf": []js{unusedSchema()},
		"properties": described("rule", ruleKeys, js{
			"name":      ref("text"),
			"let":       js{"type": "object", "propertyNames": ref("variable"), "additionalProperties": ref("expression")},
			"expires":   until,
			"if_unused": maps.Clone(until),
			"needs":     needsSchema(),
			"do": js{"type": "array", "minItems": 1, "items": js{
				"type": "object", "minProperties": 1, "maxProperties": 1, "additionalProperties": false, "properties": described("do", kinds(), actions),
			}},
		}),
	}
}

func actionSchema(kind relay.Kind) js {
	fields := relay.Fields[kind]
	known, required := js{}, []string{}
	for _, f := range fields {
		known[f.Name] = fieldSchema(f)
		if f.Required {
			required = append(required, f.Name)
		}
	}
	s := js{"type": "object", "additionalProperties": false, "required": required, "properties": described("field", fieldNames(fields), known)}
	var one []js
	for _, name := range relay.Either[kind] {
		one = append(one, js{"required": []string{name}})
	}
	if one != nil {
		s["oneOf"] = one
	}
	if kind == relay.Send {
		s["allOf"] = sendRules()
	}
	return s
}

func fieldSchema(f relay.Field) js {
	s := js{"type": []string{"string", "number", "boolean"}, "pattern": notBlank}
	id := js{"type": []string{"integer", "string"}, "minimum": 1, "pattern": positive + "|" + inPart}
	switch f.Type {
	case relay.ID:
		s = id
	case relay.IDs:
		s = js{"anyOf": []js{id, {"type": "array", "minItems": 1, "items": id}}}
	case relay.Time:
		s = js{"type": []string{"string", "number"}, "pattern": notBlank}
	case relay.Bool:
		s = js{"type": []string{"boolean", "string"}, "pattern": trueOrNot + "|" + inPart}
	}
	if own := sendField(f); own != nil {
		s = own
	}
	if f.OneOf != nil {
		s = js{"type": "string", "anyOf": []js{{"enum": f.OneOf}, {"pattern": inPart}}}
	}
	if f.Default != nil {
		s["default"] = f.Default
	}
	return s
}
