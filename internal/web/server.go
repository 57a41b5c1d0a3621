// Package web is the HTTP edge: it copies what a request says, hands it to
// intake and says the answer. It is the only package that knows Fiber, whose
// buffers belong to the next request as soon as a handler returns.
package web

import (
	"cmp"
	"context"
	"log/slog"
	"net"
	"net/netip"
	"strings"
	"time"

	"doorhook/internal/intake"
	"doorhook/internal/relay"

	"github.com/gofiber/fiber/v2"
	"github.com/valyala/fasthttp"
)

// receiver is what happens behind the edge.
type receiver interface {
	Receive(ctx context.Context, req intake.Request) (intake.Answer, error)
	// Allow reports whether a request may call its trigger, by its head alone, or by
	// the signature of its body, which is not there yet.
	Allow(req intake.Request) (bySignature bool, err error)
	// Refuse counts a request that is not received.
	Refuse(req intake.Request)
}

// Options are the tunables of a Server. The zero value works.
type Options struct {
	BodyLimit   int           // in bytes; 1 MiB if unset
	RetryAfter  time.Duration // what a caller is told to wait when doorhook is unavailable; 5 s if unset
	Timeout     time.Duration // for a request that waits, beside the waiting it asks for, and for those of an operator; 5 s if unset
	MaxWait     time.Duration // the longest waiting that adds to Timeout; 25 s if unset
	ReadTimeout time.Duration // for a request to arrive; 15 s if unset
	IdleTimeout time.Duration // between two requests on a connection; 60 s if unset
	MaxConns    int           // connections at a time, each of which may hold a body; 512 if unset
	Grace       time.Duration // for requests under way when Serve's context ends; 30 s if unset

	// TrustedProxies say in X-Forwarded-For who calls; nobody else is believed.
	TrustedProxies []netip.Prefix

	AdminToken relay.Secret // what an operator shows; if it is blank, nobody is one

	Log *slog.Logger // none if unset
}

// headerLimit is what senders of webhooks are known to need: four times Fiber's.
const headerLimit = 16 << 10

func (o Options) withDefaults() Options {
	o.BodyLimit = cmp.Or(o.BodyLimit, 1<<20)
	o.RetryAfter = cmp.Or(o.RetryAfter, 5*time.Second)
	o.Timeout = cmp.Or(o.Timeout, 5*time.Second)
	o.MaxWait = cmp.Or(o.MaxWait, 25*time.Second)
	o.ReadTimeout = cmp.Or(o.ReadTimeout, 15*time.Second)
	o.IdleTimeout = cmp.Or(o.IdleTimeout, time.Minute)
	o.MaxConns = cmp.Or(o.MaxConns, 512)
	o.Grace = cmp.Or(o.Grace, 30*time.Second)
	o.AdminToken = relay.Secret(strings.TrimSpace(o.AdminToken.Reveal())) // files with secrets end in a line break
	o.Log = cmp.Or(o.Log, slog.New(slog.DiscardHandler))
	return o
}

// Server answers HTTP requests.
type Server struct {
	in      receiver
	op      relay.Operator
	ready   func(context.Context) error
	o       Options
	app     *fiber.App
	ln      listener
	quiet   quiet // about callers that nobody knows
	busy    quiet // about those who came when there was too much to do
	now     func() time.Time
	closing <-chan struct{} // closed when Shutdown is called
	close   func()
}

// New returns a Server that hands events to in, and what an operator asks to op.
// ready says whether doorhook can accept events; the text of its error is shown to
// whoever asks.
func New(in receiver, op relay.Operator, ready func(context.Context) error, o Options) *Server {
	// Callers that wait are told to stop waiting when the server closes. Fiber has
	// no context that would say so.
	base, stop := context.WithCancel(context.Background())
	s := &Server{in: in, op: op, ready: ready, o: o.withDefaults(), closing: base.Done(), close: stop, now: time.Now}
	s.app = fiber.New(s.config())
	s.app.Use(func(c *fiber.Ctx) error {
		c.SetUserContext(base)
		return s.observe(c)
	})
	s.routes()
	s.app.Server().Handler = s.refuseOddMethods(s.app.Server().Handler)
	s.app.Server().HeaderReceived = s.limits
	return s
}

func (s *Server) config() fiber.Config {
	return fiber.Config{
		BodyLimit:             s.o.BodyLimit,
		ReadTimeout:           s.o.ReadTimeout,
		IdleTimeout:           s.o.IdleTimeout,
		ReadBufferSize:        headerLimit,
		Concurrency:           s.o.MaxConns,
		CaseSensitive:         true,
		StrictRouting:         true,
		DisableStartupMessage: true,
		ErrorHandler:          s.refuse,
		// Otherwise fasthttp reads a form itself, writes files to disk, and gives
		// back something else than what was sent.
		DisablePreParseMultipartForm: true,
	}
}

func (s *Server) routes() {
	// Not app.Get, which adds HEAD: asking about a door must not open it.
	for _, method := range hookMethods() {
		s.app.Add(method, "/hooks/:trigger", s.hook)
	}
	s.app.Get("/livez", s.livez)
	s.app.Get("/readyz", s.readyz)
	s.operatorRoutes()
	s.app.Use(s.alias) // last: it leaves alone what a route is for, and the answer 405 where one is for another method
}

// refuseOddMethods answers for methods that Fiber has never heard of and to which
// it would give its own text.
func (s *Server) refuseOddMethods(next fasthttp.RequestHandler) fasthttp.RequestHandler {
	known := map[string]bool{}
	for _, method := range s.app.Config().RequestMethods {
		known[method] = true
	}
	return func(fc *fasthttp.RequestCtx) {
		if known[string(fc.Method())] {
			next(fc)
			return
		}
		c := s.app.AcquireCtx(fc)
		defer s.app.ReleaseCtx(c)
		for _, method := range hookMethods() {
			c.Append(fiber.HeaderAllow, method)
		}
		_ = s.refuse(c, fiber.ErrMethodNotAllowed) // always nil
	}
}

// Serve answers requests on ln until Shutdown is called or ctx ends. An end of ctx
// is a Shutdown that gives requests under way the time of Options.Grace; who has
// not sent a whole request by then is cut off.
func (s *Server) Serve(ctx context.Context, ln net.Listener) error {
	s.ln.Listener = ln
	served := make(chan error, 1)
	go func() { served <- s.app.Listener(&s.ln) }()
	select {
	case err := <-served:
		return err
	case <-s.closing:
		s.ln.Close() // Shutdown may have come before Fiber knew the listener
		return <-served
	case <-ctx.Done():
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.o.Grace)
		defer cancel()
		if err := s.Shutdown(ctx); err != nil && ctx.Err() == nil {
			return err
		}
		s.ln.Close()
		if n := s.ln.cut(func(*conn) bool { return true }); n > 0 {
			s.o.Log.WarnContext(ctx, "cut off callers that did not finish sending", "connections", n)
		}
		return <-served
	}
}

// Shutdown takes no more requests, ends the waiting of those under way and waits
// until all are answered or ctx ends.
func (s *Server) Shutdown(ctx context.Context) error {
	s.close()
	// fasthttp takes a connection on which nothing has come yet for busy, and
	// clients open some in advance.
	s.ln.cut(func(c *conn) bool { return !c.spoke.Load() })
	return s.app.ShutdownWithContext(ctx)
}
