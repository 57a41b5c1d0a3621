package rules

import (
	"cmp"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"sync/atomic"
	"unicode"

	"go.yaml.in/yaml/v4"
)

// Error is one mistake in a rule file, with its place.
type Error struct {
	File      string
	Line, Col int // counted from 1, in runes
	Message   string
	Source    string // the line itself

	inside bool // in an expression, and not of the shape of the file
}

// Place is file:line:column.
func (e *Error) Place() string { return fmt.Sprintf("%s:%d:%d", e.File, e.Line, e.Col) }

// Error shows the mistake as its author needs it: place, message, line, caret.
func (e *Error) Error() string {
	s := e.Place() + ": " + e.Message
	if e.Source == "" {
		return s
	}
	return s + "\n    " + e.Source + "\n    " + caretPad(e.Source, e.Col) + "^"
}

// caretPad keeps the tabs of the line, so that the caret stands right however wide they are.
func caretPad(line string, col int) string {
	pad := []rune(line)
	pad = pad[:min(max(col-1, 0), len(pad))]
	for i, r := range pad {
		if r != '\t' {
			pad[i] = ' '
		}
	}
	return string(pad)
}

// Errors are all mistakes of all files, in the order of files and lines.
type Errors []*Error

func (es Errors) Error() string {
	texts := make([]string, len(es))
	for i, e := range es {
		texts[i] = e.Error()
	}
	return strings.Join(texts, "\n")
}

func (es Errors) sorted() Errors {
	slices.SortStableFunc(es, func(a, b *Error) int {
		return cmp.Or(cmp.Compare(a.File, b.File), cmp.Compare(a.Line, b.Line), cmp.Compare(a.Col, b.Col))
	})
	return es
}

// source is the text of one file, for positions in it.
type source struct {
	name  string // as it is shown: rules/skedda.yaml
	lines []string
	// The lines again, once they are walked: one may be as long as a file, and hold
	// thousands of mistakes.
	runes []atomic.Pointer[[]rune]
}

// lineEnds are what YAML takes for the end of a line. Who counts others shows another line
// than the one that is meant, and that may hold a secret.
var lineEnds = strings.NewReplacer("\r\n", "\n", "\r", "\n", "\u0085", "\n", "\u2028", "\n", "\u2029", "\n")

func newSource(name string, text []byte) *source {
	lines := strings.Split(lineEnds.Replace(strings.TrimPrefix(string(text), "\ufeff")), "\n")
	return &source{name: name, lines: lines, runes: make([]atomic.Pointer[[]rune], len(lines))}
}

func (s *source) line(n int) string {
	if n < 1 || n > len(s.lines) {
		return ""
	}
	return s.lines[n-1]
}

// walked are the runes of a line. Events that are planned at the same time may ask.
func (s *source) walked(line int) []rune {
	if line < 1 || line > len(s.lines) {
		return nil
	}
	if rs := s.runes[line-1].Load(); rs != nil {
		return *rs
	}
	rs := []rune(s.lines[line-1])
	s.runes[line-1].Store(&rs)
	return rs
}

func (s *source) errorf(line, col int, format string, args ...any) *Error {
	text := s.line(line)
	if rs := []rune(text[:min(len(text), 4*longestLine)]); len(rs) > longestLine {
		text = string(rs[:longestLine]) // no message is as long as a file on one line
	}
	if s.secret(line) && !harmless(text) {
		text = ""
	}
	return &Error{File: s.name, Line: line, Col: col, Message: fmt.Sprintf(format, args...), Source: text}
}

const longestLine = 400

var (
	references = regexp.MustCompile(`\$\{[^}]*\}`)
	names      = regexp.MustCompile(`[\w-]+\s*:(\s+true\b)?`)
	words      = regexp.MustCompile(`\w`)
	topLine    = regexp.MustCompile(`^[^\s#-]`)
	secretLine = regexp.MustCompile(`(?i)^["']?(auth|alias)`)
	authLine   = regexp.MustCompile(`^\s*(-\s*)?(auth|bearer|basic|header|query|hmac|secret|alias)\s*:`)
)

// secret reports whether a line belongs to a key such as auth: or alias:, as far as the
// text tells: the file may be no YAML.
func (s *source) secret(line int) bool {
	for ; line > 1 && !topLine.MatchString(s.line(line)); line-- {
	}
	return secretLine.MatchString(s.line(line))
}

// harmless reports whether a line of auth: shows nothing but names and ${…}, and so
// no secret that somebody wrote into the file.
func harmless(line string) bool {
	return !words.MatchString(names.ReplaceAllString(references.ReplaceAllString(line, ""), ""))
}

// hide blanks the lines from..to of messages that may show a secret.
func (s *source) hide(errs Errors, from, to int) {
	for _, e := range errs {
		if e.Line >= from && e.Line <= to && !harmless(e.Source) {
			e.Source = ""
		}
	}
}

// where is the place of rune off of the scalar n, as file:line:column.
func (s *source) where(n *yaml.Node, off int) string {
	line, col := s.position(n, off)
	return fmt.Sprintf("%s:%d:%d", s.name, line, col)
}

// position finds rune off of the decoded scalar n in the source. It is exact
// for every style of scalar: it walks the source and the value side by side.
func (s *source) position(n *yaml.Node, off int) (line, col int) {
	value := []rune(n.Value)
	off = min(off, len(value))
	if n.Style&yaml.LiteralStyle != 0 {
		return s.literalPosition(n, value[:off])
	}
	w := walker{s: s, line: n.Line, col: n.Column - 1}
	switch {
	case n.Style&yaml.FoldedStyle != 0:
		w.line, w.col = n.Line+1, 0
		w.space()
	case n.Style&yaml.DoubleQuotedStyle != 0:
		w.quote = '"'
		w.col++
	case n.Style&yaml.SingleQuotedStyle != 0:
		w.quote = '\''
		w.col++
	}
	for i := 0; i < off; i++ {
		w.joined()
		if unicode.IsSpace(value[i]) && w.atSpace() {
			for i+1 < off && unicode.IsSpace(value[i+1]) {
				i++
			}
			w.space()
			for w.joined(); w.escapedSpace(); w.space() {
				w.rune()
			}
			continue
		}
		w.rune()
	}
	w.joined()
	if off < len(value) && !unicode.IsSpace(value[off]) {
		w.space() // the rune stands after a line break that folding removed
	}
	return w.line, w.col + 1
}

// literalPosition is for a | block, which keeps its lines.
func (s *source) literalPosition(n *yaml.Node, before []rune) (line, col int) {
	indent := 0
	for i := n.Line; i < len(s.lines); i++ {
		if text := s.lines[i]; strings.TrimSpace(text) != "" {
			kept := strings.TrimLeft(n.Value, "\n") // |2 keeps what is further to the right
			indent = len(text) - len(strings.TrimLeft(text, " ")) - (len(kept) - len(strings.TrimLeft(kept, " ")))
			break
		}
	}
	line, col = n.Line+1, 1
	for _, r := range before {
		col++
		if strings.ContainsRune("\n\u0085\u2028\u2029", r) {
			line, col = line+1, 1
		}
	}
	return line, col + indent
}

// walker steps through the source of a scalar. col counts from 0.
type walker struct {
	s         *source
	line, col int
	quote     rune // 0 for plain and folded scalars
}

func (w *walker) peek() (rune, bool) {
	rs := w.s.walked(w.line)
	if w.col >= len(rs) {
		return 0, false
	}
	return rs[w.col], true
}

func (w *walker) atSpace() bool {
	r, ok := w.peek()
	return !ok || unicode.IsSpace(r)
}

// space skips white space, over line ends.
func (w *walker) space() {
	for w.atSpace() && w.line <= len(w.s.lines) {
		if _, ok := w.peek(); ok {
			w.col++
			continue
		}
		w.line, w.col = w.line+1, 0
	}
}

// escaped is the rune behind a \ in double quotes; 0 where there is none, and at the end of a line.
func (w *walker) escaped() (after rune, backslash bool) {
	if r, _ := w.peek(); w.quote != '"' || r != '\\' {
		return 0, false
	}
	w.col++
	after, _ = w.peek()
	w.col--
	return after, true
}

// joined steps over a \ that ends its line, for which the value has nothing.
func (w *walker) joined() {
	if after, backslash := w.escaped(); backslash && after == 0 {
		w.col++
		w.space()
	}
}

func (w *walker) escapedSpace() bool {
	after, backslash := w.escaped()
	return backslash && after != 0 && strings.ContainsRune("ntr \t", after)
}

// rune steps over one rune of the value, however many stand for it in the source.
func (w *walker) rune() {
	r, _ := w.peek()
	switch {
	case w.quote == '"' && r == '\\':
		w.col++
		switch e, _ := w.peek(); e {
		case 'x':
			w.col += 3
		case 'u':
			w.col += 5
		case 'U':
			w.col += 9
		default:
			w.col++
		}
	case w.quote == '\'' && r == '\'':
		w.col += 2
	default:
		w.col++
	}
}
