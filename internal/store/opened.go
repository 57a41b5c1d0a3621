package store

import (
	"context"
	"strconv"
	"time"

	"doorhook/internal/relay"
)

// openedTTL is how long it is remembered when doors were opened, after the last of them.
const openedTTL = 7 * day

// luaOpened notes when somebody opened which lock: the latest time counts, in whatever
// order it is heard of.
const luaOpened = `
local function noteOpened(key, came, ttl)
  for lock, at in pairs(came) do
    local last = tonumber(redis.call("HGET", key, lock) or "")
    if not last or tonumber(at) > last then redis.call("HSET", key, lock, at) end
  end
  if next(came) then redis.call("PEXPIRE", key, ttl) end
end
`

// openedArgs are what a script takes: the lock, "" for none, and when, in ms.
func openedArgs(o *relay.Opened) (lock, at string) {
	if o == nil || o.Lock == 0 {
		return "", ""
	}
	return strconv.FormatInt(o.Lock, 10), strconv.FormatInt(o.At.UnixMilli(), 10)
}

// Opened says when somebody last came to each of locks, as events told it; those that
// nobody is known to have come to are left out.
func (s *Store) Opened(ctx context.Context, locks []int64) (map[int64]time.Time, error) {
	out := map[int64]time.Time{}
	if len(locks) == 0 {
		return out, nil
	}
	ctx, cancel := context.WithTimeout(ctx, s.patience)
	defer cancel()
	fields := make([]string, len(locks))
	for i, lock := range locks {
		fields[i] = strconv.FormatInt(lock, 10)
	}
	values, err := s.rdb.HMGet(ctx, s.keys.opened(), fields...).Result()
	if err != nil {
		return nil, failed("look who came", err)
	}
	for i, value := range values {
		text, _ := value.(string)
		if ms, err := strconv.ParseInt(text, 10, 64); err == nil {
			out[locks[i]] = time.UnixMilli(ms).UTC()
		}
	}
	return out, nil
}
