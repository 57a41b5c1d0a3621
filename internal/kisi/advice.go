package kisi

import (
	"errors"
	"net/http"
	"strings"
)

// Advice says in plain words what a person can do, or "" if nothing is known.
func (e *Error) Advice() string {
	if e.Status != 0 && e.Status/100 != 2 {
		if advice := adviceOnCode(e.Code); advice != "" {
			return advice
		}
	}
	return e.adviceOnStatus()
}

// adviceOnCode knows the codes that say more than the status does. "Access
// denied" (fcd8ef, fcd8ff, afc496) is not among them: what is missing then
// depends on what was asked. Source: the table of error codes in Kisi's OpenAPI
// document.
func adviceOnCode(code string) string {
	switch code {
	case "fad001":
		return "the door is locked down: lift the lockdown in Kisi"
	case "fad002":
		return "the whole place is locked down: lift the lockdown in Kisi"
	case "fad110":
		return "a schedule keeps the door unlocked already: nothing is left to do"
	case "fad10e":
		return "there is no such door, or this key may not see it: check the lock's id in Kisi"
	case "fad112":
		return "an unlock of this wireless lock is under way: try again in a few seconds"
	case "fad105", "ff420a", "fad108", "bbb93f":
		return "the door is not set up completely in Kisi: check its controller, wiring and location there"
	case "fac001", "fac002", "fac003", "fac004", "ecc123":
		return "the door's Kisi controller is offline: check its power and network"
	case "fad106", "fad10f", "fad107":
		return "the wireless lock cannot be reached: check its battery and its gateway"
	case "fbc000":
		return "the Kisi controller is updating itself: try again in a minute"
	}
	return adviceOnAccessCode(code)
}

// adviceOnAccessCode knows the codes for who may open when and from where.
func adviceOnAccessCode(code string) string {
	switch code {
	case "a3995f", "a3799f", "a3793f", "a7793f", "bbb99f":
		return "the door opens only to somebody near it: turn off the geofence restriction of the lock or group, or grant a group link, to which it does not apply"
	case "bb4faa", "bbc93f", "34bd8f":
		return "the door opens only with a phone at its reader: turn off the reader restriction of the lock or group, or grant a group link, to which it does not apply"
	case "34ffaa":
		return "a time restriction in Kisi keeps the door shut now: change it, or the time of the unlock"
	case "f35ade", "f358de", "f398de":
		return "the access right of the key's user is not valid now: check its dates in Kisi"
	case "f01337":
		return "the key's user may open this door, but not with an app or the API: allow apps in the access rights of its group"
	case "fad137":
		return "the zone refused: check its rules in Kisi"
	case "f29aef", "f298bf", "f298cf", "f298df":
		return "links do not open this door: allow them in the place and in the access rights of the group"
	case "afc516":
		return "check KISI_EMAIL, KISI_PASSWORD and KISI_DOMAIN, or use an API key instead"
	case "afc526", "afc536", "afc546":
		return "this account signs in with two factors, which a program cannot: use an API key instead"
	}
	return ""
}

func (e *Error) adviceOnStatus() string {
	switch {
	case errors.Is(e.Err, ErrDown):
		return "doorhook asks again in a few seconds; if this lasts, check the network, and see status.kisi.io"
	case errors.Is(e.Err, errTurn):
		return "" // it has not got as far as Kisi
	case e.Status == 0 && e.Unsent:
		return "check the network, the name server and the Kisi URL"
	case e.Status == 0:
		return "it may have been carried out: look in Kisi before doing it again"
	case e.Status/100 == 2:
		return "it may have been carried out: look in Kisi before doing it again"
	case e.Status/100 == 3:
		return "this is not Kisi's API: check the Kisi URL, and any proxy on the way"
	case e.Status >= 500:
		return "Kisi has a problem of its own: try again later, and see status.kisi.io"
	}
	return e.adviceOnRefusal()
}

func (e *Error) adviceOnRefusal() string {
	switch e.Status {
	case http.StatusUnauthorized:
		if e.resource() == "logins" {
			return "check KISI_EMAIL, KISI_PASSWORD and KISI_DOMAIN"
		}
		if e.resource() == "users" && e.reads() { // what Kisi documents in the place of a 403
			return "Kisi does not know this key, or its user may not see users" + ownerOr + string(ReadUsers)
		}
		return "Kisi does not know this key, or no longer: make a new one in Kisi under My Account > API, as an organization owner, and set KISI_API_KEY"
	case http.StatusForbidden:
		return e.adviceOnForbidden()
	case http.StatusNotFound:
		return "there is no such thing in Kisi, or this key may not see it: check the id"
	case http.StatusRequestTimeout, http.StatusTooManyRequests:
		return "Kisi allows 5 requests a second for all keys of one user together: give doorhook a user of its own"
	case http.StatusConflict:
		return "it cannot be done as things stand in Kisi"
	case http.StatusBadRequest, http.StatusUnprocessableEntity:
		return "correct what Kisi names in the rule that asked for it"
	}
	return ""
}

// ownerOr goes before the name of a permission.
const ownerOr = ": use the key of an organization owner or of a role with "

// reads reports whether the request was to see something.
func (e *Error) reads() bool { return strings.HasPrefix(e.Op, http.MethodGet+" ") }

// adviceOnForbidden names the permission of a Kisi role that allows what was
// asked. Source: OpenAPI, GET /roles; that the lack of one is a 403 is inferred.
func (e *Error) adviceOnForbidden() string {
	switch e.resource() {
	case "schedules":
		return "this API key may not manage schedules" + ownerOr + "schedules_write"
	case "group_links":
		return "this API key may not manage group links" + ownerOr + "group_links_write"
	case "role_assignments":
		if e.reads() {
			return "this API key may not see who has which role" + ownerOr + string(ReadRoles)
		}
		return "this API key may not manage who has which role" + ownerOr + string(WriteRoles)
	case "users":
		if e.reads() {
			return "this API key may not see users" + ownerOr + string(ReadUsers)
		}
		return "this API key may not add users" + ownerOr + string(WriteUsers)
	case "unlock":
		return "this API key may not open this door" + ownerOr + "locks_unlock"
	case "event_sets":
		return "this API key may not read what happened" + ownerOr + string(ReadEvents)
	case "logins":
		return "Kisi refuses this sign-in: it allows ten API logins per user, and none by password where single sign-on is required; use an API key instead"
	}
	return "this API key may not do that: use the key of an organization owner"
}

// resource is what of Kisi the request was about.
func (e *Error) resource() string {
	_, path, _ := strings.Cut(e.Op, " ")
	parts := strings.Split(strings.Trim(path, "/"), "/")
	if len(parts) == 3 && parts[0] == "locks" {
		return parts[2]
	}
	return parts[0]
}
