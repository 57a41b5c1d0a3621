package store

import (
	"errors"
	"fmt"
	"strings"

	"doorhook/internal/relay"

	"github.com/redis/go-redis/v9"
)

// refusals are the answers of a Redis that is there but cannot serve now, or not
// us. The sender is told to come back: nothing was accepted, since Redis refuses
// a script before its first write.
var refusals = [...]string{
	"LOADING", "READONLY", "OOM", "MASTERDOWN", "CLUSTERDOWN", "NOREPLICAS", "MISCONF", "BUSY",
	"TRYAGAIN", "MOVED", "ASK", "UNBLOCKED", "NOAUTH", "WRONGPASS", "NOPERM", "UNKILLABLE",
	"NOGOODSLAVE", "FAILOVER", "CROSSSLOT", "NOMASTERLINK",
}

func failed(doing string, err error) error {
	if unavailable(err) {
		return fmt.Errorf("store: %s: %w: %w", doing, relay.ErrUnavailable, err)
	}
	return fmt.Errorf("store: %s: %w", doing, err)
}

// unavailable tells an outage from a fault of doorhook's own. Whatever is not an
// answer of Redis is one: refused, reset, timed out, closed.
func unavailable(err error) bool {
	var answer redis.Error
	if !errors.As(err, &answer) {
		return true
	}
	text := answer.Error()
	if strings.HasPrefix(text, "ERR max number of clients") {
		return true
	}
	// A script names few of the keys that it uses. While a cluster moves them to another
	// node, some are there and some are here.
	if strings.Contains(text, "attempted to access a non local key") {
		return true
	}
	for _, word := range refusals {
		// Redis before 7 hands on what a command inside a script was told as "ERR … -OOM …".
		if strings.HasPrefix(text, word+" ") || text == word || strings.Contains(text, " -"+word+" ") {
			return true
		}
	}
	return false
}
