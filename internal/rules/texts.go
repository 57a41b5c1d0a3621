package rules

import (
	"errors"
	"fmt"
	"regexp"
	"regexp/syntax"
	"strings"
	"unicode"
	"unicode/utf8"
)

// emailIn is the first address in a text, in lower case; nil if there is none. An address with
// letters beyond ASCII is passed over whole: a part of it would be somebody else's.
func emailIn(r *run, a []any) (any, error) {
	s, err := textOf(a[0])
	if err == nil {
		err = r.spend(4*len(s), 0)
	}
	if err != nil {
		return nil, err
	}
	for i, end := 0, 0; ; i += end + 1 {
		if end = strings.IndexByte(s[i:], '@'); end < 0 {
			return nil, nil
		}
		local, domain := localPart(s[:i+end]), domainPart(s[i+end+1:])
		if local != "" && domain != "" {
			return strings.ToLower(local + "@" + domain), nil
		}
	}
}

// localPart is what stands before an @, from its last letter or digit that begins it.
func localPart(s string) string {
	from := len(s)
	for from > max(0, len(s)-65) && (alphanumeric(s[from-1]) || strings.IndexByte("._%+-'", s[from-1]) >= 0) {
		from--
	}
	if before, _ := utf8.DecodeLastRuneInString(s[:from]); unicode.IsLetter(before) || len(s)-from > 64 {
		return ""
	}
	return strings.TrimLeft(s[from:], "._%+-'")
}

// domainPart is the name of a host at the beginning of s, with a point in it and letters at its end.
func domainPart(s string) string {
	to := 0
	for to < len(s) && to < 256 && (alphanumeric(s[to]) || s[to] == '.' || s[to] == '-') {
		to++
	}
	if after, _ := utf8.DecodeRuneInString(s[to:]); unicode.IsLetter(after) || to > 255 {
		return ""
	}
	name, _, _ := strings.Cut(s[:to], "..") // and a point that ends the sentence
	name = strings.TrimRight(name, ".-")
	last, labels := "", 0
	for rest, more := name, true; more; labels++ {
		last, rest, more = strings.Cut(rest, ".")
		if last == "" || len(last) > 63 || last[0] == '-' || last[len(last)-1] == '-' {
			return ""
		}
	}
	if labels < 2 || len(last) < 2 || strings.ContainsAny(last, "0123456789") && !strings.HasPrefix(last, "xn--") {
		return ""
	}
	return name
}

func alphanumeric(b byte) bool {
	return b >= 'a' && b <= 'z' || b >= 'A' && b <= 'Z' || b >= '0' && b <= '9'
}

// maxProgram bounds a pattern: searching takes time by its size and by the length of the text.
const maxProgram = 4000

// pattern is a compiled pattern with at most one group, and the size of its program.
type pattern struct {
	*regexp.Regexp
	size int
}

// What makes a pattern slow to compile, by far: classes of all of Unicode, and long ranges
// whose other case is looked for.
var (
	classes  = regexp.MustCompile(`\\[pP]`)
	beyond   = regexp.MustCompile(`-\\x|-[^\x00-\x7f]`)
	caseless = regexp.MustCompile(`\(\?[a-zA-Z]*i`)
)

// compilePattern refuses what is too large to be compiled or searched with.
func compilePattern(text string) (*pattern, error) {
	if len(text) > 1000 {
		return nil, errors.New("the pattern is longer than 1,000 bytes")
	}
	if len(classes.FindAllString(text, 11)) > 10 {
		return nil, errors.New("the pattern has more than 10 classes such as \\pL")
	}
	if caseless.MatchString(text) && beyond.MatchString(text) {
		return nil, errors.New("a pattern with (?i) cannot have a range such as à-ü: write the letters themselves")
	}
	tree, err := syntax.Parse(text, syntax.Perl)
	if err != nil {
		return nil, fmt.Errorf("the pattern is not a regular expression: %w", err)
	}
	if tree.MaxCap() > 1 {
		dropGroups(tree)
		text = tree.String()
	}
	size := programSize(tree)
	if size > maxProgram {
		return nil, errors.New("the pattern is too large: what it repeats, it repeats too often")
	}
	re, err := regexp.Compile(text)
	return &pattern{re, size}, err
}

// dropGroups leaves the first group of a pattern, which is all that is asked for: to keep
// the others takes time for each letter of the text.
func dropGroups(re *syntax.Regexp) {
	for _, sub := range re.Sub {
		dropGroups(sub)
	}
	if re.Op == syntax.OpCapture && re.Cap > 1 {
		*re = *re.Sub[0]
	}
}

// programSize is about how many instructions a pattern compiles to, or more than maxProgram.
func programSize(re *syntax.Regexp) int {
	n := 1
	if re.Op == syntax.OpLiteral {
		n = len(re.Rune)
	}
	for _, sub := range re.Sub {
		n = min(n+programSize(sub), maxProgram+1)
	}
	if re.Op == syntax.OpRepeat {
		n *= max(re.Max, re.Min+1)
	}
	return min(n, maxProgram+1)
}

// subject is the pattern and the text to search with it, if that is not too much work.
func (r *run) subject(v, by any) (*pattern, string, error) {
	s, err := textOf(v)
	if err != nil {
		return nil, "", err
	}
	p, ready := by.(*pattern)
	if !ready {
		text, err := textArg([]any{by}, 0)
		if err != nil {
			return nil, "", err
		}
		if err := r.spend(4000*min(len(text), 1000), 100_000); err != nil {
			return nil, "", err
		}
		if p, err = compilePattern(text); err != nil {
			return nil, "", err
		}
	}
	work := p.size * len(s)
	if work > maxSteps {
		return nil, "", fmt.Errorf("a text of %d bytes is too long for this pattern", len(s))
	}
	return p, s, r.spend(work, 0)
}

// extract is what the first group of the pattern matches, or all of it if it
// has no group; nil if nothing matches, or the group has no part in it.
func extract(r *run, a []any) (any, error) {
	if a[0] == nil {
		return nil, nil
	}
	p, s, err := r.subject(a[0], a[1])
	if err != nil {
		return nil, err
	}
	m := p.FindStringSubmatchIndex(s)
	if m == nil {
		return nil, nil
	}
	m = m[len(m)-2:]
	if m[0] < 0 {
		return nil, nil
	}
	return s[m[0]:m[1]], nil
}
