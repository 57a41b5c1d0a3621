package cli

import (
	"fmt"
	"io"
	"os"

	"doorhook/internal/golden"
)

// testReport is what came of cases, for people or as JSON.
type testReport struct {
	out       io.Writer
	colours   bool
	all       bool // none was left out
	results   []golden.Result
	updated   []golden.Result
	untouched []golden.Untouched
}

// colours reports whether somebody looks at the output who wants them.
func colours(env Env) bool {
	f, ok := env.Out.(*os.File)
	if !ok || env.Getenv("NO_COLOR") != "" || env.Getenv("TERM") == "dumb" {
		return false
	}
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}

func (t testReport) failed() int {
	n := 0
	for _, r := range t.results {
		if !r.OK() {
			n++
		}
	}
	return n
}

func (t testReport) print() {
	for _, r := range t.updated {
		fmt.Fprintf(t.out, "wrote %s: %s\n", clean(r.File), clean(r.Name))
	}
	for i := 0; i < len(t.results); {
		end := i
		for end < len(t.results) && t.results[end].File == t.results[i].File {
			end++
		}
		t.printFile(t.results[i:end])
		i = end
	}
	for _, u := range t.untouched {
		switch {
		case !t.all:
		case u.Rule == "":
			fmt.Fprintf(t.out, "no case touches: the trigger %s\n", u.Trigger)
		default:
			fmt.Fprintf(t.out, "no case touches: %s: rule %s\n", u.Trigger, clean(u.Rule))
		}
	}
	fmt.Fprintf(t.out, "%s passed, %d failed\n", count(len(t.results)-t.failed(), "case"), t.failed())
	if len(t.updated) > 0 {
		fmt.Fprintln(t.out, "Read what was written: it is what the rules do, whether or not that is right.")
	}
}

func (t testReport) printFile(results []golden.Result) {
	bad := testReport{results: results}.failed()
	if bad == 0 {
		fmt.Fprintf(t.out, "%s  %s  %s\n", t.paint(green, "ok"), clean(results[0].File), count(len(results), "case"))
		return
	}
	for _, r := range results {
		if !r.OK() {
			t.printFailure(r)
		}
	}
	fmt.Fprintf(t.out, "%s  %s  %d of %s\n", t.paint(red, "failed"), clean(results[0].File), bad, count(len(results), "case"))
}

func (t testReport) printFailure(r golden.Result) {
	fmt.Fprintf(t.out, "%s:%d: %s\n", clean(r.File), r.Line, clean(r.Name))
	switch {
	case r.Err != nil:
		fmt.Fprintf(t.out, "    %s\n", clean(r.Err.Error()))
	case r.Fresh:
		fmt.Fprintln(t.out, "    it wants nothing yet: doorhook test --update writes what comes of it")
	}
	for _, d := range r.Differences {
		fmt.Fprintf(t.out, "  %s:%d: %s: not as it is wanted (- wanted, + came)\n", clean(r.File), d.Line, d.Part)
		t.printDiff(d.Lines)
	}
}

// nearby is how many lines are shown around those that differ.
const nearby = 3

func (t testReport) printDiff(lines []golden.Line) {
	gap := false
	for i, l := range lines {
		if !changes(lines[max(0, i-nearby):min(len(lines), i+nearby+1)]) {
			gap = true
			continue
		}
		if gap {
			fmt.Fprintln(t.out, "      …")
		}
		gap = false
		text := l.Sign + " " + clean(l.Text)
		switch l.Sign {
		case "-":
			text = t.paint(red, text)
		case "+":
			text = t.paint(green, text)
		}
		fmt.Fprintln(t.out, "    "+text)
	}
}

func changes(lines []golden.Line) bool {
	for _, l := range lines {
		if l.Sign != " " {
			return true
		}
	}
	return false
}

const (
	red   = "31"
	green = "32"
)

func (t testReport) paint(colour, text string) string {
	if !t.colours {
		return text
	}
	return "\x1b[" + colour + "m" + text + "\x1b[0m"
}

// testedCase is one case in the JSON result.
type testedCase struct {
	File        string       `json:"file"`
	Line        int          `json:"line"`
	Name        string       `json:"name"`
	OK          bool         `json:"ok"`
	Error       string       `json:"error,omitempty"`
	Fresh       bool         `json:"fresh,omitempty"`
	Differences []difference `json:"differences,omitempty"`
}

type difference struct {
	Part string   `json:"part"`
	Line int      `json:"line"`
	Diff []string `json:"diff"`
}

func (t testReport) printJSON() error {
	cases := []testedCase{}
	for _, r := range t.results {
		one := testedCase{File: r.File, Line: r.Line, Name: r.Name, OK: r.OK(), Fresh: r.Fresh}
		if r.Err != nil {
			one.Error = r.Err.Error()
		}
		for _, d := range r.Differences {
			diff := make([]string, len(d.Lines))
			for i, l := range d.Lines {
				diff[i] = l.Sign + " " + l.Text
			}
			one.Differences = append(one.Differences, difference{d.Part, d.Line, diff})
		}
		cases = append(cases, one)
	}
	answer := map[string]any{"ok": t.failed() == 0, "cases": cases, "failed": t.failed(), "updated": len(t.updated)}
	if t.all {
		answer["untouched"] = t.untouched
	}
	return printJSON(t.out, answer)
}
