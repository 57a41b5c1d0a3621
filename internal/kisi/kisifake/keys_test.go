package kisifake_test

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"testing"

	"doorhook/internal/kisi/kisifake"

	"github.com/google/go-cmp/cmp"
)

// The attributes that Kisi's OpenAPI document requires of its answers, and the
// optional ones that are also given.
func TestAnswersAreWhole(t *testing.T) {
	link := `id resource_type name email phone last_used_at link_enabled quick_response_code_type valid_from valid_until
		created_at updated_at group_id group created_by_type created_by_id created_by issued_by_id issued_by`
	login := `id created_at updated_at type name primary expire last_used_at device_brand device_model os_name user_id user app
		user_agent device os scram_credentials has_primary_device email notifications_unread_count otp_required_for_login
		otp_enabled_at image primary_login_exists`
	schedule := `id resource_type created_at updated_at name enabled override consequence scheduleable_type scheduleable_id
		scheduleable place_id place integration_id type`
	for name, c := range map[string]struct{ method, path, body, want string }{
		"schedule": {"POST", "/schedules", `{"schedule":{` + single + `,` + window + `}}`, schedule + ` starts_at ends_at`},
		"weekly": {
			"POST", "/schedules", `{"schedule":{"enabled":true,"consequence":"allow","scheduleable_type":"Group","scheduleable_id":32693,"type":"recurring_event",` + weekly + `}}`,
			schedule + ` monday tuesday wednesday thursday friday saturday sunday starts_at_time ends_at_time next_occurence`,
		},
		"new link": {
			"POST", "/group_links", `{"group_link":{"group_id":32693,"name":"x"}}`,
			link + ` secret quick_response_code_token quick_response_code_image`,
		},
		"link": {"GET", "/group_links", "", link},
		"lock": {"GET", "/locks", "", `id resource_type created_at updated_at configured description first_to_arrive_required_until
			first_to_arrive_satisfied latitude locked_down locked_down_since longitude name on_scheduled_unlock online open order_id
			unlocked geofence_restriction_enabled geofence_restriction_radius reader_restriction_enabled time_restriction_enabled
			time_restriction_time_zone place_id place floor_id groups_count unlocked_until`},
		"group": {"GET", "/groups", "", `id resource_type name description created_at updated_at geofence_restriction_enabled
			geofence_restriction_radius primary_device_restriction_enabled managed_device_restriction_enabled
			reader_restriction_enabled time_restriction_enabled tap_to_access_restriction_enabled login_enabled users_count
			locks_count elevator_stops_count place_id time_restriction_time_zone members_count place`},
		"group lock": {
			"GET", "/group_locks?group_id=32693", "",
			`id resource_type created_at updated_at group_id group lock_id lock place_id place`,
		},
		"login": {"GET", "/login", "", login},
		"role":  {"GET", "/roles", "", `id resource_type applies_to name description custom permissions custom_role_id`},
		"role assignment": {"GET", "/role_assignments", "", `id resource_type created_at updated_at role_id notify applies_to_type
			applies_to_id applies_to assignee_type assignee_id assignee created_by_type created_by_id user_id user assignee_team_id
			guest_id issued_by_id type scope organization_id organization`},
		"new login": {
			"POST", "/logins", `{"login":{"type":"api"},"user":{"email":"o@example.com","password":"pw"}}`,
			login + ` secret authentication_token`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := fake(t, kisifake.Options{Email: "o@example.com", Password: "pw"})
			idOf(t, ask(s, "POST", "/group_links", `{"group_link":{"group_id":32693,"name":"first"}}`))
			text := strings.TrimPrefix(ask(s, c.method, c.path, c.body).Body.String(), "[")
			var one map[string]any
			if err := json.NewDecoder(strings.NewReader(text)).Decode(&one); err != nil {
				t.Fatal(text, err)
			}
			wanted := strings.Fields(c.want)
			slices.Sort(wanted)
			if diff := cmp.Diff(wanted, slices.Sorted(maps.Keys(one))); diff != "" {
				t.Errorf("attributes (-want +got):\n%s", diff)
			}
		})
	}
}
