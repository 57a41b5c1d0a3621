package store

import (
	"strconv"
	"sync/atomic"
	"time"
)

// clock follows the clock of Redis, which is the only one that several hosts
// share, without asking for it: every script's answer carries it.
type clock struct {
	fixed  func() time.Time // tests only; nil otherwise
	host   func() time.Time
	offset atomic.Int64 // ns, what to add to the host's
	last   atomic.Int64 // ns, what now gave last
}

// backwards is how far Redis's clock may have been put back, in another host's hands
// perhaps, before ours goes back with it. Until then ours stands all but still.
const backwards = time.Second

// arg is what a script takes for the time: "" makes it ask Redis.
func (c *clock) arg() string {
	if c.fixed == nil {
		return ""
	}
	return strconv.FormatInt(c.fixed().UnixMicro(), 10)
}

// now never gives a time twice, nor an earlier one: of two events of one booking, what
// came later says so. What is kept of a time is its µs.
func (c *clock) now() time.Time {
	if c.fixed != nil {
		return c.fixed()
	}
	for {
		t, last := c.host().UnixNano()+c.offset.Load(), c.last.Load()
		if ahead := last - t; ahead > -int64(time.Microsecond) && ahead < int64(backwards) {
			t = last + int64(time.Microsecond)
		}
		if c.last.CompareAndSwap(last, t) {
			return time.Unix(0, t)
		}
	}
}

// saw learns from an answer to a question sent at sent. Redis looked at its clock between
// then and now; what we think already is left as it is where that allows it, or each answer
// that took its time would move us to and fro. So we are never behind Redis by the time
// that the answer is here: a job that was due when it was claimed is still due.
func (c *clock) saw(redis, sent time.Time) {
	least, most := int64(redis.Sub(c.host())), int64(redis.Sub(sent))
	for {
		offset := c.offset.Load()
		if c.offset.CompareAndSwap(offset, max(min(offset, most), least)) {
			return // no other answer came meanwhile
		}
	}
}
