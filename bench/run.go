//go:build linux

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"time"
)

const connections = 64

// The rules that are measured: one looks at every event and asks for nothing, one hands
// every event on.
const (
	acceptRules = `
trigger: kisi
from: kisi
auth: [{hmac: "kisi:${env.KISI_WEBHOOK_KEY}"}]
rules:
  - name: tell of what failed
    when: payload.type == "lock.unlock" && payload.success == false
    do: [{send: {url: "${env.SINK_URL}", json: "${payload}"}}]
`
	deliverRules = `
trigger: kisi
from: kisi
auth: [{hmac: "kisi:${env.KISI_WEBHOOK_KEY}"}]
rules:
  - name: hand on
    when: payload.type == "lock.unlock" && payload.success
    do: [{send: {url: "${env.SINK_URL}", json: "${payload}"}}]
`
)

// bench is one run of everything.
type bench struct {
	options
	out      io.Writer
	dir      string
	doorhook string
	self     string
	rows     []row
	sink     *sink
	drawn    int
}

// row is one line of the table.
type row struct {
	Name     string   `json:"name"`
	Load     measured `json:"load"`
	Ratio    float64  `json:"ratio,omitempty"` // to the ceiling of one SET NX, in this run
	CPU      float64  `json:"cpu_us,omitempty"`
	RedisCPU float64  `json:"redis_cpu_us,omitempty"`
	Trips    float64  `json:"round_trips,omitempty"` // to Redis, for each request
	RSS      int64    `json:"rss_bytes,omitempty"`
	Bytes    float64  `json:"redis_bytes,omitempty"` // for each request
}

func run(ctx context.Context, o options, out io.Writer) error {
	b := &bench{options: o, out: out}
	if err := b.prepare(ctx); err != nil {
		return errors.Join(err, os.RemoveAll(b.dir))
	}
	defer os.RemoveAll(b.dir)
	defer b.sink.web.Close()
	all := map[string][]row{}
	var order []string
	for round := range o.rounds {
		b.rows = nil
		if err := b.round(ctx); err != nil {
			return err
		}
		for _, r := range b.rows {
			if round == 0 {
				order = append(order, r.Name)
			}
			all[r.Name] = append(all[r.Name], r)
		}
		fmt.Fprintf(out, "round %d of %d\n", round+1, o.rounds)
	}
	var rows []row
	for _, name := range order {
		rows = append(rows, median(all[name]))
	}
	old, err := saved(o.against)
	if err != nil {
		return err
	}
	b.print(rows, old)
	if o.json == "" {
		return nil
	}
	text, err := json.MarshalIndent(rows, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(o.json, append(text, '\n'), 0o600)
}

func (b *bench) prepare(ctx context.Context) (err error) {
	if b.dir, err = os.MkdirTemp("", "doorhook-bench-"); err != nil {
		return err
	}
	if b.self, err = os.Executable(); err != nil {
		return err
	}
	if b.sink, err = newSink(); err != nil {
		return err
	}
	b.doorhook = filepath.Join(b.dir, "doorhook")
	if text, err := exec.CommandContext(ctx, "go", "build", "-o", b.doorhook, "doorhook/cmd/doorhook").CombinedOutput(); err != nil {
		return fmt.Errorf("build doorhook: %w: %s", err, text)
	}
	for name, text := range map[string]string{"accept": acceptRules, "deliver": deliverRules} {
		if err := os.Mkdir(filepath.Join(b.dir, name), 0o700); err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(b.dir, name, "kisi.yaml"), []byte(text), 0o600); err != nil {
			return err
		}
	}
	return nil
}

// round measures everything once.
func (b *bench) round(ctx context.Context) error {
	var base measured
	for _, m := range []struct {
		name, rules string
		redis       bool
		load        load
	}{
		{name: "ceiling: Fiber alone"},
		{name: "ceiling: Fiber and one SET NX", redis: true},
		{name: "accept", rules: "accept", redis: true},
		{name: "ceiling, half duplicates", redis: true, load: load{duplicates: 50}},
		{name: "accept, half duplicates", rules: "accept", redis: true, load: load{duplicates: 50}},
		{name: "accept at 1,000/s", rules: "accept", redis: true, load: load{rate: 1000}},
		{name: "accept, work and deliver", rules: "deliver", redis: true},
	} {
		if b.only != "" && b.only != m.name {
			continue
		}
		m.load.connections, m.load.duration = connections, b.duration
		r, err := b.measure(ctx, m.rules, m.redis, m.load)
		if err != nil {
			return fmt.Errorf("%s: %w", m.name, err)
		}
		r.Name = m.name
		switch {
		case m.rules == "" && m.redis:
			base = r.Load
		case m.rules == "accept" && m.load.rate == 0 && base.PerSecond > 0:
			r.Ratio = r.Load.PerSecond / base.PerSecond
		}
		b.rows = append(b.rows, r)
	}
	return nil
}

// measure starts what is to be measured, afresh, and sends the load.
func (b *bench) measure(ctx context.Context, rules string, withRedis bool, l load) (r row, err error) {
	var rdb *server
	if withRedis {
		dir, err := os.MkdirTemp(b.dir, "redis-")
		if err != nil {
			return r, err
		}
		if rdb, err = startRedis(ctx, dir); err != nil {
			return r, err
		}
		defer rdb.stop()
	}
	at, err := freeAddress()
	if err != nil {
		return r, err
	}
	p, path, err := b.subject(ctx, rules, at, rdb)
	if err != nil {
		return r, err
	}
	defer p.stop()
	if err := answers(ctx, "tcp", at, 10*time.Second); err != nil {
		return r, fmt.Errorf("%w: %s", err, p.out)
	}
	b.drawn++
	l.url, l.make = "http://"+at+path, kisiEvents(fmt.Sprintf("%d-%d", time.Now().UnixNano(), b.drawn), time.Now())
	before, err := b.state(ctx, p, rdb)
	if err != nil {
		return r, err
	}
	got, started := b.sink.count.Load(), time.Now()
	r.Load = l.run()
	if rules == "deliver" {
		if err := b.delivered(ctx, got+int64(r.Load.Requests-r.Load.Errors), &r.Load, started); err != nil {
			return r, err
		}
	}
	after, err := b.state(ctx, p, rdb)
	if err != nil {
		return r, err
	}
	n := float64(max(r.Load.Requests, 1))
	r.CPU = float64((after.own.cpu - before.own.cpu).Microseconds()) / n
	r.RedisCPU = float64((after.redis.cpu - before.redis.cpu).Microseconds()) / n
	r.Trips = float64(after.calls-before.calls) / n
	r.Bytes = float64(after.memory-before.memory) / n
	r.RSS = after.own.rss
	return r, nil
}

// subject starts what is measured, and says below which path it takes events.
func (b *bench) subject(ctx context.Context, rules, at string, rdb *server) (*process, string, error) {
	url := ""
	if rdb != nil {
		url = rdb.url
	}
	if rules == "" {
		p, err := start(ctx, nil, b.self, "ceiling", at, url)
		return p, "/", err
	}
	p, err := start(ctx, []string{"KISI_WEBHOOK_KEY=" + webhookKey, "SINK_URL=" + b.sink.url, "KISI_API_KEY=none"},
		b.doorhook, "serve", "--rules", filepath.Join(b.dir, rules), "--listen", at, "--redis", url,
		"--kisi-url", "http://127.0.0.1:1", "--catchup", "off", "--send-allow", "127.0.0.1", "--log-format", "json")
	return p, "/hooks/kisi", err
}

// delivered waits until all that was accepted was handed on, and counts that time too.
func (b *bench) delivered(ctx context.Context, want int64, m *measured, started time.Time) error {
	for deadline := time.Now().Add(time.Minute); b.sink.count.Load() < want; {
		if ctx.Err() != nil || time.Now().After(deadline) {
			return fmt.Errorf("%d of %d events were handed on", b.sink.count.Load(), want)
		}
		time.Sleep(time.Millisecond)
	}
	m.Seconds = time.Since(started).Seconds()
	m.PerSecond = float64(m.Requests-m.Errors) / m.Seconds
	return nil
}

// state is what everything has used.
type state struct {
	own, redis usage
	calls      int64
	memory     int64
}

func (b *bench) state(ctx context.Context, p *process, rdb *server) (s state, err error) {
	if s.own, err = p.usage(); err != nil || rdb == nil {
		return s, err
	}
	if s.redis, err = rdb.usage(); err != nil {
		return s, err
	}
	if s.calls, err = rdb.calls(ctx); err != nil {
		return s, err
	}
	s.memory, err = rdb.memory(ctx)
	return s, err
}
