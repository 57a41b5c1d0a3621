package kisifake

import (
	"crypto/rand"
	"slices"
	"time"
)

// GroupLink is a link that exists.
type GroupLink struct {
	ID                    int64
	GroupID               int64
	Name                  string
	Email, Phone          string
	LinkEnabled           bool
	QuickResponseCodeType string
	ValidFrom, ValidUntil time.Time
	CreatedAt             time.Time

	secret string
}

// GroupLinks gives the links that exist, oldest first.
func (s *Server) GroupLinks() []GroupLink {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := make([]GroupLink, len(s.links))
	for i, one := range s.links {
		all[i] = *one
		all[i].secret = ""
	}
	return all
}

// aPicture stands for the picture of a QR code: the start of any PNG.
const aPicture = "iVBORw0KGgo="

// postGroupLinks makes a link: POST /group_links. Only its answer has the secret.
func (s *Server) postGroupLinks(c *call) answer {
	v, p := readWrapped(c.body, "group_link", []attribute{
		{name: "group_id", kind: integer, required: true},
		{name: "name", kind: text, required: true},
		{name: "email", kind: email, null: true},
		{name: "phone", kind: phone, null: true},
		{name: "quick_response_code_type", kind: text, null: true, oneOf: []string{"online", "offline"}},
		{name: "link_enabled", kind: boolean},
		{name: "valid_from", kind: moment, null: true},
		{name: "valid_until", kind: moment, null: true},
	})
	one := &GroupLink{LinkEnabled: v["link_enabled"] != false, CreatedAt: c.now, secret: rand.Text()}
	one.GroupID, _ = v["group_id"].(int64)
	one.Name, _ = v["name"].(string)
	one.Email, _ = v["email"].(string)
	one.Phone, _ = v["phone"].(string)
	one.QuickResponseCodeType, _ = v["quick_response_code_type"].(string)
	one.ValidFrom, _ = v["valid_from"].(time.Time)
	one.ValidUntil, _ = v["valid_until"].(time.Time)
	if len(p) == 0 {
		s.checkLink(one, p)
	}
	if len(p) > 0 {
		return invalid(p)
	}
	one.ID = s.id()
	s.links = append(s.links, one)
	return ok(s.newLinkBody(one))
}

func (s *Server) checkLink(one *GroupLink, p problems) {
	if s.nameOf("Group", one.GroupID) == "" {
		p.add("group", "must exist")
	}
	if !one.ValidFrom.IsZero() && !one.ValidUntil.IsZero() && !one.ValidFrom.Before(one.ValidUntil) {
		p.add("valid_until", "must be after valid_from")
	}
	if one.Email != "" && s.o.EmailLinks > 0 && s.emailLinks() >= s.o.EmailLinks {
		p.add("base", "the organization has reached its number of e-mail links")
	}
}

// emailLinks counts expired ones too; whether Kisi does is not documented.
func (s *Server) emailLinks() int {
	n := 0
	for _, l := range s.links {
		if l.Email != "" {
			n++
		}
	}
	return n
}

// getGroupLinks lists: GET /group_links.
func (s *Server) getGroupLinks(c *call) answer {
	p := readParams(c, 10, "group_id", "query")
	var all []map[string]any
	for _, one := range s.links {
		if p.inIDs(one.ID) && p.has("group_id", one.GroupID) &&
			p.matches(one.Name, one.Email, one.Phone, s.nameOf("Group", one.GroupID)) {
			all = append(all, s.linkBody(one))
		}
	}
	return page(p, all)
}

// deleteGroupLink deletes: DELETE /group_links/{id}, the only thing that can be
// done to a link.
func (s *Server) deleteGroupLink(c *call) answer {
	before := len(s.links)
	s.links = slices.DeleteFunc(s.links, func(one *GroupLink) bool { return one.ID == c.id })
	if len(s.links) == before {
		return notFound()
	}
	return noContent()
}

func (s *Server) linkBody(one *GroupLink) map[string]any {
	owner := map[string]any{"id": ownerID, "resource_type": "User", "name": "Owner"}
	return map[string]any{
		"id": one.ID, "resource_type": "GroupLink", "name": one.Name, "email": orNull(one.Email), "phone": orNull(one.Phone),
		"last_used_at": nil, "link_enabled": one.LinkEnabled, "quick_response_code_type": orNull(one.QuickResponseCodeType),
		"valid_from": stamp(one.ValidFrom), "valid_until": stamp(one.ValidUntil),
		"created_at": stamp(one.CreatedAt), "updated_at": stamp(one.CreatedAt), "group_id": one.GroupID,
		"group":           map[string]any{"id": one.GroupID, "resource_type": "Group", "name": s.nameOf("Group", one.GroupID)},
		"created_by_type": "User", "created_by_id": ownerID, "created_by": owner, "issued_by_id": ownerID, "issued_by": owner,
	}
}

func (s *Server) newLinkBody(one *GroupLink) map[string]any {
	body := s.linkBody(one)
	body["secret"], body["quick_response_code_token"], body["quick_response_code_image"] = one.secret, nil, nil
	if one.QuickResponseCodeType != "" {
		body["quick_response_code_token"], body["quick_response_code_image"] = rand.Text(), aPicture
	}
	return body
}
