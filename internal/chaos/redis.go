package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// redisServer is a real redis-server with a folder and a socket of its own. What it
// has answered to is on the disk: with appendfsync everysec, a second of it may not be.
type redisServer struct {
	*process
	socket string
}

func newRedis(program, dir string) (*redisServer, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	log, err := os.Create(filepath.Join(dir, "redis.log"))
	if err != nil {
		return nil, err
	}
	socket := filepath.Join(dir, "s")
	return &redisServer{newProcess("redis-server", log, nil,
		program, "--port", "0", "--unixsocket", socket, "--dir", dir, "--save", "",
		"--appendonly", "yes", "--appendfsync", "always", "--auto-aof-rewrite-percentage", "0", // a rewriting child would outlive a kill
	), socket}, nil
}

// start returns when it serves, with all that it had.
func (r *redisServer) start(ctx context.Context) error {
	r.process.start(ctx)
	return await(ctx, 20*time.Second, "redis-server", func() bool {
		pong, err := r.ask(ctx, "PING")
		return err == nil && pong[0] == "PONG"
	})
}

// ask is one command on a connection of its own. The reply is flat: lists in it are
// taken apart, and what is nil is "".
func (r *redisServer) ask(ctx context.Context, command ...string) ([]string, error) {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	conn, err := new(net.Dialer).DialContext(ctx, "unix", r.socket)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { conn.Close() })()
	fmt.Fprintf(conn, "*%d\r\n", len(command))
	for _, word := range command {
		fmt.Fprintf(conn, "$%d\r\n%s\r\n", len(word), word)
	}
	return readReply(bufio.NewReader(conn))
}

func readReply(r *bufio.Reader) ([]string, error) {
	line, err := r.ReadString('\n')
	if err != nil {
		return nil, err
	}
	text := strings.TrimSpace(line[1:])
	n, _ := strconv.Atoi(text)
	switch line[0] {
	case '-':
		return nil, errors.New(text)
	case '$':
		if n < 0 {
			return []string{""}, nil
		}
		b := make([]byte, n+2)
		_, err := io.ReadFull(r, b)
		return []string{string(b[:n])}, err
	case '*':
		var all []string
		for range n {
			one, err := readReply(r)
			if err != nil {
				return nil, err
			}
			all = append(all, one...)
		}
		return all, nil
	}
	return []string{text}, nil
}
