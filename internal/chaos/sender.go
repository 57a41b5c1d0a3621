package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"time"
)

// post sends messages, all at the same time, and does not wait for them.
func (a *arena) post(ctx context.Context, messages ...*message) {
	for i, m := range messages {
		a.senders.Go(func() { a.send(ctx, m, i) })
	}
}

// send sends m until it is accepted, as Zapier would: the same message, with the same
// event id, to whichever doorhook answers.
func (a *arena) send(ctx context.Context, m *message, door int) {
	for ; ctx.Err() == nil; door++ {
		p := a.doors[door%len(a.doors)]
		status, text, err := a.try(ctx, p, m)
		if a.answered(m, p, status, text, err) {
			return
		}
		pause(ctx, 50*time.Millisecond)
	}
}

// answered notes an answer, and reports whether it settles the matter.
func (a *arena) answered(m *message, p *process, status int, text []byte, err error) bool {
	a.book.mu.Lock()
	defer a.book.mu.Unlock()
	now := a.now()
	m.tries++
	if m.tries == 1 || status == http.StatusOK {
		m.answers = append(m.answers, fmt.Sprintf("%s try %d, %s: %d %s %v", clock(now), m.tries, p.name, status, bytes.TrimSpace(text), err))
	}
	switch {
	case err == nil && status == http.StatusOK:
		var said struct {
			Status string
			JobID  string `json:"job_id"`
		}
		if json.Unmarshal(text, &said) != nil || said.Status == "failed" {
			a.complain("version %d of %s was answered %s", m.version, m.of.name(), text)
		}
		m.of.job = said.JobID
		if m.accepted.IsZero() {
			m.accepted = now
		}
		if said.Status == "done" {
			m.done = now
		}
		return true
	case status >= 400 && status != http.StatusTooManyRequests && status != http.StatusServiceUnavailable:
		a.complain("version %d of %s was refused: %d %s", m.version, m.of.name(), status, text)
		return true
	}
	return false
}

// try sends m once. Some cancellations wait, to be told when it is done.
func (a *arena) try(ctx context.Context, p *process, m *message) (status int, text []byte, err error) {
	url, _ := p.at()
	if url == "" {
		return 0, nil, fmt.Errorf("%s is down", p.name)
	}
	url += "/hooks/chaos"
	if m.cancelled && m.of.n%2 == 0 {
		url += "?wait=5"
	}
	ctx, cancel := context.WithTimeout(ctx, 12*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(m.body()))
	if err != nil {
		return 0, nil, err
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Authorization", "Bearer "+token)
	resp, err := a.client.Do(req)
	if err != nil {
		return 0, nil, err
	}
	defer resp.Body.Close()
	text, err = io.ReadAll(resp.Body)
	return resp.StatusCode, text, err
}

// load sends, from so many connections, one message after the other until stop ends.
func (a *arena) load(ctx, stop context.Context, connections int) {
	for range connections {
		a.senders.Go(func() {
			for door := 0; stop.Err() == nil; door++ {
				for _, m := range a.book.next() {
					a.send(ctx, m, door)
				}
				pause(stop, 100*time.Millisecond)
			}
		})
	}
}

func clock(t time.Time) string { return t.UTC().Format("15:04:05.000") }
