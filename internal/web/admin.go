package web

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/pprof"
	"net/netip"
	"os"
	"runtime"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"doorhook/internal/relay"
)

// What the admin listener gives at a time. Profiles cost memory and time that triggers need.
const (
	profilesAtOnce = 4
	longestProfile = time.Minute
	adminConns     = 32 // connections, which strangers can open too
)

// How often the runtime notes that a goroutine waited: seldom enough to cost nothing.
const (
	blockRate     = int(time.Millisecond) // once for each millisecond of waiting
	mutexFraction = 100                   // one wait for a lock in so many
)

// Admin serves Go's profiles, on a listener that nothing else is on.
type Admin struct {
	token string
	busy  chan struct{}
	web   *http.Server
}

// NewAdmin returns an Admin. Every request has to show the token, as Bearer or as the
// password of Basic; if it is blank, whoever reaches the listener may ask.
func NewAdmin(token relay.Secret) *Admin {
	a := &Admin{token: strings.TrimSpace(token.Reveal()), busy: make(chan struct{}, profilesAtOnce)}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /livez", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "ok") })
	for path, handler := range map[string]http.HandlerFunc{
		"/debug/pprof/{$}": pprof.Index, "/debug/pprof/cmdline": program, "/debug/pprof/profile": pprof.Profile,
		"/debug/pprof/symbol": pprof.Symbol, "/debug/pprof/trace": pprof.Trace,
	} {
		mux.HandleFunc("GET "+path, a.bounded(handler))
	}
	for _, name := range []string{"allocs", "block", "goroutine", "heap", "mutex", "threadcreate"} {
		mux.HandleFunc("GET /debug/pprof/"+name, a.bounded(pprof.Handler(name).ServeHTTP))
	}
	mux.HandleFunc("POST /debug/pprof/symbol", a.bounded(pprof.Symbol)) // go tool pprof asks so
	var open atomic.Int64
	few := func(c net.Conn, now http.ConnState) {
		switch {
		case now == http.StateNew && open.Add(1) > adminConns:
			_ = c.Close() // its reader gets the error
		case now == http.StateClosed:
			open.Add(-1)
		}
	}
	a.web = &http.Server{
		Handler: a.guard(mux), ConnState: few, ReadTimeout: 15 * time.Second, WriteTimeout: 30 * time.Second, // pprof adds what it was asked to take
		IdleTimeout: time.Minute, MaxHeaderBytes: headerLimit,
	}
	return a
}

// program is the name alone: an argument may hold the password of Redis.
func program(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, os.Args[0]) }

// Serve answers on ln until ctx ends. A profile that is being taken then is cut off.
func (a *Admin) Serve(ctx context.Context, ln net.Listener) error {
	runtime.SetBlockProfileRate(blockRate)
	runtime.SetMutexProfileFraction(mutexFraction)
	defer runtime.SetBlockProfileRate(0)
	defer runtime.SetMutexProfileFraction(0)
	a.web.BaseContext = func(net.Listener) context.Context { return ctx }
	stop := context.AfterFunc(ctx, func() { _ = a.web.Close() }) // Serve says how it ended
	defer stop()
	if err := a.web.Serve(ln); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serve profiles at %s: %w", ln.Addr(), err)
	}
	return nil
}

// guard asks who it is. Without a token only this machine gets here, and a browser on it
// may be led here by a page of a stranger's, under a name of the stranger's or its own.
func (a *Admin) guard(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "no-store")
		w.Header().Set("X-Content-Type-Options", "nosniff")
		switch {
		case fromPage(r): // a browser adds the password of Basic by itself
			http.Error(w, "a page of another site asks for this: type the address in instead", http.StatusForbidden)
		case a.token == "" && !isLoopback(r.Host):
			http.Error(w, "ask for this at 127.0.0.1, or set DOORHOOK_ADMIN_TOKEN where doorhook runs", http.StatusForbidden)
		case a.token != "" && !a.shown(r):
			w.Header().Add("WWW-Authenticate", "Bearer")
			w.Header().Add("WWW-Authenticate", `Basic realm="doorhook", charset="UTF-8"`)
			http.Error(w, "show the DOORHOOK_ADMIN_TOKEN of this doorhook, as Authorization: Bearer or as the password of Basic", http.StatusUnauthorized)
		default:
			r.Body = http.MaxBytesReader(w, r.Body, 1<<20) // addresses to look up
			if r.Method != http.MethodPost {
				r.Body = http.NoBody // package pprof would read a form in it, which nothing bounds
			}
			next.ServeHTTP(w, r)
		}
	})
}

// shown reports whether a request shows the token.
func (a *Admin) shown(r *http.Request) bool {
	given := r.Header.Values("Authorization")
	if _, password, ok := r.BasicAuth(); ok && len(given) == 1 {
		return sameToken(password, a.token)
	}
	return showsBearer(given, a.token)
}

// isLoopback reports whether the host of a request is a name of this machine for itself.
func isLoopback(host string) bool {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	addr, err := netip.ParseAddr(strings.Trim(host, "[]"))
	return host == "localhost" || err == nil && addr.IsLoopback()
}

// fromPage reports whether a browser says that a page of another site's asks.
func fromPage(r *http.Request) bool {
	site := r.Header.Get("Sec-Fetch-Site")
	return site != "" && site != "none" && site != "same-origin"
}

// bounded keeps what is taken short, and few at a time.
func (a *Admin) bounded(next http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if text := r.URL.Query().Get("seconds"); text != "" {
			if n, err := strconv.ParseFloat(text, 64); err != nil || !(n >= 0 && n <= longestProfile.Seconds()) {
				http.Error(w, fmt.Sprintf("seconds is a number up to %.0f", longestProfile.Seconds()), http.StatusBadRequest)
				return
			}
		}
		select {
		case a.busy <- struct{}{}:
			defer func() { <-a.busy }()
			next(w, r)
		default:
			w.Header().Set("Retry-After", "5")
			http.Error(w, fmt.Sprintf("%d profiles are being taken already: ask again", profilesAtOnce), http.StatusServiceUnavailable)
		}
	}
}
