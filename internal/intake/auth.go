package intake

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"strings"
	"time"

	"doorhook/internal/relay"
)

// authorised reports whether req satisfies any of auths. It looks at all of them
// whatever the first ones say, so that the time it takes tells nothing.
func authorised(auths []relay.Auth, req Request, now time.Time) bool {
	if len(req.Header["Authorization"]) > 1 { // two readers might each see another one
		return false
	}
	ok := false
	for _, a := range auths {
		ok = satisfies(a, req, now) || ok
	}
	return ok
}

func satisfies(a relay.Auth, req Request, now time.Time) bool {
	switch a.Kind {
	case "none":
		return true
	case "bearer":
		return same(credentials(req, "bearer"), a.Secret.Reveal())
	case "basic":
		return satisfiesBasic(a, req)
	case "header":
		return same(header(req, a.Name), a.Secret.Reveal())
	case "query":
		return same(only(req.Query[a.Name]), a.Secret.Reveal())
	case "hmac":
		return signed(a, req, now)
	case "alias":
		return req.Alias != ""
	}
	return false
}

func satisfiesBasic(a relay.Auth, req Request) bool {
	text, err := base64.StdEncoding.DecodeString(credentials(req, "basic"))
	user, secret, found := strings.Cut(string(text), ":")
	rightUser := subtle.ConstantTimeCompare(sum(user), sum(a.Name)) == 1
	rightSecret := same(secret, a.Secret.Reveal())
	return err == nil && found && rightUser && rightSecret
}

// credentials is what follows the scheme in the Authorization header.
func credentials(req Request, scheme string) string {
	got, rest, _ := strings.Cut(only(req.Header["Authorization"]), " ")
	if !strings.EqualFold(got, scheme) {
		return ""
	}
	return strings.TrimLeft(rest, " ")
}

// only is the one value there is; of several, none can be trusted.
func only(values []string) string {
	if len(values) != 1 {
		return ""
	}
	return values[0]
}

// same compares in a time that depends on neither text. Nothing equals an empty
// secret: it is a setting that somebody forgot.
func same(given, secret string) bool {
	equal := subtle.ConstantTimeCompare(sum(given), sum(secret)) == 1
	return equal && secret != ""
}

func sum(text string) []byte {
	s := sha256.Sum256([]byte(text))
	return s[:]
}
