package embedded

import (
	"bufio"
	"bytes"
	"strconv"
	"time"

	"github.com/alicebob/miniredis/v2/server"
)

// A peer is a connection as miniredis sees it, or what stands for one while a script
// or the hook calls a command. Its name tells which: a client is named with its
// first command, when it has no context yet; a script's peer has a context and no
// name.
const (
	client = "client"
	ours   = "hook"
)

// hook sees each command before it is run, also those that a script calls. It
// reports whether it has dealt with it.
func (r *Redis) hook(p *server.Peer, cmd string, args ...string) bool {
	if p.ClientName == ours {
		return false
	}
	if p.Ctx == nil {
		p.ClientName = client
	}
	fromScript := p.ClientName == ""
	effect := writes[cmd]
	if effect == nil && !r.harmless(cmd) {
		p.WriteError("ERR the embedded Redis cannot keep what " + cmd + " does")
		return true
	}
	if !fromScript {
		r.running.Lock()
		defer r.running.Unlock()
		r.tick()
	}
	command := append([]string{cmd}, args...)
	switch {
	case cmd == "TIME":
		p.Block(r.writeTime)
	case effect != nil && r.noting:
		p.WriteRaw(r.keep(p, command, effect))
	case !fromScript && (effect != nil || scripts[cmd]):
		p.WriteRaw(r.call(p, command)) // here, so that running is held until it has ended
	default:
		return false
	}
	return true
}

const (
	// sweepShare is how much more time there is than sweeps take.
	sweepShare = 20
	longestLag = time.Second
)

// tick looks at the clock, and lets go of what has expired. That goes through all
// keys: miniredis by itself would do it before each command, and most of the time
// would be spent on it. So keys live in a time of their own, which may lag behind;
// the time that scripts ask for does not. When the clock is set back, what is left
// of a key's time grows.
func (r *Redis) tick() {
	start := r.now()
	r.time = start.Round(0) // the wall clock goes on while a computer sleeps
	lag := r.time.Sub(r.keyTime)
	if 0 <= lag && lag < r.rest {
		return
	}
	r.mini.SetTime(r.time)
	r.mini.FastForward(lag)
	r.keyTime = r.time
	r.rest = min(sweepShare*r.now().Sub(start), longestLag)
}

// writeTime answers TIME.
func (r *Redis) writeTime(w *server.Writer) {
	w.WriteStrings([]string{strconv.FormatInt(r.time.Unix(), 10), strconv.Itoa(r.time.Nanosecond() / 1000)})
}

// keep runs a write and notes what it did.
func (r *Redis) keep(p *server.Peer, command []string, effect effect) (reply string) {
	existed := len(command) > 1 && r.call(p, []string{"EXISTS", command[1]}) == one
	reply = r.call(p, command)
	if reply[0] == '-' {
		return reply
	}
	note := effect(write{command: command, reply: reply, existed: existed, at: r.keyTime})
	if note == nil {
		return reply
	}
	if !existed && !replaces[note[0]] {
		// It may have expired, which is not in the file: there it would be
		// changed and then expire, and here it is new.
		r.notes = append(r.notes, []string{"DEL", note[1]})
	}
	r.notes = append(r.notes, note)
	return reply
}

// call runs a command past the hook.
func (r *Redis) call(p *server.Peer, command []string) (reply string) {
	var b bytes.Buffer
	as := server.NewPeer(bufio.NewWriterSize(&b, 512))
	as.ClientName, as.Ctx, as.Resp3 = ours, p.Ctx, p.Resp3
	r.srv.Dispatch(as, command)
	as.Flush()
	p.Ctx = as.Ctx
	return b.String()
}
