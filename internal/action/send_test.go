package action

import (
	"context"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"doorhook/internal/relay"
)

const (
	canary = "s3cr3t/c4n4ry&more"
	theID  = "msg_0123456789abcdef0123456789abcdef"
)

var signingKey = "whsec_" + base64.StdEncoding.EncodeToString([]byte("0123456789abcdef01234567"))

// secret is a text of a secret alone.
func secret(name string) relay.Text { return relay.Text{{Env: name}} }

// sending is a send with these fields.
func sending(fields map[string]any) relay.Action {
	return relay.Action{Key: "m", Rule: "tell", Kind: relay.Send, Args: relay.Encode(fields), Message: theID}
}

// local lets messages go to this machine, with an environment.
func local(env map[string]string) SendOptions {
	return SendOptions{
		Env: func(name string) string { return env[name] }, Allow: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")},
		UserAgent: "doorhook/test", Timeout: 2 * time.Second,
	}
}

// doerWith sends as o says, and knows no Kisi.
func doerWith(o SendOptions) *Doer { return New(nil, o) }

// receiverOf is a server that answers as it is told, and the newest request it got.
func receiverOf(t *testing.T, answer http.HandlerFunc) (server *httptest.Server, got func() (*http.Request, string)) {
	t.Helper()
	type one struct {
		r    *http.Request
		body string
	}
	requests := make(chan one, 100)
	server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		requests <- one{r, string(body)}
		answer(w, r)
	}))
	t.Cleanup(server.Close)
	return server, func() (*http.Request, string) {
		select {
		case o := <-requests:
			return o.r, o.body
		default:
			t.Fatal("nothing was sent")
			return nil, ""
		}
	}
}

func say(status int, body string, headers ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		for i := 0; i < len(headers); i += 2 {
			w.Header().Set(headers[i], headers[i+1])
		}
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}
}

// TestSendVerdicts is what each answer of a receiver means.
func TestSendVerdicts(t *testing.T) {
	tests := []struct {
		name   string
		answer http.HandlerFunc
		want   relay.Verdict
		after  time.Duration
		err    string // ends so
		says   string // the answer that is kept
	}{
		{"200", say(200, `{"ok":true}`), relay.OK, 0, "", "200 OK\n{\"ok\":true}"},
		{"202 without a word", say(202, ""), relay.OK, 0, "", "202 Accepted"},
		{"204", say(204, ""), relay.OK, 0, "", "204 No Content"},
		{"301", say(301, "", "Location", "https://new.example.com/x?y=1"), relay.Rejected, 0, "answered 301 Moved Permanently: it points to new.example.com, and redirects are not followed; if that is meant, put the new address into the rule", "301 Moved Permanently"},
		{"302 to metadata", say(302, "", "Location", "http://169.254.169.254/latest"), relay.Rejected, 0, "it points to 169.254.169.254, and redirects are not followed; if that is meant, put the new address into the rule", "302 Found"},
		{"307 to itself", say(307, "", "Location", "/other"), relay.Rejected, 0, "it points to another address, and redirects are not followed; if that is meant, put the new address into the rule", "307 Temporary Redirect"},
		{"400", say(400, "no such field"), relay.Rejected, 0, "answered 400 Bad Request", "400 Bad Request\nno such field"},
		{"401", say(401, ""), relay.Rejected, 0, "answered 401 Unauthorized", "401 Unauthorized"},
		{"404", say(404, ""), relay.Rejected, 0, "answered 404 Not Found", "404 Not Found"},
		{"408", say(408, ""), relay.Retry, 0, "answered 408 Request Timeout", "408 Request Timeout"},
		{"410", say(410, ""), relay.Rejected, 0, "answered 410 Gone: the receiver says it is gone for good", "410 Gone"},
		{"422", say(422, ""), relay.Rejected, 0, "answered 422 Unprocessable Entity", "422 Unprocessable Entity"},
		{"425", say(425, ""), relay.Retry, 0, "answered 425 Too Early", "425 Too Early"},
		{"429 with a wish", say(429, "", "Retry-After", "90"), relay.Retry, 90 * time.Second, "answered 429 Too Many Requests", "429 Too Many Requests"},
		{"500", say(500, "oops"), relay.Retry, 0, "answered 500 Internal Server Error", "500 Internal Server Error\noops"},
		{"503 with a wish", say(503, "", "Retry-After", "7"), relay.Retry, 7 * time.Second, "answered 503 Service Unavailable", "503 Service Unavailable"},
		{"no answer", func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }, relay.Retry, 0, "no answer in time", ""},
		{"a reset", func(w http.ResponseWriter, _ *http.Request) { panic(http.ErrAbortHandler) }, relay.Retry, 0, "EOF", ""},
		{"an answer that does not end", func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.WriteString(w, "begun")
			w.(http.Flusher).Flush()
			<-r.Context().Done()
		}, relay.OK, 0, "", "200 OK\nbegun"},
		{"no text", say(200, "\x00\x01\xff"), relay.OK, 0, "", "200 OK\n(3 bytes that are no text)"},
		{"an escape for a terminal", say(200, "\x1b[2J"), relay.OK, 0, "", "200 OK\n(4 bytes that are no text)"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			server, _ := receiverOf(t, tt.answer)
			out := doerWith(local(nil)).Create(t.Context(), sending(map[string]any{"url": server.URL + "/hook", "text": "hello"}))
			if out.Verdict != tt.want || out.After != tt.after || out.Answer != tt.says {
				t.Errorf("%s after %s, answer %q", out.Verdict, out.After, out.Answer)
			}
			if tt.err == "" != (out.Err == nil) || out.Err != nil && (!strings.HasSuffix(out.Err.Error(), tt.err) || !strings.HasPrefix(out.Err.Error(), strings.TrimPrefix(server.URL, "http://"))) {
				t.Errorf("error %v, want … %s", out.Err, tt.err)
			}
		})
	}
}

// TestLargeAnswer keeps the beginning of an answer.
func TestLargeAnswer(t *testing.T) {
	server, _ := receiverOf(t, say(200, strings.Repeat("ä", 1<<20)))
	out := doerWith(local(nil)).Create(t.Context(), sending(map[string]any{"url": server.URL}))
	if len(out.Answer) > mostAnswer || len(out.Answer) < mostAnswer-8 || !strings.HasPrefix(out.Answer, "200 OK\nää") || !strings.HasSuffix(out.Answer, "ä…") {
		t.Errorf("%d bytes, %.20q to %q", len(out.Answer), out.Answer, out.Answer[max(0, len(out.Answer)-8):])
	}
}

// TestUnreachable is all that goes wrong before there is an answer.
func TestUnreachable(t *testing.T) {
	closed := httptest.NewServer(nil)
	closed.Close()
	secure := httptest.NewTLSServer(nil)
	secure.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, 0)
	t.Cleanup(secure.Close)
	env := map[string]string{"URL": "http://10.0.0.7/" + canary, "JUNK": "no address " + canary, "BROKEN": "a\nb", "CLOSED": closed.URL}
	const private = " is a private address, or one for a special purpose: allow it with DOORHOOK_SEND_ALLOW if it is meant"
	tests := []struct {
		name string
		args map[string]any
		want relay.Verdict
		err  string
	}{
		{"nobody listens", map[string]any{"url": closed.URL}, relay.Retry, strings.TrimPrefix(closed.URL, "http://") + ": it refuses the connection"},
		{"nobody listens at a secret address", map[string]any{"url": secret("CLOSED")}, relay.Retry, "${env.CLOSED}: it refuses the connection"},
		{"a host that does not exist", map[string]any{"url": "http://doorhook.invalid/x"}, relay.Retry, "doorhook.invalid: "},
		{"a certificate of nobody known", map[string]any{"url": secure.URL}, relay.Retry, strings.TrimPrefix(secure.URL, "https://") + ": its certificate is not valid, not for this host, or from nobody known"},
		{"a private address", map[string]any{"url": "http://10.0.0.7:8080/x"}, relay.Rejected, "10.0.0.7:8080: 10.0.0.7" + private},
		{"a private address that is secret", map[string]any{"url": secret("URL")}, relay.Rejected, "${env.URL}: it" + private},
		{"metadata", map[string]any{"url": "http://169.254.169.254/latest"}, relay.Rejected, "169.254.169.254: 169.254.169.254" + private},
		{"mapped", map[string]any{"url": "http://[::ffff:10.0.0.7]/"}, relay.Rejected, "[::ffff:10.0.0.7]: 10.0.0.7" + private},
		{"loopback of IPv6", map[string]any{"url": "http://[::1]/"}, relay.Rejected, "[::1]: ::1" + private},
		{"a number for an address", map[string]any{"url": "http://0/"}, relay.Rejected, "0: "},
		{"not set", map[string]any{"url": secret("NOWHERE")}, relay.Retry, "${env.NOWHERE}: the environment variable NOWHERE is not set, or empty"},
		{"a key that is not set", map[string]any{"url": closed.URL, "sign": secret("KEY")}, relay.Retry, strings.TrimPrefix(closed.URL, "http://") + ": the environment variable KEY is not set, or empty"},
		{"no key", map[string]any{"url": closed.URL, "sign": secret("JUNK")}, relay.Rejected, strings.TrimPrefix(closed.URL, "http://") + ": the key ${env.JUNK} cannot sign: it has to be in base64, with or without whsec_ before it"},
		{"no address", map[string]any{"url": secret("JUNK")}, relay.Rejected, "${env.JUNK}: this is not an address that can be sent to: it has to look like https://example.com/hook"},
		{"no web address", map[string]any{"url": "ftp://example.com/"}, relay.Rejected, "example.com: this is not an address that can be sent to: it has to look like https://example.com/hook"},
		{"a line break in a header", map[string]any{"url": closed.URL, "headers": map[string]relay.Text{"X-A": {{Text: "a\r\nX-B: c"}}}}, relay.Rejected, `the header "X-A" has a line break, or another character that no header may have`},
		{"a line break in a secret", map[string]any{"url": closed.URL, "headers": map[string]relay.Text{"X-A": secret("BROKEN")}}, relay.Rejected, `the header "X-A" has a line break, or another character that no header may have`},
		{"a header without a name", map[string]any{"url": closed.URL, "headers": map[string]relay.Text{"X A": {{Text: "a"}}}}, relay.Rejected, `the header "X A" has a line break, or another character that no header may have`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			out := doerWith(local(env)).Create(t.Context(), sending(tt.args))
			if out.Verdict == relay.Rejected && tt.name == "a number for an address" {
				return // some resolvers take it for 0.0.0.0
			}
			if tt.name == "a number for an address" {
				tt.want = relay.Retry
			}
			if out.Verdict != tt.want || !strings.Contains(out.Err.Error(), tt.err) {
				t.Errorf("%s: %v", out.Verdict, out.Err)
			}
			if strings.Contains(out.Err.Error(), "c4n4ry") {
				t.Errorf("a secret is in %v", out.Err)
			}
		})
	}
}

// TestNamesLeadNowhere refuses a name of the DNS that leads to this machine, and takes it
// if that is allowed.
func TestNamesLeadNowhere(t *testing.T) {
	server, _ := receiverOf(t, say(200, ""))
	url := strings.Replace(server.URL, "127.0.0.1", "localhost", 1)
	o := local(nil)
	if out := doerWith(o).Create(t.Context(), sending(map[string]any{"url": url})); out.Verdict != relay.OK {
		t.Errorf("allowed: %s: %v", out.Verdict, out.Err)
	}
	o.Allow = nil
	out := doerWith(o).Create(t.Context(), sending(map[string]any{"url": url}))
	if out.Verdict != relay.Rejected || !strings.Contains(out.Err.Error(), "is a private address") {
		t.Errorf("not allowed: %s: %v", out.Verdict, out.Err)
	}
}

// TestSent is what a receiver gets.
func TestSent(t *testing.T) {
	env := map[string]string{"TOKEN": canary, "KEY": signingKey}
	at := time.Unix(1_800_000_000, 5)
	tests := []struct {
		name   string
		args   map[string]any
		want   string // method, address and headers that differ from the usual
		body   string
		verify bool
	}{
		{"json", map[string]any{"json": json.RawMessage(`{"a":[1,"ü"],"b":null}`)}, "POST /hook Content-Type=application/json", `{"a":[1,"ü"],"b":null}`, false},
		{"json that is null", map[string]any{"json": json.RawMessage(`null`)}, "POST /hook Content-Type=application/json", `null`, false},
		{"form", map[string]any{"form": map[string]string{"b": "1 & 2", "a": "ü"}}, "POST /hook Content-Type=application/x-www-form-urlencoded", "a=%C3%BC&b=1+%26+2", false},
		{"text", map[string]any{"text": "two\nlines"}, "POST /hook Content-Type=text/plain; charset=utf-8", "two\nlines", false},
		{"nothing", map[string]any{"method": "GET"}, "GET /hook", "", false},
		{"a type of its own", map[string]any{"method": "PUT", "text": "<a/>", "headers": map[string]relay.Text{"content-type": {{Text: "text/xml"}}, "x-token": {{Text: "Bearer "}, {Env: "TOKEN"}}}}, "PUT /hook Content-Type=text/xml X-Token=Bearer " + canary, "<a/>", false},
		{"a host of its own", map[string]any{"headers": map[string]relay.Text{"host": {{Text: "inside.example"}}}}, "POST /hook inside.example", "", false},
		{"an identity of its own", map[string]any{"headers": map[string]relay.Text{"webhook-id": {{Text: "x"}}, "webhook-timestamp": {{Text: "1"}}, "webhook-signature": {{Text: "v1,x"}}}}, "POST /hook", "", false},
		{"signed", map[string]any{"json": json.RawMessage(`{}`), "sign": secret("KEY")}, "POST /hook Content-Type=application/json", "{}", true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			server, got := receiverOf(t, say(200, ""))
			tt.args["url"] = server.URL + "/hook"
			o := local(env)
			o.Now = func() time.Time { return at }
			if tt.verify {
				o.Now = time.Now
			}
			if out := doerWith(o).Create(t.Context(), sending(tt.args)); out.Verdict != relay.OK {
				t.Fatalf("%s: %v", out.Verdict, out.Err)
			}
			r, body := got()
			verify(t, r.Header, body, tt.verify)
			if !tt.verify && r.Header.Get("Webhook-Timestamp") != "1800000000" || r.Header.Get("Webhook-Id") != theID || r.Header.Get("User-Agent") != "doorhook/test" {
				t.Errorf("headers %v", r.Header)
			}
			for _, usual := range []string{"Webhook-Id", "Webhook-Timestamp", "Webhook-Signature", "User-Agent", "Content-Length"} {
				r.Header.Del(usual)
			}
			line := r.Method + " " + r.URL.String()
			if !strings.HasPrefix(r.Host, "127.0.0.1:") {
				line += " " + r.Host
			}
			for _, name := range []string{"Content-Type", "X-Token"} {
				if v := r.Header.Get(name); v != "" {
					line += " " + name + "=" + v
				}
				r.Header.Del(name)
			}
			if line != tt.want || body != tt.body || len(r.Header) != 0 {
				t.Errorf("got  %s %v\n%s\nwant %s\n%s", line, r.Header, body, tt.want, tt.body)
			}
		})
	}
}

// verify has the reference library of Standard Webhooks look at a signature.
func verify(t *testing.T, h http.Header, body string, signed bool) {
	t.Helper()
	wh, err := standardwebhooks.NewWebhook(signingKey)
	if err != nil {
		t.Fatal(err)
	}
	if err := wh.Verify([]byte(body), h); (err == nil) != signed {
		t.Errorf("the reference library says %v of %v", err, h)
	}
	if signed && wh.Verify([]byte(body+" "), h) == nil {
		t.Error("another body passes too")
	}
}

// TestSecretsStayHidden has a receiver say back all it got, in many ways.
func TestSecretsStayHidden(t *testing.T) {
	const inPath = "T0KENpart/B00Kpart0123"
	server, got := receiverOf(t, func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(400)
		fmt.Fprintf(w, "%s %q %s %s %+v\n", r.RequestURI, r.URL.Path, r.URL.Query().Get("key"), r.Header.Get("X-Token"), r.Header)
		_ = json.NewEncoder(w).Encode(map[string]any{"token": r.Header.Get("X-Token"), "path": r.URL.Path, "sign": signingKey})
		fmt.Fprint(w, `"`, strings.ReplaceAll(r.Header.Get("X-Token"), "/", `\/`), `"`) // so PHP writes JSON
		fmt.Fprint(w, strings.ToLower(url.QueryEscape(r.Header.Get("X-Token"))), hex.EncodeToString([]byte(r.Header.Get("X-Token"))))
		fmt.Fprint(w, base64.StdEncoding.EncodeToString([]byte(r.Header.Get("X-Token"))))
		fmt.Fprint(w, strings.Repeat(r.Header.Get("X-Token"), 20_000))
	})
	env := map[string]string{"ALL": server.URL + "/" + inPath + "?key=" + strings.ReplaceAll(canary, "&", "%26"), "TOKEN": canary, "KEY": signingKey}
	args := map[string]any{"url": secret("ALL"), "headers": map[string]relay.Text{"X-Token": secret("TOKEN")}, "sign": secret("KEY"), "text": "hello"}
	out := doerWith(local(env)).Create(t.Context(), sending(args))
	got()
	all := fmt.Sprint(out.Answer, out.Err)
	if !strings.HasPrefix(out.Err.Error(), "${env.ALL} answered 400") || !strings.Contains(all, "[redacted]") {
		t.Error(all)
	}
	for _, part := range []string{"c4n4ry", hex.EncodeToString([]byte("c4n4ry")), base64.StdEncoding.EncodeToString([]byte(canary)), "T0KENpart", "B00Kpart", strings.TrimPrefix(signingKey, "whsec_"), strings.TrimPrefix(server.URL, "http://")} {
		if strings.Contains(all, part) {
			t.Errorf("%q is in\n%s", part, all)
		}
	}
	if strings.Contains(string(sending(args).Args), "c4n4ry") {
		t.Error("a secret is in what is kept")
	}
}

// TestSecretsThatChange hides what was sent, although the secret is another one by the time
// of the answer, and then the new one.
func TestSecretsThatChange(t *testing.T) {
	env := map[string]string{"TOKEN": "the-first-t0ken"}
	o := local(env)
	o.Transport = roundTrip(func(r *http.Request) (*http.Response, error) {
		sent := r.Header.Get("X-Token")
		env["TOKEN"] = "the-second-t0ken"
		resp := respond(r, 200)
		resp.Body = io.NopCloser(strings.NewReader("thanks for " + sent))
		return resp, nil
	})
	d := doerWith(o)
	for range 3 {
		a := sending(map[string]any{"url": "https://a.example", "headers": map[string]relay.Text{"X-Token": secret("TOKEN")}})
		if out := d.Create(t.Context(), a); out.Answer != "200 OK\nthanks for [redacted]" {
			t.Error(out.Answer)
		}
	}
}

// TestDisguisesAreBounded forgets all when they are too many, and hides what it forgot.
func TestDisguisesAreBounded(t *testing.T) {
	d := disguises{known: map[string]disguise{}}
	for i := range 3*mostReceivers + 1 {
		s := secrets{values: []string{fmt.Sprint("secret-", i)}, known: &d}
		if got := s.hide(fmt.Sprint("it is secret-", i)); got != "it is [redacted]" || len(d.known) > mostReceivers {
			t.Fatalf("%q, and %d are known", got, len(d.known))
		}
	}
}

// TestReceiverRests: one that fails is left alone, then asked once, and goes on when it
// answers. It says nothing of others.
func TestReceiverRests(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		status, asked := 500, 0
		o := SendOptions{Transport: roundTrip(func(r *http.Request) (*http.Response, error) {
			if r.URL.Host != "a.example" {
				return respond(r, 200), nil
			}
			asked++
			return respond(r, status), nil
		})}
		d := doerWith(o)
		try := func(host string) relay.Outcome {
			return d.Create(t.Context(), sending(map[string]any{"url": "https://" + host}))
		}
		for range 5 {
			try("a.example")
		}
		out := try("a.example")
		if out.Verdict != relay.Untried || out.After != restFor || asked != 5 || out.Err.Error() != "a.example: the last 5 messages to it failed, so it is left alone for a moment" {
			t.Errorf("%s after %s, asked %d times: %v", out.Verdict, out.After, asked, out.Err)
		}
		if out := try("b.example"); out.Verdict != relay.OK {
			t.Errorf("another: %s", out.Verdict)
		}
		time.Sleep(restFor)
		if out := try("a.example"); out.Verdict != relay.Retry || asked != 6 {
			t.Errorf("a look: %s, asked %d times", out.Verdict, asked)
		}
		if out := try("a.example"); out.Verdict != relay.Untried {
			t.Errorf("after a look: %s", out.Verdict)
		}
		time.Sleep(restFor)
		status = 400 // it answers
		try("a.example")
		status = 200
		if out := try("a.example"); out.Verdict != relay.OK {
			t.Errorf("it is back: %s: %v", out.Verdict, out.Err)
		}
	})
}

// TestBrokenOff: a message that is broken off says nothing of its receiver, however often.
func TestBrokenOff(t *testing.T) {
	var breakOff func() // nil lets the receiver answer
	d := doerWith(SendOptions{Transport: roundTrip(func(r *http.Request) (*http.Response, error) {
		if breakOff == nil {
			return respond(r, 200), nil
		}
		breakOff()
		<-r.Context().Done()
		return nil, r.Context().Err()
	})})
	message := sending(map[string]any{"url": "https://a.example"})
	for range 6 { // one more than lets a receiver rest
		ctx, cancel := context.WithCancel(t.Context())
		breakOff = cancel
		if out := d.Create(ctx, message); out.Verdict != relay.Retry {
			t.Fatalf("%s: %v", out.Verdict, out.Err)
		}
	}
	breakOff = nil
	if out := d.Create(t.Context(), message); out.Verdict != relay.OK {
		t.Errorf("the next: %s: %v", out.Verdict, out.Err)
	}
}

// TestCrowdedReceiver: one that is slow has so many messages at a time, and no more.
func TestCrowdedReceiver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := SendOptions{Timeout: 5 * time.Second, Transport: roundTrip(func(r *http.Request) (*http.Response, error) {
			if r.URL.Host == "slow.example" {
				time.Sleep(2 * time.Second)
			}
			return respond(r, 200), nil
		})}
		d := doerWith(o)
		outs := make(chan relay.Outcome, 100)
		for range mostAtOnce {
			go func() { outs <- d.Create(context.Background(), sending(map[string]any{"url": "https://slow.example"})) }()
		}
		synctest.Wait()
		out := d.Create(t.Context(), sending(map[string]any{"url": "https://slow.example"}))
		if out.Verdict != relay.Untried || out.After < 100*time.Millisecond || out.After > time.Second {
			t.Errorf("one more: %s after %s", out.Verdict, out.After)
		}
		if out := d.Create(t.Context(), sending(map[string]any{"url": "https://quick.example"})); out.Verdict != relay.OK {
			t.Errorf("another: %s", out.Verdict)
		}
		time.Sleep(3 * time.Second)
		for range mostAtOnce {
			if out := <-outs; out.Verdict != relay.OK {
				t.Errorf("%s: %v", out.Verdict, out.Err)
			}
		}
		if out := d.Create(t.Context(), sending(map[string]any{"url": "https://slow.example"})); out.Verdict != relay.OK {
			t.Errorf("there is room again: %s", out.Verdict)
		}
	})
}

// TestAMomentForAPlace: a message waits for a place at a receiver that answers quickly, and
// at one that does not any more it comes again, without holding up those to others.
func TestAMomentForAPlace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		pause := 10 * time.Millisecond
		d := doerWith(SendOptions{Timeout: 5 * time.Second, Transport: roundTrip(func(r *http.Request) (*http.Response, error) {
			time.Sleep(pause)
			return respond(r, 200), nil
		})})
		// crowd sends n messages at a time and counts those that were not sent, and when the last of them was let go of.
		crowd := func(n int) (untried int, after time.Duration) {
			began, outs := time.Now(), make(chan relay.Outcome)
			for range n {
				go func() { outs <- d.Create(context.Background(), sending(map[string]any{"url": "https://a.example"})) }()
			}
			for range n {
				if out := <-outs; out.Verdict == relay.Untried {
					untried, after = untried+1, time.Since(began)
				} else if out.Verdict != relay.OK {
					t.Errorf("%s: %v", out.Verdict, out.Err)
				}
			}
			return untried, after
		}
		for _, tt := range []struct {
			pause   time.Duration
			untried int
			after   time.Duration
		}{
			{10 * time.Millisecond, 0, 0},       // four rounds
			{2 * time.Second, 96, moment},       // it was quick until now
			{2 * time.Second, 96, 0},            // it is known to be slow
			{time.Millisecond, 96, 0},           // still so
			{time.Millisecond, 0, 0},            // its answers say that it is quick again
			{60 * time.Millisecond, 64, moment}, // two rounds fit in
		} {
			pause = tt.pause
			if untried, after := crowd(4 * mostAtOnce); untried != tt.untried || after != tt.after {
				t.Errorf("answers after %s: %d were not sent, known after %s; want %d, %s", tt.pause, untried, after, tt.untried, tt.after)
			}
		}
	})
}

// TestSlowReceiversLeaveRoom: however many receivers are slow, and however much there is
// for them, the next one gets its messages.
func TestSlowReceiversLeaveRoom(t *testing.T) {
	for _, tt := range []struct{ slow, each int }{{1, 32}, {2, 25}, {4, 18}, {10, 9}, {40, 2}} {
		t.Run(fmt.Sprint(tt.slow), func(t *testing.T) {
			at := time.Unix(0, 0)
			rs := newReceivers(func() time.Time { return at })
			var ends []func(error)
			enter := func(host string) bool {
				leave, busy := rs.enter(t.Context(), host)
				if busy == nil {
					ends = append(ends, leave)
				}
				return busy == nil
			}
			for i := range tt.slow {
				enter(fmt.Sprint(i))
			}
			at = at.Add(5 * time.Second)
			for _, end := range ends {
				end(nil)
			}
			ends = nil
			for range AtOnce {
				for i := range tt.slow {
					enter(fmt.Sprint(i))
				}
			}
			for i := range tt.slow {
				if n := rs.known[fmt.Sprint(i)].under; n < tt.each || n > tt.each+1 {
					t.Errorf("receiver %d has %d messages under way, want %d", i, n, tt.each)
				}
			}
			if len(ends) >= AtOnce || !enter("another") {
				t.Errorf("with %d messages under way there is no room for another receiver", len(ends))
			}
			for _, end := range ends {
				end(nil)
			}
			if rs.under != 0 {
				t.Errorf("in the end %d are under way", rs.under)
			}
		})
	}
}

// TestReceiversAreBounded forgets the one that was idle longest, and none that is busy.
func TestReceiversAreBounded(t *testing.T) {
	at := time.Unix(0, 0)
	rs := newReceivers(func() time.Time { at = at.Add(time.Second); return at })
	leave, _ := rs.enter(t.Context(), "busy")
	for i := range 2 * mostReceivers {
		done, busy := rs.enter(t.Context(), fmt.Sprint(i))
		if busy != nil {
			t.Fatal(busy)
		}
		done(nil)
	}
	if len(rs.known) != mostReceivers || rs.known["busy"] == nil || rs.known[fmt.Sprint(2*mostReceivers-1)] == nil || rs.known["0"] != nil {
		t.Errorf("%d are known", len(rs.known))
	}
	leave(nil)
}

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func respond(r *http.Request, status int) *http.Response {
	return &http.Response{StatusCode: status, Header: http.Header{}, Body: http.NoBody, Request: r}
}

// TestProxyIsNotAsked: the guard would see its address in the place of the receiver's.
func TestProxyIsNotAsked(t *testing.T) {
	if tr, ok := newSend(SendOptions{}).http.Transport.(*http.Transport); !ok || tr.Proxy != nil {
		t.Error("messages go through a proxy")
	}
}

// TestDescribeSend shows what would be sent, and sends nothing.
func TestDescribeSend(t *testing.T) {
	tests := []struct {
		name string
		a    relay.Action
		line string
		curl []string
	}{
		{
			"a secret address", sending(map[string]any{"url": secret("ALERT_URL"), "json": json.RawMessage(`{"text":"Jo's $HOME"}`)}),
			`POST ${env.ALERT_URL} {"text":"Jo's $HOME"}`,
			[]string{`curl -X POST "$ALERT_URL"`, `-H 'Content-Type: application/json'`, `-H 'User-Agent: doorhook'`, `-H 'Webhook-Id: msg_ID'`, `--data-raw '{"text":"Jo'\''s $HOME"}'`},
		},
		{
			"parts", sending(map[string]any{"url": relay.Text{{Text: "https://example.com/$(reboot)/"}, {Env: "T"}, {Text: "?a=1"}}, "method": "PUT", "headers": map[string]relay.Text{"X-Key": {{Text: "Bearer `"}, {Env: "K"}}}, "text": "a\nb", "sign": secret("SIGN")}),
			`PUT https://example.com/$(reboot)/${env.T}?a=1 "a\nb", signed with ${env.SIGN}`,
			[]string{`curl -X PUT 'https://example.com/$(reboot)/'"$T"'?a=1'`, `-H 'Content-Type: text/plain; charset=utf-8'`, `-H 'User-Agent: doorhook'`, `-H 'Webhook-Id: msg_ID'`, "-H 'X-Key: Bearer `'\"$K\"", "--data-raw 'a\nb'\n# doorhook signs it with ${env.SIGN}: webhook-timestamp and webhook-signature are not in this command"},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			requests, err := Caller{}.Requests(t.Context(), tt.a)
			if err != nil || len(requests) != 1 || requests[0].String() != tt.line || !slices.Equal(Describe(tt.a), []string{tt.line}) {
				t.Errorf("%v, %v", requests, err)
			}
			if diff := cmp.Diff(strings.Join(tt.curl, " \\\n  "), requests[0].Curl()); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
	later := tests[0].a
	later.Later = &relay.Later{User: 7}
	if lines := Describe(later); len(lines) != 1 || lines[0] != forPerson+": "+tests[0].line {
		t.Errorf("%q", lines)
	}
}

// TestCurlOfSend lets a shell run the command, as a person would, with a curl that tells
// its arguments.
func TestCurlOfSend(t *testing.T) {
	a := sending(map[string]any{"url": relay.Text{{Env: "U"}, {Text: "/'$U'`date`"}}, "text": "$(date) \"'\\"})
	requests, err := Caller{}.Requests(t.Context(), a)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), "sh", "-c", `curl() { for a in "$@"; do echo "[$a]"; done; }; U='https://x y'; `+requests[0].Curl())
	got, err := cmd.CombinedOutput()
	want := "[-X]\n[POST]\n[https://x y/'$U'`date`]\n[-H]\n[Content-Type: text/plain; charset=utf-8]\n[-H]\n[User-Agent: doorhook]\n[-H]\n[Webhook-Id: msg_ID]\n[--data-raw]\n[$(date) \"'\\]\n"
	if err != nil || string(got) != want {
		t.Errorf("%v\n%s\nwant\n%s", err, got, want)
	}
}
