package intake

import (
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
)

// refusals count, by trigger, the callers that were refused. Only triggers that there
// are, or were, have a place.
type refusals struct{ by sync.Map }

func (r *refusals) add(trigger string) {
	n, _ := r.by.LoadOrStore(trigger, new(atomic.Int64))
	n.(*atomic.Int64).Add(1)
}

// Refuse counts a caller that was refused before its body had come.
func (in *Intake) Refuse(req Request) {
	if trigger, ok := called(*in.rules.Load(), req); ok {
		in.refusals.add(trigger.Name)
	}
}

// Refused is how many callers of each trigger did not show that they may call it, or
// called from an address that may not, since the start.
func (in *Intake) Refused() map[string]int64 {
	out := map[string]int64{}
	in.refusals.by.Range(func(trigger, n any) bool {
		out[trigger.(string)] = n.(*atomic.Int64).Load()
		return true
	})
	return out
}

// mayCall reports whether a caller at addr is in one of networks; without any, everybody
// is.
func mayCall(networks []netip.Prefix, addr netip.Addr) bool {
	return len(networks) == 0 || slices.ContainsFunc(networks, func(p netip.Prefix) bool { return p.Contains(addr.Unmap()) })
}
