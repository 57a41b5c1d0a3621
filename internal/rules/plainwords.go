package rules

import (
	"fmt"
	"regexp"
	"strings"
)

var (
	wantsOther = regexp.MustCompile(`^interface conversion: (?:interface \{\}|any) is (.+), not (.+)`)
	fetchFrom  = regexp.MustCompile(`^cannot fetch (\S+) from (.+)$`)
	operation  = regexp.MustCompile(`^invalid operation: (.+) (\S+) (.+)$`)
	negation   = regexp.MustCompile(`^invalid operation: (\S) (.+)$`)
	unary      = regexp.MustCompile(`^invalid operation: (\S+) \(mismatched type (.+)\)$`)
	noList     = regexp.MustCompile(`^builtin (\w+) takes only array \(got (.+)\)$`)
	condition  = regexp.MustCompile(`^(?:predicate should return boolean \(got|non-bool expression \(type) (.+?)\)`)
	argument   = regexp.MustCompile(`^invalid argument for (\w+) \(type (.+)\)`)
	wrongType  = regexp.MustCompile(`^cannot use (\S+) as argument \(type (\S+)\) to call (\S+)`)
	noMethod   = regexp.MustCompile(`^type \S+ has no method (\w+)`)
	goTypes    = regexp.MustCompile(`map\[string\](?:interface \{\}|any)|\[\](?:interface \{\}|any)|interface \{\}|\*?time\.\w+|\b(?:string|int|int64|float64|bool)\b|<nil>`)
)

// plainWords is a message of expr without Go in it.
func plainWords(msg string) string {
	msg = strings.NewReplacer("interface {}", "any", "%!s(<nil>)", "<nil>", "%!s(nil)", "<nil>").Replace(msg)
	if m := fetchFrom.FindStringSubmatch(msg); m != nil {
		if m[2] == "<nil>" {
			return fmt.Sprintf("cannot take %q from nothing: what stands before it is nil", m[1])
		}
		return fmt.Sprintf("%s has no field %q", kindWord(m[2]), m[1])
	}
	if strings.HasPrefix(msg, "invalid operation: int(string)") {
		return "a field is asked of a list or a text, which has none"
	}
	if strings.HasPrefix(msg, "invalid operation: cannot call") {
		return "this is not a function"
	}
	if strings.HasSuffix(msg, "value out of range") {
		return "this number is too large"
	}
	if m := noList.FindStringSubmatch(msg); m != nil {
		return fmt.Sprintf("%s takes a list, not %s", m[1], kindWord(m[2]))
	}
	if m := condition.FindStringSubmatch(msg); m != nil {
		return "this has to be true or false, and is " + kindWord(m[1])
	}
	if m := unary.FindStringSubmatch(msg); m != nil {
		return fmt.Sprintf("%s does not work on %s", m[1], kindWord(m[2]))
	}
	if m := operation.FindStringSubmatch(msg); m != nil {
		return fmt.Sprintf("%s does not work between %s and %s%s", m[2], kindWord(m[1]), kindWord(m[3]), mismatchHint(m[2], m[1], m[3]))
	}
	if m := negation.FindStringSubmatch(msg); m != nil {
		return fmt.Sprintf("%s does not work on %s", m[1], kindWord(m[2]))
	}
	if m := wantsOther.FindStringSubmatch(msg); m != nil {
		return fmt.Sprintf("this takes %s, not %s", kindWord(m[2]), kindWord(m[1]))
	}
	if m := argument.FindStringSubmatch(msg); m != nil {
		return fmt.Sprintf("%s does not take %s", m[1], kindWord(m[2]))
	}
	if m := wrongType.FindStringSubmatch(msg); m != nil {
		return fmt.Sprintf("%s takes %s here, not %s", m[3], strings.Replace(kindWord(m[2]), "a number", "a whole number", 1), kindWord(m[1]))
	}
	if m := noMethod.FindStringSubmatch(msg); m != nil {
		return fmt.Sprintf("there is no %s of this", m[1])
	}
	if strings.Contains(msg, "reflect.Value") || strings.Contains(msg, "reflect:") || strings.Contains(msg, "unhashable") {
		return "this does not work with such a value"
	}
	return goTypes.ReplaceAllStringFunc(strings.TrimPrefix(msg, "runtime error: "), kindWord)
}

// kindWord is a type of Go's, as expr names it, in the words of a rule author.
func kindWord(of string) string {
	switch strings.TrimPrefix(of, "*") {
	case "<nil>", "nil", "%!s(nil)":
		return "nil"
	case "string":
		return "text"
	case "int", "int64", "float64":
		return "a number"
	case "bool":
		return "true or false"
	case "time.Time":
		return "a time"
	case "time.Duration":
		return "a duration"
	case "time.Weekday", "time.Month":
		return "a part of a date"
	case "time.Location":
		return "a time zone"
	case "map[string]interface {}", "map[string]any":
		return "an object"
	case "[]interface {}", "[]any":
		return "a list"
	}
	if strings.HasPrefix(of, "[]") {
		return "a list"
	}
	return "something else"
}
