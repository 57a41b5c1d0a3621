package golden

import (
	"fmt"
	"slices"
	"strconv"

	"doorhook/internal/kisi/kisifake"
	"doorhook/internal/relay"
)

// usersOf are those that a case says Kisi has, and those whom actions name by their ids.
// Whom they name by an e-mail address Kisi does not know yet.
func usersOf(said []kisifake.User, actions []relay.Action) []kisifake.User {
	users := append([]kisifake.User{}, said...)
	for _, a := range actions {
		v, _ := args(a).get("user_id")
		id := idOf(v)
		known := slices.ContainsFunc(users, func(u kisifake.User) bool { return u.ID == id })
		if a.Kind == relay.RoleAssignment && id != 0 && !known {
			users = append(users, kisifake.User{ID: id})
		}
	}
	return users
}

// roles are the role assignments that there are in Kisi.
func (w *world) roles() []any {
	var out []any
	emails := map[int64]string{}
	for _, u := range w.kisi.Users() {
		emails[u.ID] = u.Email
	}
	for _, r := range w.kisi.RoleAssignments() {
		who := field{"email", emails[r.AssigneeID]}
		if who.value == "" {
			who = field{"user_id", number(r.AssigneeID)}
		}
		out = append(out, fields{{"role_assignment " + strconv.FormatInt(r.ID, 10), inOrder(relay.RoleAssignment, fields{
			{"group_id", number(r.AppliesToID)},
			who,
			{"role_id", r.RoleID},
			{"valid_from", moment(r.ValidFrom)},
			{"valid_until", moment(r.ValidUntil)},
			{"notify", r.Notify},
		})}})
	}
	return out
}

func idOf(v any) int64 {
	n, _ := strconv.ParseInt(fmt.Sprint(v), 10, 64)
	return n
}
