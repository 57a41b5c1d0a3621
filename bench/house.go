//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"time"
)

// subject is a server that is measured: a doorhook, or a ceiling.
type subject struct {
	*process
	b   *bench
	url string
	rdb *server // nil without

	admin string // where it gives profiles; "" without -profile
}

// startLimit is how long a server may take until it answers.
const startLimit = 20 * time.Second

// ceiling starts what any relay on Fiber and Redis could do at best.
func (b *bench) ceiling(ctx context.Context, rdb *server) (*subject, error) {
	at, err := freeAddress()
	if err != nil {
		return nil, err
	}
	p, err := start(ctx, nil, b.self, "ceiling", at, rdb.address())
	if err != nil {
		return nil, err
	}
	s := &subject{process: p, b: b, url: "http://" + at, rdb: rdb}
	if err := answers(ctx, "tcp", at, startLimit); err != nil {
		s.stop()
		return nil, fmt.Errorf("the ceiling: %w: %s", err, p.out)
	}
	return s, nil
}

// doorhook starts one with the rules in a folder, and returns when it is ready.
func (b *bench) doorhook(ctx context.Context, rules string, rdb *server, flags ...string) (*subject, error) {
	at, err := freeAddress()
	if err != nil {
		return nil, err
	}
	command := []string{
		b.program, "serve", "--rules", rules, "--listen", at, "--kisi-url", "http://127.0.0.1:1", "--catchup", "off",
		"--send-allow", "127.0.0.1", "--log-format", "json",
	}
	if rdb != nil {
		command = append(command, "--redis", rdb.url)
	}
	var admin string
	if b.profile != "" {
		if admin, err = freeAddress(); err != nil {
			return nil, err
		}
		command = append(command, "--admin-listen", admin)
	}
	p, err := start(ctx, []string{
		"KISI_WEBHOOK_KEY=" + webhookKey, "DOORHOOK_TOKEN=" + token, "SINK_URL=" + b.sink.url, "KISI_API_KEY=none",
		"DOORHOOK_MAX_WAITING=10000000", // how much may wait is not what is measured
	}, append(command, flags...)...)
	if err != nil {
		return nil, err
	}
	s := &subject{process: p, b: b, url: "http://" + at, rdb: rdb, admin: admin}
	if err := s.ready(ctx); err != nil {
		s.stop()
		return nil, err
	}
	return s, nil
}

// rulesOf writes the rules of a trigger into a folder of their own, once.
func (b *bench) rulesOf(t trigger) (string, error) {
	dir := filepath.Join(b.dir, t.name)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", err
	}
	return dir, os.WriteFile(filepath.Join(dir, t.name+".yaml"), []byte(t.rules), 0o600)
}

// ready waits until it says that it is.
func (s *subject) ready(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, startLimit)
	defer cancel()
	client := &http.Client{Transport: &http.Transport{}}
	defer client.CloseIdleConnections()
	for ctx.Err() == nil {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.url+"/readyz", http.NoBody)
		if err != nil {
			return err
		}
		if resp, err := client.Do(req); err == nil {
			resp.Body.Close()
			if resp.StatusCode == http.StatusOK {
				return nil
			}
		}
		select {
		case <-s.done:
			return errors.New("doorhook ended before it was ready: " + s.out.String())
		case <-time.After(time.Millisecond):
		}
	}
	return errors.New("doorhook does not become ready: " + s.out.String())
}

// address is the URL, or "" for none.
func (s *server) address() string {
	if s == nil {
		return ""
	}
	return s.url
}

// stop ends it. How much memory a doorhook ever had counts among all.
func (s *subject) stop() {
	if u, err := s.usage(); err == nil && s.cmd.Args[0] == s.b.program {
		s.b.peak = max(s.b.peak, u.peak)
	}
	s.process.stop()
}

// state is what everything has used.
type state struct {
	own, redis usage
	bench      time.Duration // CPU
	calls      int64
	memory     int64
}

func (s *subject) state(ctx context.Context) (st state, err error) {
	st.bench = ownCPU()
	if st.own, err = s.usage(); err != nil || s.rdb == nil {
		return st, err
	}
	if st.redis, err = s.rdb.usage(); err != nil {
		return st, err
	}
	if st.calls, _, err = s.rdb.calls(ctx); err != nil {
		return st, err
	}
	st.memory, err = s.rdb.memory(ctx)
	return st, err
}
