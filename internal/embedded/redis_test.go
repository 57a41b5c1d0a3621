package embedded

import (
	"bufio"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2/server"
	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	if dir := os.Getenv(childDir); dir != "" {
		child(dir)
		return
	}
	goleak.VerifyTestMain(m)
}

// clock is a time that tests set.
type clock struct {
	mu sync.Mutex
	t  time.Time
}

func newClock() *clock { return &clock{t: time.Date(2026, 3, 4, 10, 0, 0, 123456789, time.UTC)} }

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.t
}

func (c *clock) add(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.t = c.t.Add(d)
}

// bed is a folder with a Redis in it.
type bed struct {
	t      testing.TB
	dir    string
	clock  *clock
	create creator
	r      *Redis
	*redisClient
}

func newBed(t testing.TB) *bed {
	b := &bed{t: t, dir: t.TempDir(), clock: newClock(), create: createFile}
	b.open()
	t.Cleanup(b.close)
	return b
}

func (b *bed) path() string { return filepath.Join(b.dir, fileName) }

func (b *bed) open() {
	b.t.Helper()
	r, err := open(b.dir, b.clock.now, b.create)
	if err != nil {
		b.t.Fatal(err)
	}
	b.r, b.redisClient = r, connect(b.t, r)
}

func (b *bed) close() {
	b.t.Helper()
	b.redisClient.Close()
	if err := b.r.Close(); err != nil {
		b.t.Errorf("close: %v", err)
	}
}

// crash ends the Redis as a kill does: the file stays as it is.
func (b *bed) crash() {
	b.t.Helper()
	b.redisClient.Close()
	b.r.mini.Close()
	if err := b.r.file.release(); err != nil {
		b.t.Errorf("release: %v", err)
	}
}

// reopen is a kill and a start.
func (b *bed) reopen() {
	b.t.Helper()
	b.crash()
	b.open()
}

// kept runs a command in a Do.
func (b *bed) kept(command ...string) {
	b.t.Helper()
	if err := b.r.Do(func() error { return failure(b.do(command...)) }); err != nil {
		b.t.Fatalf("%.60q: %v", command, err)
	}
}

// script keeps what several commands do, as one.
func (b *bed) script(commands ...[]string) {
	b.t.Helper()
	b.kept(eval(commands...)...)
}

// eval is a script that runs commands.
func eval(commands ...[]string) []string {
	var lua strings.Builder
	var args []string
	for _, c := range commands {
		fmt.Fprintf(&lua, "redis.call(unpack(ARGV, %d, %d))\n", len(args)+1, len(args)+len(c))
		args = append(args, c...)
	}
	return append([]string{"EVAL", lua.String(), "0"}, args...)
}

func (b *bed) fileText() string {
	b.t.Helper()
	data, err := os.ReadFile(b.path())
	if err != nil {
		b.t.Fatal(err)
	}
	return string(data)
}

// redisClient is a Redis client of a few lines. store alone may know the real one.
type redisClient struct {
	net.Conn
	r *bufio.Reader
}

func newClient(c net.Conn) *redisClient { return &redisClient{c, bufio.NewReader(c)} }

func connect(t testing.TB, r *Redis) *redisClient {
	t.Helper()
	c, err := r.Dial()
	if err != nil {
		t.Fatal(err)
	}
	return newClient(c)
}

// do gives the answer; an error may be Redis's.
func (c *redisClient) do(command ...string) any {
	if _, err := c.Write(appendCommand(nil, command...)); err != nil {
		return err
	}
	reply, err := server.ParseReply(c.r)
	if err != nil {
		return err
	}
	return reply
}

func failure(reply any) error {
	err, _ := reply.(error)
	return err
}

// dump is all that a Redis holds, each key with its contents and when it expires.
func (c *redisClient) dump() map[string]string {
	out := map[string]string{}
	keys, _ := c.do("KEYS", "*").([]any)
	for _, k := range keys {
		key := k.(string)
		kind := fmt.Sprint(c.do("TYPE", key))
		command := map[string][]string{
			"string": {"GET", key}, "hash": {"HGETALL", key}, "list": {"LRANGE", key, "0", "-1"}, "set": {"SMEMBERS", key},
			"zset": {"ZRANGE", key, "0", "-1", "WITHSCORES"}, "stream": {"XRANGE", key, "-", "+"},
		}[kind]
		if command == nil {
			continue // it has expired meanwhile
		}
		value := c.do(command...)
		switch list, _ := value.([]any); kind {
		case "hash":
			pairs := slices.Collect(slices.Chunk(list, 2))
			slices.SortFunc(pairs, func(a, b []any) int { return strings.Compare(a[0].(string), b[0].(string)) })
			value = pairs
		case "zset": // Redis writes more digits
			for i := 1; i < len(list); i += 2 {
				list[i], _ = strconv.ParseFloat(list[i].(string), 64)
			}
		case "set":
			slices.SortFunc(list, func(a, b any) int { return strings.Compare(a.(string), b.(string)) })
		}
		out[key] = fmt.Sprintf("%s %#v until %v", kind, value, c.do("PEXPIRETIME", key))
	}
	return out
}

const binary = "\x00\r\n$5\r\n*1\r\n\xff\xfe€\r"

// everything has each kind of value, each kind of expiry, and bytes of all kinds.
func everything() [][]string {
	return [][]string{
		{"SET", "text", "hello"},
		{"SET", binary, binary},
		{"SET", "empty", ""},
		{"SET", "px", "v", "PX", "90000"},
		{"SET", "ex", "v", "EX", "90", "NX"},
		{"SET", "exat", "v", "EXAT", "1900000000"},
		{"SET", "keeps", "v", "PX", "90000"},
		{"SET", "keeps", "w", "KEEPTTL", "XX"},
		{"SET", "loses", "v", "PX", "90000"},
		{"SET", "loses", "w"},
		{"SET", "not", "v", "XX"},
		{"SET", "counter", "41"},
		{"INCR", "counter"},
		{"INCRBY", "from-nothing", "-3"},
		{"DECRBY", "counter", "2"},
		{"HSET", "hash", "f", "v", binary, binary, "empty", ""},
		{"HINCRBY", "hash", "n", "7"},
		{"HSETNX", "hash", "f", "other"},
		{"HDEL", "hash", "empty", "absent"},
		{"HSET", "gone", "f", "v"},
		{"HDEL", "gone", "f"},
		{"PEXPIRE", "hash", "5000"},
		{"PERSIST", "hash"},
		{"RPUSH", "list", "a", "b", binary, "d"},
		{"LPUSH", "list", "first"},
		{"LTRIM", "list", "0", "-2"},
		{"RPOP", "list"},
		{"LREM", "list", "1", "a"},
		{"EXPIRE", "list", "60"},
		{"SADD", "set", "a", "b", binary},
		{"SREM", "set", "b"},
		{"EXPIREAT", "set", "1900000000"},
		{"ZADD", "zset", "1.5", "a", "1760000000123", "b", "-inf", binary, "1e-7", "small", "3", "gone"},
		{"ZADD", "zset", "LT", "9", "a", "1759999999999", "b"},
		{"ZINCRBY", "zset", "0.1", "a"},
		{"ZREM", "zset", "gone"},
		{"ZREMRANGEBYSCORE", "zset", "0", "0.5"},
		{"PEXPIREAT", "zset", "1900000000123"},
		{"XADD", "stream", "MAXLEN", "~", "3", "*", "z", "1", "a", "2", "z", "3"},
		{"XADD", "stream", "MAXLEN", "~", "3", "*", binary, binary},
		{"XADD", "stream", "MAXLEN", "~", "3", "*", "n", "3"},
		{"XADD", "stream", "MAXLEN", "~", "3", "*", "n", "4"},
		{"XADD", "stream", "NOMKSTREAM", "*", "n", "5"},
		{"XADD", "no-stream", "NOMKSTREAM", "*", "n", "5"},
		{"XADD", "empty-stream", "MAXLEN", "0", "*", "n", "1"},
		{"SET", "deleted", "v"},
		{"SET", "unlinked", "v"},
		{"DEL", "deleted", "absent"},
		{"UNLINK", "unlinked"},
		{"SET", "expired-at-once", "v"},
		{"PEXPIRE", "expired-at-once", "0"},
	}
}

// TestKept runs commands one by one and in one script: what is there is there after
// a kill, and again after the file has been written anew.
func TestKept(t *testing.T) {
	ways := map[string]func(b *bed){
		"one by one": func(b *bed) {
			for _, command := range everything() {
				b.kept(command...)
			}
		},
		"in a script": func(b *bed) { b.script(everything()...) },
	}
	for name, write := range ways {
		t.Run(name, func(t *testing.T) {
			b := newBed(t)
			write(b)
			want := b.dump()
			if len(want) != 16 {
				t.Fatalf("there are %d keys: %v", len(want), want)
			}
			for _, what := range []string{"after a kill", "after a compaction"} {
				b.reopen()
				if diff := cmp.Diff(want, b.dump()); diff != "" {
					t.Errorf("%s:\n%s", what, diff)
				}
			}
			b.close()
			b.open()
			if diff := cmp.Diff(want, b.dump()); diff != "" {
				t.Errorf("after a clean end:\n%s", diff)
			}
		})
	}
}

func TestWithoutFolder(t *testing.T) {
	r, err := Open("")
	if err != nil {
		t.Fatal(err)
	}
	c := connect(t, r)
	if err := r.Do(func() error { return failure(c.do("SET", "k", "v")) }); err != nil || c.do("GET", "k") != "v" {
		t.Errorf("got %v, error %v", c.do("GET", "k"), err)
	}
	if r.Persistent() {
		t.Error("it says that it has a folder")
	}
	c.Close()
	if err := r.Close(); err != nil {
		t.Error(err)
	}
}

// TestExpiry is about keys that expire while doorhook runs: the file does not say
// so, and must still give what was there.
func TestExpiry(t *testing.T) {
	tests := []struct {
		name  string
		then  []string // after the key has expired
		want  string   // the key after a restart
		until any
	}{
		{"vanishes", nil, "", -2},
		{"made anew", []string{"HSET", "k", "new", "1"}, "[new 1]", -1},
		{"counted anew", []string{"HINCRBY", "k", "n", "1"}, "[n 1]", -1},
		{"not persisted", []string{"PERSIST", "k"}, "", -2},
		{"not extended", []string{"PEXPIRE", "k", "1000"}, "", -2},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			b := newBed(t)
			b.script([]string{"HSET", "k", "n", "1", "old", "1"}, []string{"PEXPIRE", "k", "1000"})
			b.clock.add(500 * time.Millisecond)
			b.kept("HINCRBY", "k", "n", "1")
			b.clock.add(500 * time.Millisecond)
			if tt.then != nil {
				b.script(tt.then)
			}
			b.clock.add(time.Hour)
			for _, what := range []string{"before", "after"} {
				got := strings.TrimPrefix(fmt.Sprint(b.do("HGETALL", "k")), "[]")
				if until := b.do("PEXPIRETIME", "k"); got != tt.want || until != tt.until {
					t.Errorf("%s a restart: %s until %v, want %s until %v", what, got, until, tt.want, tt.until)
				}
				b.reopen()
			}
		})
	}

	t.Run("set if absent", func(t *testing.T) {
		b := newBed(t)
		b.kept("SET", "lock", "first", "NX", "PX", "1000")
		b.kept("SET", "lock", "refused", "NX", "PX", "1000")
		b.clock.add(time.Second)
		b.kept("SET", "lock", "second", "NX", "PX", "1000")
		b.reopen()
		if got := b.do("GET", "lock"); got != "second" {
			t.Errorf("the lock is %v's", got)
		}
	})
	t.Run("the clock is set back", func(t *testing.T) {
		b := newBed(t)
		b.kept("SET", "k", "v", "PX", "1000")
		until := b.do("PEXPIRETIME", "k")
		b.clock.add(-time.Hour)
		if got := b.do("PEXPIRETIME", "k"); got != until {
			t.Errorf("it expires at %v, and did at %v", got, until)
		}
		b.kept("SET", "another", "v", "PX", "1000")
		if got := b.do("PEXPIRETIME", "another"); got != until.(int)-3_600_000 {
			t.Errorf("another expires at %v, an hour after %v", got, until)
		}
		b.clock.add(time.Hour + 999*time.Millisecond)
		if got := b.do("EXISTS", "k"); got != 1 {
			t.Error("it expired too early")
		}
		b.clock.add(time.Millisecond)
		if got := b.do("EXISTS", "k"); got != 0 {
			t.Error("it did not expire")
		}
	})
}

// TestRefused shows that no command is lost without a word.
func TestRefused(t *testing.T) {
	b := newBed(t)
	b.kept("SET", "k", "v")
	before := b.fileText()
	for _, command := range [][]string{
		{"APPEND", "k", "x"},
		{"COPY", "k", "l"},
		{"FLUSHALL"},
		{"GETDEL", "k"},
		{"GETEX", "k", "PX", "1"},
		{"HEXPIRE", "h", "1", "FIELDS", "1", "f"},
		{"MSET", "k", "x"},
		{"MULTI"},
		{"PFADD", "k", "x"},
		{"RENAME", "k", "l"},
		{"SELECT", "1"},
		{"SETEX", "k", "1", "x"},
		{"XDEL", "s", "1-1"},
		{"XGROUP", "CREATE", "s", "g", "$", "MKSTREAM"},
	} {
		want := "ERR the embedded Redis cannot keep what " + command[0] + " does"
		for _, sent := range [][]string{command, eval(command)} {
			err := b.r.Do(func() error { return failure(b.do(sent...)) })
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%.40q: got %v, want %s", sent, err, want)
			}
		}
	}
	if err := failure(b.do("NOSUCH")); err == nil || !strings.Contains(err.Error(), "unknown command") {
		t.Errorf("a command that Redis does not have: %v", err)
	}
	if got := b.do("GET", "k"); got != "v" {
		t.Errorf("the key is %v", got)
	}
	if after := b.fileText(); after != before {
		t.Errorf("the file went from\n%q to\n%q", before, after)
	}
}

// TestEffects pins what the file says for what was asked.
func TestEffects(t *testing.T) {
	tests := []struct{ asked, kept string }{
		{"SET k v PX 1000", "SET k v PXAT 1772618401123"},
		{"SET k v NX", ""},
		{"SET k v XX GET", "SET k v"},
		{"SET new v XX", ""},
		{"SET new v EX 1 NX", "SET new v PXAT 1772618401123"},
		{"HSET new f v", "DEL new; HSET new f v"},
		{"HDEL hash absent", ""},
		{"EXPIRE k 1", "PEXPIREAT k 1772618401123"},
		{"EXPIRE k 1 XX", ""},
		{"EXPIREAT k 1900000000 NX", "PEXPIREAT k 1900000000000"},
		{"PEXPIREAT k 1772618400123", "DEL k"},
		{"PEXPIRE k -5", "DEL k"},
		{"XADD new MAXLEN ~ 9 * f v", "DEL new; XADD new MAXLEN = 9 1772618400123-0 f v"},
		{"XADD new minid 5 7-* f v", "DEL new; XADD new MINID = 5 7-0 f v"},
		{"XADD new NOMKSTREAM * f v", ""},
		{"LPUSH k v", ""},   // WRONGTYPE
		{"HSET k", ""},      // too few arguments
		{"PERSIST", ""},     // none at all
		{"GET k", ""},       // reads
		{"PUBLISH c v", ""}, // is no data
	}
	for _, tt := range tests {
		t.Run(tt.asked, func(t *testing.T) {
			b := newBed(t)
			b.kept("SET", "k", "v")
			b.kept("HSET", "hash", "f", "v")
			before := len(b.fileText())
			asked := strings.Fields(tt.asked)
			_ = b.r.Do(func() error { return failure(b.do(asked...)) })

			var kept []string
			p := &parser{data: []byte(b.fileText()[before:])}
			for p.at < len(p.data) {
				commands, err := p.transaction()
				if err != nil {
					t.Fatal(err)
				}
				for _, c := range commands {
					kept = append(kept, strings.Join(c, " "))
				}
			}
			if got := strings.Join(kept, "; "); got != tt.kept {
				t.Errorf("it keeps %q, want %q", got, tt.kept)
			}
		})
	}
}

// TestOneTime shows that time stands still for a script, and goes on between them
// even while keys rest.
func TestOneTime(t *testing.T) {
	b := newBed(t)
	b.r.now = func() time.Time { b.clock.add(time.Millisecond); return b.clock.now() }
	const script = `local a, b = redis.call("TIME"), redis.call("TIME")
return {a[1] .. "." .. a[2], b[1] .. "." .. b[2]}`
	b.do("SET", "k", "v", "PX", "3")
	var seen []string
	for range 3 {
		times, _ := b.do("EVAL", script, "0").([]any)
		if times[0] != times[1] {
			t.Errorf("one script saw %v", times)
		}
		seen = append(seen, times[0].(string))
	}
	if !slices.IsSorted(seen) || seen[0] == seen[1] || seen[1] == seen[2] {
		t.Errorf("three scripts saw %v", seen)
	}
	if b.do("EXISTS", "k") != 1 {
		t.Error("a sweep of 1 ms was not followed by a rest")
	}
	b.clock.add(20 * time.Millisecond)
	if b.do("EXISTS", "k") != 0 {
		t.Error("the rest did not end")
	}
}

func TestErrorOfCall(t *testing.T) {
	b := newBed(t)
	err := b.r.Do(func() error {
		return failure(b.do("EVAL", `redis.call("SET", "k", "v") return redis.error_reply("NOSCRIPT no")`, "0"))
	})
	if err == nil || err.Error() != "NOSCRIPT no" {
		t.Errorf("got the error %v", err)
	}
	b.reopen()
	if got := b.do("GET", "k"); got != "v" {
		t.Errorf("what was written before the error: %v", got)
	}
}

// TestPanicOfCall shows that a call that panics holds nobody up, and that what it
// wrote is kept no later than what follows it.
func TestPanicOfCall(t *testing.T) {
	b := newBed(t)
	func() {
		defer func() { _ = recover() }()
		_ = b.r.Do(func() error { b.do("SET", "before", "v"); panic("a fault") })
	}()
	b.kept("SET", "after", "v")
	b.reopen()
	if got := b.do("EXISTS", "before", "after"); got != 2 {
		t.Errorf("%v of 2 keys are there", got)
	}
}

// TestLostPatience gives up a command that is on its way: when Do returns it has
// ended, and what it did is noted.
func TestLostPatience(t *testing.T) {
	b := newBed(t)
	slow := appendCommand(nil, eval([]string{"SET", "k", "v"})...)
	for range 50 {
		b.kept("DEL", "k")
		_ = b.r.Do(func() error {
			c := connect(t, b.r)
			if _, err := c.Write(slow); err != nil {
				t.Error(err)
			}
			return c.Close()
		})
		if got := b.do("GET", "k"); got != "v" {
			t.Fatalf("Do came back before its command had ended: %v", got)
		}
		b.reopen()
		if got := b.do("GET", "k"); got != "v" {
			t.Fatalf("it was there, and after a restart it is %v", got)
		}
	}
}

// TestManyAtOnce sends more commands than any buffer holds before it reads an answer.
func TestManyAtOnce(t *testing.T) {
	b := newBed(t)
	if err := b.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
		t.Fatal(err)
	}
	var many []byte
	for range 5000 {
		many = appendCommand(many, "ECHO", strings.Repeat("x", 50))
	}
	if _, err := b.Write(many); err != nil {
		t.Fatal(err)
	}
	for i := range 5000 {
		if reply, err := server.ParseReply(b.redisClient.r); err != nil {
			t.Fatalf("answer %d: %v, %v", i, reply, err)
		}
	}
}

// TestOutside writes without a Do, which costs no disk.
func TestOutside(t *testing.T) {
	b := newBed(t)
	b.kept("SET", "k", "v")
	before := b.fileText()
	b.do("SET", "volatile", "v")
	b.do(eval([]string{"SET", "volatile", "w"})...)
	b.kept("GET", "k")
	if after := b.fileText(); after != before {
		t.Errorf("the file went from\n%q to\n%q", before, after)
	}
}

// TestWholeScripts begins and ends a Do in the middle of a script that does not
// belong to it: the file has all of what that script wrote, or nothing.
func TestWholeScripts(t *testing.T) {
	for _, middle := range []string{"begins", "ends"} {
		t.Run("a Do "+middle, func(t *testing.T) {
			b := newBed(t)
			paused, goOn := make(chan struct{}), make(chan struct{})
			if err := b.r.srv.Register("PAUSE", func(p *server.Peer, _ string, _ []string) {
				close(paused)
				<-goOn
				p.WriteOK()
			}, server.ReadOnlyOption()); err != nil {
				t.Fatal(err)
			}
			var all sync.WaitGroup
			script := func() {
				c := connect(t, b.r)
				defer c.Close()
				c.do(eval([]string{"SET", "first", "v"}, []string{"PAUSE"}, []string{"SET", "second", "v"})...)
			}
			do := func(call func()) {
				if err := b.r.Do(func() error { call(); return nil }); err != nil {
					t.Error(err)
				}
			}
			if middle == "begins" {
				all.Go(script)
				<-paused
				all.Go(func() { do(func() {}) })
			} else {
				all.Go(func() { do(func() { all.Go(script); <-paused }) })
				<-paused
			}
			runtime.Gosched() // whatever order comes of it
			close(goOn)
			all.Wait()
			b.reopen()
			if n := b.do("EXISTS", "first", "second"); n != 0 && n != 2 {
				t.Error("the file has a part of a script")
			}
		})
	}
}

func TestClosed(t *testing.T) {
	for _, dir := range []string{"", t.TempDir()} {
		r, err := Open(dir)
		if err != nil {
			t.Fatal(err)
		}
		for range 2 {
			if err := r.Close(); err != nil {
				t.Error(err)
			}
		}
		if _, err := r.Dial(); err == nil {
			t.Error("a closed Redis can be dialled")
		}
		if err := r.Do(func() error { return nil }); r.Persistent() && err == nil {
			t.Error("a closed Redis does things")
		}
	}
}
