package rules

import (
	"strings"

	"doorhook/internal/relay"
)

// Texts of a send, as a schema tests them.
const (
	webAddress = `^\s*([hH][tT][tT][pP][sS]?://|\$\{)`
	envAlone   = `^\s*\$\{\s*env\.[A-Za-z_][A-Za-z0-9_]*\s*\}\s*$`
	isVariable = `^[A-Za-z_][A-Za-z0-9_]*$`
)

// oneText is a text, or what YAML takes for something else and is text all the same.
func oneText() js { return js{"type": []string{"string", "number", "boolean"}, "pattern": notBlank} }

// sendField is the schema of a field that only a send has, or nil.
func sendField(f relay.Field) js {
	switch f.Type {
	case relay.Secretly:
		return js{"type": "string", "pattern": webAddress}
	case relay.Headers:
		var not []string
		for _, name := range noHeaders {
			not = append(not, anyCase(name))
		}
		names := js{"pattern": headerName.String(), "not": js{"pattern": "^(" + strings.Join(not, "|") + ")$"}}
		return js{"type": "object", "propertyNames": names, "additionalProperties": oneText()}
	case relay.Key:
		return js{"type": "string", "pattern": envAlone, "errorMessage": "a key does not belong into a file: put it into a variable and write ${env.NAME}"}
	case relay.Form:
		return js{"type": "object", "propertyNames": notComputed(), "additionalProperties": oneText()}
	case relay.Value:
		return js{"not": js{"type": "null"}, "allOf": []js{ref("structure")}}
	}
	return nil
}

// notComputed is a name without ${…}.
func notComputed() js { return js{"not": js{"pattern": anyBraces}} }

// structureSchema is anything that JSON has.
func structureSchema() js {
	return js{"propertyNames": notComputed(), "additionalProperties": ref("structure"), "items": ref("structure")}
}

// anyCase is a pattern for name in upper and lower case.
func anyCase(name string) string {
	var b strings.Builder
	for _, r := range name {
		if lower, upper := string(r), strings.ToUpper(string(r)); lower != upper {
			b.WriteString("[" + lower + upper + "]")
			continue
		}
		b.WriteRune(r)
	}
	return b.String()
}

// sendRules are what a send's fields have to be together.
func sendRules() []js {
	has := func(names ...string) js { return js{"required": names} }
	var some []js
	for _, name := range bodies {
		some = append(some, has(name))
	}
	return []js{
		{"not": has("json", "form")},
		{"not": has("json", "text")},
		{"not": has("form", "text")},
		{"if": js{"required": []string{"method"}, "properties": js{"method": js{"enum": bodiless}}}, "then": js{"not": js{"anyOf": some}}},
	}
}

// needsSchema are names of variables.
func needsSchema() js {
	name := js{"type": []string{"string", "boolean"}, "pattern": isVariable}
	return js{"anyOf": []js{name, {"type": "array", "minItems": 1, "items": name}}}
}

// unusedSchema wants something that if_unused can take back.
func unusedSchema() js {
	var some []js
	for _, kind := range kinds() {
		if relay.Kind(kind).Stands() {
			some = append(some, js{"required": []string{kind}})
		}
	}
	return js{"if": js{"required": []string{"if_unused"}}, "then": js{"properties": js{"do": js{"contains": js{"anyOf": some}}}}}
}

// calledOrOwn is a file with a trigger that is called, or with that of doorhook itself.
func calledOrOwn() []js {
	own := js{"required": []string{"trigger"}, "properties": js{"trigger": js{"const": relay.Own}}}
	unused := js{"rules": js{"items": js{"not": js{"required": []string{"if_unused"}}}}}
	return []js{
		{"if": own, "then": js{"propertyNames": js{"not": js{"enum": ownHasNo}}}, "else": js{"required": []string{"auth"}}},
		{"if": js{"not": js{"required": []string{"booking"}}}, "then": js{"properties": unused}},
		{"properties": js{"trigger": js{"anyOf": []js{{"const": relay.Own}, {"not": js{"type": "string", "pattern": "^" + anyCase(relay.Own) + "$"}}}}}},
	}
}
