//go:build linux

package main

import (
	"math/bits"
	"sync/atomic"
	"time"
)

// steps is into how many buckets each doubling is cut: what comes out is within 0.8 %.
const steps = 128

// histogram counts times in room that does not grow. Many may add to it at once.
type histogram struct {
	counts [64 * steps]atomic.Int64
	n      atomic.Int64
}

func (h *histogram) add(d time.Duration) {
	h.counts[bucket(uint64(max(d, 0)))].Add(1)
	h.n.Add(1)
}

// at is the time that a share of all is below.
func (h *histogram) at(share float64) time.Duration {
	left := int64(share * float64(h.n.Load()))
	for i := range h.counts {
		if left -= h.counts[i].Load(); left < 0 {
			return middle(i)
		}
	}
	return 0
}

// bucket counts single nanoseconds up to two steps, then as many to each doubling.
func bucket(v uint64) int {
	if v < 2*steps {
		return int(v)
	}
	shift := bits.Len64(v) - bits.Len64(2*steps-1)
	return shift*steps + int(v>>shift)
}

func middle(i int) time.Duration {
	if i < 2*steps {
		return time.Duration(i)
	}
	shift := i/steps - 1
	return time.Duration((i-shift*steps)<<shift + (1<<shift)/2)
}
