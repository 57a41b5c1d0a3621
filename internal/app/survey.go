package app

import (
	"context"
	"fmt"
	"slices"
)

// Site is what a key sees of Kisi. It becomes JSON, so no list in it is nil.
type Site struct {
	Places []SitePlace `json:"places"`
	Doors  []SiteDoor  `json:"doors"`
	Groups []SiteGroup `json:"groups"`
}

// SitePlace is a building, or a part of one.
type SitePlace struct {
	ID       int64  `json:"id"`
	Name     string `json:"name"`
	TimeZone string `json:"time_zone"` // "" if Kisi knows none
}

// SiteDoor is a lock.
type SiteDoor struct {
	ID      int64  `json:"id"`
	Name    string `json:"name"`
	PlaceID int64  `json:"place_id"`
}

// SiteGroup is a group with the ids of its doors.
type SiteGroup struct {
	ID      int64   `json:"id"`
	Name    string  `json:"name"`
	PlaceID int64   `json:"place_id"` // 0: of the whole organization
	Doors   []int64 `json:"doors"`
}

// Survey asks Kisi for all places, doors and groups: one request for each group that
// has doors.
func Survey(ctx context.Context, s Settings) (Site, error) {
	site := Site{Places: []SitePlace{}, Doors: []SiteDoor{}, Groups: []SiteGroup{}}
	client, done, err := s.askKisi(ctx)
	if err != nil {
		return site, err
	}
	defer done()
	places, err := client.Places(ctx)
	if err != nil {
		return site, fmt.Errorf("list the places in Kisi: %w", err)
	}
	for _, p := range places {
		site.Places = append(site.Places, SitePlace(p))
	}
	locks, err := client.Locks(ctx)
	if err != nil {
		return site, fmt.Errorf("list the doors in Kisi: %w", err)
	}
	for _, l := range locks {
		site.Doors = append(site.Doors, SiteDoor{l.ID, l.Name, l.PlaceID})
	}
	groups, err := client.Groups(ctx)
	if err != nil {
		return site, fmt.Errorf("list the groups in Kisi: %w", err)
	}
	for _, g := range groups {
		doors := []int64{}
		if g.LocksCount == nil || *g.LocksCount > 0 {
			if doors, err = client.GroupLocks(ctx, g.ID); err != nil {
				return site, fmt.Errorf("list the doors of group %d in Kisi: %w", g.ID, err)
			}
			slices.Sort(doors)
		}
		site.Groups = append(site.Groups, SiteGroup{g.ID, g.Name, g.PlaceID, slices.Compact(doors)})
	}
	return site, nil
}
