package store

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"doorhook/internal/relay"
)

// letterArgs are the keys of dead letters, and for each its name and text.
func letterArgs(k keys, letters []relay.DeadLetter) (names []string, args []any, err error) {
	for _, l := range letters {
		b, err := json.Marshal(l)
		if err != nil {
			return nil, nil, fmt.Errorf("dead letter %s: %w", l.ID, err)
		}
		names = append(names, k.letter(l.ID))
		args = append(args, short(l.ID), string(b))
	}
	return names, args, nil
}

// lettersScript reads the newest dead letters.
//
//	KEYS   1 dead
//	ARGV   1 now   2 how many   3 what their keys start with
//	gives  now, text, …
var lettersScript = newScript(luaTime + `
local out = {text(us)}
for _, name in ipairs(redis.call("ZREVRANGE", KEYS[1], 0, tonumber(ARGV[2]) - 1)) do
  local letter = redis.call("GET", ARGV[3] .. name)
  if letter then out[#out + 1] = letter end
end
return out`)

// Letters gives the newest dead letters, newest first. One that cannot be read
// is in the error, and the others are given all the same.
func (s *Store) Letters(ctx context.Context, limit int) ([]relay.DeadLetter, error) {
	if limit < 1 {
		return nil, nil
	}
	reply, err := s.run(ctx, "read dead letters", lettersScript, []string{s.keys.dead()}, limit, s.keys.letters())
	if err != nil {
		return nil, err
	}
	var out []relay.DeadLetter
	var broken []error
	for i := 1; i < len(reply); i++ {
		var l relay.DeadLetter
		if err := json.Unmarshal([]byte(str(reply, i)), &l); err != nil {
			broken = append(broken, fmt.Errorf("store: a dead letter: %w", err))
			continue
		}
		out = append(out, l)
	}
	return out, errors.Join(broken...)
}
