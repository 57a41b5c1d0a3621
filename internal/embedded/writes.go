package embedded

import (
	"strconv"
	"strings"
	"time"
)

// write is a command that may write, after it has run without an error.
type write struct {
	command []string // its name, the key, the rest
	reply   string
	existed bool // the key, before
	at      time.Time
}

// effect is the command that does again what a write did, whenever it is run; nil
// if it did nothing.
type effect func(w write) []string

// writes are the commands that the embedded Redis knows how to keep. Each changes
// one key, its first argument, and does the same to the same key again; DEL and
// UNLINK may have several.
var writes = map[string]effect{
	"DEL": ifAny, "UNLINK": ifAny, "PERSIST": ifAny,
	"EXPIRE": expireIn(time.Second), "PEXPIRE": expireIn(time.Millisecond),
	"EXPIREAT": expireAt(time.Second), "PEXPIREAT": expireAt(time.Millisecond),

	"SET":  set,
	"INCR": asItIs, "INCRBY": asItIs, "DECR": asItIs, "DECRBY": asItIs,

	"HSET": asItIs, "HINCRBY": asItIs, "HSETNX": ifAny, "HDEL": ifAny,

	"LPUSH": asItIs, "RPUSH": asItIs, "LPOP": asItIs, "RPOP": asItIs, "LTRIM": asItIs, "LREM": ifAny,

	"SADD": ifAny, "SREM": ifAny,

	"ZADD": asItIs, "ZINCRBY": asItIs,
	"ZREM": ifAny, "ZREMRANGEBYSCORE": ifAny, "ZREMRANGEBYRANK": ifAny,

	"XADD": xadd,
}

// replaces are the commands to which it does not matter what the key was.
var replaces = map[string]bool{"SET": true, "DEL": true, "UNLINK": true}

// scripts call commands.
var scripts = map[string]bool{"EVAL": true, "EVALSHA": true, "EVAL_RO": true, "EVALSHA_RO": true}

// others write nothing that outlives the connection, and miniredis does not mark
// them as reading.
var others = map[string]bool{
	"COMMAND": true, "ECHO": true, "HELLO": true, "INFO": true, "MEMORY": true, "OBJECT": true, "PING": true,
	"PUBLISH": true, "PUBSUB": true, "PSUBSCRIBE": true, "PUNSUBSCRIBE": true, "QUIT": true, "SCRIPT": true,
	"SUBSCRIBE": true, "TIME": true, "UNSUBSCRIBE": true, "WAIT": true, "XINFO": true,
}

// harmless reports whether cmd writes nothing by itself. So does one that miniredis
// does not know, and says so.
func (r *Redis) harmless(cmd string) bool {
	return scripts[cmd] || others[cmd] || r.srv.IsReadOnlyCommand(cmd) || !r.srv.IsRegisteredCommand(cmd)
}

const (
	none = ":0\r\n"
	one  = ":1\r\n"
)

func asItIs(w write) []string { return w.command }

// ifAny is for commands that answer how much they changed.
func ifAny(w write) []string {
	if w.reply == none {
		return nil
	}
	return w.command
}

// set leaves out the conditions, since they were met.
func set(w write) []string {
	out := []string{"SET", w.command[1], w.command[2]}
	for i := 3; i < len(w.command); i++ {
		switch option := strings.ToUpper(w.command[i]); option {
		case "NX":
			if w.existed {
				return nil
			}
		case "XX":
			if !w.existed {
				return nil
			}
		case "KEEPTTL":
			if w.existed {
				out = append(out, option)
			}
		case "EX", "PX", "EXAT", "PXAT":
			i++
			unit := time.Second
			if option[0] == 'P' {
				unit = time.Millisecond
			}
			ms := inMillis(w.command[i], unit)
			if !strings.HasSuffix(option, "AT") {
				ms += w.at.UnixMilli()
			}
			out = append(out, "PXAT", strconv.FormatInt(ms, 10))
		}
	}
	return out
}

func expireIn(unit time.Duration) effect {
	return func(w write) []string { return expire(w, w.at.UnixMilli()+inMillis(w.command[2], unit)) }
}

func expireAt(unit time.Duration) effect {
	return func(w write) []string { return expire(w, inMillis(w.command[2], unit)) }
}

// expire leaves out the conditions too.
func expire(w write, ms int64) []string {
	switch {
	case w.reply == none:
		return nil
	case ms <= w.at.UnixMilli():
		return []string{"DEL", w.command[1]}
	}
	return []string{"PEXPIREAT", w.command[1], strconv.FormatInt(ms, 10)}
}

// inMillis reads a number that miniredis has accepted.
func inMillis(number string, unit time.Duration) int64 {
	n, _ := strconv.ParseInt(number, 10, 64)
	return n * int64(unit/time.Millisecond)
}

// xadd gives the entry the id that it got, and trims exactly, as miniredis has done
// whatever it was asked: Redis would trim less.
func xadd(w write) []string {
	_, id, _ := strings.Cut(w.reply, "\r\n")
	if id == "" {
		return nil // NOMKSTREAM, and there was none
	}
	out, rest := []string{"XADD", w.command[1]}, w.command[2:]
	if strings.EqualFold(rest[0], "NOMKSTREAM") {
		rest = rest[1:]
	}
	if by := strings.ToUpper(rest[0]); by == "MAXLEN" || by == "MINID" {
		rest = rest[1:]
		if rest[0] == "~" || rest[0] == "=" {
			rest = rest[1:]
		}
		out, rest = append(out, by, "=", rest[0]), rest[1:]
	}
	return append(append(out, strings.TrimSpace(id)), rest[1:]...)
}
