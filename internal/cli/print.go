package cli

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"
	"unicode"
	"unicode/utf16"
)

// clean makes one line of a text that a sender may have chosen, without what a
// terminal obeys.
func clean(text string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case unicode.IsPrint(r):
			return r
		case unicode.IsSpace(r):
			return ' '
		}
		return unicode.ReplacementChar
	}, text)
}

// table prints rows in columns.
func table(out io.Writer, rows ...[]string) {
	var text strings.Builder
	w := tabwriter.NewWriter(&text, 0, 0, 2, ' ', 0)
	for _, row := range rows {
		for _, cell := range row {
			fmt.Fprint(w, clean(cell), "\t")
		}
		fmt.Fprintln(w)
	}
	w.Flush()
	for line := range strings.Lines(text.String()) {
		fmt.Fprintln(out, strings.TrimRight(line, " \n"))
	}
}

// printJSON prints v as one line of JSON. encoding/json leaves in what some
// terminals obey, such as U+009B.
func printJSON(out io.Writer, v any) error {
	var text strings.Builder
	enc := json.NewEncoder(&text)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return err
	}
	_, err := io.WriteString(out, printable(text.String()))
	return err
}

// printable writes what a terminal may obey as JSON writes it in texts.
func printable(text string) string {
	var safe strings.Builder
	for _, r := range text {
		if r < 0x7f || unicode.IsPrint(r) {
			safe.WriteRune(r)
			continue
		}
		for _, unit := range utf16.Encode([]rune{r}) {
			fmt.Fprintf(&safe, `\u%04x`, unit)
		}
	}
	return safe.String()
}

// quoted is text as a shell takes it for one argument.
func quoted(text string) string {
	plain := func(r rune) bool {
		return r < 0x80 && (unicode.IsLetter(r) || unicode.IsDigit(r) || strings.ContainsRune(":/._@%+=,-", r))
	}
	if text != "" && strings.TrimLeftFunc(text, plain) == "" {
		return text
	}
	return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'"
}

// toSecond is a time as people here read it; it names the year if it is not this one.
func toSecond(t time.Time) string { return local(t, "15:04:05 MST") }

// toMinute is the same for what is planned.
func toMinute(t time.Time) string { return local(t, "15:04 MST") }

func local(t time.Time, clock string) string {
	if t.IsZero() {
		return ""
	}
	return t.Local().Format(date(t) + " " + clock)
}

func date(t time.Time) string {
	if t.Local().Year() != time.Now().Year() {
		return "2 Jan 2006"
	}
	return "2 Jan"
}

// span is a window of time.
func span(from, to time.Time) string {
	if !from.IsZero() && from.Local().Format(time.DateOnly) == to.Local().Format(time.DateOnly) {
		return from.Local().Format(date(from)+" 15:04") + "–" + to.Local().Format("15:04 MST")
	}
	switch {
	case from.IsZero() && to.IsZero():
		return ""
	case from.IsZero():
		return "until " + toMinute(to)
	case to.IsZero():
		return "from " + toMinute(from)
	}
	return toMinute(from) + " – " + toMinute(to)
}
