package store

import (
	"context"
	"crypto/sha1"
	"encoding/hex"
	"fmt"
	"strconv"
	"time"

	"github.com/redis/go-redis/v9"
)

// script is one Lua script. Every check in it comes before its first write: Redis
// does not undo half a script.
type script struct {
	source, hash string
	volatile     bool // what it writes may be lost in a crash
}

func newScript(source string) script {
	sum := sha1.Sum([]byte(source)) // the name that Redis gives it, not a secret
	return script{source: source, hash: hex.EncodeToString(sum[:])}
}

// unlogged is sc for what may be lost in a crash.
func (sc script) unlogged() script {
	sc.volatile = true
	return sc
}

// luaTime starts every script: ARGV[1] is the time in µs, or "" to ask Redis, and
// the time is the first thing that a script gives. Numbers leave Lua through text,
// which never writes them as 1.7e+12.
const luaTime = `
local us = tonumber(ARGV[1])
if not us then
  local t = redis.call("TIME")
  us = tonumber(t[1]) * 1000000 + tonumber(t[2])
end
local ms = math.floor(us / 1000)
local function text(n) return string.format("%.0f", n) end
local function errorText(err) return type(err) == "table" and err.err or tostring(err) end
`

// luaDueNow is the score of a job that is due at once. A cancelled one goes before
// all others, which may be many: its door may be open.
//
// The anchor is in every lane, after all others, and is no job. A set without a name so
// long is a list that Redis reads through for each new score, as long as no more than 128
// jobs wait: that cost as much as all else that a message costs there.
const luaDueNow = `
local anchor = "an anchor, by whose length Redis knows that this is no set to keep as a list"
local firstScore = "100000000000" -- of those that are not cancelled
local function dueNow(cancelled) return text(cancelled and math.floor(ms / 1000) or ms) end
`

// luaLetters keeps dead letters, a list of names and texts, and lets go of those that
// have expired.
const luaLetters = `
local function keepLetters(dead, keys, letters, ttl)
  for i = 1, #letters, 2 do
    redis.call("SET", keys .. letters[i], letters[i + 1], "PX", ttl)
    redis.call("ZADD", dead, text(ms), letters[i])
  end
  redis.call("ZREMRANGEBYSCORE", dead, "-inf", text(ms - tonumber(ttl)))
end
`

// run calls a script, whose ARGV[1] is the time; args follow it. It gives the
// answer with the time in front, as the script gave it.
func (s *Store) run(ctx context.Context, doing string, sc script, keys []string, args ...any) ([]any, error) {
	reply, err := s.ask(ctx, sc, keys, append([]any{s.clock.arg()}, args...))
	if err != nil {
		return nil, failed(doing, err)
	}
	return reply, nil
}

// ask is run with the time among args already, and without words for an error.
func (s *Store) ask(ctx context.Context, sc script, keys []string, args []any) ([]any, error) {
	ctx, cancel := context.WithTimeout(ctx, s.patience)
	defer cancel()
	sent := s.clock.host()
	var reply []any
	eval := func() (err error) {
		reply, err = s.eval(ctx, sc, keys, args)
		return err
	}
	if err := s.lasting(sc, eval); err != nil {
		return nil, err
	}
	us, err := strconv.ParseInt(str(reply, 0), 10, 64)
	if err != nil {
		return nil, fmt.Errorf("Redis gave no time: %v", reply) //nolint:staticcheck // it has a capital
	}
	s.clock.saw(time.UnixMicro(us), sent)
	return reply, nil
}

// lasting calls a script so that it has happened for good when it is answered, which
// a Redis elsewhere sees to by itself.
func (s *Store) lasting(sc script, eval func() error) error {
	if s.embedded == nil || sc.volatile {
		return eval()
	}
	return s.embedded.Do(eval)
}

func (s *Store) eval(ctx context.Context, sc script, keys []string, args []any) ([]any, error) {
	reply, err := s.call(ctx, "EVALSHA", sc.hash, keys, args)
	if redis.HasErrorPrefix(err, "NOSCRIPT") { // new to this Redis, or it was restarted
		return s.call(ctx, "EVAL", sc.source, keys, args)
	}
	return reply, err
}

// once is a command that is sent once. The cluster's client sends others again
// when the answer is lost, whatever MaxRetries says, and a finish that ran twice
// would answer that the lease is lost.
type once struct{ *redis.Cmd }

func (once) NoRetry() bool { return true }

func (s *Store) call(ctx context.Context, command, sc string, keys []string, args []any) ([]any, error) {
	line := append(make([]any, 0, 3+len(keys)+len(args)), command, sc, len(keys))
	for _, k := range keys {
		line = append(line, k)
	}
	cmd := redis.NewCmd(ctx, append(line, args...)...)
	if err := s.rdb.Process(ctx, once{cmd}); err != nil {
		s.rdb.suspect(ctx, err)
		return nil, err
	}
	return cmd.Slice()
}

// str is element i of an answer; "" if it is not there or not a text.
func str(reply []any, i int) string {
	if i >= len(reply) {
		return ""
	}
	t, _ := reply[i].(string)
	return t
}

func num(reply []any, i int) int64 {
	n, _ := strconv.ParseInt(str(reply, i), 10, 64)
	return n
}

// millis is t as a score: rounded up, so that nothing comes due before its time.
func millis(t time.Time) int64 {
	return t.Add(time.Millisecond - time.Nanosecond).UnixMilli()
}
