package kisifake

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync"
	"time"
)

// DefaultKey is the API key that a Server accepts if it is given no other.
const DefaultKey = "kisi-demo-key"

// Options say what a Server knows. The zero value is a small site with one key.
type Options struct {
	Key      string // the accepted API key; "" is [DefaultKey]
	Email    string // who may sign in; "" lets nobody
	Password string
	Domain   string // "" takes any, and none

	Locks  []Lock  // nil, with Groups nil, is the site of [DefaultSite]
	Groups []Group // see Locks
	Users  []User  // beside the owner of the keys; nil is [DefaultUsers]

	Now    func() time.Time // nil is time.Now
	OnCall func(Call)       // told of each call before it is answered, one at a time

	// Rate is how many requests a second one user may make, with all keys
	// together. 0 is Kisi's 5, negative is no limit.
	Rate int
	// LimitRetryAfter is the Retry-After of a 429, which Kisi does not document;
	// "" sends none.
	LimitRetryAfter string
	// LimitEmpty sends a 429 without a body.
	LimitEmpty bool
	// EmailLinks is how many links with an e-mail address may exist. 0 is Kisi's
	// 1000, negative is no limit.
	EmailLinks int
}

// Lock is a door of the site. All are in one place.
type Lock struct {
	ID         int64
	Name       string
	Geofence   bool // opens through the API only with a location
	ReaderOnly bool // opens through the API only with a proximity proof
}

// Group is a set of locks that are granted together.
type Group struct {
	ID    int64
	Name  string
	Locks []int64
}

// DefaultSite gives two studios behind one front door.
func DefaultSite() ([]Lock, []Group) {
	locks := []Lock{
		{ID: 22281, Name: "Studio A"},
		{ID: 22282, Name: "Studio B"},
		{ID: 22290, Name: "Front door"},
	}
	groups := []Group{
		{ID: 32693, Name: "Studio A and front door", Locks: []int64{22281, 22290}},
		{ID: 32694, Name: "Studio B and front door", Locks: []int64{22282, 22290}},
	}
	return locks, groups
}

// Server is a fake Kisi. It is an [http.Handler], and can listen by itself.
type Server struct {
	o      Options
	routes []route
	gone   chan struct{} // closed by Close

	telling sync.Mutex // held while OnCall runs

	mu        sync.Mutex // guards the rest
	locks     []*door
	groups    []Group
	schedules []*Schedule
	links     []*GroupLink
	users     []User
	roles     []*RoleAssignment // the first is the owner's
	logins    []*login
	forbidden map[string]map[string]bool // by secret and permission
	buckets   map[string]*bucket
	faults    []*Fault
	unlocks   []Unlock
	events    []Event // oldest first
	sets      []*eventSet
	setLooks  int
	setsFail  bool
	webhooks  []*Webhook
	journal   []Call
	changed   chan struct{} // closed and renewed with each call
	nextID    int64
	web       *http.Server
	stopped   chan struct{} // closed when web has stopped
	sending   sync.WaitGroup
}

// door is a lock and its condition.
type door struct {
	Lock
	offline    bool
	lockedDown time.Time // zero: it is not
	unlocked   time.Time // by hand, until then
}

// New makes a Server that does not listen yet.
func New(o Options) *Server {
	if o.Key == "" {
		o.Key = DefaultKey
	}
	if o.Locks == nil && o.Groups == nil {
		o.Locks, o.Groups = DefaultSite()
	}
	if o.Users == nil {
		o.Users = DefaultUsers()
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Rate == 0 {
		o.Rate = 5
	}
	if o.EmailLinks == 0 {
		o.EmailLinks = 1000
	}
	s := &Server{
		o: o, routes: routes(), gone: make(chan struct{}), groups: o.Groups,
		forbidden: map[string]map[string]bool{}, buckets: map[string]*bucket{},
		changed: make(chan struct{}), nextID: 1000, users: withOwner(o),
		roles: []*RoleAssignment{{ID: 501, RoleID: ownerRole, AssigneeType: "User", AssigneeID: ownerID, AppliesToType: "Organization", AppliesToID: organizationID}},
	}
	for _, l := range o.Locks {
		s.locks = append(s.locks, &door{Lock: l})
	}
	s.logins = []*login{{id: s.id(), secret: o.Key, created: s.now(), key: true}}
	return s
}

// Start listens on addr, a loopback address; "" is any free port. It gives the
// URL of the server, which serves until Close.
func (s *Server) Start(addr string) (url string, err error) {
	if addr == "" {
		addr = "127.0.0.1:0"
	}
	host, _, err := net.SplitHostPort(addr)
	if ip := net.ParseIP(host); err != nil || host != "localhost" && (ip == nil || !ip.IsLoopback()) {
		return "", fmt.Errorf("the fake Kisi listens on this machine only, as in 127.0.0.1:8081, not on %q", addr)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.web != nil {
		return "", errors.New("the fake Kisi listens already")
	}
	l, err := new(net.ListenConfig).Listen(context.Background(), "tcp", addr)
	if err != nil {
		return "", fmt.Errorf("listen for the fake Kisi: %w", err)
	}
	s.web = &http.Server{Handler: s, ReadHeaderTimeout: 10 * time.Second}
	s.stopped = make(chan struct{})
	go func(web *http.Server, stopped chan struct{}) {
		defer close(stopped)
		_ = web.Serve(l) // ends with ErrServerClosed, by Close
	}(s.web, s.stopped)
	return "http://" + l.Addr().String(), nil
}

// Close ends the listener, the webhooks and every request that a fault keeps waiting. It may
// be called twice, and without Start.
func (s *Server) Close() {
	s.mu.Lock()
	web, stopped := s.web, s.stopped
	select {
	case <-s.gone:
	default:
		close(s.gone)
	}
	for _, w := range s.webhooks {
		w.stop()
	}
	s.mu.Unlock()
	s.sending.Wait()
	if web == nil {
		return
	}
	_ = web.Close()
	<-stopped
}

func (s *Server) now() time.Time { return s.o.Now().UTC() }

// id gives the next id; all kinds share one sequence, as a mix-up then shows.
func (s *Server) id() int64 {
	s.nextID++
	return s.nextID
}
