package web

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"

	"doorhook/internal/relay"
)

// startAdmin serves profiles until the test ends, or stop is called.
func startAdmin(t *testing.T, token relay.Secret) (addr string, a *Admin, stop func()) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	a = NewAdmin(token)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- a.Serve(ctx, ln) }()
	stopped := false
	stop = func() {
		cancel()
		if stopped {
			return
		}
		stopped = true
		if err := <-done; err != nil {
			t.Error(err)
		}
		http.DefaultClient.CloseIdleConnections()
	}
	t.Cleanup(stop)
	return ln.Addr().String(), a, stop
}

func TestAdmin(t *testing.T) {
	addr, _, _ := startAdmin(t, "secret\n")
	open, _, _ := startAdmin(t, " ")
	tests := []struct {
		name, addr, method, path, host, auth string
		status                               int
		says                                 string
	}{
		{"index", addr, "GET", "/debug/pprof/", "", "Bearer secret", 200, "goroutine"},
		{"heap", addr, "GET", "/debug/pprof/heap?debug=1", "", "bearer secret", 200, "heap profile"},
		{"allocs", addr, "GET", "/debug/pprof/allocs?debug=1", "", "Bearer secret", 200, "heap profile"},
		{"goroutine", addr, "GET", "/debug/pprof/goroutine?debug=2", "", "Bearer secret", 200, "TestAdmin"},
		{"block", addr, "GET", "/debug/pprof/block?debug=1", "", "Bearer secret", 200, "contention"},
		{"mutex", addr, "GET", "/debug/pprof/mutex?debug=1", "", "Bearer secret", 200, "mutex"},
		{"trace", addr, "GET", "/debug/pprof/trace?seconds=0.01", "", "Bearer secret", 200, "go 1."},
		{"symbol", addr, "GET", "/debug/pprof/symbol", "", "Bearer secret", 200, "num_symbols"},
		{"symbol of pprof", addr, "POST", "/debug/pprof/symbol", "", "Bearer secret", 200, "num_symbols"},
		{"cmdline tells no arguments", addr, "GET", "/debug/pprof/cmdline", "", "Bearer secret", 200, ".test"},
		{"alive", addr, "GET", "/livez", "", "Bearer secret", 200, "ok"},
		{"the password of Basic", addr, "GET", "/livez", "", "Basic YW55OnNlY3JldA==", 200, "ok"}, // any:secret
		{"another password", addr, "GET", "/livez", "", "Basic YW55Onpvbms=", 401, "DOORHOOK_ADMIN_TOKEN"},
		{"no token", addr, "GET", "/debug/pprof/heap", "", "", 401, "DOORHOOK_ADMIN_TOKEN"},
		{"nobody learns what there is", addr, "GET", "/nothing", "", "", 401, "DOORHOOK_ADMIN_TOKEN"},
		{"another token", addr, "GET", "/debug/pprof/heap", "", "Bearer secre", 401, "DOORHOOK_ADMIN_TOKEN"},
		{"the token of another scheme", addr, "GET", "/debug/pprof/heap", "", "Token secret", 401, "DOORHOOK_ADMIN_TOKEN"},
		{"nothing else", addr, "GET", "/hooks/open", "", "Bearer secret", 404, ""},
		{"nor below", addr, "GET", "/debug/pprof/nothing", "", "Bearer secret", 404, ""},
		{"too long", addr, "GET", "/debug/pprof/profile?seconds=61", "", "Bearer secret", 400, "up to 60"},
		{"too long a trace", addr, "GET", "/debug/pprof/trace?seconds=1e9", "", "Bearer secret", 400, "up to 60"},
		{"for ever", addr, "GET", "/debug/pprof/heap?seconds=NaN", "", "Bearer secret", 400, "up to 60"},
		{"no number", addr, "GET", "/debug/pprof/profile?seconds=x", "", "Bearer secret", 400, "up to 60"},
		{"no token is set", open, "GET", "/livez", "", "", 200, "ok"},
		{"by this machine's name", open, "GET", "/livez", "localhost:6060", "", 200, "ok"},
		{"by a page in a browser", open, "GET", "/livez", "stranger.example:6060", "", 403, "127.0.0.1"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			req, err := http.NewRequestWithContext(t.Context(), tt.method, "http://"+tt.addr+tt.path, http.NoBody)
			if err != nil {
				t.Fatal(err)
			}
			req.Host = tt.host
			if tt.auth != "" {
				req.Header.Set("Authorization", tt.auth)
			}
			resp, err := http.DefaultClient.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close()
			text, err := io.ReadAll(resp.Body)
			if err != nil || resp.StatusCode != tt.status || !strings.Contains(string(text), tt.says) || strings.Contains(string(text), "-test.") {
				t.Errorf("%d %.300s, %v", resp.StatusCode, text, err)
			}
			if challenges := len(resp.Header.Values("WWW-Authenticate")); (tt.status == 401) != (challenges == 2) {
				t.Errorf("%d challenges", challenges)
			}
		})
	}
}

// TestNoPageAsksForProfiles: a page of a stranger's in an operator's browser cannot ask, also
// by the name of this machine, or with the password that the browser remembers.
func TestNoPageAsksForProfiles(t *testing.T) {
	addr, _, _ := startAdmin(t, "secret")
	for site, status := range map[string]int{"cross-site": 403, "same-site": 403, "same-origin": 200, "none": 200} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+addr+"/livez", http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Sec-Fetch-Site", site)
		req.SetBasicAuth("any", "secret")
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != status {
			t.Errorf("%s: %d", site, resp.StatusCode)
		}
	}
}

// TestAdminIsBounded: no more than a few profiles are taken at a time, and an end cuts off
// what would take a minute.
func TestAdminIsBounded(t *testing.T) {
	addr, a, stop := startAdmin(t, "")
	whole := make(chan bool, profilesAtOnce)
	for range profilesAtOnce {
		go func() {
			resp, err := http.Get("http://" + addr + "/debug/pprof/heap?seconds=60")
			if err == nil {
				_, err = io.Copy(io.Discard, resp.Body)
				resp.Body.Close()
			}
			whole <- err == nil && resp.StatusCode == http.StatusOK
		}()
	}
	for end := time.Now().Add(10 * time.Second); len(a.busy) < profilesAtOnce; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("they were never taken")
		}
	}
	resp, err := http.Get("http://" + addr + "/debug/pprof/heap")
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusServiceUnavailable || resp.Header.Get("Retry-After") == "" {
		t.Errorf("%d %v", resp.StatusCode, resp.Header)
	}
	started := time.Now()
	stop()
	for range profilesAtOnce {
		if <-whole {
			t.Error("a profile of a minute was whole at once")
		}
	}
	if took := time.Since(started); took > 10*time.Second {
		t.Errorf("it took %s to stop", took)
	}
}

// TestAdminReadsNoForm: how long a profile takes is asked in the address alone, where it
// is bounded.
func TestAdminReadsNoForm(t *testing.T) {
	addr, _, _ := startAdmin(t, "")
	form := "--x\r\nContent-Disposition: form-data; name=\"seconds\"\r\n\r\n3600\r\n--x--\r\n"
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+addr+"/debug/pprof/heap", strings.NewReader(form))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "multipart/form-data; boundary=x")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if _, err := io.Copy(io.Discard, resp.Body); err != nil {
		t.Error(err)
	}
}

// TestAdminTakesFewConnections: whoever reaches the listener and knows no token cannot use
// up what triggers need.
func TestAdminTakesFewConnections(t *testing.T) {
	addr, _, _ := startAdmin(t, "secret")
	var held []net.Conn
	for range adminConns + 1 {
		c, err := net.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		held = append(held, c)
	}
	last := held[adminConns]
	if err := last.SetReadDeadline(time.Now().Add(5 * time.Second)); err != nil {
		t.Fatal(err)
	}
	if _, err := last.Read(make([]byte, 1)); !errors.Is(err, io.EOF) && !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("one too many is kept: %v", err)
	}
	for _, c := range held {
		c.Close()
	}
	for end := time.Now().Add(5 * time.Second); ; time.Sleep(time.Millisecond) {
		resp, err := http.Get("http://" + addr + "/livez")
		if err == nil {
			resp.Body.Close()
			return
		}
		if time.Now().After(end) {
			t.Fatal("nobody is let in after they have gone")
		}
	}
}

// TestNoProfilesAmongTriggers: the main listener has none, though the process has their handlers.
func TestNoProfilesAmongTriggers(t *testing.T) {
	s := start(t, &desk{}, isReady, Options{AdminToken: "secret"})
	for _, path := range []string{"/debug/pprof/", "/debug/pprof/heap", "/debug/pprof/cmdline", "/debug/pprof/profile?seconds=1"} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.url+path, http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Authorization", "Bearer secret")
		resp, err := s.client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != http.StatusNotFound {
			t.Errorf("%s: %d", path, resp.StatusCode)
		}
	}
}
