package embedded

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"

	"github.com/alicebob/miniredis/v2"
)

// mostAtOnce is how many arguments a command of a snapshot has at most, about.
const mostAtOnce = 128

// snapshot writes all that is there as commands, each of which stands for itself.
// Nothing runs meanwhile, and nothing expires.
func (r *Redis) snapshot(w io.Writer) error {
	r.running.Lock()
	defer r.running.Unlock()
	db, b := r.mini.DB(0), []byte(nil)
	for _, key := range db.Keys() {
		commands, err := contents(db, key)
		if err != nil {
			return fmt.Errorf("key %q: %w", key, err)
		}
		if left := db.TTL(key); left != 0 {
			at := strconv.FormatInt(r.keyTime.Add(left).UnixMilli(), 10)
			commands = append(commands, []string{"PEXPIREAT", key, at})
		}
		b = b[:0]
		for _, c := range commands {
			b = appendCommand(b, c...)
		}
		if _, err := w.Write(b); err != nil {
			return err
		}
	}
	return nil
}

// contents are the commands that make a key what it is.
func contents(db *miniredis.RedisDB, key string) ([][]string, error) {
	switch kind := db.Type(key); kind {
	case "string":
		value, err := db.Get(key)
		return [][]string{{"SET", key, value}}, err
	case "hash":
		fields, err := db.HKeys(key)
		var args []string
		for _, f := range fields {
			args = append(args, f, db.HGet(key, f))
		}
		return chunks("HSET", key, args), err
	case "list":
		elements, err := db.List(key)
		return chunks("RPUSH", key, elements), err
	case "set":
		members, err := db.Members(key)
		return chunks("SADD", key, members), err
	case "zset":
		scores, err := db.SortedSet(key)
		var args []string
		for _, member := range slices.Sorted(maps.Keys(scores)) {
			args = append(args, strconv.FormatFloat(scores[member], 'g', -1, 64), member)
		}
		return chunks("ZADD", key, args), err
	case "stream":
		entries, err := db.Stream(key)
		return stream(key, entries), err
	default:
		return nil, fmt.Errorf("the embedded Redis cannot keep a %s", kind)
	}
}

func chunks(cmd, key string, args []string) [][]string {
	var out [][]string
	for part := range slices.Chunk(args, mostAtOnce) {
		out = append(out, append([]string{cmd, key}, part...))
	}
	return out
}

func stream(key string, entries []miniredis.StreamEntry) [][]string {
	if len(entries) == 0 { // it is there all the same
		return [][]string{{"XADD", key, "MAXLEN", "=", "0", "0-1", "", ""}}
	}
	out := make([][]string, len(entries))
	for i, e := range entries {
		out[i] = append([]string{"XADD", key, e.ID}, e.Values...)
	}
	return out
}
