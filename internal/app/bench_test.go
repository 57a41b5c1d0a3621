package app

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"slices"
	"testing"
	"testing/fstest"
	"time"

	"doorhook/internal/kisi/kisifake"
)

// BenchmarkTriggerToKisi is the way from a trigger that arrives to the first
// request at Kisi, on an idle machine: HTTP in, auth, rules, Redis, claim, note,
// HTTP out. It reports the time to the answer, to the request at Kisi, and between
// the two, as median and 99th percentile.
func BenchmarkTriggerToKisi(b *testing.B) {
	for name, redis := range redises(b) {
		b.Run(name, func(b *testing.B) {
			asked := make(chan time.Time, 1)
			fake := kisifake.New(kisifake.Options{Rate: -1, OnCall: func(c kisifake.Call) { asked <- c.At }})
			url, err := fake.Start("")
			if err != nil {
				b.Fatal(err)
			}
			defer fake.Close()
			a, err := New(b.Context(), Settings{
				Rules: fstest.MapFS{"t.yaml": {Data: []byte(testRules)}}, RulesDir: "rules", Getenv: func(string) string { return "token" },
				Listen: "127.0.0.1:0", Redis: redis(b), Kisi: Kisi{URL: url, APIKey: kisifake.DefaultKey, Rate: -1},
			})
			if err != nil {
				b.Fatal(err)
			}
			stop := run(b, a)
			defer stop()
			var answered, toKisi, between []time.Duration
			n := 0
			for b.Loop() {
				n++
				started := time.Now()
				postUnlock(b, a.URL(), n)
				took := time.Since(started)
				answered = append(answered, took)
				kisi := (<-asked).Sub(started)
				toKisi, between = append(toKisi, kisi), append(between, max(0, kisi-took))
			}
			report(b, "answer", answered)
			report(b, "kisi", toKisi)
			report(b, "between", between)
			b.ReportMetric(0, "ns/op")
		})
	}
}

func postUnlock(b *testing.B, url string, n int) {
	b.Helper()
	body := fmt.Sprintf(`{"event":"%d","unlock":22290}`, n)
	req, err := http.NewRequestWithContext(b.Context(), http.MethodPost, url+"/hooks/t", bytes.NewReader([]byte(body)))
	if err != nil {
		b.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Authorization", "Bearer token")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		b.Fatal(err)
	}
	defer resp.Body.Close()
	if _, err := io.Copy(io.Discard, resp.Body); err != nil || resp.StatusCode != http.StatusOK {
		b.Fatal(resp.Status, err)
	}
}

func report(b *testing.B, what string, d []time.Duration) {
	b.Helper()
	slices.Sort(d)
	b.ReportMetric(float64(d[len(d)/2].Microseconds())/1000, what+"-p50-ms")
	b.ReportMetric(float64(d[len(d)*99/100].Microseconds())/1000, what+"-p99-ms")
}
