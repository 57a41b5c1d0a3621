package action

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
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
func (p *parcel) judge(resp *http.Response, now time.Time) relay.Outcome {
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
	out.Err = fmt.Errorf("%s answered %d %s%s", p.to(), status, http.StatusText(status), says)
	return out
}

// pointed says where a redirect leads, as far as that is no secret.
func (p *parcel) pointed(resp *http.Response) string {
	to := "another address"
	if u, err := resp.Location(); err == nil && u.Host != "" && u.Host != resp.Request.URL.Host {
		to = p.secrets.hide(u.Host)
	}
	return "it points to " + to + ", and redirects are not followed; if that is meant, put the new address into the rule"
}

// unanswered says what an attempt without an answer means.
func (p *parcel) unanswered(err error) relay.Outcome {
	var denied *deniedError
	if !errors.As(err, &denied) {
		return relay.Outcome{Verdict: relay.Retry, Err: fmt.Errorf("%s: %s", p.to(), p.why(err))}
	}
	address := "it"
	if p.to() == p.req.URL.Host {
		address = denied.address
	}
	return rejected(fmt.Errorf("%s: %s is a private address, or one for a special purpose: allow it with DOORHOOK_SEND_ALLOW if it is meant", p.to(), address))
}

// why says why there was no answer, without the address.
func (p *parcel) why(err error) string {
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

// answer is what there was in the answer to what was sent: its status, and its text.
func (s *secrets) answer(resp *http.Response) string {
	status := strconv.Itoa(resp.StatusCode) + " " + http.StatusText(resp.StatusCode)
	if resp.Body == http.NoBody {
		return status
	}
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
		text = strings.ToValidUTF8(text[:max(0, len(text)-s.longest())], "")
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
