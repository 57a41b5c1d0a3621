//go:build linux

package main

import (
	"context"
	"path/filepath"
	"strconv"
	"time"
)

// startup measures a doorhook with the rules that are shipped: the time from its start
// until it is ready, on an empty Redis and on an embedded one, and what memory it has
// when it is idle.
func (b *bench) startup(ctx context.Context) error {
	rdb, err := startRedis(ctx, b.dir)
	if err != nil {
		return err
	}
	defer rdb.stop()
	for i := range b.sizes.starts {
		if err := rdb.rdb.FlushAll(ctx).Err(); err != nil {
			return err
		}
		if err := b.coldStart(ctx, coldStart, rdb); err != nil {
			return err
		}
		if err := b.coldStart(ctx, embeddedStart, nil, "--data", filepath.Join(b.dir, "data-"+strconv.Itoa(i))); err != nil {
			return err
		}
	}
	s, err := b.doorhook(ctx, b.shipped, rdb)
	if err != nil {
		return err
	}
	defer s.stop()
	select {
	case <-time.After(b.sizes.idle):
	case <-ctx.Done():
		return ctx.Err()
	}
	u, err := s.usage()
	b.note(idleMemory, mb(u.rss))
	return err
}

// coldStart notes the time of one start.
func (b *bench) coldStart(ctx context.Context, figure string, rdb *server, flags ...string) error {
	started := time.Now()
	s, err := b.doorhook(ctx, b.shipped, rdb, flags...)
	if err != nil {
		return err
	}
	b.note(figure, ms(time.Since(started)))
	s.stop()
	return nil
}

func mb(bytes int64) float64 { return float64(bytes) / 1e6 }
