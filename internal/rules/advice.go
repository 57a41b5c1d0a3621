package rules

import (
	"cmp"
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// elsewhere are names that other languages, spreadsheets and Zapier use for what rules
// have under another.
var elsewhere = map[string]string{
	"length": "len", "size": "len",
	"date": "time", "datetime": "time", "strptime": "time", "parse": "time",
	"today": "start_of_day(now())", "strftime": "format",
	"toupper": "upper", "touppercase": "upper", "uppercase": "upper",
	"tolower": "lower", "tolowercase": "lower", "lowercase": "lower",
	"str": "string", "tostring": "string", "text": "string", "toint": "int", "parseint": "int", "parsefloat": "float",
	"strip": "trim", "contains": `"a" in list, or text contains "a"`, "includes": `"a" in list, or text contains "a"`,
	"startswith": `text startsWith "a"`, "endswith": `text endsWith "a"`,
	"match": `text matches "pattern"`, "regex": "extract", "regexp": "extract", "vlookup": "lookup",
	"null": "nil", "None": "nil", "undefined": "nil", "isnull": "x == nil", "True": "true", "False": "false", "TRUE": "true", "FALSE": "false", "concat": `a + b, or text with ${…} in it`,
	"dateadd": "add_days", "adddays": "add_days", "dayofweek": "weekday",
}

// shouted is how people write the names of environment variables, and nothing else.
var shouted = regexp.MustCompile(`^[A-Z][A-Z0-9]*_[A-Z0-9_]*$|^[A-Z]{3,}$`)

// unknown is what to say of a name that stands at rune at of an expression.
func (sc scope) unknown(name, text string, at int) string {
	if blocked(name) {
		return fmt.Sprintf("%s is not available in rules%s", name, didYouMean(name, functionNames()))
	}
	switch name {
	case "env":
		return noEnv
	case personName:
		return "person is there only in a file with from: kisi"
	}
	if name == "each" {
		return "each is there only in a rule with an each: of its own"
	}
	if word := dashed(text, at); word != "" {
		return fmt.Sprintf(`unknown name %s: the - before it is a minus; a field with a - in its name is read as %s`, name, word)
	}
	if there := cmp.Or(elsewhere[name], elsewhere[strings.ToLower(name)]); there != "" {
		return fmt.Sprintf("unknown name %s; here it is %s", name, there)
	}
	if shouted.MatchString(name) {
		return fmt.Sprintf("unknown name %s: a variable of the environment is written ${env.%s}, and may stand only in auth:, and in url:, headers: and sign: of send", name, name)
	}
	if hint := didYouMean(name, sc.names()); hint != "" {
		return "unknown name " + name + hint
	}
	return fmt.Sprintf("unknown name %s: what was sent is in payload, as payload.%s", name, name)
}

var dashedField = regexp.MustCompile(`((?:payload|headers|query|each)[\w.]*)\.(\w+(?:-\w+)+)`)

// dashed is how the field is read that text has with a minus in it at rune at; "" if
// there is none.
func dashed(text string, at int) string {
	for _, m := range dashedField.FindAllStringSubmatchIndex(text, -1) {
		if off := len(string([]rune(text)[:at])); m[4] <= off && off < m[5] {
			return fmt.Sprintf("%s[%q]", text[m[2]:m[3]], text[m[4]:m[5]])
		}
	}
	return ""
}

// unclosed is the last bracket of an expression that nothing closes, or -1.
func unclosed(text string) int {
	var open []int
	rs := []rune(text)
	for i := 0; i < len(rs); i++ {
		switch rs[i] {
		case '"', '\'', '`':
			end := endOfString(rs, i)
			if end < 0 {
				return i
			}
			i = end
		case '(', '[', '{':
			open = append(open, i)
		case ')', ']', '}':
			if len(open) > 0 {
				open = open[:len(open)-1]
			}
		}
	}
	if len(open) == 0 {
		return -1
	}
	return open[len(open)-1]
}

var (
	unexpected = regexp.MustCompile(`^unexpected token (\w+)\("(.+)"\)`)
	mismatched = regexp.MustCompile(`^invalid operation: (\S+) \(mismatched types (.+) and (.+)\)`)
)

// calls are what expr says of a call with too few or too many values.
var calls = []struct {
	pattern *regexp.Regexp
	says    string
}{
	{regexp.MustCompile(`^not enough arguments to call (\w+)`), "%s is given too few values"},
	{regexp.MustCompile(`^too many arguments to call (\w+)`), "%s is given too many values"},
	{regexp.MustCompile(`^invalid number of arguments \(expected (\d+), got (\d+)\)`), "this function takes %s, and is given %s"},
	{regexp.MustCompile(`^expected at least (\d+) arguments?`), "this function takes at least %s values, such as a list and a condition"},
}

// syntaxHint says what an error of expr's parser or checker means to somebody who
// does not know it; "" leaves that to [plainWords].
func syntaxHint(msg, text string, at int) string {
	if m := unexpected.FindStringSubmatch(msg); m != nil {
		rs := []rune(text)
		at = min(at, len(rs))
		return unexpectedHint(m[1], m[2], strings.TrimSpace(string(rs[:at])), string(rs[at:]))
	}
	if m := mismatched.FindStringSubmatch(msg); m != nil {
		return fmt.Sprintf("%s does not work between %s and %s%s", m[1], kindWord(m[2]), kindWord(m[3]), mismatchHint(m[1], m[2], m[3]))
	}
	for _, c := range calls {
		if m := c.pattern.FindStringSubmatch(msg); m != nil {
			args := make([]any, len(m)-1)
			for i, a := range m[1:] {
				args[i] = a
			}
			return fmt.Sprintf(c.says, args...)
		}
	}
	switch {
	case strings.HasPrefix(msg, "literal not terminated"):
		return "this text has no quote at its end"
	case strings.HasPrefix(msg, "bad number syntax"):
		return `this is neither a number nor a name; a field whose name begins with a digit is read as payload["1st"]`
	}
	return ""
}

func mismatchHint(operator, a, b string) string {
	has := func(of string) bool { return a == of || b == of }
	switch {
	case has("<nil>"), has("nil"):
		return "; what is nil is missing: ask first whether it is nil, or give a default with ??"
	case has("time.Weekday"), has("time.Month"):
		return "; weekday(…) and format(…) give text"
	case has("time.Time") && has("int"), has("time.Duration") && has("int"):
		return "; say of what it is a number: minutes(5), hours(1), days(2)"
	case has("time.Time") && has("string") && (operator == "+" || operator == "-"):
		return `; a length of time is minutes(5) or duration("1h30m")`
	case has("time.Time") && has("string"):
		return "; make a time of the text with time(…)"
	case has("bool") && (operator == "==" || operator == "!="):
		return "; not and ! belong to what follows right after them: write not (a == b), or a != b"
	case operator == "%":
		return "; it takes whole numbers: int(…) makes one"
	case operator == "+" && has("string"):
		return "; make text of the other with string(…), or write text with ${…} in it"
	case has("string") && has("int"):
		return "; make a number of the text with number(…)"
	}
	return ""
}

// besideIt are tokens that another language has there, with what is written here.
var besideIt = map[string]string{
	"=": "use == to compare", "!=": "use != to compare", "~": `use matches for a pattern: payload.name matches "^A"`,
	"<>": "use != for what is not equal", "&": "use &&, or the word and", "|": "use ||, or the word or",
	"then": "choose with condition ? this : that", "is": "use == to compare", "like": `use contains or matches: payload.name contains "A"`,
	"contains": `contains stands between its two: payload.name contains "A"`, "matches": `matches stands between its two: payload.name matches "^A"`,
	"startsWith": `startsWith stands between its two: payload.name startsWith "A"`, "endsWith": `endsWith stands between its two: payload.name endsWith "A"`,
	"AND": "write and in small letters", "OR": "write or in small letters", "NOT": "write not in small letters", "IN": "write in in small letters",
}

// unexpectedHint is about a token that the parser did not expect, with what stands
// before it and what from it on.
func unexpectedHint(kind, token, before, from string) string {
	last := ""
	if before != "" {
		last = before[len(before)-1:]
	}
	switch {
	case strings.HasPrefix(from, "=>"):
		return "a condition on the elements of a list is written with #: filter(payload.list, # > 1)"
	case strings.HasPrefix(from, "=~"), strings.HasPrefix(from, "~"):
		return besideIt["~"]
	case token == "=" && last == "!":
		return besideIt["!="]
	case token == ">" && last == "<":
		return besideIt["<>"]
	case besideIt[token] != "":
		return besideIt[token]
	case token == "." && strings.Contains(before, "|"):
		return besideIt["|"]
	case token == "," && strings.Contains(before, "("):
		return "a list is written with [ and ]"
	case kind == "Identifier" && slices.Contains(strings.Fields("minute minutes hour hours day days"), token):
		return fmt.Sprintf("a length of time is written %ss(5)", strings.TrimSuffix(token, "s"))
	case kind == "Identifier" && last != "" && strings.Contains(`"'`, last):
		return fmt.Sprintf(`%s cannot stand right after a text; a quote inside a text is written \"`, token)
	case kind == "Identifier" || kind == "Number" || kind == "String":
		return fmt.Sprintf("%s cannot stand here: an operator such as ==, && or + is missing before it", token)
	case kind == "Bracket" && strings.ContainsAny(token, ")]}"):
		return fmt.Sprintf("this %s closes nothing, or something is missing before it", token)
	}
	return fmt.Sprintf("%s cannot stand here", token)
}
