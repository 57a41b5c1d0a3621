package store

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"doorhook/internal/relay"

	"github.com/redis/go-redis/v9"
)

// letterArgs are the name and the text of each dead letter.
func letterArgs(letters []relay.DeadLetter) (args []string, err error) {
	for _, l := range letters {
		b, err := json.Marshal(l)
		if err != nil {
			return nil, fmt.Errorf("dead letter %s: %w", l.ID, err)
		}
		args = append(args, short(l.ID), string(b))
	}
	return args, nil
}

// lettersScript reads the newest dead letters.
//
//	KEYS   1 dead
//	ARGV   1 now   2 how many   3 what their keys start with   4 how many bytes,
//	       about
//	gives  now, text, …
var lettersScript = newScript(luaTime + `
local out, room = {text(us)}, tonumber(ARGV[4])
for _, name in ipairs(redis.call("ZREVRANGE", KEYS[1], 0, tonumber(ARGV[2]) - 1)) do
  local letter = redis.call("GET", ARGV[3] .. name)
  if letter then
    out[#out + 1] = letter
    room = room - #letter
  end
  if room <= 0 then break end
end
return out`)

// mostBytes bounds a list of dead letters, which may have large events in them.
const mostBytes = 8 << 20

// Letters gives the newest dead letters, newest first, and fewer if they are very
// large. One that cannot be read is in the error, and the others are given all the
// same.
func (s *Store) Letters(ctx context.Context, limit int) ([]relay.DeadLetter, error) {
	if limit < 1 {
		return nil, nil
	}
	reply, err := s.run(ctx, "read dead letters", lettersScript, []string{s.keys.dead()}, min(limit, mostListed), s.keys.letters(), mostBytes)
	if err != nil {
		return nil, err
	}
	var out []relay.DeadLetter
	var broken []error
	for i := 1; i < len(reply); i++ {
		l, err := openLetter(str(reply, i))
		if err != nil {
			broken = append(broken, err)
			continue
		}
		out = append(out, l)
	}
	return out, errors.Join(broken...)
}

// LetterIDs names all dead letters, the oldest first. A name that is very long is
// given as its hash, which [Store.Letter] takes as well.
func (s *Store) LetterIDs(ctx context.Context) ([]string, error) {
	ctx, cancel := context.WithTimeout(ctx, s.patience)
	defer cancel()
	names, err := s.rdb.ZRange(ctx, s.keys.dead(), 0, -1).Result()
	if err != nil {
		return nil, failed("list dead letters", err)
	}
	return names, nil
}

// Letter reads one dead letter; false if there is none of this id, or not any more.
func (s *Store) Letter(ctx context.Context, id string) (relay.DeadLetter, bool, error) {
	ctx, cancel := context.WithTimeout(ctx, s.patience)
	defer cancel()
	text, err := s.rdb.Get(ctx, s.keys.letters()+shortened(id)).Result()
	switch {
	case errors.Is(err, redis.Nil):
		return relay.DeadLetter{}, false, nil
	case err != nil:
		return relay.DeadLetter{}, false, failed("read dead letter "+short(id), err)
	}
	l, err := openLetter(text)
	return l, err == nil, err
}

func openLetter(text string) (l relay.DeadLetter, err error) {
	if err = json.Unmarshal([]byte(text), &l); err != nil {
		err = fmt.Errorf("store: a dead letter: %w", err)
	}
	return l, err
}
