package kisifake

import (
	"net/http"
	"slices"
	"strings"
	"time"
)

// Fault is something that goes wrong with the next requests that match it.
//
// With a Status the request is refused with it, and nothing is done. Without,
// it is done, and then goes wrong as Then, Empty or Junk say.
type Fault struct {
	Method string // "" is any
	Path   string // how the path begins; "" is any
	Times  int    // how often; 0 is once, negative is always
	Skip   int    // how many such requests are spared first

	Delay time.Duration // before it is done: it is done though the client may have gone

	Status     int
	Code       string // Kisi's code; "" leaves the body as of an error without one
	Reason     string
	RetryAfter string // the header; "" sends none

	Then  Then
	Empty bool // the answer has no body
	Junk  bool // the answer is a page of HTML
}

// Then is what happens once a request has been carried out.
type Then int

// What may happen. The zero Then answers as usual.
const (
	Hang  Then = iota + 1 // no answer, until the client goes or the server closes
	Reset                 // the connection breaks
	Crash                 // the answer is a 500
)

// Fail plans a fault. Of several that match a request, the first planned applies.
func (s *Server) Fail(f Fault) {
	if f.Times == 0 {
		f.Times = 1
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults = append(s.faults, &f)
}

// Heal drops all faults that are planned.
func (s *Server) Heal() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults = nil
}

// takeFault finds the fault for r and counts it.
func (s *Server) takeFault(r *http.Request) *Fault {
	i := slices.IndexFunc(s.faults, func(f *Fault) bool {
		return (f.Method == "" || f.Method == r.Method) && strings.HasPrefix(r.URL.Path, f.Path)
	})
	if i < 0 {
		return nil
	}
	if s.faults[i].Skip > 0 {
		s.faults[i].Skip--
		return nil
	}
	f := *s.faults[i]
	if s.faults[i].Times--; f.Times == 1 {
		s.faults = slices.Delete(s.faults, i, i+1)
	}
	return &f
}

// instead is the refusal that f wants; nothing if the request is to be done.
func (f *Fault) instead() answer {
	if f.Status == 0 {
		return answer{}
	}
	reason := f.Reason
	if reason == "" {
		reason = http.StatusText(f.Status)
	}
	body := map[string]string{"error": reason}
	if f.Code != "" {
		body["code"] = f.Code
	}
	return answer{status: f.Status, body: encode(body)}
}

// spoil makes of a the answer that f lets out. Status 0 is no answer.
func (f *Fault) spoil(a answer) answer {
	switch {
	case f.Then == Hang, f.Then == Reset:
		return answer{}
	case f.Then == Crash:
		a = refuse(http.StatusInternalServerError, "ffffff", "An unexpected issue occured.")
	}
	if f.RetryAfter != "" {
		a.header = map[string]string{"Retry-After": f.RetryAfter}
	}
	if f.Empty {
		a.body = nil
	}
	if f.Junk {
		a.header = map[string]string{"Content-Type": "text/html"}
		a.body = []byte("<html><body>Bad gateway</body></html>")
	}
	return a
}
