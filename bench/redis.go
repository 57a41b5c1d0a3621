//go:build linux

package main

import (
	"cmp"
	"context"
	"os/exec"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
)

// server is a real redis-server with an append-only file, in a folder of its own.
type server struct {
	*process
	rdb *redis.Client
	url string
}

func startRedis(ctx context.Context, dir string) (*server, error) {
	program, err := exec.LookPath("redis-server")
	if err != nil {
		return nil, err
	}
	socket := dir + "/s"
	p, err := start(ctx, nil, program, "--port", "0", "--unixsocket", socket, "--dir", dir, "--save", "", "--appendonly", "yes", "--appendfsync", "everysec")
	if err != nil {
		return nil, err
	}
	if err := answers(ctx, "unix", socket, 10*time.Second); err != nil {
		p.stop()
		return nil, err
	}
	return &server{process: p, url: "unix://" + socket, rdb: redis.NewClient(&redis.Options{Network: "unix", Addr: socket})}, nil
}

func (s *server) stop() {
	if s == nil {
		return
	}
	_ = s.rdb.Close()
	s.process.stop()
}

// calls counts what clients sent: scripts, or, where there are none, SETs. Redis counts
// the commands inside of scripts too.
func (s *server) calls(ctx context.Context) (int64, error) {
	text, err := s.rdb.Info(ctx, "commandstats").Result()
	if err != nil {
		return 0, err
	}
	var scripts, sets int64
	for line := range strings.Lines(text) {
		name, rest, _ := strings.Cut(strings.TrimSpace(line), ":calls=")
		count, _, _ := strings.Cut(rest, ",")
		n, _ := strconv.ParseInt(count, 10, 64)
		switch strings.TrimPrefix(name, "cmdstat_") {
		case "evalsha", "eval":
			scripts += n
		case "set":
			sets += n
		}
	}
	return cmp.Or(scripts, sets), nil
}

// memory is what the data take, in bytes.
func (s *server) memory(ctx context.Context) (int64, error) {
	text, err := s.rdb.Info(ctx, "memory").Result()
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(text) {
		if n, ok := strings.CutPrefix(strings.TrimSpace(line), "used_memory:"); ok {
			return strconv.ParseInt(n, 10, 64)
		}
	}
	return 0, nil
}
