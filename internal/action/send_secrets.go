package action

import (
	"cmp"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"html"
	"maps"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"sync"
)

// secrets are what must not be seen of what was sent, however it is said back.
type secrets struct {
	values []string // of the environment, as they were sent; none hides nothing
	login  string   // what HTTP makes of the name and the password of a secret address
	known  *disguises
}

// revealing gives what env gives, and notes it: between two looks a value may change.
func (s *secrets) revealing(env func(string) string) func(string) string {
	return func(name string) string {
		value := strings.TrimSpace(env(name))
		if value != "" && !slices.Contains(s.values, value) {
			s.values = append(s.values, value)
		}
		return value
	}
}

// address notes an address with a secret in it.
func (s *secrets) address(u *url.URL) {
	if u.User != nil {
		password, _ := u.User.Password()
		s.login = base64.StdEncoding.EncodeToString([]byte(u.User.Username() + ":" + password))
	}
}

// hide is text without them.
func (s *secrets) hide(text string) string {
	if len(s.values) == 0 || text == "" {
		return text
	}
	return s.known.of(s).replacer.Replace(text)
}

// longest is the length of the longest of their forms, in bytes.
func (s *secrets) longest() int {
	if len(s.values) == 0 {
		return 0
	}
	return s.known.of(s).longest
}

// disguises remembers how secrets may be written, by the secrets themselves: the same
// receivers answer again and again, and finding that out takes longer than sending.
type disguises struct {
	mu    sync.Mutex
	known map[string]disguise
}

type disguise struct {
	replacer *strings.Replacer
	longest  int
}

func (d *disguises) of(s *secrets) disguise {
	values := slices.Sorted(slices.Values(s.values))
	name := strings.Join(append(values, s.login), "\x00")
	d.mu.Lock()
	defer d.mu.Unlock()
	one, ok := d.known[name]
	if ok {
		return one
	}
	if len(d.known) >= mostReceivers {
		clear(d.known)
	}
	one = disguiseOf(values, s.login)
	d.known[name] = one
	return one
}

// derived is how long a part of a secret address has to be to be one itself: shorter ones
// are words.
const derived = 8

// disguiseOf finds all forms of values, and of all parts of those that are addresses.
func disguiseOf(values []string, login string) disguise {
	forms := map[string]bool{login: true}
	for _, value := range values {
		for _, secret := range append(partsOf(value), value, strings.TrimPrefix(value, "whsec_")) {
			addForms(forms, secret)
		}
	}
	delete(forms, "")
	// The longest first: of one within another something would be left.
	all := slices.SortedFunc(maps.Keys(forms), func(a, b string) int {
		return cmp.Or(len(b)-len(a), strings.Compare(a, b))
	})
	var pairs []string
	for _, form := range all {
		pairs = append(pairs, form, "[redacted]")
	}
	return disguise{strings.NewReplacer(pairs...), len(all[0])}
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
