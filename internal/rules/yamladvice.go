package rules

import (
	"regexp"
	"strings"
)

// afterKey is the value on a line of YAML, up to where the line goes wrong.
var afterKey = regexp.MustCompile(`^\s*(?:- )*[^:]*:\s+(["'\[{])`)

// yamlAdvice says what the YAML parser means by message, of the line in which it says so
// and the column.
func yamlAdvice(message, line string, col int) string {
	rs := []rune(line)
	at := ""
	if col >= 1 && col <= len(rs) {
		at = string(rs[col-1])
	}
	has := func(words string) bool { return strings.Contains(message, words) }
	switch {
	case has("mapping values are not allowed"):
		return "YAML takes the `:` for a key: put the expression into quotes or a | block"
	case has("did not find expected key") && afterKey.MatchString(line):
		return "YAML takes `" + afterKey.FindStringSubmatch(line)[1] + "` at the beginning for the whole value: put all of it into a | block"
	case has("did not find expected key"), has("did not find expected '-' indicator"):
		return "this line does not begin as far to the right as the lines that it belongs to"
	case has("cannot start any token") && (at == "\t" || strings.HasPrefix(line, "\t")):
		return "YAML wants spaces at the beginning of a line, and this is a tab"
	case has("cannot start any token"), has("did not find expected node content"), has("unknown anchor"), has("block sequence entries are not allowed"):
		return "YAML takes `" + at + "` at the beginning for a sign of its own: put the value into quotes"
	case has("did not find expected ','") && col > 1 && strings.HasSuffix(string(rs[:col-1]), "$"):
		return "YAML takes the `{` for one of its own: within { } and [ ], put ${…} into quotes"
	case has("expected comment or line break"):
		return "after `|` and `>` the text begins on the next line, further to the right"
	case has("unexpected end of stream"):
		return "something that was opened, a quote or a bracket, is not closed before the end of the file"
	case has("unknown escape character"):
		return `in double quotes a \ is special: write \\, or use single quotes`
	}
	return "this is not YAML: " + message
}
