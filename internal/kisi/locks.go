package kisi

import (
	"context"
	"net/http"
	"net/url"
)

// Lock is a door.
type Lock struct {
	ID                int64  `json:"id"`
	Name              string `json:"name"`
	PlaceID           int64  `json:"place_id"`
	Configured        bool   `json:"configured"`
	Online            *bool  `json:"online"` // nil: Kisi does not know
	LockedDown        bool   `json:"locked_down"`
	Unlocked          bool   `json:"unlocked"`
	OnScheduledUnlock bool   `json:"on_scheduled_unlock"`
	Geofence          bool   `json:"geofence_restriction_enabled"` // refuses an unlock through the API
	ReaderOnly        bool   `json:"reader_restriction_enabled"`   // likewise
}

// Group is a set of locks that are granted together.
type Group struct {
	ID      int64  `json:"id"`
	Name    string `json:"name"`
	PlaceID int64  `json:"place_id"` // 0: of the whole organization

	LocksCount *int `json:"locks_count"` // nil: Kisi does not say
}

// Place is a building or a part of one.
type Place struct {
	ID       int64  `json:"id"`
	Name     string `json:"name"`
	TimeZone string `json:"time_zone"` // an IANA name; "" if none is set
}

// Unlock opens lock for as long as is set at the lock. Kisi answers when it has
// passed the command on; no call takes an unlock back.
func (c *Client) Unlock(ctx context.Context, lock int64) error {
	var got object
	return c.call(ctx, request{method: http.MethodPost, path: "/locks/" + itoa(lock) + "/unlock"}, &got)
}

// Locks lists all locks that the key may see.
func (c *Client) Locks(ctx context.Context) ([]Lock, error) {
	return list(ctx, c, "/locks", nil, func(l Lock) int64 { return l.ID })
}

// Groups lists all groups that the key may see.
func (c *Client) Groups(ctx context.Context) ([]Group, error) {
	return list(ctx, c, "/groups", nil, func(g Group) int64 { return g.ID })
}

// Places lists all places that the key may see.
func (c *Client) Places(ctx context.Context) ([]Place, error) {
	return list(ctx, c, "/places", nil, func(p Place) int64 { return p.ID })
}

// GroupLocks gives the ids of the locks of a group.
func (c *Client) GroupLocks(ctx context.Context, groupID int64) ([]int64, error) {
	type groupLock struct {
		ID     int64 `json:"id"`
		LockID int64 `json:"lock_id"`
	}
	all, err := list(ctx, c, "/group_locks", url.Values{"group_id": {itoa(groupID)}}, func(l groupLock) int64 { return l.ID })
	if err != nil {
		return nil, err
	}
	locks := make([]int64, len(all))
	for i, l := range all {
		locks[i] = l.LockID
	}
	return locks, nil
}
