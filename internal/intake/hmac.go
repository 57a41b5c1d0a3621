package intake

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"net/textproto"
	"slices"
	"strconv"
	"strings"
	"time"

	"doorhook/internal/relay"
)

// maxSignature is how long a header with signatures may be, in bytes: room for those of
// a dozen keys.
const maxSignature = 2048

// signature is what the head of a request says of who signed its body.
type signature struct {
	macs [][]byte // any one suffices; never empty
	time string   // as it was signed
	id   string   // of a standard webhook
}

// signed reports whether the body of req, as it was sent, is signed with the key of a.
func signed(a relay.Auth, req Request, now time.Time) bool {
	s, ok := signatureOf(a.HMAC, req, now)
	if !ok || a.Secret == "" {
		return false
	}
	mac := hmac.New(sha256.New, []byte(a.Secret.Reveal()))
	mac.Write(s.before(a.HMAC.Scheme)) // never fails
	mac.Write(req.Body)
	sum, right := mac.Sum(nil), false
	for _, given := range s.macs {
		right = hmac.Equal(given, sum) || right
	}
	return right
}

// signs reports whether the head of req says that its body is signed, and when that
// was is not too long ago. Whether it is true only the body can show.
func signs(auths []relay.Auth, req Request, now time.Time) bool {
	return slices.ContainsFunc(auths, func(a relay.Auth) bool {
		_, ok := signatureOf(a.HMAC, req, now)
		return ok && a.Kind == "hmac" && a.Secret != ""
	})
}

// bySignature reports whether nothing but a signature can have let req in.
func bySignature(auths []relay.Auth, req Request, now time.Time) bool {
	isHMAC := func(a relay.Auth) bool { return a.Kind == "hmac" }
	return slices.ContainsFunc(auths, isHMAC) && !authorised(slices.DeleteFunc(slices.Clone(auths), isHMAC), req, now)
}

// before is what is signed in front of the body.
func (s signature) before(scheme string) []byte {
	switch scheme {
	case relay.SignsTimestampBody, relay.SignsStripe:
		return []byte(s.time + ".")
	case relay.SignsSlack:
		return []byte("v0:" + s.time + ":")
	case relay.SignsStandardWebhooks:
		return []byte(s.id + "." + s.time + ".")
	}
	return nil
}

// signatureOf reads the head of req; false if it has no signature that could be right.
func signatureOf(h relay.HMAC, req Request, now time.Time) (s signature, ok bool) {
	text := header(req, h.Header)
	if text == "" || len(text) > maxSignature {
		return s, false
	}
	parts := []string{text}
	switch h.Scheme {
	case relay.SignsBody, relay.SignsTimestampBody, relay.SignsSlack:
	case relay.SignsStripe:
		parts = strings.Split(text, ",")
		s.time, ok = stripeTime(parts)
		parts = slices.DeleteFunc(parts, func(p string) bool { return !strings.HasPrefix(p, h.Prefix) }) // there are others, such as v0=
	case relay.SignsStandardWebhooks:
		parts = strings.Fields(text)
		parts = slices.DeleteFunc(parts, func(p string) bool { return !strings.HasPrefix(p, h.Prefix) })
		if s.id = header(req, "Webhook-Id"); s.id == "" {
			return s, false
		}
	default:
		return s, false
	}
	if h.Timestamp != "" {
		s.time = header(req, h.Timestamp)
		ok = s.time != ""
	}
	if h.Tolerance > 0 && (!ok || !recent(s.time, now, h.Tolerance)) {
		return s, false
	}
	for _, p := range parts {
		mac, ok := decode(p, h)
		if !ok {
			return s, false
		}
		s.macs = append(s.macs, mac)
	}
	return s, len(s.macs) > 0
}

// header is the one header of that name; "" if there is none, or more.
func header(req Request, name string) string {
	return only(req.Header[textproto.CanonicalMIMEHeaderKey(name)])
}

// stripeTime is the one t=… of a list.
func stripeTime(parts []string) (at string, ok bool) {
	for _, p := range parts {
		if t, is := strings.CutPrefix(p, "t="); is {
			if ok {
				return "", false
			}
			at, ok = t, true
		}
	}
	return at, ok
}

// recent reports whether the Unix time in text is no further from now than most. It
// takes digits alone: what was signed is the text.
func recent(text string, now time.Time, most time.Duration) bool {
	if strings.Trim(text, "0123456789") != "" || len(text) > 12 {
		return false
	}
	seconds, err := strconv.ParseInt(text, 10, 64)
	return err == nil && now.Sub(time.Unix(seconds, 0)).Abs() <= most
}

// decode reads one signature.
func decode(text string, h relay.HMAC) ([]byte, bool) {
	text, found := strings.CutPrefix(text, h.Prefix)
	if !found && !h.Bare {
		return nil, false
	}
	if h.Encoding != "base64" && len(text) == hex.EncodedLen(sha256.Size) {
		mac, err := hex.DecodeString(text)
		return mac, err == nil
	}
	if h.Encoding != "hex" && len(text) == base64.StdEncoding.EncodedLen(sha256.Size) {
		mac, err := base64.StdEncoding.Strict().DecodeString(text)
		return mac, err == nil && len(mac) == sha256.Size
	}
	return nil, false
}

// empty reports whether there is nothing in a body.
func empty(body []byte) bool { return len(bytes.TrimSpace(bytes.TrimPrefix(body, []byte(bom)))) == 0 }
