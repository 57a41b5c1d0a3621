package kisi

import (
	"context"
	"net/http"
	"net/url"
	"time"
)

// GroupLink opens the locks of a group to whoever has the link. Its secret and
// its QR code are in Kisi's answer to its creation only, and are not kept here.
type GroupLink struct {
	ID                    int64     `json:"id"`
	GroupID               int64     `json:"group_id"`
	Name                  string    `json:"name"`
	Email                 string    `json:"email"`                    // Kisi mails the link there; "" mails nothing
	Phone                 string    `json:"phone"`                    // E.164, US, Canada and Puerto Rico only
	LinkEnabled           *bool     `json:"link_enabled"`             // nil is Kisi's default, true
	QuickResponseCodeType string    `json:"quick_response_code_type"` // "online", "offline" or ""
	ValidFrom             time.Time `json:"valid_from"`               // zero is at once
	ValidUntil            time.Time `json:"valid_until"`              // zero is for ever
	CreatedAt             time.Time `json:"created_at"`
}

// CreateGroupLink makes a link, and has Kisi mail it if l has an Email. ID and
// CreatedAt of l are not looked at.
func (c *Client) CreateGroupLink(ctx context.Context, l GroupLink) (GroupLink, error) {
	body := map[string]any{"group_id": l.GroupID, "name": l.Name}
	for name, text := range map[string]string{
		"email": l.Email, "phone": l.Phone, "quick_response_code_type": l.QuickResponseCodeType,
	} {
		if text != "" {
			body[name] = text
		}
	}
	for name, t := range map[string]time.Time{"valid_from": l.ValidFrom, "valid_until": l.ValidUntil} {
		if !t.IsZero() {
			body[name] = moment(t)
		}
	}
	if l.LinkEnabled != nil {
		body["link_enabled"] = *l.LinkEnabled
	}
	var made GroupLink
	err := c.create(ctx, request{method: http.MethodPost, path: "/group_links", body: wrap("group_link", body)}, &made, &made.ID)
	return made, err
}

// DeleteGroupLink deletes link id. Kisi has no way to change one.
func (c *Client) DeleteGroupLink(ctx context.Context, id int64) error {
	return c.call(ctx, request{method: http.MethodDelete, path: "/group_links/" + itoa(id)}, nil)
}

// GroupLinks lists the links of a group. A query keeps those whose name,
// e-mail address or phone, or whose group's name, contains it.
func (c *Client) GroupLinks(ctx context.Context, groupID int64, query string) ([]GroupLink, error) {
	q := url.Values{"group_id": {itoa(groupID)}}
	if query != "" {
		q.Set("query", query)
	}
	return list(ctx, c, "/group_links", q, func(l GroupLink) int64 { return l.ID })
}
