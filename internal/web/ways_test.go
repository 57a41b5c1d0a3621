package web

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"doorhook/internal/intake"
	"doorhook/internal/relay"
)

func TestCaller(t *testing.T) {
	s := New(&desk{}, &office{}, isReady, Options{TrustedProxies: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("2001:db8:1::/48")}})
	for _, tt := range []struct {
		name, peer string
		forwarded  []string
		want       string // "" is nobody that could be told
	}{
		{"directly", "203.0.113.7", nil, "203.0.113.7"},
		{"from a stranger, who claims to be another", "203.0.113.7", []string{"10.0.0.1, 198.51.100.1"}, "203.0.113.7"},
		{"by a proxy", "10.0.0.1", []string{"203.0.113.7"}, "203.0.113.7"},
		{"by a proxy on IPv6", "2001:db8:1::1", []string{"2001:db8:2::7"}, "2001:db8:2::7"},
		{"by a proxy, mapped", "::ffff:10.0.0.1", []string{"::ffff:203.0.113.7"}, "203.0.113.7"},
		{"by two", "10.0.0.1", []string{"203.0.113.7, 10.9.9.9"}, "203.0.113.7"},
		{"by two, in two headers", "10.0.0.1", []string{"203.0.113.7", "10.9.9.9"}, "203.0.113.7"},
		{"what the caller claims is to the left", "10.0.0.1", []string{"198.51.100.1, 203.0.113.7"}, "203.0.113.7"},
		{"a proxy in front of the caller's own", "10.0.0.1", []string{"10.1.1.1, 203.0.113.7"}, "203.0.113.7"},
		{"with a port", "10.0.0.1", []string{"203.0.113.7:4711"}, "203.0.113.7"},
		{"with a port on IPv6", "10.0.0.1", []string{"[2001:db8::7]:4711"}, "2001:db8::7"},
		{"with a zone", "10.0.0.1", []string{"fe80::1%eth0"}, "fe80::1"},
		{"no word of whom", "10.0.0.1", nil, ""},
		{"only proxies", "10.0.0.1", []string{"10.0.0.2"}, ""},
		{"no address", "10.0.0.1", []string{"203.0.113.7, unknown"}, ""},
		{"no address behind a proxy", "10.0.0.1", []string{"203.0.113.7, nobody, 10.0.0.2"}, ""},
		{"a name", "10.0.0.1", []string{"localhost"}, ""},
		{"an end that is empty", "10.0.0.1", []string{"203.0.113.7,"}, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := s.caller(net.ParseIP(tt.peer), tt.forwarded)
			if tt.want == "" && got.IsValid() || tt.want != "" && got.String() != tt.want {
				t.Errorf("got %v, want %q", got, tt.want)
			}
		})
	}
}

// TestCallerArrives is the address as a request has it.
func TestCallerArrives(t *testing.T) {
	d := &desk{}
	s := start(t, d, isReady, Options{TrustedProxies: []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")}})
	s.do(t, "POST", "/hooks/a", "", "{}", "X-Forwarded-For", "203.0.113.7")
	s.do(t, "POST", "/hooks/a", "", "{}", "X-Forwarded-For", "x", "Forwarded", "for=203.0.113.7")
	if got := d.kept[0].From.String(); got != "203.0.113.7" || d.kept[1].From.IsValid() {
		t.Errorf("from %s, then %s", got, d.kept[1].From)
	}
}

// TestAliasRoute: an alias is asked for where no route is, and where it is none nothing
// has changed.
func TestAliasRoute(t *testing.T) {
	const path = "/hooks/catch/1/abcdef"
	d := &desk{do: func(_ context.Context, req intake.Request) (intake.Answer, error) {
		if strings.Contains(string(req.Body), "fail") {
			return intake.Answer{}, intake.ErrForbidden
		}
		return intake.Answer{Status: relay.Accepted, EventID: "evt_1", Trigger: "old"}, nil
	}}
	s := start(t, d, isReady, Options{})
	for _, tt := range []struct {
		method, path, body string
		status             int
	}{
		{"POST", path, "{}", 200},
		{"PUT", path, "{}", 200},
		{"GET", path + "?a=1", "", 200},
		{"POST", path, "fail", 403},
		{"POST", path + "?a=%zz", "{}", 400},
		{"DELETE", path, "", 404},
		{"HEAD", path, "", 404},
		{"POST", path + "x", "{}", 404},
		{"POST", "/nothing?a=%zz", "{}", 404},
		{"POST", "/livez", "", 405},
	} {
		if r := s.do(t, tt.method, tt.path, "application/json", tt.body); r.status != tt.status || strings.Contains(r.body, "abcdef") {
			t.Errorf("%s %s: %d %s", tt.method, tt.path, r.status, r.body)
		}
	}
	if len(d.kept) != 4 || d.kept[0].Alias != path || d.kept[0].Trigger != "" {
		t.Errorf("received %d", len(d.kept))
	}
	log := s.log.String()
	if strings.Contains(log, "abcdef") || strings.Count(log, "route=alias status=200") != 3 || !strings.Contains(log, "trigger=old") {
		t.Errorf("log: %s", log)
	}
}

// TestSignersGetSomeRoom: a body has to come before its signature can be looked at.
func TestSignersGetSomeRoom(t *testing.T) {
	d := &desk{}
	s := start(t, d, isReady, Options{})
	for _, tt := range []struct {
		name, path string
		size       int
		header     []string
		status     int
		says       string
	}{
		{"little of a stranger", "/hooks/a", 4 << 10, []string{"X-Stranger", "1"}, 200, ""}, // whoever is asked then refuses
		{"more of a stranger", "/hooks/a", 4<<10 + 1, []string{"X-Stranger", "1"}, 401, ""},
		{"as much of one who signs", "/hooks/a", 256 << 10, []string{"X-Signature", "1"}, 200, ""},
		{"more of one who signs", "/hooks/a", 256<<10 + 1, []string{"X-Signature", "1"}, 413, "262144 bytes"},
		{"more of one who is known", "/hooks/a", 256<<10 + 1, nil, 200, ""},
		{"more by an alias", "/hooks/catch/1/abcdef", 256<<10 + 1, nil, 200, ""},
		{"more of a stranger by an alias", "/hooks/catch/1/abcdef", 4<<10 + 1, []string{"X-Stranger", "1"}, 401, ""},
		{"more for nobody", "/hooks/catch/1/other", 4<<10 + 1, nil, 404, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if r := s.do(t, "POST", tt.path, "", strings.Repeat("x", tt.size), tt.header...); r.status != tt.status || !strings.Contains(r.body, tt.says) {
				t.Errorf("%d %s", r.status, r.body)
			}
		})
	}
	if n := d.refused.Load(); n != 2 {
		t.Errorf("%d were counted that were refused at the door", n)
	}
	small := start(t, d, isReady, Options{BodyLimit: 10_000})
	if r := small.do(t, "POST", "/hooks/a", "", strings.Repeat("x", 10_001), "X-Signature", "1"); r.status != 413 || !strings.Contains(r.body, "10000 bytes") {
		t.Errorf("%d %s", r.status, r.body)
	}
}

// TestRefusalsAreNotLoggedOneByOne: who does not get in fills no disk.
func TestRefusalsAreNotLoggedOneByOne(t *testing.T) {
	var err error
	d := &desk{do: func(context.Context, intake.Request) (intake.Answer, error) { return intake.Answer{}, err }}
	s := start(t, d, isReady, Options{})
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	s.now = func() time.Time { return now }
	for i, tt := range []struct {
		trigger string
		err     error
		after   time.Duration
		lines   int
	}{
		{"a", &intake.UnauthorizedError{}, 0, 1},
		{"a", &intake.UnauthorizedError{}, 0, 1},
		{"a", intake.ErrForbidden, 59 * time.Second, 1},
		{"b", &intake.UnauthorizedError{}, 0, 2},
		{"a", &intake.UnauthorizedError{}, time.Second, 3},
		{"a", errors.New("x"), 0, 4},
		{"a", fmt.Errorf("accept: %w", relay.ErrBusy), 0, 5}, // the first of these, whoever else was refused
		{"a", fmt.Errorf("accept: %w", relay.ErrBusy), time.Second, 5},
		{"a", nil, 0, 6},
	} {
		now, err = now.Add(tt.after), tt.err
		s.do(t, "POST", "/hooks/"+tt.trigger, "", "{}")
		if n := strings.Count(s.log.String(), "msg=request"); n != tt.lines {
			t.Errorf("%d: %d lines, want %d", i, n, tt.lines)
		}
	}
	if log := s.log.String(); strings.Count(log, "and_before=2") != 1 {
		t.Errorf("log: %s", log)
	}
}

// TestBusy: who comes when there is too much to do is told to come again, and the operator
// that it was so, by a trigger's name or an alias.
func TestBusy(t *testing.T) {
	d := &desk{do: func(context.Context, intake.Request) (intake.Answer, error) {
		return intake.Answer{}, fmt.Errorf("accept at secret-host: %w", relay.ErrBusy)
	}}
	s := start(t, d, isReady, Options{})
	want := `{"type":"urn:doorhook:problem:busy","title":"Busy","status":503,"detail":"too much work waits already, so nothing was accepted; send it again later"}`
	for _, path := range []string{"/hooks/a", "/hooks/catch/1/abcdef"} {
		if r := s.do(t, "POST", path, "", "{}"); r.status != 503 || r.body != want || r.header.Get("Retry-After") != "5" {
			t.Errorf("%s: %d %v %s", path, r.status, r.header, r.body)
		}
	}
	if log := s.log.String(); strings.Count(log, "level=WARN") != 2 || strings.Count(log, "outcome=Busy") != 2 || strings.Contains(log, "level=ERROR") {
		t.Errorf("log: %s", log)
	}
}

// TestTooLargeUnpacked is answered as what is too large to begin with.
func TestTooLargeUnpacked(t *testing.T) {
	d := &desk{do: func(context.Context, intake.Request) (intake.Answer, error) {
		return intake.Answer{}, fmt.Errorf("%w: unpacked it has more than 7 bytes", intake.ErrTooLarge)
	}}
	s := start(t, d, isReady, Options{})
	if r := s.do(t, "POST", "/hooks/a", "", "{}"); r.status != 413 || !strings.Contains(r.body, "more than 7 bytes") {
		t.Errorf("%d %s", r.status, r.body)
	}
}
