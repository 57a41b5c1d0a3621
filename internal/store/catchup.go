package store

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"
)

// catchupLock outlives a run that takes its time; one that died is waited for as long.
const catchupLock = 15 * time.Minute

// CaughtUp is the time until which all events of trigger are known to have been read;
// zero if they never were.
func (s *Store) CaughtUp(ctx context.Context, trigger string) (time.Time, error) {
	ctx, cancel := context.WithTimeout(ctx, s.patience)
	defer cancel()
	ms, err := s.rdb.Get(ctx, s.keys.caughtUp(trigger)).Int64()
	switch {
	case errors.Is(err, redis.Nil):
		return time.Time{}, nil
	case err != nil:
		return time.Time{}, failed("read how far trigger "+trigger+" has caught up", err)
	}
	return time.UnixMilli(ms).UTC(), nil
}

// catchupScript gives the lock back, if it is still ours, and notes how far we got.
//
//	KEYS   1 how far   2 lock
//	ARGV   1 now   2 token   3 how far, ms ("" leaves it)   4 how long it is remembered, ms
//	gives  now
var catchupScript = newScript(luaTime + `
if redis.call("GET", KEYS[2]) == ARGV[2] then
  if ARGV[3] ~= "" then redis.call("SET", KEYS[1], ARGV[3], "PX", ARGV[4]) end
  redis.call("DEL", KEYS[2])
end
return {text(us)}`)

// CatchUp lets one process at a time do what catches trigger up, and notes until when
// it did; zero leaves what was noted before. It reports false, without having done it,
// while another process is at it.
func (s *Store) CatchUp(ctx context.Context, trigger string, do func() (until time.Time, err error)) (bool, error) {
	token, lock := rand.Text(), s.keys.catchupLock(trigger)
	limited, cancel := context.WithTimeout(ctx, s.patience)
	mine, err := s.rdb.SetNX(limited, lock, token, catchupLock).Result()
	cancel()
	if err != nil || !mine {
		if err != nil {
			err = failed("begin to catch up", err)
		}
		return false, err
	}
	until, err := do()
	mark := ""
	if err == nil && !until.IsZero() {
		mark = fmt.Sprint(until.UnixMilli())
	}
	_, saveErr := s.run(context.WithoutCancel(ctx), "end of catching up", catchupScript, []string{s.keys.caughtUp(trigger), lock},
		token, mark, (2 * s.opts.DedupTTL).Milliseconds())
	return true, errors.Join(err, saveErr)
}

// DedupWindow is how long an event that comes again is known to be a repeat.
func (s *Store) DedupWindow() time.Duration { return s.opts.DedupTTL }
