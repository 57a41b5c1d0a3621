package store

import (
	"context"
	"fmt"
	"time"

	"doorhook/internal/relay"
)

const (
	// turnWindow is a second, and a little for requests that arrive closer
	// together than they were sent.
	turnWindow = time.Second + 50*time.Millisecond
	// turnPatience is how long others may go first; then they are equals.
	turnPatience = 2 * time.Second
)

// turnScript lets a request go, or says how long to wait. It lets so many go in any
// window: a bucket that fills while it is used would let nearly twice as many go in
// the first second.
//
// Who waits says so, for half a second longer than until the next look, since
// processes may be slow; and while somebody of a higher priority does, the others
// stand back.
//
//	KEYS   1 when the last requests went, µs, a list   2 until when somebody of a
//	       priority waits, µs, a hash
//	ARGV   1 now   2 how many may go in a window   3 the window µs   4 priority
//	gives  now, µs to wait (0: go)
var turnScript = newScript(luaTime + `
local went, waiting, most, window, priority = KEYS[1], KEYS[2], tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
local wait = 0
local oldest = tonumber(redis.call("LINDEX", went, -most) or "")
-- One that went in the future was before a jump of the clock.
if oldest and oldest <= us then wait = math.max(0, oldest + window - us) end

for _, p in ipairs({1, 2}) do
  local till = p > priority and tonumber(redis.call("HGET", waiting, p) or "") or 0
  if till > us and till <= us + 2 * window then wait = math.max(wait, 50000) end
end
if wait > 0 then
  redis.call("HSET", waiting, priority, text(us + wait + 500000))
  redis.call("PEXPIRE", waiting, 5000)
  return {text(us), text(wait)}
end
redis.call("HDEL", waiting, priority)
redis.call("RPUSH", went, text(us))
redis.call("LTRIM", went, -most, -1)
redis.call("PEXPIRE", went, 5000)
return {text(us), "0"}`).unlogged()

// Turn returns when one more request may be made, of rate a second that all
// processes make together. Of those that wait, the highest priority goes first; who
// has waited two seconds counts as one higher. It fails with [relay.ErrUntried], at
// once if the turn comes after the end of ctx.
func (s *Store) Turn(ctx context.Context, rate int) error {
	priority := relay.PriorityOf(ctx)
	keys := []string{s.keys.turns(), s.keys.waiting()}
	for waited := time.Duration(0); ; {
		if waited >= turnPatience {
			priority = min(relay.PriorityOf(ctx)+1, relay.Revoking)
		}
		reply, err := s.run(ctx, "wait for a turn", turnScript, keys, rate, turnWindow.Microseconds(), int(priority))
		if err != nil {
			return fmt.Errorf("%w: %w", relay.ErrUntried, err)
		}
		d := time.Duration(num(reply, 1)) * time.Microsecond
		if d == 0 {
			return nil
		}
		if end, ok := ctx.Deadline(); ok && time.Until(end) < d {
			return fmt.Errorf("%w: more requests to Kisi are waiting than its limit of %d a second lets through in time", relay.ErrUntried, rate)
		}
		waited += d
		if err := wait(ctx, d); err != nil {
			return fmt.Errorf("%w: %w", relay.ErrUntried, err)
		}
	}
}
