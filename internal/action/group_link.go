package action

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"doorhook/internal/kisi"
	"doorhook/internal/relay"
)

// groupLink mails a link that opens the locks of a group.
type groupLink struct{ kisi *kisi.Client }

type groupLinkArgs struct {
	GroupID               int64     `json:"group_id"`
	Name                  string    `json:"name"`
	Email                 string    `json:"email"`
	Phone                 string    `json:"phone"`
	LinkEnabled           bool      `json:"link_enabled"`
	QuickResponseCodeType string    `json:"quick_response_code_type"`
	ValidFrom             time.Time `json:"valid_from"`
	ValidUntil            time.Time `json:"valid_until"`
}

func (g groupLink) create(ctx context.Context, a relay.Action) relay.Outcome {
	want, err := args[groupLinkArgs](a)
	if err != nil {
		return rejected(err)
	}
	got, err := g.kisi.CreateGroupLink(ctx, kisi.GroupLink{
		GroupID: want.GroupID, Name: want.Name, Email: want.Email, Phone: want.Phone, LinkEnabled: &want.LinkEnabled,
		QuickResponseCodeType: want.QuickResponseCodeType, ValidFrom: want.ValidFrom, ValidUntil: want.ValidUntil,
	})
	return made(got.ID, err)
}

// change does not exist at Kisi: the worker makes a new link and deletes the old.
func (g groupLink) change(context.Context, relay.Action, int64) relay.Outcome {
	return rejected(errors.New("a link cannot be changed"))
}

func (g groupLink) revoke(ctx context.Context, object int64) relay.Outcome {
	return revoked(g.kisi.DeleteGroupLink(ctx, object))
}

func (g groupLink) find(ctx context.Context, a relay.Action, since time.Time, known []int64) relay.Outcome {
	want, err := args[groupLinkArgs](a)
	if err != nil {
		return rejected(err)
	}
	all, err := g.kisi.GroupLinks(ctx, want.GroupID, want.Name)
	out := insisting(repeatable(err))
	for _, got := range all {
		if got.Name == want.Name && got.GroupID == want.GroupID && strings.EqualFold(got.Email, want.Email) && got.Phone == want.Phone &&
			got.ValidFrom.Equal(want.ValidFrom) && got.ValidUntil.Equal(want.ValidUntil) && !got.CreatedAt.Before(since) && !slices.Contains(known, got.ID) {
			out.Objects = append(out.Objects, got.ID)
		}
	}
	return out
}
