package action

import (
	"cmp"
	"maps"
	"net/http"
	"slices"
	"strings"

	"doorhook/internal/relay"
)

// forPerson is said of a message of which a part is computed when Kisi has said who is
// behind the event.
const forPerson = "once Kisi has said who it is"

// message gives the request that would send a. Nothing is asked of anybody for it.
func (c Caller) message(a relay.Action) ([]Request, error) {
	m, err := messageOf(a)
	if err != nil {
		return nil, err
	}
	body, contentType := m.body()
	r := Request{Method: m.method(), URL: m.URL.String(), Header: http.Header{}, Body: body}
	if a.Later != nil {
		r.For = forPerson
	}
	headers := m.headers(cmp.Or(c.UserAgent, "doorhook"), "msg_ID", contentType)
	for name, text := range headers {
		r.Header.Set(name, text.String())
	}
	if len(m.Sign) > 0 {
		r.Signed = m.Sign.String()
	}
	r.curl = m.curl(headers, body, r.Signed)
	return []Request{r}, nil
}

// curl is the command that sends m by hand, unsigned.
func (m message) curl(headers map[string]relay.Text, body, signed string) string {
	parts := []string{"curl -X " + m.method() + " " + inShell(m.URL)}
	for _, name := range slices.Sorted(maps.Keys(headers)) {
		parts = append(parts, "-H "+inShell(append(relay.Plain(name+": "), headers[name]...)))
	}
	if body != "" {
		parts = append(parts, "--data-raw "+quoted(body))
	}
	command := strings.Join(parts, " \\\n  ")
	if signed != "" {
		command += "\n# doorhook signs it with " + signed + ": webhook-timestamp and webhook-signature are not in this command"
	}
	return command
}

// inShell is t as a shell takes it for one argument, its secrets as variables and
// nothing else expanded.
func inShell(t relay.Text) string {
	var b strings.Builder
	plain := ""
	write := func() {
		if plain != "" {
			b.WriteString(quoted(plain))
		}
		plain = ""
	}
	for _, p := range t {
		plain += p.Text
		if p.Env != "" {
			write()
			b.WriteString(`"$` + p.Env + `"`)
		}
	}
	write()
	return b.String()
}
