//go:build linux

package main

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"
)

// soakRate is how many requests a second a soak sends; a fifth of them repeat an earlier
// one, and each of the others is handed on.
const (
	soakRate       = 2000
	soakDuplicates = 20
)

// Of a soak the first fifth is left out: pools fill, and Redis forgets nothing yet.
const settling = 5

// sample is the memory at a moment.
type sample struct {
	At    time.Duration `json:"at_ns"` // since the start
	RSS   int64         `json:"rss_bytes"`
	Redis int64         `json:"redis_bytes"`
}

// soaked is how the memory went under a steady load.
type soaked struct {
	Load     measured `json:"load"`
	Behind   float64  `json:"behind_s"` // from the last request until the last event was handed on
	Samples  []sample `json:"samples"`
	RSS      float64  `json:"rss_slope"`   // MB in ten minutes
	RedisMem float64  `json:"redis_slope"` // as well
}

// soak watches the memory of a doorhook and of its Redis. What Redis remembers has to
// come to an end during it, so identities are remembered for a minute.
func (b *bench) soakMemory(ctx context.Context) error {
	remember := min(time.Minute, max(10*time.Second, b.soak/10)).String() // longer than a duplicate is late
	w := workload{trigger: &delivering, later: true, hands: true}
	s, err := b.subject(ctx, w, "--dedup", remember, "--retention", remember)
	if err != nil {
		return err
	}
	defer func() {
		s.stop()
		s.rdb.stop()
	}()
	watching, end := context.WithCancel(ctx)
	var samples []sample
	var failed error
	var wg sync.WaitGroup
	wg.Go(func() { samples, failed = b.watch(watching, s) })
	l := load{
		url: s.url + "/hooks/" + delivering.name, header: delivering.header, connections: b.sizes.connections,
		duration: b.soak, rate: soakRate, duplicates: soakDuplicates,
	}
	r, err := b.send(ctx, s, w, l)
	end()
	wg.Wait()
	switch {
	case err != nil:
		return err
	case failed != nil:
		return failed
	}
	samples = slices.DeleteFunc(samples, func(s sample) bool { return s.At > b.soak }) // what is left over is no load
	b.soaked = &soaked{Load: r.Load, Behind: max(0, r.Load.Seconds-b.soak.Seconds()), Samples: samples}
	settled := samples[len(samples)/settling:]
	b.soaked.RSS = tenMinutes(settled, func(s sample) int64 { return s.RSS })
	b.soaked.RedisMem = tenMinutes(settled, func(s sample) int64 { return s.Redis })
	b.note(soakGrowth, b.soaked.RSS)
	b.note(soakRedis, b.soaked.RedisMem)
	return nil
}

// watch takes samples until ctx ends.
func (b *bench) watch(ctx context.Context, s *subject) (samples []sample, err error) {
	started := time.Now()
	tick := time.NewTicker(b.sizes.sampling)
	defer tick.Stop()
	for {
		u, err := s.usage()
		if err != nil {
			return samples, err
		}
		n, err := s.rdb.memory(context.WithoutCancel(ctx))
		if err != nil {
			return samples, err
		}
		samples = append(samples, sample{time.Since(started), u.rss, n})
		if len(samples)%60 == 0 {
			fmt.Fprintf(b.out, "soak, after %s: doorhook %.1f MB, Redis %.1f MB\n", time.Since(started).Round(time.Second), mb(u.rss), mb(n))
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return samples, nil
		}
	}
}

// tenMinutes is by how many MB something grows in ten minutes: the slope of the line that
// fits the samples best.
func tenMinutes(samples []sample, of func(sample) int64) float64 {
	n, meanX, meanY := float64(len(samples)), 0.0, 0.0
	for _, s := range samples {
		meanX += s.At.Minutes() / n
		meanY += mb(of(s)) / n
	}
	var xy, xx float64
	for _, s := range samples {
		dx := s.At.Minutes() - meanX
		xy += dx * (mb(of(s)) - meanY)
		xx += dx * dx
	}
	if xx == 0 {
		return 0
	}
	return 10 * xy / xx
}
