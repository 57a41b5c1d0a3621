// Package kisi is a typed client for the part of the Kisi access-control API
// that opens doors: locks, schedules, group links and groups. It makes one
// request at a time, repeats none but after a sign-in, and says of each failure
// what Kisi answered and what a person can do about it. When to try again is
// for its callers to decide; while Kisi is down it sends nothing but, now and
// then, one request to see whether it is up again.
//
// Facts about Kisi come from its OpenAPI document "Kisi API 1.0.0" and from the
// pages of docs.kisi.io.
package kisi
