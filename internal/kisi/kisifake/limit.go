package kisifake

import (
	"net/http"
	"time"
)

// bucket holds what is left of a user's requests.
type bucket struct {
	tokens float64
	at     time.Time
}

// spend takes one request from the budget of who, if it is not used up.
// Source: OpenAPI: 5 a second per user, with all keys together, and per address
// without one.
func (s *Server) spend(who string, now time.Time) bool {
	return s.o.Rate < 0 || s.spendOf(who, float64(s.o.Rate), now)
}

// spendOf takes one from a budget of its own.
func (s *Server) spendOf(who string, rate float64, now time.Time) bool {
	b := s.buckets[who]
	if b == nil {
		b = &bucket{tokens: rate, at: now}
		s.buckets[who] = b
	}
	b.tokens = min(rate, b.tokens+max(now.Sub(b.at).Seconds(), 0)*rate)
	b.at = now
	if b.tokens < 1 {
		return false
	}
	b.tokens--
	return true
}

func (s *Server) tooMany() answer {
	a := refuse(http.StatusTooManyRequests, "f42900", "Too many requests.")
	if s.o.LimitEmpty {
		a.body = nil
	}
	if s.o.LimitRetryAfter != "" {
		a.header = map[string]string{"Retry-After": s.o.LimitRetryAfter}
	}
	return a
}
