package kisi

import (
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

func TestParseRefusal(t *testing.T) {
	for body, want := range map[string][2]string{
		`{"error":"Wrong email address or password.","code":"afc516"}`:                     {"afc516", "Wrong email address or password."},
		`{"errors":{"email":["can't be blank or invalid"],"password":["can't be blank"]}}`: {"", "email can't be blank or invalid; password can't be blank"},
		`{"errors":{"base":["is full"]}}`:                                                  {"", "is full"},
		`{"errors":{"name":"is odd"}}`:                                                     {"", "name is odd"},
		`{"errors":["one","two",3,null]}`:                                                  {"", "one; two"},
		`{"errors":"all wrong"}`:                                                           {"", "all wrong"},
		`{"errors":{"a":{"b":["deep"]}}}`:                                                  {"", ""},
		`{"error":{"message":"nested"}}`:                                                   {"", "message nested"},
		`{"error":"invalid_redirect_uri.","error_description":"why"}`:                      {"", "invalid_redirect_uri."},
		`{"error":"","errors":{"x":["y"]}}`:                                                {"", "x y"},
		`{"message":"other"}`:                                                              {"", "other"},
		`{"code":"abc123"}`:                                                                {"abc123", ""},
		`{"error":"x","code":"000000"}`:                                                    {"", "x"},
		`{"error":"x","code":17}`:                                                          {"", "x"},
		`{"error":"x","code":"not a code"}`:                                                {"", "x"},
		`{"error":7}`:                                                                      {"", ""}, ``: {"", ""}, `null`: {"", ""}, `[]`: {"", ""}, `"x"`: {"", ""}, `<html>`: {"", ""}, `{"error":"cut`: {"", ""},
	} {
		if code, reason := parseRefusal([]byte(body)); code != want[0] || reason != want[1] {
			t.Errorf("%s\ngot  %q %q\nwant %q", body, code, reason, want)
		}
	}
}

func FuzzParseRefusal(f *testing.F) {
	for _, seed := range []string{
		``, `{}`, `{"error":"x","code":"fad001"}`, `{"errors":{"a":["b"]}}`, `{"errors":[[[["x"]]]]}`, `<html>`,
		`{"error":"\u0000\n\ud800"}`, strings.Repeat(`{"errors":`, 100),
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		code, reason := parseRefusal(body)
		short := shorten(reason)
		if len(code) > 12 || utf8.RuneCountInString(short) > 300 || strings.ContainsAny(short, "\r\n\x00") || !utf8.ValidString(short) {
			t.Errorf("got %q %q", code, short)
		}
		if shorten(short) != short {
			t.Errorf("%q is not stable", short)
		}
		text := (&Error{Op: "POST /x", Status: 422, Code: code, Reason: short}).Error()
		if strings.ContainsAny(text, "\r\n") {
			t.Errorf("%q is not one line", text)
		}
	})
}

func TestRetryAfterHeader(t *testing.T) {
	now := time.Date(2026, 10, 10, 9, 0, 0, 0, time.UTC)
	for text, want := range map[string]time.Duration{
		"": 0, "0": 0, "7": 7 * time.Second, "-7": 0, "soon": 0, "1.5": 0, "999999999": 24 * time.Hour,
		"Sat, 10 Oct 2026 09:02:00 GMT": 2 * time.Minute,
		"Sat, 10 Oct 2026 08:00:00 GMT": 0,
		"Sat, 10 Oct 2099 08:00:00 GMT": 24 * time.Hour,
	} {
		if got := RetryAfter(text, now); got != want {
			t.Errorf("%q: got %s, want %s", text, got, want)
		}
	}
}

func TestSealIsForOneAccountAndPassword(t *testing.T) {
	mine, err := newSeal("password", "mine")
	if err != nil {
		t.Fatal(err)
	}
	text := mine.close("secret")
	if plain, err := mine.open(text); err != nil || plain != "secret" {
		t.Errorf("opened %q, %v", plain, err)
	}
	if mine.close("secret") == text {
		t.Error("two seals of one secret are the same")
	}
	for name, of := range map[string][2]string{"password": {"other", "mine"}, "account": {"password", "other"}} {
		s, err := newSeal(of[0], of[1])
		if err != nil {
			t.Fatal(err)
		}
		if plain, err := s.open(text); err == nil {
			t.Errorf("another %s opened it: %q", name, plain)
		}
	}
}
