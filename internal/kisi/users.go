package kisi

import (
	"context"
	"net/http"
	"net/url"
	"strings"
)

// User is somebody who may be given access.
type User struct {
	ID    int64  `json:"id"`
	Name  string `json:"name"`
	Email string `json:"email"`
}

// usersPage is the longest page of users (OpenAPI, GET /users).
const usersPage = 100

// UserByEmail finds the user with an e-mail address, whatever its case; false if there
// is none. What Kisi gives is compared again: its pages show a search by free text in
// the place of the filter (docs.kisi.io), and a part of an address is another person.
func (c *Client) UserByEmail(ctx context.Context, email string) (User, bool, error) {
	all, err := listBy(ctx, c, "/users", url.Values{"email": {email}}, usersPage, func(u User) int64 { return u.ID })
	for _, u := range all {
		if strings.EqualFold(u.Email, email) {
			return u, true, nil
		}
	}
	return User{}, false, err
}

// User gives the user with an id.
func (c *Client) User(ctx context.Context, id int64) (User, error) {
	var u User
	err := c.call(ctx, request{method: http.MethodGet, path: "/users/" + itoa(id)}, &u)
	return u, err
}

// CreateUser makes a user whom Kisi sends nothing, and who need not confirm anything.
// ID of u is not looked at. Kisi refuses an address that a user has already.
func (c *Client) CreateUser(ctx context.Context, u User) (User, error) {
	body := map[string]any{"email": u.Email, "name": u.Name, "send_emails": false, "confirm": true, "access_enabled": true}
	var made User
	err := c.create(ctx, request{method: http.MethodPost, path: "/users", body: wrap("user", body)}, &made, &made.ID)
	return made, err
}
