package web

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"doorhook/internal/intake"
	"doorhook/internal/relay"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m,
		goleak.IgnoreAnyFunction("github.com/valyala/fasthttp.updateServerDate.func1"),    // runs as long as the process
		goleak.IgnoreAnyFunction("github.com/valyala/fasthttp.(*workerPool).Start.func2"), // wakes every ten seconds to see that it is over
	)
}

// desk is a receiver that keeps what it was given.
type desk struct {
	mu   sync.Mutex
	kept []intake.Request

	refused atomic.Int64
	do      func(ctx context.Context, req intake.Request) (intake.Answer, error)
}

// Allow refuses whoever says that they are a stranger.
func (d *desk) Allow(req intake.Request) (bySignature bool, err error) {
	switch {
	case req.Alias != "" && req.Alias != "/hooks/catch/1/abcdef":
		return false, intake.ErrUnknownTrigger
	case len(req.Header["X-Stranger"]) > 0:
		return false, &intake.UnauthorizedError{Schemes: []string{"Bearer"}}
	}
	return len(req.Header["X-Signature"]) > 0, nil
}

func (d *desk) Refuse(intake.Request) { d.refused.Add(1) }

func (d *desk) Receive(ctx context.Context, req intake.Request) (intake.Answer, error) {
	d.mu.Lock()
	d.kept = append(d.kept, req)
	d.mu.Unlock()
	if d.do != nil {
		return d.do(ctx, req)
	}
	return intake.Answer{Status: relay.Accepted, EventID: "evt_1"}, nil
}

// logbook is a log that may be read while it is written.
type logbook struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logbook) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logbook) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// site is a running server.
type site struct {
	*Server
	addr, url string
	client    *http.Client
	log       *logbook
	served    <-chan error
}

func start(t *testing.T, in receiver, ready func(context.Context) error, o Options) *site {
	t.Helper()
	return startWith(t, in, &office{}, ready, o)
}

func startWith(t *testing.T, in receiver, op relay.Operator, ready func(context.Context) error, o Options) *site {
	t.Helper()
	log := &logbook{}
	o.Log = slog.New(slog.NewTextHandler(log, nil))
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	addr := ln.Addr().String()
	s := &site{
		Server: New(in, op, ready, o), addr: addr, url: "http://" + addr, log: log, served: served,
		client: &http.Client{Transport: &http.Transport{}, Timeout: 20 * time.Second},
	}
	go func() { served <- s.Serve(context.WithoutCancel(t.Context()), ln) }()
	t.Cleanup(func() {
		s.client.CloseIdleConnections()
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if err := s.Shutdown(ctx); err != nil {
			t.Error(err)
		}
	})
	return s
}

func isReady(context.Context) error { return nil }

type response struct {
	status int
	header http.Header
	body   string
}

func (s *site) do(t *testing.T, method, path, contentType, body string, header ...string) response {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, s.url+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if contentType != "" {
		req.Header.Set("Content-Type", contentType)
	}
	for i := 0; i < len(header); i += 2 {
		req.Header.Add(header[i], header[i+1])
	}
	res, err := s.client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response{res.StatusCode, res.Header, string(text)}
}

// raw sends text on a connection of its own and gives back the first line and all
// that came.
func (s *site) raw(t *testing.T, text string) (first, all string) {
	t.Helper()
	conn, err := net.Dial("tcp", s.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := io.WriteString(conn, text); err != nil {
		t.Fatal(err)
	}
	_ = conn.SetReadDeadline(time.Now().Add(5 * time.Second))
	b, _ := io.ReadAll(conn)
	first, _, _ = strings.Cut(string(b), "\r\n")
	return first, string(b)
}

func TestBuffersAreNotShared(t *testing.T) {
	d := &desk{}
	s := start(t, d, isReady, Options{})
	for _, c := range []string{"A", "B", "C"} {
		word := strings.Repeat(c, 8)
		s.do(t, "POST", "/hooks/"+word+"?q="+word, "text/"+word, word+word, "X-Word", word)
	}
	for i, c := range []string{"A", "B", "C"} {
		word, req := strings.Repeat(c, 8), d.kept[i]
		got := []string{req.Trigger, req.Method, req.ContentType, string(req.Body), req.Query.Get("q"), strings.Join(req.Header["X-Word"], "")}
		want := []string{word, "POST", "text/" + word, word + word, word, word}
		if strings.Join(got, "|") != strings.Join(want, "|") {
			t.Errorf("kept %q, want %q", got, want)
		}
	}
}

func TestRequestArrivesAsItWasSent(t *testing.T) {
	d := &desk{}
	s := start(t, d, isReady, Options{})
	multipart := "--cut\r\nContent-Disposition: form-data; name=a\r\n\r\n1\r\n--cut--\r\n"
	s.do(t, "POST", "/hooks/a%2Fb?x=1&x=2&y=%20+", "multipart/form-data; boundary=cut", multipart,
		"authorization", "Bearer a", "Authorization", "Bearer b", "x-lower-case", "v", "X-Long", strings.Repeat("x", 12<<10))
	req := d.kept[0]
	if req.Trigger != "a%2Fb" || string(req.Body) != multipart || req.ContentEncoding != "" {
		t.Errorf("kept %+v with body %q", req, req.Body)
	}
	if len(req.Header["Authorization"]) != 2 || len(req.Header["X-Lower-Case"]) != 1 {
		t.Errorf("headers %v", req.Header)
	}
	s.do(t, "POST", "/hooks/a", "", "x", "Content-Encoding", "identity", "Content-Encoding", "gzip")
	if got := d.kept[1].ContentEncoding; got != "identity, gzip" {
		t.Errorf("content encoding %q", got)
	}
	if len(req.Query["x"]) != 2 || req.Query.Get("y") != "  " {
		t.Errorf("query %v", req.Query)
	}
}

// A GET whose body was left unread would have that body taken for the next request.
func TestBodyOfGetIsRead(t *testing.T) {
	d := &desk{}
	s := start(t, d, isReady, Options{})
	inner := "POST /hooks/inner HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n"
	last := "GET /livez HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
	_, all := s.raw(t, fmt.Sprintf("GET /hooks/outer HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%s%s", len(inner), inner, last))
	if strings.Count(all, "HTTP/1.1 200 OK") != 2 || len(d.kept) != 1 {
		t.Errorf("%d requests kept, answers %q", len(d.kept), all)
	}
	for _, req := range d.kept {
		if req.Trigger != "outer" {
			t.Errorf("took the body for a request to %s", req.Trigger)
		}
	}
}

func TestPanicLeavesTheProcess(t *testing.T) {
	d := &desk{do: func(context.Context, intake.Request) (intake.Answer, error) { panic("canary in a panic") }}
	s := start(t, d, isReady, Options{})
	for range 2 {
		r := s.do(t, "POST", "/hooks/a", "", "{}")
		want := `{"type":"about:blank","title":"Internal Server Error","status":500,"detail":"internal error"}`
		if r.status != 500 || r.body != want {
			t.Errorf("%d %s", r.status, r.body)
		}
	}
	if log := s.log.String(); !strings.Contains(log, "canary in a panic") || !strings.Contains(log, "route=/hooks/:trigger status=500") {
		t.Errorf("log: %s", log)
	}
}

func TestTooLarge(t *testing.T) {
	d := &desk{}
	s := start(t, d, isReady, Options{})
	bodies := map[string]io.Reader{
		"declared": strings.NewReader(strings.Repeat("x", 2<<20)),
		"chunked":  io.MultiReader(strings.NewReader(strings.Repeat("x", 2<<20))),
	}
	for name, body := range bodies {
		t.Run(name, func(t *testing.T) {
			res, err := s.client.Post(s.url+"/hooks/a", "application/json", body)
			if err != nil { // the connection may be reset under the answer
				t.Logf("reset: %v", err)
				return
			}
			defer res.Body.Close()
			text, _ := io.ReadAll(res.Body)
			if res.StatusCode != 413 || !strings.Contains(string(text), "larger than 1048576 bytes") {
				t.Errorf("%d %s", res.StatusCode, text)
			}
		})
	}
	if len(d.kept) > 0 {
		t.Error("an oversize body was received")
	}
	if r := s.do(t, "POST", "/hooks/a", "application/json", strings.Repeat("x", 1<<20)); r.status != 200 {
		t.Errorf("a body of the very limit: %d", r.status)
	}
}

func TestBrokenRequests(t *testing.T) {
	s := start(t, &desk{}, isReady, Options{ReadTimeout: 300 * time.Millisecond})
	tests := []struct{ name, sent, want string }{
		{"half a head", "POST /hooks/a HT", "HTTP/1.1 408 Request Timeout"},
		{"half a body", "POST /hooks/a HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n{", "HTTP/1.1 408 Request Timeout"},
		{"headers too large", "GET /hooks/a HTTP/1.1\r\nHost: x\r\nX: " + strings.Repeat("canary", 4000) + "\r\n\r\n", "HTTP/1.1 431 Request Header Fields Too Large"},
		{"two lengths", "POST /hooks/a HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab", "HTTP/1.1 400 Bad Request"},
		{"no header", "POST /hooks/a HTTP/1.1\r\nHost: x\r\ncanary\r\n\r\n", "HTTP/1.1 400 Bad Request"},
		{"unknown method", "BREW /hooks/a HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", "HTTP/1.1 405 Method Not Allowed"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			first, all := s.raw(t, tt.sent)
			if first != tt.want || !strings.Contains(all, "application/problem+json") || strings.Contains(all, "canary") {
				t.Errorf("got %q", all)
			}
		})
	}
	if log := s.log.String(); strings.Contains(log, "canary") || strings.Count(log, "msg=request") != len(tests) {
		t.Errorf("log: %s", log)
	}
}

func TestShutdownWaitsForRequests(t *testing.T) {
	entered, release := make(chan struct{}), make(chan struct{})
	var told bool
	d := &desk{do: func(ctx context.Context, _ intake.Request) (intake.Answer, error) {
		close(entered)
		select {
		case <-ctx.Done(): // a caller that waits is told to stop
		case <-time.After(5 * time.Second):
		}
		told = errors.Is(ctx.Err(), context.Canceled)
		<-release
		return intake.Answer{Status: relay.Accepted, EventID: "evt_1"}, nil
	}}
	s := start(t, d, isReady, Options{})
	answered := make(chan response, 1)
	go func() { answered <- s.do(t, "POST", "/hooks/a?wait=20", "", "{}") }()
	<-entered

	down := make(chan error, 1)
	go func() { down <- s.Shutdown(context.Background()) }()
	if err := <-s.served; err != nil {
		t.Fatal(err)
	}
	select {
	case err := <-down:
		t.Fatalf("did not wait: %v", err)
	default:
	}
	close(release)
	if r := <-answered; r.status != 200 || !told {
		t.Errorf("answered %d; told to stop waiting: %v", r.status, told)
	}
	if err := <-down; err != nil {
		t.Error(err)
	}
}

func TestServeEndsWithItsContext(t *testing.T) {
	s := New(&desk{}, &office{}, isReady, Options{})
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel() // perhaps before Fiber knows the listener
	if err := s.Serve(ctx, ln); err != nil {
		t.Error(err)
	}
	if conn, err := net.Dial("tcp", ln.Addr().String()); err == nil {
		conn.Close()
		t.Error("still listening")
	}
}

func TestShutdownBeforeServe(t *testing.T) {
	s := New(&desk{}, &office{}, isReady, Options{})
	if err := s.Shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Serve(t.Context(), ln); err != nil {
		t.Error(err)
	}
}

func TestTimeLimit(t *testing.T) {
	left := make(chan time.Duration, 1)
	d := &desk{do: func(ctx context.Context, _ intake.Request) (intake.Answer, error) {
		deadline, limited := ctx.Deadline()
		if !limited { // nobody waits, and intake has a limit of its own for the store
			left <- 0
			return intake.Answer{}, nil
		}
		left <- time.Until(deadline)
		return intake.Answer{}, nil
	}}
	s := start(t, d, isReady, Options{})
	for query, want := range map[string]time.Duration{"": 0, "?wait=10": 15 * time.Second, "?wait=999": 30 * time.Second, "?wait=soon": 0} {
		s.do(t, "POST", "/hooks/a"+query, "", "{}")
		if got := <-left; got > want || got < max(0, want-2*time.Second) {
			t.Errorf("%q: %s left, want %s", query, got, want)
		}
	}
}

// crowded is a listener of a process that is out of file descriptors for a moment.
type crowded struct {
	net.Listener
	refused atomic.Int32
}

func (c *crowded) Accept() (net.Conn, error) {
	if c.refused.Add(1) <= 2 {
		return nil, &net.OpError{Op: "accept", Err: os.NewSyscallError("accept4", syscall.EMFILE)}
	}
	return c.Listener.Accept()
}

// TestOutOfDescriptors goes on serving: strangers can open connections, and an end
// of the process would keep all doors shut.
func TestOutOfDescriptors(t *testing.T) {
	inner, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := New(&desk{}, &office{}, isReady, Options{})
	served := make(chan error, 1)
	go func() { served <- s.Serve(context.Background(), &crowded{Listener: inner}) }()
	resp, err := http.Get("http://" + inner.Addr().String() + "/livez")
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if err := s.Shutdown(context.Background()); err != nil {
		t.Error(err)
	}
	if err := <-served; err != nil {
		t.Errorf("the server ended: %v", err)
	}
}

// TestStrangersGetNoRoom refuses a stranger's body before it has come: the server
// makes room for as much as a request announces.
func TestStrangersGetNoRoom(t *testing.T) {
	s := start(t, &desk{}, isReady, Options{})
	for _, tt := range []struct {
		head string
		want string
	}{
		{"X-Stranger: yes\r\nContent-Length: 1000000", "401"},
		{"X-Stranger: yes\r\nTransfer-Encoding: chunked", "413"},
		{"X-Stranger: yes\r\nX-Signature: ab\r\nContent-Length: 5000", "401"},
		{"X-Signature: ab\r\nContent-Length: 262145", "413"},
		{"Content-Length: 2000000", "413"},
	} {
		conn, err := net.Dial("tcp", s.addr)
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(conn, "POST /hooks/a HTTP/1.1\r\nHost: x\r\n%s\r\n\r\n", tt.head)
		if strings.Contains(tt.head, "chunked") {
			fmt.Fprintf(conn, "2000\r\n%s\r\n", strings.Repeat("a", 0x2000))
		}
		_ = conn.SetReadDeadline(time.Now().Add(5 * time.Second))
		resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil {
			t.Errorf("%s: %v", tt.head, err)
		} else if resp.Body.Close(); !strings.HasPrefix(resp.Status, tt.want) {
			t.Errorf("%s: answered %s, want %s", tt.head, resp.Status, tt.want)
		}
		conn.Close()
	}
}
