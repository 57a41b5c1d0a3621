package golden

import (
	"cmp"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"unicode"

	"doorhook/internal/relay"
)

// redactor puts placeholders in the place of what speaks of people, which any text may
// do. The same address is the same placeholder everywhere, and what the rules are
// written with stays, so that they decide as they did.
type redactor struct {
	literals map[string]bool // in lower case
	phrases  []string        // of the literals those that may stand within a text, the longest first
	people   map[string]int
	phones   map[string]int
	masked   int // how often a text was masked
	texts    int // that were masked, in a part or whole
}

func newRedactor(literals map[string]bool) *redactor {
	r := &redactor{literals: map[string]bool{}, people: map[string]int{}, phones: map[string]int{}}
	for text := range literals {
		text = strings.ToLower(text)
		if r.literals[text] = true; len(text) > 3 {
			r.phrases = append(r.phrases, text)
		}
	}
	slices.SortFunc(r.phrases, func(a, b string) int { return cmp.Or(len(b)-len(a), cmp.Compare(a, b)) })
	return r
}

// keep lets identities stay that are no address and no name of a person.
func (r *redactor) keep(ids ...string) {
	for _, id := range ids {
		if strings.ContainsAny(id, "0123456789") && !strings.ContainsFunc(id, unicode.IsSpace) && !special.MatchString(id) {
			r.literals[strings.ToLower(id)] = true
		}
	}
}

// topic is what a key says about the text under it.
type topic int

const (
	neutral topic = iota
	label         // of something else: a key itself
	personal
	phone
	secret
	identity
)

// topics are the words in keys that speak of something. A later topic wins, but that
// nothing shows a secret.
var topics = map[topic][]string{
	personal: strings.Fields(`name first last middle given family surname firstname lastname fullname displayname nickname username initials
		holder guest guests customer client contact attendee attendees organizer organiser creator owner host user member visitor participant
		participants person people booker tenant company organization organisation employer
		address street city zip zipcode postcode email mail
		description desc notes note comment comments remark remarks message title summary subject body text details memo purpose`),
	phone: strings.Fields(`phone phones mobile cell cellphone tel telephone fax sms whatsapp
		telefon telefonnummer telefono teléfono téléphone telefone telefoon handy mobil móvil movil celular cellulare portable`),
	secret: strings.Fields(`token secret password passwd pwd passcode pin signature authorization cookie credential credentials apikey otp
		session jwt bearer birthday birthdate birth dob cvv cvc`),
	identity: strings.Fields("id ids uid uuid guid status type kind role zone timezone locale language at version sequence start end date time"),
}

// keyed are the words before which a key or a code is a secret.
var keyed = strings.Fields("api access private secret door entry gate lock security")

// topicOf goes by the words in key: phone_number, phoneNumber and Phone are one.
func topicOf(key string, outer topic) topic {
	found := outer
	words := wordsOf(key)
	for i, w := range words {
		if (w == "key" || w == "code") && i > 0 && slices.Contains(keyed, words[i-1]) {
			return secret
		}
	}
	for t := personal; t <= identity; t++ {
		of := words
		if t == identity {
			of = words[max(0, len(words)-1):] // user_id is an identity, and id_holder is not
		}
		if slices.ContainsFunc(of, func(w string) bool { return slices.Contains(topics[t], w) }) && found != secret {
			found = t
		}
	}
	return found
}

var camel = regexp.MustCompile(`([\p{Ll}\d])(\p{Lu})`)

func wordsOf(key string) []string {
	return strings.FieldsFunc(strings.ToLower(camel.ReplaceAllString(key, "$1 $2")), func(r rune) bool { return !unicode.IsLetter(r) })
}

// event is ev without what speaks of people. It keeps the headers that rules read.
func (r *redactor) event(ev relay.Event) relay.Event {
	ev.Payload = r.value(ev.Payload, neutral)
	headers := map[string]any{}
	for _, name := range slices.Sorted(maps.Keys(ev.Headers)) {
		switch {
		case name == "Content-Type":
			headers[name] = ev.Headers[name]
		case name == "Idempotency-Key" || r.literals[strings.ToLower(name)]:
			headers[name] = r.value(ev.Headers[name], topicOf(name, neutral))
		}
	}
	ev.Headers = headers
	ev.Query, _ = r.value(ev.Query, neutral).(map[string]any)
	return ev
}

func (r *redactor) value(v any, t topic) any {
	switch v := v.(type) {
	case string:
		return r.text(v, t)
	case int:
		switch t {
		case secret:
			return 0
		case phone:
			return r.number(v)
		}
	case float64:
		if t == secret || t == phone {
			return 0
		}
	case []any:
		out := make([]any, len(v))
		for i := range v {
			out[i] = r.value(v[i], t)
		}
		return out
	case map[string]any:
		out := make(map[string]any, len(v))
		for _, name := range slices.Sorted(maps.Keys(v)) { // who is the first person does not change from run to run
			out[r.text(name, label)] = r.value(v[name], topicOf(name, t))
		}
		return out
	}
	return v
}

const (
	month = `(jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)[a-z]{0,6}\.?`
	day   = `(((mon|tue|wed|thu|fri|sat|sun)[a-z]{0,6},? )?(\d{4}-\d\d-\d\d|\d{1,2}[/.]\d{1,2}[/.]\d{2,4}|\d{1,2} ` + month + ` \d{4}|` + month + ` \d{1,2},? \d{4}))`
	clock = `(\d{1,2}:\d\d[\d:.]*( ?[A-Za-z]{1,4}| ?[+-]\d\d:?\d\d)?)`
)

var (
	special = regexp.MustCompile(`(?P<url>[a-zA-Z][a-zA-Z0-9+.-]*://[^\s<>"']+)` +
		`|(?P<email>[\p{L}\p{N}._%+'-]+(?:@|%40)[\p{L}\p{N}-]+(?:\.[\p{L}\p{N}-]+)+)` +
		`|(?P<phone>\+\d[\d ()./-]{6,}\d|\(?\b\d{3}\)?[ .-]\d{3}[ .-]\d{4}\b)`)
	when  = regexp.MustCompile(`(?i)^(` + day + `([T ,]+` + clock + `)?|` + clock + `)$`)
	few   = regexp.MustCompile(`^\d{0,3}$`)
	count = regexp.MustCompile(`^(\d{0,3}|-?\d{1,6}(\.\d{1,6})?|true|false|yes|no)$`)
)

// text replaces what speaks of people in a text that stands under a key of topic t.
func (r *redactor) text(text string, t topic) string {
	before := r.masked
	text = r.replaced(text, t)
	if r.masked > before {
		r.texts++
	}
	return text
}

func (r *redactor) replaced(text string, t topic) string {
	if r.literals[strings.ToLower(text)] && t != secret {
		return text
	}
	switch {
	case t == secret:
		return r.mask(text, false)
	case t == phone:
		return r.phone(text)
	case harmless(text, t):
		return text
	case t == identity && !strings.ContainsFunc(text, unicode.IsSpace):
		t = label
	}
	var b strings.Builder
	end := 0
	between := func(text string) {
		if t != label {
			text = r.mask(text, true)
		}
		b.WriteString(text)
	}
	for _, at := range special.FindAllStringSubmatchIndex(text, -1) {
		between(text[end:at[0]])
		b.WriteString(r.special(text[at[0]:at[1]], at))
		end = at[1]
	}
	between(text[end:])
	return b.String()
}

// harmless reports whether text is a time, or a number that is nobody's.
func harmless(text string, t topic) bool {
	if t == personal {
		return few.MatchString(text) || when.MatchString(text)
	}
	return count.MatchString(text) || when.MatchString(text)
}

// special replaces an address of some kind. at is where its groups are.
func (r *redactor) special(text string, at []int) string {
	switch {
	case r.literals[strings.ToLower(text)]:
		return text
	case at[2] >= 0: // a URL: whose door it leads to, and a key to it, may be in all but the host
		scheme, rest, _ := strings.Cut(text, "://")
		host, path, _ := strings.Cut(rest, "/")
		host, query, _ := strings.Cut(host, "?")
		host = host[strings.LastIndex(host, "@")+1:]
		return scheme + "://" + host + "/" + r.mask(path+query, false)
	case at[4] >= 0:
		return r.person(text)
	}
	return r.phone(text)
}

func (r *redactor) person(address string) string {
	return fmt.Sprintf("person%d@example.com", ordinal(r.people, strings.ToLower(strings.ReplaceAll(address, "%40", "@"))))
}

// phone keeps the shape and the first two characters, the country perhaps.
func (r *redactor) phone(text string) string {
	digits := strings.Map(func(c rune) rune {
		if unicode.IsDigit(c) {
			return c
		}
		return -1
	}, text)
	if digits == "" {
		return r.mask(text, true)
	}
	last := fmt.Sprintf("%02d", ordinal(r.phones, digits)%100)
	seen := 0
	return strings.Map(func(c rune) rune {
		if !unicode.IsDigit(c) {
			return shape(c)
		}
		seen++
		switch left := len([]rune(digits)) - seen; {
		case seen == 1 && strings.HasPrefix(text, "+"):
			return c
		case left < len(last):
			return rune(last[len(last)-1-left])
		}
		return '5'
	}, text)
}

func (r *redactor) number(n int) int {
	var out int
	if _, err := fmt.Sscan(r.phone(fmt.Sprint(n)), &out); err != nil {
		return 0
	}
	return out
}

// ordinal is the number of what, counted from 1 in the order in which it was met.
func ordinal(known map[string]int, what string) int {
	if known[what] == 0 {
		known[what] = len(known) + 1
	}
	return known[what]
}

// mask keeps the shape of a text, and of its words those that the rules know, if it may.
func (r *redactor) mask(text string, known bool) string {
	var b strings.Builder
	rest := text
	before := ' '
	for rest != "" {
		if p := r.phrase(rest, before); known && p != "" {
			b.WriteString(p)
			rest, before = rest[len(p):], 'x'
			continue
		}
		c := []rune(rest)[0]
		b.WriteRune(shape(c))
		rest, before = rest[len(string(c)):], c
	}
	if b.String() != text {
		r.masked++
	}
	return b.String()
}

// phrase is what text begins with, if the rules know it and words end there.
func (r *redactor) phrase(text string, before rune) string {
	if word(before) {
		return ""
	}
	for _, p := range r.phrases {
		if len(text) >= len(p) && strings.EqualFold(text[:len(p)], p) {
			if after := []rune(text[len(p):] + " ")[0]; !word(after) {
				return text[:len(p)]
			}
		}
	}
	return ""
}

func word(c rune) bool { return unicode.IsLetter(c) || unicode.IsDigit(c) }

func shape(c rune) rune {
	switch {
	case unicode.IsUpper(c):
		return 'X'
	case unicode.IsLetter(c):
		return 'x'
	case unicode.IsDigit(c):
		return '1'
	}
	return c
}
