package kisi

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"
	"unicode"
)

// Error says what became of a request to Kisi. All errors of a Client that come
// from a request are of this type.
type Error struct {
	Op         string        // method and path, without the query
	Status     int           // 0: no answer
	Code       string        // Kisi's own, like "fad001"; "" if it gave none
	Reason     string        // Kisi's own words, shortened; "" if it gave none
	RetryAfter time.Duration // what Kisi wishes; 0 if it said nothing. With ErrDown: until it may be asked again

	// Unsent says that what was asked surely had no effect, because it never
	// reached Kisi. It is also set, beside a Status, when it was the sign-in
	// that Kisi refused. Look at it before the Status.
	Unsent bool

	// Err is why there was no answer. With a Status of 200 it is why the answer
	// could not be read: Kisi did something, and it is open what.
	Err error
}

// errTurn says that a request did not get its turn (see [Options]).
var errTurn = errors.New("wait for its turn")

// Unwrap gives the transport's error.
func (e *Error) Unwrap() error { return e.Err }

// Error is one line: what was asked, what came of it, and what to do now.
func (e *Error) Error() string {
	text := e.Op + ": " + e.happened()
	if advice := e.Advice(); advice != "" {
		text += "; " + advice
	}
	return text
}

func (e *Error) happened() string {
	switch {
	case e.Status == 0 && e.Unsent:
		return fmt.Sprintf("not sent: %s", e.cause())
	case e.Status == 0:
		return fmt.Sprintf("sent, and no answer came: %s", e.cause())
	case e.Err != nil:
		return fmt.Sprintf("Kisi answered %d: %s", e.Status, e.cause())
	}
	text := fmt.Sprintf("Kisi answered %d", e.Status)
	if e.Code != "" {
		text += " " + e.Code
	}
	if e.Reason != "" {
		return fmt.Sprintf("%s: %s", text, e.Reason)
	}
	if e.Code == "" && http.StatusText(e.Status) != "" {
		text += " (" + http.StatusText(e.Status) + ")"
	}
	return text
}

func (e *Error) cause() string {
	if e.Err == nil {
		return "unknown reason"
	}
	return shorten(e.Err.Error())
}

// parseRefusal finds Kisi's code and words in the body of a refusal:
// {"error","code"}, or {"errors":{field:[text]}} for what is invalid, or
// OAuth's {"error","error_description"}. It expects anything (Kisi's own client
// is tested with an empty body) and takes nothing from a body that is not a
// JSON object, which may be a page of a proxy.
func parseRefusal(body []byte) (code, reason string) {
	var all map[string]any
	if json.Unmarshal(body, &all) != nil {
		return "", ""
	}
	if text, ok := all["code"].(string); ok && isCode(text) {
		code = text
	}
	for _, key := range []string{"error", "errors", "error_description", "message"} {
		if reason = strings.Join(flatten(all[key], 3), "; "); reason != "" {
			return code, reason
		}
	}
	return code, ""
}

// isCode reports whether text looks like one of Kisi's codes. "000000" is what
// Kisi's own client puts where there is none.
func isCode(text string) bool {
	if len(text) < 3 || len(text) > 12 || text == "000000" {
		return false
	}
	return !strings.ContainsFunc(text, func(r rune) bool {
		return (r < '0' || r > '9') && (r < 'a' || r > 'z') && (r < 'A' || r > 'Z')
	})
}

// flatten makes sentences of v: {"email":["can't be blank"]} says "email can't
// be blank". It looks no deeper than depth.
func flatten(v any, depth int) []string {
	var all []string
	switch v := v.(type) {
	case string:
		if v = strings.TrimSpace(v); v != "" {
			all = append(all, v)
		}
	case []any:
		for _, one := range v {
			all = append(all, deeper(one, depth)...)
		}
	case map[string]any:
		for _, field := range slices.Sorted(maps.Keys(v)) {
			for _, text := range deeper(v[field], depth) {
				if field != "base" { // Rails' name for the object as a whole
					text = field + " " + text
				}
				all = append(all, text)
			}
		}
	}
	return all
}

func deeper(v any, depth int) []string {
	if depth <= 1 {
		return nil
	}
	return flatten(v, depth-1)
}

// shorten makes of text one line of bounded length.
func shorten(text string) string {
	const most = 300
	text = strings.Join(strings.FieldsFunc(text, func(r rune) bool {
		return unicode.IsSpace(r) || !unicode.IsPrint(r)
	}), " ")
	if runes := []rune(text); len(runes) > most {
		text = string(runes[:most-1]) + "…"
	}
	return text
}
