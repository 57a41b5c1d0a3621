package embedded

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// Commands of all kinds, on few keys, so that they meet.
var (
	anyKey    = rapid.SampledFrom([]string{"a", "b", "c", "d", "e", "f", binary})
	anyWord   = rapid.SampledFrom([]string{"x", "y", "z", "", "7", "-3", binary})
	anyNumber = rapid.Map(rapid.IntRange(-5, 20), strconv.Itoa)
	anyScore  = rapid.SampledFrom([]string{"0", "1", "1.5", "-2", "1e3", "0.1", "1772618400123"})
	anyMillis = rapid.Map(rapid.IntRange(-100, 3000), strconv.Itoa)
	anyLife   = rapid.Map(rapid.IntRange(1, 3000), strconv.Itoa)
)

var anyCommand = rapid.Custom(func(t *rapid.T) []string {
	key, word, number := anyKey.Draw(t, "key"), anyWord.Draw(t, "word"), anyNumber.Draw(t, "number")
	other, score := anyWord.Draw(t, "other"), anyScore.Draw(t, "score")
	one := func(options ...string) string { return rapid.SampledFrom(options).Draw(t, "option") }
	switch cmd := rapid.SampledFrom(names()).Draw(t, "command"); cmd {
	case "DEL", "UNLINK":
		return []string{cmd, key, anyKey.Draw(t, "another")}
	case "PERSIST", "INCR", "DECR", "LPOP", "RPOP":
		return []string{cmd, key}
	case "EXPIRE", "PEXPIRE":
		return append([]string{cmd, key, anyMillis.Draw(t, "ms")}, optional(one("", "NX", "XX", "GT", "LT"))...)
	case "EXPIREAT", "PEXPIREAT":
		at := newClock().t.Add(time.Duration(rapid.IntRange(-1, 9).Draw(t, "s")) * time.Second)
		if rapid.Bool().Draw(t, "far") {
			at = time.Unix(1900000000, 0)
		}
		if cmd == "EXPIREAT" {
			return []string{cmd, key, strconv.FormatInt(at.Unix(), 10)}
		}
		return []string{cmd, key, strconv.FormatInt(at.UnixMilli(), 10)}
	case "SET":
		command := append([]string{cmd, key, word}, optional(one("", "NX", "XX"))...)
		switch life := one("", "", "KEEPTTL", "PX", "EX", "PXAT"); life {
		case "PXAT":
			return append(command, life, "1900000000123") // miniredis gets it wrong if that has passed
		case "PX", "EX":
			return append(command, life, anyLife.Draw(t, "life"))
		default:
			return append(command, optional(life)...)
		}
	case "INCRBY", "DECRBY":
		return []string{cmd, key, number}
	case "HSET":
		return []string{cmd, key, word, other, other, word}
	case "HSETNX":
		return []string{cmd, key, word, other}
	case "HINCRBY":
		return []string{cmd, key, word, number}
	case "LTRIM", "ZREMRANGEBYRANK":
		return []string{cmd, key, number, anyNumber.Draw(t, "stop")}
	case "LREM":
		return []string{cmd, key, number, word}
	case "ZADD":
		command := append([]string{cmd, key}, optional(one("", "NX", "XX", "LT", "GT"))...)
		return append(command, score, word, anyScore.Draw(t, "score 2"), word+"2")
	case "ZINCRBY":
		return []string{cmd, key, score, word}
	case "ZREMRANGEBYSCORE":
		return []string{cmd, key, one("-inf", "(1", "0"), score}
	case "XADD":
		command := []string{cmd, key}
		switch trim := one("", "NOMKSTREAM", "MAXLEN", "MINID"); trim {
		case "MAXLEN":
			command = append(command, trim, one("~", "="), one("1", "2", "5"))
		case "MINID":
			command = append(command, trim, one("~", "="), "5")
		default:
			command = append(command, optional(trim)...)
		}
		return append(command, one("*", "*", "5-1", "6-*", "7"), word, other)
	default: // HDEL, LPUSH, RPUSH, SADD, SREM, ZREM
		return []string{cmd, key, word, other}
	}
})

func names() []string {
	var out []string
	for cmd := range writes {
		out = append(out, cmd)
	}
	slices.Sort(out)
	return out
}

func optional(word string) []string {
	if word == "" {
		return nil
	}
	return []string{word}
}

// TestAnyHistory runs the same commands on an embedded Redis, which is killed,
// closed and opened again meanwhile, and on a miniredis that only goes on.
func TestAnyHistory(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		b := newBed(t)
		b.close()
		b.create = unsynced // nothing here is about power cuts
		b.open()
		mini := miniredis.NewMiniRedis()
		defer mini.Close()
		mini.ClockTTL(true)
		mini.SetTime(b.clock.now())
		conn, err := mini.Dial()
		if err != nil {
			rt.Fatal(err)
		}
		plain := newClient(conn)
		defer plain.Close()
		rt.Repeat(map[string]func(*rapid.T){
			"one": func(t *rapid.T) {
				command := anyCommand.Draw(t, "command")
				var got any
				if err := b.r.Do(func() error { got = b.do(command...); return nil }); err != nil {
					t.Fatal(err)
				}
				if diff := cmp.Diff(text(plain.do(command...)), text(got)); diff != "" {
					t.Fatalf("%q:\n%s", command, diff)
				}
			},
			"script": func(t *rapid.T) {
				script := eval(rapid.SliceOfN(anyCommand, 1, 5).Draw(t, "commands")...)
				_ = b.r.Do(func() error { return failure(b.do(script...)) })
				plain.do(script...)
			},
			"wait": func(t *rapid.T) {
				b.clock.add(time.Duration(rapid.IntRange(0, 2000).Draw(t, "ms")) * time.Millisecond)
				mini.SetTime(b.clock.now())
			},
			"kill":  func(*rapid.T) { b.reopen() },
			"close": func(*rapid.T) { b.close(); b.open() },
			"": func(t *rapid.T) {
				if diff := cmp.Diff(plain.dump(), b.dump()); diff != "" {
					t.Fatal(diff)
				}
			},
		})
		b.close()
		b.open()
	})
}

type unsyncedFile struct{ file }

func (unsyncedFile) Sync() error { return nil }

func unsynced(path string) (file, error) {
	f, err := createFile(path)
	return unsyncedFile{f}, err
}

// text makes errors comparable.
func text(reply any) any {
	if err := failure(reply); err != nil {
		return err.Error()
	}
	return reply
}

// TestAnyHistoryIsRedis gives the files of such histories to a real Redis.
func TestAnyHistoryIsRedis(t *testing.T) {
	history := rapid.SliceOfN(anyCommand, 50, 200)
	for seed := range 15 {
		b := newBed(t)
		b.close()
		b.clock.t = time.Now().Add(-time.Minute)
		b.open()
		for i, command := range history.Example(seed) {
			_ = b.r.Do(func() error { return failure(b.do(command...)) })
			if b.clock.add(100 * time.Millisecond); i == 40 {
				b.reopen()
			}
		}
		b.clock.mu.Lock()
		b.clock.t = time.Now()
		b.clock.mu.Unlock()
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, fileName), []byte(b.fileText()), 0o600); err != nil {
			t.Fatal(err)
		}
		c, _ := realRedis(t, "--appendonly", "yes", "--dir", dir)
		if diff := cmp.Diff(b.dump(), c.dump()); diff != "" {
			t.Errorf("seed %d:\n%s", seed, diff)
		}
	}
}

// FuzzLoad reads what may be a file. What can be read gives a snapshot that reads
// as the same; what cannot is an error.
func FuzzLoad(f *testing.F) {
	f.Add([]byte(nil))
	f.Add([]byte("*1\r\n$5\r\nMULTI\r\n*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$1\r\nv\r\n*1\r\n$4\r\nEXEC\r\n"))
	f.Add([]byte("*6\r\n$4\r\nXADD\r\n$1\r\ns\r\n$6\r\nMAXLEN\r\n$1\r\n=\r\n$1\r\n0\r\n$3\r\n0-1\r\n\x00\x00"))
	for _, c := range everything() {
		f.Add(appendCommand(nil, c...))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		first, ok := snapshotOf(t, data)
		if !ok {
			return
		}
		second, ok := snapshotOf(t, first)
		if !ok || !bytes.Equal(first, second) {
			t.Errorf("a snapshot gives another one, or none:\n%q\n%q", first, second)
		}
	})
}

func snapshotOf(t *testing.T, data []byte) ([]byte, bool) {
	r, err := start(newClock().now)
	if err != nil {
		t.Fatal(err)
	}
	defer r.mini.Close()
	if err := r.load(data); err != nil {
		return nil, false
	}
	r.tick()
	var b bytes.Buffer
	if err := r.snapshot(&b); err != nil {
		t.Fatal(err)
	}
	return b.Bytes(), true
}
