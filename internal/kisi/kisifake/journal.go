package kisifake

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"time"
)

// maxJournal is how many calls a Server remembers.
const maxJournal = 10_000

// Call is a request and its answer, without their secrets.
type Call struct {
	At     time.Time
	Method string
	Path   string
	Query  string
	Header http.Header     // what Kisi looks at
	Body   json.RawMessage // nil without one; a JSON text if it was not JSON
	Status int             // 0: no answer
	Answer json.RawMessage // likewise
}

// Journal gives the calls so far, oldest first; of very many the last.
func (s *Server) Journal() []Call {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.journal)
}

// Await returns when done is true, which it asks now and after each call.
func (s *Server) Await(ctx context.Context, done func() bool) error {
	for {
		s.mu.Lock()
		changed := s.changed
		s.mu.Unlock()
		if done() {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// record notes a call before its answer goes out: who has the answer finds the
// call in the journal.
func (s *Server) record(c *call, a answer) {
	one := Call{
		At: c.now, Method: c.Method, Path: c.URL.Path, Query: c.URL.RawQuery, Header: shownHeader(c.Header),
		Body: shown(c.body), Status: a.status, Answer: shown(a.body),
	}
	s.mu.Lock()
	if len(s.journal) >= maxJournal {
		s.journal = slices.Delete(s.journal, 0, maxJournal/10)
	}
	s.journal = append(s.journal, one)
	close(s.changed)
	s.changed = make(chan struct{})
	s.mu.Unlock()

	if s.o.OnCall != nil {
		s.telling.Lock()
		defer s.telling.Unlock()
		s.o.OnCall(one)
	}
}

func shownHeader(h http.Header) http.Header {
	out := http.Header{}
	for name, values := range h {
		if strings.HasPrefix(name, "X-Kisi-") || slices.Contains([]string{"Accept", "Content-Type", "User-Agent"}, name) {
			out[name] = slices.Clone(values)
		}
	}
	if scheme, _, ok := strings.Cut(h.Get("Authorization"), " "); ok {
		out.Set("Authorization", scheme+" [redacted]")
	}
	return out
}

// shown gives a body without its secrets.
func shown(body []byte) json.RawMessage {
	if len(body) == 0 {
		return nil
	}
	d := json.NewDecoder(bytes.NewReader(body))
	d.UseNumber()
	var v any
	if !json.Valid(body) || d.Decode(&v) != nil {
		return encode(string(body))
	}
	if !hide(v) {
		return slices.Clone(body)
	}
	return encode(v)
}

// hide takes the secrets out of v, and reports whether there were any.
func hide(v any) bool {
	hidden := false
	switch v := v.(type) {
	case []any:
		for _, one := range v {
			hidden = hide(one) || hidden
		}
	case map[string]any:
		for name, value := range v {
			if value != nil && slices.Contains([]string{
				"password", "otp_attempt", "secret", "authentication_token", "proximity_proof",
				"quick_response_code_token", "quick_response_code_image",
			}, name) {
				v[name] = "[redacted]"
				hidden = true
				continue
			}
			hidden = hide(value) || hidden
		}
	}
	return hidden
}

// peek reads one object of a body, whatever else is wrong with it.
func peek(body []byte, name string) map[string]any {
	var all map[string]any
	_ = json.Unmarshal(body, &all) // reading it strictly will complain
	object, _ := all[name].(map[string]any)
	return object
}
