package intake

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/google/go-cmp/cmp"
	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"doorhook/internal/relay"
	"doorhook/internal/rules"
)

const signatureSecret = "test-secret"

// standardKey is signatureSecret as a key of Standard Webhooks.
var standardKey = "whsec_" + base64.StdEncoding.EncodeToString([]byte(signatureSecret))

// wayOf is the way in that an auth of a rule file says.
func wayOf(t testing.TB, hmac string) []relay.Auth {
	t.Helper()
	file := fstest.MapFS{"a.yaml": {Data: []byte("trigger: a\nauth:\n  - hmac: " + hmac + "\n")}}
	set, err := rules.Load(file, "rules", func(name string) string {
		return map[string]string{"KEY": signatureSecret, "OTHER": "other-secret", "STANDARD": standardKey}[name]
	})
	if err != nil {
		t.Fatal(err)
	}
	trigger, _ := set.Trigger("a")
	return trigger.Auth
}

func mac(key string, parts ...string) []byte {
	h := hmac.New(sha256.New, []byte(key))
	for _, p := range parts {
		h.Write([]byte(p))
	}
	return h.Sum(nil)
}

func hexMAC(key string, parts ...string) string { return hex.EncodeToString(mac(key, parts...)) }

// kisiVector is a signature of testdata/kisi-event.json that was computed elsewhere.
const kisiVector = "e82afa75751190b2a558fcfb96bd14c832f755b662a434765d5f2ab347888c4a"

func TestKisiSignature(t *testing.T) {
	body, err := os.ReadFile("testdata/kisi-event.json")
	if err != nil {
		t.Fatal(err)
	}
	b64 := base64.StdEncoding.EncodeToString(mac(signatureSecret, string(body)))
	for _, tt := range []struct {
		name    string
		headers []string
		change  func(body []byte) []byte
		want    bool
	}{
		{name: "as it is documented", headers: []string{"sha256=" + kisiVector}, want: true},
		{name: "no prefix", headers: []string{kisiVector}, want: true},
		{name: "upper case", headers: []string{"sha256=" + strings.ToUpper(kisiVector)}, want: true},
		{name: "base64", headers: []string{"sha256=" + b64}, want: true},
		{name: "base64, no prefix", headers: []string{b64}, want: true},
		{name: "the prefix in upper case", headers: []string{"SHA256=" + kisiVector}},
		{name: "twice", headers: []string{kisiVector, kisiVector}},
		{name: "two in one", headers: []string{kisiVector + "," + kisiVector}},
		{name: "truncated", headers: []string{"sha256=" + kisiVector[:62]}},
		{name: "longer", headers: []string{"sha256=" + kisiVector + "00"}},
		{name: "not hex", headers: []string{"sha256=" + strings.Repeat("z", 64)}},
		{name: "base64 with bits left over", headers: []string{b64[:42] + string(b64[42]+1) + "="}},
		{name: "the prefix alone", headers: []string{"sha256="}},
		{name: "empty", headers: []string{""}},
		{name: "none"},
		{name: "with another key", headers: []string{hexMAC("other-secret", string(body))}},
		{name: "with no key", headers: []string{hexMAC("", string(body))}},
		{name: "of nothing", headers: []string{hexMAC(signatureSecret)}},
		{name: "a byte more", headers: []string{kisiVector}, change: func(b []byte) []byte { return append(b, '\n') }},
		{name: "a byte less", headers: []string{kisiVector}, change: func(b []byte) []byte { return b[:len(b)-1] }},
		{name: "another bit", headers: []string{kisiVector}, change: func(b []byte) []byte { b[5] ^= 1; return b }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			req := Request{Header: map[string][]string{"X-Signature": tt.headers}, Body: append([]byte{}, body...)}
			if tt.change != nil {
				req.Body = tt.change(req.Body)
			}
			if got := authorised(wayOf(t, "kisi:${env.KEY}"), req, noon); got != tt.want {
				t.Errorf("authorised = %v", got)
			}
		})
	}
}

// TestSigned tries each way to sign with what is right and with what is nearly.
func TestSigned(t *testing.T) {
	const body = `{"a":1}`
	now := strconv.FormatInt(noon.Unix(), 10)
	at := func(d time.Duration) string { return strconv.FormatInt(noon.Add(d).Unix(), 10) }
	stripe := func(time string, macs ...string) http.Header {
		return http.Header{"Stripe-Signature": {"t=" + time + ",v1=" + strings.Join(macs, ",v1=") + ",v0=ab"}}
	}
	slack := func(time, mac string) http.Header {
		return http.Header{"X-Slack-Signature": {mac}, "X-Slack-Request-Timestamp": {time}}
	}
	own := `{header: x-sig, timestamp: x-time, scheme: timestamp.body, prefix: "s=", encoding: base64, tolerance: 1m, secret: "${env.KEY}"}`
	ownHeaders := func(time, mac string) http.Header {
		return http.Header{"X-Sig": {"s=" + mac}, "X-Time": {time}}
	}
	b64 := func(parts ...string) string {
		return base64.StdEncoding.EncodeToString(mac(signatureSecret, parts...))
	}
	for _, tt := range []struct {
		name, way string
		header    http.Header
		want      bool
	}{
		{"github", "github:${env.KEY}", http.Header{"X-Hub-Signature-256": {"sha256=" + hexMAC(signatureSecret, body)}}, true},
		{"github without its prefix", "github:${env.KEY}", http.Header{"X-Hub-Signature-256": {hexMAC(signatureSecret, body)}}, false},
		{"github in base64", "github:${env.KEY}", http.Header{"X-Hub-Signature-256": {"sha256=" + b64(body)}}, false},
		{"github under Kisi's header", "github:${env.KEY}", http.Header{"X-Signature": {"sha256=" + hexMAC(signatureSecret, body)}}, false},

		{"stripe", "stripe:${env.KEY}", stripe(now, hexMAC(signatureSecret, now, ".", body)), true},
		{"stripe, with an old key and a new one", "stripe:${env.KEY}", stripe(now, hexMAC("old", now, ".", body), hexMAC(signatureSecret, now, ".", body)), true},
		{"stripe, five minutes ago", "stripe:${env.KEY}", stripe(at(-5*time.Minute), hexMAC(signatureSecret, at(-5*time.Minute), ".", body)), true},
		{"stripe, too long ago", "stripe:${env.KEY}", stripe(at(-301*time.Second), hexMAC(signatureSecret, at(-301*time.Second), ".", body)), false},
		{"stripe, too far ahead", "stripe:${env.KEY}", stripe(at(301*time.Second), hexMAC(signatureSecret, at(301*time.Second), ".", body)), false},
		{"stripe, at another time than was signed", "stripe:${env.KEY}", stripe(at(time.Second), hexMAC(signatureSecret, now, ".", body)), false},
		{"stripe, the body alone", "stripe:${env.KEY}", stripe(now, hexMAC(signatureSecret, body)), false},
		{"stripe without a time", "stripe:${env.KEY}", http.Header{"Stripe-Signature": {"v1=" + hexMAC(signatureSecret, ".", body)}}, false},
		{"stripe at two times", "stripe:${env.KEY}", http.Header{"Stripe-Signature": {"t=" + now + ",t=" + now + ",v1=" + hexMAC(signatureSecret, now, ".", body)}}, false},
		{"stripe, an older scheme alone", "stripe:${env.KEY}", http.Header{"Stripe-Signature": {"t=" + now + ",v0=" + hexMAC(signatureSecret, now, ".", body)}}, false},

		{"slack", "slack:${env.KEY}", slack(now, "v0="+hexMAC(signatureSecret, "v0:", now, ":", body)), true},
		{"slack, too long ago", "slack:${env.KEY}", slack(at(-301*time.Second), "v0="+hexMAC(signatureSecret, "v0:", at(-301*time.Second), ":", body)), false},
		{"slack, another time", "slack:${env.KEY}", slack(at(1), "v0="+hexMAC(signatureSecret, "v0:", at(-1*time.Minute), ":", body)), false},
		{"slack without its prefix", "slack:${env.KEY}", slack(now, hexMAC(signatureSecret, "v0:", now, ":", body)), false},
		{"slack without a time", "slack:${env.KEY}", slack("", "v0="+hexMAC(signatureSecret, "v0::", body)), false},
		{"slack with a time that is none", "slack:${env.KEY}", slack("+"+now, "v0="+hexMAC(signatureSecret, "v0:+", now, ":", body)), false},

		{"of our own", own, ownHeaders(now, b64(now, ".", body)), true},
		{"of our own, too long ago", own, ownHeaders(at(-61*time.Second), b64(at(-61*time.Second), ".", body)), false},
		{"of our own, the body alone", own, ownHeaders(now, b64(body)), false},
		{"of our own, in hex", own, ownHeaders(now, hexMAC(signatureSecret, now, ".", body)), false},
		{"of our own, without its prefix", own, http.Header{"X-Sig": {b64(now, ".", body)}, "X-Time": {now}}, false},
		{"of our own, twice the time", own, http.Header{"X-Sig": {"s=" + b64(now, ".", body)}, "X-Time": {now, now}}, false},
		{"the least of our own", `{header: X-Sig, secret: "${env.KEY}"}`, http.Header{"X-Sig": {hexMAC(signatureSecret, body)}}, true},

		{"two keys, the first", "kisi:${env.KEY}\n  - hmac: kisi:${env.OTHER}", http.Header{"X-Signature": {hexMAC(signatureSecret, body)}}, true},
		{"two keys, the second", "kisi:${env.KEY}\n  - hmac: kisi:${env.OTHER}", http.Header{"X-Signature": {hexMAC("other-secret", body)}}, true},
		{"two keys, a third", "kisi:${env.KEY}\n  - hmac: kisi:${env.OTHER}", http.Header{"X-Signature": {hexMAC("third", body)}}, false},
		{"a header that is too long", "stripe:${env.KEY}", stripe(now, strings.Repeat(hexMAC("old", body)+",v1=", 40)+hexMAC(signatureSecret, now, ".", body)), false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			auths, req := wayOf(t, tt.way), Request{Header: tt.header, Body: []byte(body)}
			if got := authorised(auths, req, noon); got != tt.want {
				t.Errorf("authorised = %v", got)
			}
			if tt.want && !signs(auths, req, noon) {
				t.Error("by its head alone it would not have got a body through")
			}
		})
	}
}

// TestStandardWebhooks agrees with the library of those who wrote the standard.
func TestStandardWebhooks(t *testing.T) {
	const id, body = "msg_1", `{"a":1}`
	wh, err := standardwebhooks.NewWebhook(standardKey)
	if err != nil {
		t.Fatal(err)
	}
	ours := wayOf(t, "standard_webhooks:${env.STANDARD}")
	now := time.Now() // the library has no other clock
	sign := func(id string, at time.Time, body string) string {
		s, err := wh.Sign(id, at, []byte(body))
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	headers := func(id string, at time.Time, signature string) http.Header {
		return http.Header{"Webhook-Id": {id}, "Webhook-Timestamp": {strconv.FormatInt(at.Unix(), 10)}, "Webhook-Signature": {signature}}
	}
	good := sign(id, now, body)
	twice := headers(id, now, good)
	twice["Webhook-Signature"] = []string{good, good}
	for _, tt := range []struct {
		name   string
		header http.Header
		ours   bool // says more than the library
	}{
		{"right", headers(id, now, good), true},
		{"several", headers(id, now, "v1,"+base64.StdEncoding.EncodeToString(mac("old", body))+" "+good), true},
		{"beside another scheme", headers(id, now, "v1a,AAAA "+good), true},
		{"four minutes ago", headers(id, now.Add(-4*time.Minute), sign(id, now.Add(-4*time.Minute), body)), true},
		{"six minutes ago", headers(id, now.Add(-6*time.Minute), sign(id, now.Add(-6*time.Minute), body)), false},
		{"six minutes ahead", headers(id, now.Add(6*time.Minute), sign(id, now.Add(6*time.Minute), body)), false},
		{"another id", headers("msg_2", now, good), false},
		{"another body", headers(id, now, sign(id, now, "{}")), false},
		{"another time", headers(id, now.Add(time.Second), good), false},
		{"another scheme alone", headers(id, now, strings.Replace(good, "v1,", "v2,", 1)), false},
		{"no id", http.Header{"Webhook-Timestamp": {strconv.FormatInt(now.Unix(), 10)}, "Webhook-Signature": {good}}, false},
		{"no signature", headers(id, now, ""), false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if err := wh.Verify([]byte(body), tt.header); (err == nil) != tt.ours {
				t.Fatalf("the library says %v", err)
			}
			if got := authorised(ours, Request{Header: tt.header, Body: []byte(body)}, now); got != tt.ours {
				t.Errorf("authorised = %v", got)
			}
		})
	}
	if authorised(ours, Request{Header: twice, Body: []byte(body)}, now) {
		t.Error("a doubled header got in")
	}
}

// TestSignsByItsHead is what a caller may look like who has not sent its body yet.
func TestSignsByItsHead(t *testing.T) {
	now := strconv.FormatInt(noon.Unix(), 10)
	old := strconv.FormatInt(noon.Add(-time.Hour).Unix(), 10)
	whatever := strings.Repeat("ab", 32)
	for _, tt := range []struct {
		name, way string
		header    http.Header
		want      bool
	}{
		{"well formed", "kisi:${env.KEY}", http.Header{"X-Signature": {"sha256=" + whatever}}, true},
		{"not well formed", "kisi:${env.KEY}", http.Header{"X-Signature": {"sha256=abc"}}, false},
		{"twice", "kisi:${env.KEY}", http.Header{"X-Signature": {whatever, whatever}}, false},
		{"none", "kisi:${env.KEY}", nil, false},
		{"recent", "stripe:${env.KEY}", http.Header{"Stripe-Signature": {"t=" + now + ",v1=" + whatever}}, true},
		{"old", "stripe:${env.KEY}", http.Header{"Stripe-Signature": {"t=" + old + ",v1=" + whatever}}, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			trigger := relay.Trigger{Name: "a", Auth: wayOf(t, tt.way)}
			in := New(book{trigger: trigger}, &shelf{}, options())
			bySignature, err := in.Allow(Request{Trigger: "a", Header: tt.header})
			if bySignature != tt.want || (err == nil) != tt.want {
				t.Errorf("%v, %v", bySignature, err)
			}
		})
	}
	closed := []relay.Auth{{Kind: "hmac", HMAC: wayOf(t, "kisi:${env.KEY}")[0].HMAC}}
	req := Request{Header: http.Header{"X-Signature": {hexMAC("", "{}")}}, Body: []byte("{}")}
	if authorised(closed, req, noon) || signs(closed, req, noon) {
		t.Error("a way in without a key let somebody in")
	}
}

// FuzzSigned: what is right for a body is right, and nothing else is.
func FuzzSigned(f *testing.F) {
	now := strconv.FormatInt(noon.Unix(), 10)
	f.Add("sha256="+kisiVector, now, "id", []byte("{}"))
	f.Add("t="+now+",v1="+kisiVector+",v1=", now, "", []byte(""))
	f.Add("v0="+kisiVector, "9999999999999", "a.b", []byte("x"))
	f.Add("v1,"+base64.StdEncoding.EncodeToString(make([]byte, 32))+" v1,", now, "m", []byte("x"))
	ways := [][]relay.Auth{}
	for _, way := range []string{"kisi:${env.KEY}", "github:${env.KEY}", "stripe:${env.KEY}", "slack:${env.KEY}", "standard_webhooks:${env.STANDARD}"} {
		ways = append(ways, wayOf(f, way))
	}
	f.Fuzz(func(t *testing.T, signature, at, id string, body []byte) {
		req := Request{Body: body, Header: map[string][]string{
			"X-Signature": {signature}, "X-Hub-Signature-256": {signature}, "Stripe-Signature": {signature},
			"X-Slack-Signature": {signature}, "X-Slack-Request-Timestamp": {at},
			"Webhook-Signature": {signature}, "Webhook-Timestamp": {at}, "Webhook-Id": {id},
		}}
		for _, auths := range ways {
			h := auths[0].HMAC
			s, ok := signatureOf(h, req, noon)
			if ok && (len(s.macs) == 0 || len(s.macs[0]) != sha256.Size || h.Tolerance > 0 && strings.Trim(s.time, "0123456789") != "") {
				t.Fatalf("%s: took %+v", h.Scheme, s)
			}
			in := authorised(auths, req, noon)
			right := mac(signatureSecret, string(s.before(h.Scheme)), string(body))
			if in && !strings.Contains(strings.ToLower(signature), hex.EncodeToString(right)) && !strings.Contains(signature, base64.StdEncoding.EncodeToString(right)) {
				t.Fatalf("%s: %q got in", h.Scheme, signature)
			}
		}
		kisi := Request{Body: body, Header: map[string][]string{"X-Signature": {fmt.Sprintf("%x", mac(signatureSecret, string(body)))}}}
		if !authorised(ways[0], kisi, noon) {
			t.Fatal("what is right was refused")
		}
	})
}

// TestWhatIsNotSignedIsNoPayload is somebody who got hold of a signed request, and sends
// it again with more in its address.
func TestWhatIsNotSignedIsNoPayload(t *testing.T) {
	trigger := relay.Trigger{Name: "t", From: "json", Auth: []relay.Auth{
		{Kind: "hmac", Secret: "key", HMAC: relay.HMAC{Header: "X-Signature", Scheme: relay.SignsBody}}, {Kind: "bearer", Secret: "s3cret-token"},
	}}
	req := Request{ContentType: "application/json", Body: []byte(`{"a":1}`), Query: url.Values{"lock": {"7"}}, Header: http.Header{}}
	for bearer, want := range map[string]dict{"": {"a": 1}, "Bearer s3cret-token": {"a": 1, "lock": "7"}} {
		req.Header["Authorization"] = []string{bearer}
		ev, err := Event(req, trigger, "1", noon)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(any(want), ev.Payload); diff != "" {
			t.Errorf("%q: %s", bearer, diff)
		}
		if diff := cmp.Diff(dict{"lock": "7"}, ev.Query); diff != "" {
			t.Errorf("%q: %s", bearer, diff)
		}
	}
}
