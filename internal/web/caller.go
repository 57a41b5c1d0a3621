package web

import (
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"
)

// caller is the address that a request comes from: that of the peer, or what proxies that
// are trusted say in X-Forwarded-For. Everybody adds to the right of that list whom they
// heard it from, so it is believed from the right as far as those are trusted who wrote
// it. The zero Addr is nobody that could be told.
func (s *Server) caller(peer net.IP, forwarded []string) netip.Addr {
	addr, _ := netip.AddrFromSlice(peer)
	if addr = addr.Unmap(); !s.trusts(addr) {
		return addr
	}
	for _, text := range slices.Backward(strings.Split(strings.Join(forwarded, ","), ",")) {
		addr, ok := forwardedAddr(strings.TrimSpace(text))
		if !ok || !s.trusts(addr) {
			return addr
		}
	}
	return netip.Addr{}
}

func (s *Server) trusts(addr netip.Addr) bool {
	return slices.ContainsFunc(s.o.TrustedProxies, func(p netip.Prefix) bool { return p.Contains(addr) })
}

// forwardedAddr reads an address to which some proxies add the port.
func forwardedAddr(text string) (netip.Addr, bool) {
	addr, err := netip.ParseAddr(text)
	if err != nil {
		var both netip.AddrPort
		both, err = netip.ParseAddrPort(text)
		addr = both.Addr()
	}
	if err != nil {
		return netip.Addr{}, false
	}
	return addr.Unmap().WithZone(""), true
}

// quietTime is how long nothing more is logged of a trigger that refuses callers, for one
// reason.
const quietTime = time.Minute

// quiet keeps the log from being filled by callers that are refused.
type quiet struct {
	mu sync.Mutex
	by map[string]*silence // by trigger, of which there are few
}

type silence struct {
	since  time.Time
	unsaid int
}

// turn reports whether a refusal at now is to be logged, and how many were not before it.
func (q *quiet) turn(trigger string, now time.Time) (unsaid int, ok bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	s := q.by[trigger]
	if s != nil && now.Sub(s.since) < quietTime {
		s.unsaid++
		return 0, false
	}
	if q.by == nil {
		q.by = map[string]*silence{}
	}
	if s != nil {
		unsaid = s.unsaid
	}
	q.by[trigger] = &silence{since: now}
	return unsaid, true
}
