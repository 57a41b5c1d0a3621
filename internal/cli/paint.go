package cli

import (
	"fmt"
	"io"
	"os"
	"strings"
	"unicode/utf8"

	"doorhook/internal/rules"
)

// painter writes for people: lines and columns, without what a terminal obeys but
// for its own colours.
type painter struct {
	out    io.Writer
	colour bool
}

func newPainter(out io.Writer) painter {
	return painter{out, terminal(out) && os.Getenv("NO_COLOR") == ""}
}

func (p painter) line(indent int, format string, args ...any) {
	text := clean(fmt.Sprintf(format, args...))
	fmt.Fprintln(p.out, strings.TrimRight(strings.Repeat(" ", indent)+text, " "))
}

func (p painter) gap() { fmt.Fprintln(p.out) }

// lines writes a text that has lines of its own.
func (p painter) lines(indent int, text string) {
	for line := range strings.Lines(text) {
		p.line(indent, "%s", strings.TrimRight(line, "\r\n"))
	}
}

// widest is how far a column may push the next one; what is wider gets a line of its own.
const widest = 44

// rows writes columns. The first is a result, in its colour, if it is one.
func (p painter) rows(indent int, rows ...[]string) {
	var widths []int
	for _, row := range rows {
		for i, cell := range row[:len(row)-1] {
			if len(widths) == i {
				widths = append(widths, 0)
			}
			if n := utf8.RuneCountInString(cell); n <= widest {
				widths[i] = max(widths[i], n)
			}
		}
	}
	for _, row := range rows {
		p.row(indent, widths, row)
	}
}

func (p painter) row(indent int, widths []int, row []string) {
	var b strings.Builder
	b.WriteString(strings.Repeat(" ", indent))
	at := indent
	for i, cell := range row {
		cell = clean(cell)
		b.WriteString(p.paint(cell))
		if i == len(row)-1 || strings.TrimSpace(strings.Join(row[i+1:], "")) == "" {
			break
		}
		at += widths[i] + 2
		if n := utf8.RuneCountInString(cell); n <= widths[i] {
			b.WriteString(strings.Repeat(" ", widths[i]-n+2))
		} else {
			b.WriteString("\n" + strings.Repeat(" ", at))
		}
	}
	fmt.Fprintln(p.out, strings.TrimRight(b.String(), " "))
}

// paint gives a word that is a result its colour.
func (p painter) paint(word string) string {
	code, ok := map[string]string{
		rules.Yes: "32", matches: "32", rules.No: "33", rules.Failed: "1;31", tooLate: "1;31", rules.NotReached: "2", notNeeded: "2",
	}[strings.TrimSpace(word)]
	if !ok || !p.colour {
		return word
	}
	return "\x1b[" + code + "m" + word + "\x1b[0m"
}
