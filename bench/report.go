//go:build linux

package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"slices"
	"text/tabwriter"
	"time"
)

// report is what -json writes and -against reads.
type report struct {
	At       time.Time `json:"at"`
	Machine  machine   `json:"machine"`
	Duration string    `json:"duration"` // of each measurement
	Figures  []figure  `json:"figures"`
	Rows     []row     `json:"rows"`
	Soak     *soaked   `json:"soak,omitempty"`
	Failed   []string  `json:"failed,omitempty"`
}

// saved is an earlier run; an empty one without a file.
func saved(file string) (old report, err error) {
	if file == "" {
		return old, nil
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return old, err
	}
	if err := json.Unmarshal(text, &old); err != nil {
		return old, fmt.Errorf("%s is not what -json writes now: %w", file, err)
	}
	return old, nil
}

func (b *bench) save() error {
	if b.json == "" {
		return nil
	}
	text, err := json.MarshalIndent(report{
		At: time.Now().UTC(), Machine: b.machine, Duration: b.duration.String(), Figures: b.figures, Rows: b.rows, Soak: b.soaked, Failed: b.failed,
	}, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(b.json, append(text, '\n'), 0o600)
}

func (b *bench) printMachine() {
	m := b.machine
	fmt.Fprintf(b.out, "doorhook %s, on %d × %s, Linux %s, %s, Redis %s\n", m.Doorhook, m.Cores, m.CPU, m.Kernel, m.Go, m.Redis)
	if m.Load > busyMachine {
		fmt.Fprintf(b.out, "WARNING: the load of this machine is %.2f already: what it has to do besides makes everything slower\n", m.Load)
	}
	if b.short {
		fmt.Fprintln(b.out, "WARNING: -short shows that everything can be measured, and nothing else")
	}
}

// print ends with the table of figures; before it is everything else.
func (b *bench) print(old report) {
	fmt.Fprintln(b.out)
	b.printRows(old)
	if s := b.soaked; s != nil {
		first, last := s.Samples[0], s.Samples[len(s.Samples)-1]
		fmt.Fprintf(b.out, "\nsoak of %s at %d/s: %d requests, %d of them duplicates; doorhook %.1f MB to %.1f MB, Redis %.1f MB to %.1f MB; the last event was handed on %.1f s after the last request\n",
			last.At.Round(time.Second), soakRate, s.Load.Requests, s.Load.Duplicates, mb(first.RSS), mb(last.RSS), mb(first.Redis), mb(last.Redis), s.Behind)
	}
	fmt.Fprintln(b.out)
	b.printFigures(old)
	for _, text := range b.failed {
		fmt.Fprintln(b.out, "FAILED:", text)
	}
}

func (b *bench) printRows(old report) {
	if len(b.rows) == 0 {
		return
	}
	t := columns(b.out)
	fmt.Fprintln(t, left("for each request")+"\trequests/s\tratio\tp50\tp99\tp99.9\terrors\tbusy\tCPU\tRedis CPU\tbench CPU\tround trips\tRedis bytes\tmemory\tbefore\t")
	for i := range b.rows {
		r := &b.rows[i]
		m := r.Median
		fmt.Fprintf(t, "%s\t%.0f ±%.0f %%\t%s\t%s\t%s\t%s\t%d\t%d\t%.0f µs\t%.0f µs\t%.0f µs\t%.2f\t%.0f\t%.0f MB\t%s\t\n",
			left(r.Name), m.Load.PerSecond, 100*r.Spread, ratioText(m.Ratio), micro(m.Load.P50), micro(m.Load.P99), micro(m.Load.P999), m.Load.Errors, m.Load.Busy,
			m.CPU, m.RedisCPU, m.BenchCPU, m.Trips, m.Bytes, mb(m.Peak), r.against(old.Rows))
	}
	_ = t.Flush() // to the terminal
	for i := range b.rows {
		if first := b.rows[i].Median.First; first > 0 {
			fmt.Fprintf(b.out, "%s: the very first took %.1f ms\n", b.rows[i].Name, first)
		}
	}
}

func (b *bench) printFigures(old report) {
	t := columns(b.out)
	fmt.Fprintln(t, left("THE FIGURES")+"\trequired\tmeasured\t\trounds ±\tbefore\t")
	for i := range b.figures {
		f := &b.figures[i]
		if b.only != "" && len(f.Values) == 0 {
			continue
		}
		measured, yes := f.verdict()
		spread := ""
		if len(f.Values) > 1 && !f.Worst {
			spread = "±" + f.text(f.Spread)
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\t\n", left(f.Name), f.requires(), measured, yes, spread, f.against(old.Figures))
	}
	_ = t.Flush() // to the terminal
}

// left fills up a name, since the columns of numbers stand to the right.
func left(name string) string { return fmt.Sprintf("%-54s", name) }

func columns(out io.Writer) *tabwriter.Writer {
	return tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
}

func micro(d time.Duration) time.Duration { return d.Round(time.Microsecond) }

func ratioText(r float64) string {
	if r == 0 {
		return ""
	}
	return fmt.Sprintf("%.2f", r)
}

// against compares with the row of an earlier run. What the rounds of the two differ
// by among themselves says how much of the difference may be chance.
func (r *row) against(old []row) string {
	i := slices.IndexFunc(old, func(o row) bool { return o.Name == r.Name })
	if i < 0 {
		return ""
	}
	return change(old[i].Median.Load.PerSecond, r.Median.Load.PerSecond, old[i].Spread+r.Spread)
}

// against compares with the figure of an earlier run.
func (f *figure) against(old []figure) string {
	i := slices.IndexFunc(old, func(o figure) bool { return o.Name == f.Name })
	if i < 0 || len(old[i].Values) == 0 || len(f.Values) == 0 {
		return ""
	}
	was := old[i]
	if was.Value == 0 || f.Value == 0 {
		return was.text(was.Value)
	}
	return was.text(was.Value) + ", " + change(was.Value, f.Value, was.Spread/was.Value+f.Spread/f.Value)
}

func change(was, is, spread float64) string {
	if was == 0 {
		return ""
	}
	return fmt.Sprintf("%+.0f %% ±%.0f %%", 100*(is/was-1), 100*spread)
}
