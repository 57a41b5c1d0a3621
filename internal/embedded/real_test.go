package embedded

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

const noServer = "redis-server is not installed: apt-get install redis-server"

// realRedis starts a redis-server, and ends it with the test.
func realRedis(t *testing.T, args ...string) (c *redisClient, port string) {
	t.Helper()
	bin, err := exec.LookPath("redis-server")
	if err != nil && os.Getenv("CI") == "true" {
		t.Fatal(noServer)
	} else if err != nil {
		t.Skip(noServer)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port = strconv.Itoa(l.Addr().(*net.TCPAddr).Port)
	l.Close()
	cmd := exec.Command(bin, append([]string{"--port", port, "--bind", "127.0.0.1", "--save", ""}, args...)...)
	var log strings.Builder
	cmd.Stdout, cmd.Stderr = &log, &log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	for range 500 {
		if conn, err := net.Dial("tcp", "127.0.0.1:"+port); err == nil {
			if c = newClient(conn); fmt.Sprint(c.do("PING")) == "PONG" { // not while it loads
				t.Cleanup(func() { c.Close() })
				return c, port
			}
			conn.Close()
		}
		time.Sleep(10 * time.Millisecond) // another process's time is real
	}
	_ = cmd.Process.Kill()
	_ = cmd.Wait()
	t.Fatalf("redis-server does not answer:\n%s", &log)
	return nil, ""
}

// history has what happens in an hour: kinds of values, changes to them, keys that
// expired and were made anew, and a file that is a snapshot to one half.
func history(t *testing.T) *bed {
	b := newBed(t)
	b.close()
	b.clock.t = time.Now().Add(-time.Hour) // Redis takes its own time
	b.open()
	for i, key := range []string{"counted", "made anew", "vanishes", "deleted"} {
		b.script([]string{"HSET", key, "n", strconv.Itoa(i)}, []string{"PEXPIRE", key, "60000"})
	}
	b.kept("SET", "lock", "first", "NX", "PX", "60000")
	b.clock.add(30 * time.Second)
	b.kept("HINCRBY", "counted", "n", "5")
	b.reopen()
	b.clock.add(31 * time.Second)
	b.script([]string{"HSET", "made anew", "f", "v"}, []string{"DEL", "deleted"})
	b.kept("SET", "lock", "second", "NX", "PX", "86400000")
	b.clock.add(59 * time.Minute)
	b.script(everything()...)
	for i := range 300 { // more than one node of a stream in Redis
		b.kept("XADD", "long-stream", "MAXLEN", "~", "120", "*", "n", strconv.Itoa(i))
		b.kept("ZADD", "due", "LT", strconv.Itoa(1000-i), "job"+strconv.Itoa(i%100))
	}
	return b
}

// TestRealRedis gives the file to a real Redis, in the ways that the manual says.
func TestRealRedis(t *testing.T) {
	t.Run("as its file, after a kill", func(t *testing.T) {
		b := history(t)
		want, dir := b.dump(), t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, fileName), []byte(b.fileText()), 0o600); err != nil {
			t.Fatal(err)
		}
		c, _ := realRedis(t, "--appendonly", "yes", "--dir", dir)
		if diff := cmp.Diff(want, c.dump()); diff != "" {
			t.Error(diff)
		}
	})
	t.Run("through redis-cli, after a clean end", func(t *testing.T) {
		b := history(t)
		want := b.dump()
		b.close()
		c, port := realRedis(t)
		cli := exec.Command("redis-cli", "-p", port, "--pipe")
		cli.Stdin = strings.NewReader(b.fileText())
		if out, err := cli.CombinedOutput(); err != nil || !strings.Contains(string(out), "errors: 0") {
			t.Fatalf("redis-cli: %v\n%s", err, out)
		}
		if diff := cmp.Diff(want, c.dump()); diff != "" {
			t.Error(diff)
		}
		b.open()
	})
}
