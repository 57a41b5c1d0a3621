//go:build linux

package main

import (
	"cmp"
	"context"
	"errors"
	"os"
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
	dir string
}

func startRedis(ctx context.Context, parent string) (*server, error) {
	program, err := exec.LookPath("redis-server")
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp(parent, "redis-")
	if err != nil {
		return nil, err
	}
	socket := dir + "/s"
	p, err := start(ctx, nil, program, "--port", "0", "--unixsocket", socket, "--dir", dir, "--save", "", "--appendonly", "yes", "--appendfsync", "everysec")
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	if err := answers(ctx, "unix", socket, 10*time.Second); err != nil {
		p.stop()
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	return &server{process: p, dir: dir, url: "unix://" + socket, rdb: redis.NewClient(&redis.Options{Network: "unix", Addr: socket})}, nil
}

func (s *server) stop() {
	if s == nil {
		return
	}
	_ = s.rdb.Close()
	s.process.stop()
	_ = os.RemoveAll(s.dir) // the rest goes with the bench's own folder
}

// scripts are the commands that run one.
const scripts = " eval evalsha fcall "

// calls counts what clients sent: scripts, or, where there are none, SETs. Redis counts
// the commands inside of scripts too. Of the scripts it gives the time they took.
func (s *server) calls(ctx context.Context) (n int64, took time.Duration, err error) {
	text, err := s.rdb.Info(ctx, "commandstats").Result()
	if err != nil {
		return 0, 0, err
	}
	var ran, sets, us int64
	for line := range strings.Lines(text) {
		name, rest, _ := strings.Cut(strings.TrimPrefix(line, "cmdstat_"), ":")
		switch {
		case strings.Contains(scripts, " "+name+" "):
			ran += field(rest, "calls")
			us += field(rest, "usec")
		case name == "set":
			sets = field(rest, "calls")
		}
	}
	return cmp.Or(ran, sets), time.Duration(us) * time.Microsecond, nil
}

// field reads one number of a list as calls=1,usec=2.
func field(list, name string) int64 {
	for part := range strings.SplitSeq(strings.TrimSpace(list), ",") {
		if text, ok := strings.CutPrefix(part, name+"="); ok {
			n, _ := strconv.ParseInt(text, 10, 64)
			return n
		}
	}
	return 0
}

// memory is what the data take, in bytes: all that Redis uses but the buffers of
// connections and of the append-only file, which come and go.
func (s *server) memory(ctx context.Context) (int64, error) {
	text, err := s.rdb.Info(ctx, "memory").Result()
	if err != nil {
		return 0, err
	}
	var n int64
	for line := range strings.Lines(text) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), ":")
		bytes, _ := strconv.ParseInt(value, 10, 64)
		switch name {
		case "used_memory":
			n += bytes
		case "mem_clients_normal", "mem_aof_buffer":
			n -= bytes
		}
	}
	return n, nil
}

// quietLimit is how long a doorhook may take for what it has been given.
const quietLimit = time.Minute

// quiet waits until next to nothing is asked of Redis any more.
func (s *server) quiet(ctx context.Context) error {
	last, _, err := s.calls(ctx)
	for deadline := time.Now().Add(quietLimit); err == nil && ctx.Err() == nil; {
		time.Sleep(150 * time.Millisecond)
		var n int64
		if n, _, err = s.calls(ctx); n-last <= 3 {
			return err
		}
		if time.Now().After(deadline) {
			return errors.New("doorhook has not come to rest")
		}
		last = n
	}
	return cmp.Or(err, ctx.Err())
}

// settledMemory is the memory when it has stopped to change: Redis makes room in its
// tables by and by.
func (s *server) settledMemory(ctx context.Context) (int64, error) {
	if err := s.quiet(ctx); err != nil {
		return 0, err
	}
	last, err := s.memory(ctx)
	for same, tries := 0, 0; err == nil && same < 3 && tries < 50; tries++ {
		time.Sleep(100 * time.Millisecond)
		var n int64
		n, err = s.memory(ctx)
		if same++; max(n-last, last-n) > 4<<10 {
			same = 0
		}
		last = n
	}
	return last, err
}
