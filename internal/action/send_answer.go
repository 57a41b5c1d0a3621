package action

import (
	"context"
	"crypto/tls"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"html"
	"io"
	"maps"
	"net"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"time"
	"unicode/utf8"

	"doorhook/internal/kisi"
	"doorhook/internal/relay"
)

// strained reports whether a status says that the receiver cannot take messages now.
func strained(status int) bool {
	return status == http.StatusTooManyRequests || status >= http.StatusInternalServerError
}

// judge says what an answer means.
func (p parcel) judge(resp *http.Response, now time.Time) relay.Outcome {
	out := relay.Outcome{Verdict: relay.OK, Answer: p.secrets.answer(resp)}
	status := resp.StatusCode
	if status >= 200 && status < 300 {
		return out
	}
	out.Verdict = relay.Rejected
	says := ""
	switch {
	case strained(status), status == http.StatusRequestTimeout, status == http.StatusTooEarly:
		out.Verdict, out.After = relay.Retry, kisi.RetryAfter(resp.Header.Get("Retry-After"), now)
	case status == http.StatusGone:
		says = ": the receiver says it is gone for good"
	case status >= 300 && status < 400:
		says = ": " + p.pointed(resp)
	}
	out.Err = fmt.Errorf("%s answered %d %s%s", p.to, status, http.StatusText(status), says)
	return out
}

// pointed says where a redirect leads, as far as that is no secret.
func (p parcel) pointed(resp *http.Response) string {
	to := "another address"
	if u, err := resp.Location(); err == nil && u.Host != "" && u.Host != resp.Request.URL.Host {
		to = p.secrets.hide(u.Host)
	}
	return "it points to " + to + ", and redirects are not followed; if that is meant, put the new address into the rule"
}

// unanswered says what an attempt without an answer means.
func (p parcel) unanswered(err error) relay.Outcome {
	var denied *deniedError
	if !errors.As(err, &denied) {
		return relay.Outcome{Verdict: relay.Retry, Err: fmt.Errorf("%s: %s", p.to, p.why(err))}
	}
	address := "it"
	if p.open {
		address = denied.address
	}
	return rejected(fmt.Errorf("%s: %s is a private address, or one for a special purpose: allow it with DOORHOOK_SEND_ALLOW if it is meant", p.to, address))
}

// why says why there was no answer, without the address.
func (p parcel) why(err error) string {
	var dns *net.DNSError
	var certificate *tls.CertificateVerificationError
	var op *net.OpError
	switch {
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		return "no answer in time"
	case errors.As(err, &dns) && dns.IsNotFound:
		return "no such host is known (DNS)"
	case errors.As(err, &dns):
		return "its host cannot be looked up (DNS)"
	case errors.Is(err, syscall.ECONNREFUSED):
		return "it refuses the connection"
	case errors.As(err, &certificate):
		return "its certificate is not valid, not for this host, or from nobody known"
	case errors.As(err, &op):
		return p.secrets.hide(op.Err.Error())
	}
	if u, ok := errors.AsType[*url.Error](err); ok {
		err = u.Err
	}
	return shortened(p.secrets.hide(err.Error()), 200)
}

const (
	mostAnswer = 4 << 10  // bytes of an answer that are kept
	mostRead   = 64 << 10 // of which they are taken; the rest is left unread
)

// secrets are what must not be seen of what was sent, however it is said back.
type secrets struct {
	forms   *strings.Replacer // nil hides nothing
	longest int               // in bytes
}

// derived is how long a part of a secret address has to be to be one itself: shorter ones
// are words.
const derived = 8

// secretsOf are the values that m has of the environment, and all parts of those that are
// addresses.
func secretsOf(m message, env func(string) string) secrets {
	texts := []relay.Text{m.URL, m.Sign}
	for _, t := range m.Headers {
		texts = append(texts, t)
	}
	forms := map[string]bool{}
	for _, t := range texts {
		for _, part := range t {
			if part.Env != "" {
				value := strings.TrimSpace(env(part.Env))
				for _, secret := range append(partsOf(value), value, strings.TrimPrefix(value, "whsec_")) {
					addForms(forms, secret)
				}
			}
		}
	}
	if address, err := m.URL.Reveal(env); err == nil && m.URL.Secret() {
		if u, err := url.Parse(address.Reveal()); err == nil && u.User != nil {
			password, _ := u.User.Password()
			forms[base64.StdEncoding.EncodeToString([]byte(u.User.Username()+":"+password))] = true
		}
	}
	delete(forms, "")
	if len(forms) == 0 {
		return secrets{}
	}
	// The longest first: of one within another something would be left.
	all := slices.SortedFunc(maps.Keys(forms), func(a, b string) int { return len(b) - len(a) })
	var pairs []string
	for _, form := range all {
		pairs = append(pairs, form, "[redacted]")
	}
	return secrets{strings.NewReplacer(pairs...), len(all[0])}
}

var percents = regexp.MustCompile("%[0-9A-F]{2}")

// addForms adds the ways in which a secret may be written in an answer.
func addForms(forms map[string]bool, secret string) {
	quoted, _ := json.Marshal(secret)
	inJSON := strings.Trim(string(quoted), `"`)
	for _, form := range []string{
		secret, url.QueryEscape(secret), url.PathEscape(secret), html.EscapeString(secret), inJSON,
		strings.ReplaceAll(inJSON, "/", `\/`), strings.ReplaceAll(secret, "/", `\/`), // as PHP writes JSON
		base64.StdEncoding.EncodeToString([]byte(secret)), hex.EncodeToString([]byte(secret)),
	} {
		forms[form] = true
		forms[percents.ReplaceAllStringFunc(form, strings.ToLower)] = true // as .NET escapes
	}
}

// partsOf are what may be said back of a secret that is an address.
func partsOf(secret string) []string {
	u, err := url.Parse(secret)
	if err != nil || u.Host == "" {
		return nil
	}
	parts := []string{u.RequestURI(), u.EscapedPath(), u.Path, u.RawQuery}
	parts = append(parts, strings.Split(u.Path, "/")...)
	for _, values := range u.Query() {
		parts = append(parts, values...)
	}
	parts = slices.DeleteFunc(parts, func(part string) bool { return len(part) < derived })
	if password, ok := u.User.Password(); ok {
		parts = append(parts, password)
	}
	return append(parts, u.Host, u.Hostname())
}

func (s secrets) hide(text string) string {
	if s.forms == nil {
		return text
	}
	return s.forms.Replace(text)
}

// answer is what there was in the answer to what was sent: its status, and its text.
func (s secrets) answer(resp *http.Response) string {
	status := fmt.Sprintf("%d %s", resp.StatusCode, http.StatusText(resp.StatusCode))
	body, err := io.ReadAll(io.LimitReader(resp.Body, mostRead))
	cut := err != nil || len(body) == mostRead
	text := string(body)
	switch {
	case cut:
		text = strings.TrimRightFunc(text, func(r rune) bool { return r == utf8.RuneError }) // a part of a character
	case text == "":
		return status
	}
	if !utf8.ValidString(text) || strings.ContainsFunc(text, func(r rune) bool { return r < ' ' && !strings.ContainsRune("\r\n\t", r) }) {
		return fmt.Sprintf("%s\n(%d bytes that are no text)", status, len(body))
	}
	text = s.hide(text)
	if cut { // where it ends there may be the beginning of a secret
		text = strings.ToValidUTF8(text[:max(0, len(text)-s.longest)], "")
	}
	return shortened(status+"\n"+text, mostAnswer)
}

// shortened is text in at most so many bytes.
func shortened(text string, most int) string {
	const more = "…"
	if len(text) <= most {
		return text
	}
	return strings.ToValidUTF8(text[:most-len(more)], "") + more
}
