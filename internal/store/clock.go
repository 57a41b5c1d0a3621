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
}

// arg is what a script takes for the time: "" makes it ask Redis.
func (c *clock) arg() string {
	if c.fixed == nil {
		return ""
	}
	return strconv.FormatInt(c.fixed().UnixMicro(), 10)
}

func (c *clock) now() time.Time {
	if c.fixed != nil {
		return c.fixed()
	}
	return c.host().Add(time.Duration(c.offset.Load())).Round(0)
}

// saw learns from an answer to a question sent at sent. The middle of the trip is
// the best guess at when Redis looked at its clock, and never behind it by the time
// that the answer is here: a job that was due when it was claimed is still due.
func (c *clock) saw(redis, sent time.Time) {
	half := c.host().Sub(sent) / 2
	c.offset.Store(int64(redis.Sub(sent.Add(half))))
}
