package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"doorhook/internal/kisi/kisifake"
)

// writeEvidence leaves a file for each booking that something is wrong with, beside
// the logs of the programs.
func (a *arena) writeEvidence(ctx context.Context) error {
	texts := map[string]string{}
	for _, f := range a.findings {
		a.printf("%s: %s: %s\n", a.scenario.name, f.kind, f.text)
		file := "nobodys.txt"
		if f.booking != nil {
			file = strings.ReplaceAll(f.booking.name(), " ", "-") + ".txt"
			if texts[file] == "" {
				texts[file] = a.trace(ctx, f.booking)
			}
		}
		texts[file] = f.kind + ": " + f.text + "\n" + texts[file]
	}
	var errs []error
	for file, text := range texts {
		errs = append(errs, os.WriteFile(filepath.Join(a.dir, file), []byte(text), 0o600))
	}
	return errors.Join(errs...)
}

// trace is all that is known of b: what came in, what went out, what is there, and
// what doorhook says about it.
func (a *arena) trace(ctx context.Context, b *booking) string {
	var t strings.Builder
	fmt.Fprintf(&t, "\nscenario %s, seed %d\n\nmessages, by version\n", a.scenario.name, a.seed)
	for _, m := range b.messages {
		fmt.Fprintf(&t, "  %s\n", m.body())
		for _, answer := range m.answers {
			fmt.Fprintf(&t, "      %s\n", answer)
		}
	}
	fmt.Fprintf(&t, "\nin Kisi\n")
	s := a.state()
	for _, l := range s.links {
		if l.Name == b.name() {
			fmt.Fprintf(&t, "  %d %s\n", l.ID, linkText(l))
		}
	}
	for _, one := range s.schedules {
		if strings.HasPrefix(one.Name, b.name()) {
			fmt.Fprintf(&t, "  %d %s\n", one.ID, scheduleText(one))
		}
	}
	a.traceCalls(&t, b)
	fmt.Fprintf(&t, "\nlogs\n")
	for _, p := range a.doors {
		log, err := os.ReadFile(p.log.Name())
		if err != nil {
			fmt.Fprintf(&t, "  %v\n", err)
		}
		for line := range bytes.Lines(log) {
			if bytes.Contains(line, fmt.Appendf(nil, "%q", b.job)) {
				fmt.Fprintf(&t, "  %s %s", p.name, line)
			}
		}
	}
	if a.redis != nil {
		job, err := a.redis.ask(ctx, "HGETALL", "{doorhook}:job:"+b.job)
		fmt.Fprintf(&t, "\nthe job in Redis\n  %s %v\n", strings.Join(job, "\n  "), err)
	}
	return t.String()
}

// traceCalls writes the calls that name b, its door or what was made for it.
func (a *arena) traceCalls(t io.Writer, b *booking) {
	fmt.Fprintf(t, "\ncalls of Kisi: when, by whom, what\n")
	calls := a.kisiCalls(func(kisifake.Call) bool { return true })
	paths := []string{fmt.Sprintf("/locks/%d/unlock", b.door())}
	for _, c := range calls {
		var made struct{ ID int64 }
		if strings.Contains(string(c.Body), b.name()) && json.Unmarshal(c.Answer, &made) == nil {
			paths = append(paths, fmt.Sprintf("%s/%d", c.Path, made.ID))
		}
	}
	slices.SortStableFunc(calls, func(x, y kisifake.Call) int { return x.At.Compare(y.At) })
	for _, c := range calls {
		if strings.Contains(string(c.Body), b.name()) || asksFor(c, b.name()) || slices.Contains(paths, c.Path) {
			fmt.Fprintf(t, "  %s %s %s %s?%s %s -> %d %.200s\n", clock(c.At), caller(c), c.Method, c.Path, c.Query, c.Body, c.Status, c.Answer)
		}
	}
}
