// Package kisifake is a Kisi server for tests, demonstrations and dry runs: it
// knows the part of Kisi's API that opens doors, keeps what it is told, and is
// stricter than Kisi where Kisi's strictness is unknown, so that a wrong request
// fails here first.
//
// What it does follows Kisi's OpenAPI document "Kisi API 1.0.0" and the pages of
// docs.kisi.io. Neither says everything. These choices are ours:
//
//   - an unwrapped body, an attribute or query parameter Kisi does not have, a
//     value of another type, and a limit over 250 answer 422; a body that is not
//     announced as JSON answers 415, one without Accept: application/json 406;
//   - a lock or group that does not exist answers 422 to a creation;
//   - PATCH /schedules/{id} answers 422 to what cannot be changed;
//   - single events and links that end before they start answer 422, those in
//     the past are accepted;
//   - error codes have the HTTP status that their meaning suggests;
//   - a missing permission is 403 "Access denied.";
//   - the eleventh API login of a user is 403;
//   - the one user is the organization's owner, by a role named organization_owner
//     that is assigned like any other.
//
// Left out: users, roles that change, guests, shares, events, webhooks, elevators, two
// factors, access keys, OAuth, and the sort and favorite parameters of lists.
package kisifake
