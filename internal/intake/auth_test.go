package intake

import (
	"encoding/base64"
	"net/url"
	"testing"

	"doorhook/internal/relay"
)

func TestAuthorised(t *testing.T) {
	var (
		bearer = relay.Auth{Kind: "bearer", Secret: "s3cret"}
		basic  = relay.Auth{Kind: "basic", Name: "zapier", Secret: "pa:ss"}
		header = relay.Auth{Kind: "header", Name: "x-door-key", Secret: "k3y"}
		query  = relay.Auth{Kind: "query", Name: "token", Secret: "t0ken"}
	)
	authorization := func(values ...string) Request {
		return Request{Header: map[string][]string{"Authorization": values}}
	}
	basicOf := func(text string) string { return base64.StdEncoding.EncodeToString([]byte(text)) }

	tests := []struct {
		name string
		auth []relay.Auth
		req  Request
		want bool
	}{
		{"bearer", []relay.Auth{bearer}, authorization("Bearer s3cret"), true},
		{"the scheme in any case", []relay.Auth{bearer}, authorization("bEARER s3cret"), true},
		{"more space", []relay.Auth{bearer}, authorization("Bearer   s3cret"), true},
		{"wrong bearer", []relay.Auth{bearer}, authorization("Bearer s3creT"), false},
		{"part of the bearer", []relay.Auth{bearer}, authorization("Bearer s3cre"), false},
		{"bare secret", []relay.Auth{bearer}, authorization("s3cret"), false},
		{"other scheme", []relay.Auth{bearer}, authorization("Token s3cret"), false},
		{"no header", []relay.Auth{bearer}, Request{}, false},
		{"two headers", []relay.Auth{bearer}, authorization("Bearer s3cret", "Bearer s3cret"), false},
		{"two headers, though another way would do", []relay.Auth{bearer, {Kind: "none"}}, authorization("Bearer a", "Bearer b"), false},
		{"basic", []relay.Auth{basic}, authorization("basic " + basicOf("zapier:pa:ss")), true},
		{"wrong user", []relay.Auth{basic}, authorization("Basic " + basicOf("zap:pa:ss")), false},
		{"wrong password", []relay.Auth{basic}, authorization("Basic " + basicOf("zapier:pa")), false},
		{"no colon", []relay.Auth{basic}, authorization("Basic " + basicOf("zapier")), false},
		{"not base64", []relay.Auth{basic}, authorization("Basic zapier:pa:ss"), false},
		{"base64 with a tail", []relay.Auth{basic}, authorization("Basic " + basicOf("zapier:pa:ss") + "!"), false},
		{"header", []relay.Auth{header}, Request{Header: map[string][]string{"X-Door-Key": {"k3y"}}}, true},
		{"header twice", []relay.Auth{header}, Request{Header: map[string][]string{"X-Door-Key": {"k3y", "k3y"}}}, false},
		{"wrong header", []relay.Auth{header}, Request{Header: map[string][]string{"X-Door": {"k3y"}}}, false},
		{"query", []relay.Auth{query}, Request{Query: url.Values{"token": {"t0ken"}}}, true},
		{"query twice", []relay.Auth{query}, Request{Query: url.Values{"token": {"t0ken", "x"}}}, false},
		{"any one suffices", []relay.Auth{bearer, basic, header, query}, Request{Query: url.Values{"token": {"t0ken"}}}, true},
		{"the first suffices", []relay.Auth{bearer, basic, header, query}, authorization("Bearer s3cret"), true},
		{"none", []relay.Auth{{Kind: "none"}}, Request{}, true},
		{"no way in", nil, authorization("Bearer s3cret"), false},
		{"unknown way in", []relay.Auth{{Kind: "oauth", Secret: "s3cret"}}, authorization("oauth s3cret"), false},
		{"way in without a kind", []relay.Auth{{}}, Request{}, false},
		{"empty bearer", []relay.Auth{{Kind: "bearer"}}, authorization("Bearer "), false},
		{"empty bearer and no header", []relay.Auth{{Kind: "bearer"}}, Request{}, false},
		{"empty basic", []relay.Auth{{Kind: "basic", Name: "zapier"}}, authorization("Basic " + basicOf("zapier:")), false},
		{"empty header", []relay.Auth{{Kind: "header", Name: "X-Door-Key"}}, Request{Header: map[string][]string{"X-Door-Key": {""}}}, false},
		{"empty query", []relay.Auth{{Kind: "query", Name: "token"}}, Request{Query: url.Values{"token": {""}}}, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := authorised(tt.auth, tt.req, noon); got != tt.want {
				t.Errorf("authorised = %v", got)
			}
		})
	}
}

func TestUnauthorizedNamesTheSchemes(t *testing.T) {
	auths := []relay.Auth{{Kind: "basic"}, {Kind: "query"}, {Kind: "bearer"}, {Kind: "basic"}}
	got := unauthorized(auths).(*UnauthorizedError).Schemes
	if len(got) != 2 || got[0] != "Basic" || got[1] != "Bearer" {
		t.Errorf("schemes %q", got)
	}
}

func FuzzAuthorised(f *testing.F) {
	f.Add("Bearer s3cret", "s3cret", "s3cret")
	f.Add("Basic emFwaWVyOnMzY3JldA==", "zapier", "s3cret")
	f.Add("Bearer ", "", "")
	f.Add("basic Og==", "", "")
	f.Fuzz(func(t *testing.T, authorization, given, secret string) {
		req := Request{
			Header: map[string][]string{"Authorization": {authorization}, "X-Key": {given}},
			Query:  url.Values{"key": {given}},
		}
		for _, kind := range []string{"bearer", "basic", "header", "query", "other", ""} {
			if authorised([]relay.Auth{{Kind: kind, Name: "X-Key", Secret: ""}}, req, noon) {
				t.Errorf("%s: an empty secret let %q in", kind, authorization)
			}
		}
		byHeader := authorised([]relay.Auth{{Kind: "header", Name: "x-key", Secret: relay.Secret(secret)}}, req, noon)
		byQuery := authorised([]relay.Auth{{Kind: "query", Name: "key", Secret: relay.Secret(secret)}}, req, noon)
		if want := given == secret && secret != ""; byHeader != want || byQuery != want {
			t.Errorf("given %q for %q: header %v, query %v", given, secret, byHeader, byQuery)
		}
	})
}
