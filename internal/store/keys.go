package store

import (
	"crypto/sha256"
	"encoding/hex"
	"strconv"
	"strings"

	"doorhook/internal/relay"
)

// keys knows the name of every key. All carry the same hash tag, so that one
// script may touch any of them on a cluster.
type keys struct{ tag string }

func newKeys(prefix string) keys { return keys{tag: "{" + prefix + "}:"} }

// seenAs is the key of an event's identity without what every key starts with.
func seenAs(trigger, event string) string { return "seen:" + trigger + ":" + short(event) }

func (k keys) jobs() string                            { return k.tag + "job:" } // + short(job id)
func (k keys) due(l relay.Lane) string                 { return k.tag + "due" + of(l) }
func (k keys) clock(l relay.Lane) string               { return k.tag + "clock" + of(l) }
func (k keys) sent() string                            { return k.tag + "sent" }
func (k keys) dead() string                            { return k.tag + "dead" }
func (k keys) letters() string                         { return k.tag + "letter:" } // + short(letter id)
func (k keys) object(kind relay.Kind, id int64) string { return k.tag + objectAs(kind, id) }
func (k keys) events() string                          { return k.tag + "events" }
func (k keys) login(account string) string             { return k.tag + "login:" + short(account) }
func (k keys) loginLock(account string) string         { return k.tag + "login-lock:" + short(account) }
func (k keys) turns() string                           { return k.tag + "turns" }
func (k keys) waiting() string                         { return k.tag + "turns-waiting" }
func (k keys) ping() string                            { return k.tag + "ping" }
func (k keys) opened() string                          { return k.tag + "opened" }
func (k keys) caughtUp(trigger string) string          { return k.tag + "catchup:" + trigger }
func (k keys) catchupLock(trigger string) string {
	return k.tag + "catchup-lock:" + trigger
}
func (k keys) wake() string { return k.tag + "wake" } // a channel

// objectAs is the key of an object without what every key starts with.
func objectAs(kind relay.Kind, id int64) string {
	return "object:" + string(kind) + ":" + strconv.FormatInt(id, 10)
}

// of ends the name of what each lane has for itself; that of the doors is older.
func of(l relay.Lane) string {
	if l == relay.Doors {
		return ""
	}
	return "-" + string(l)
}

const (
	longest = 256
	hashed  = "sha256:"
)

// short bounds an identity that a sender chose. The hash is never cut, since two
// bookings that met in one key would open each other's doors; an identity that
// looks like a hash is hashed too, so that it cannot pass for another's.
func short(id string) string {
	if len(id) <= longest && !strings.HasPrefix(id, hashed) {
		return id
	}
	return hash(id)
}

func hash(id string) string {
	sum := sha256.Sum256([]byte(id))
	return hashed + hex.EncodeToString(sum[:])
}

// shortened is short for an id that may have been shortened already.
func shortened(id string) string {
	if strings.HasPrefix(id, hashed) && len(id) == len(hashed)+sha256.Size*2 {
		return id
	}
	return short(id)
}
