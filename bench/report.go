//go:build linux

package main

import (
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"text/tabwriter"
	"time"
)

// saved are the rows of an earlier run, by name; none without a file.
func saved(file string) (map[string]row, error) {
	old := map[string]row{}
	if file == "" {
		return old, nil
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	var rows []row
	if err := json.Unmarshal(text, &rows); err != nil {
		return nil, fmt.Errorf("%s is not what -json writes: %w", file, err)
	}
	for _, r := range rows {
		old[r.Name] = r
	}
	return old, nil
}

// median is the row in the middle, by how many requests it took a second.
func median(rows []row) row {
	slices.SortFunc(rows, func(a, b row) int { return int(a.Load.PerSecond - b.Load.PerSecond) })
	return rows[len(rows)/2]
}

func (b *bench) print(rows []row, old map[string]row) {
	t := tabwriter.NewWriter(b.out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "what\trequests/s\tratio\tp50\tp99\tp99.9\terrors\tCPU\tRedis CPU\tround trips\tRedis bytes\tmemory\tbefore\t")
	for _, r := range rows {
		before := ""
		if was, ok := old[r.Name]; ok && was.Load.PerSecond > 0 {
			before = fmt.Sprintf("%.0f/s, %+.0f%%", was.Load.PerSecond, 100*(r.Load.PerSecond/was.Load.PerSecond-1))
		}
		ratio := ""
		if r.Ratio > 0 {
			ratio = fmt.Sprintf("%.2f", r.Ratio)
		}
		fmt.Fprintf(t, "%s\t%.0f\t%s\t%s\t%s\t%s\t%d\t%.0f µs\t%.0f µs\t%.2f\t%.0f\t%d MB\t%s\t\n", r.Name, r.Load.PerSecond, ratio,
			r.Load.P50.Round(time.Microsecond), r.Load.P99.Round(time.Microsecond), r.Load.P999.Round(time.Microsecond), r.Load.Errors,
			r.CPU, r.RedisCPU, r.Trips, r.Bytes, r.RSS>>20, before)
	}
	_ = t.Flush() // to the terminal
}
