package kisifake

import (
	"encoding/json"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// route is one operation.
type route struct {
	method     string
	path       string // with {id} for a number
	permission string // that a key needs; "" needs none
	anyone     bool   // without authorization
	byLink     bool   // also with the secret of a group link
	do         func(*Server, *call) answer
}

func routes() []route {
	return []route{
		{method: "POST", path: "/logins", anyone: true, do: (*Server).postLogins},
		{method: "GET", path: "/login", do: (*Server).getLogin},
		{method: "DELETE", path: "/login", do: (*Server).deleteLogin},
		{method: "GET", path: "/roles", do: (*Server).getRoles},
		{method: "GET", path: "/role_assignments", permission: "role_assignments_read", do: (*Server).getRoleAssignments},
		{method: "POST", path: "/role_assignments", permission: "role_assignments_write", do: (*Server).postRoleAssignments},
		{method: "GET", path: "/role_assignments/{id}", permission: "role_assignments_read", do: (*Server).getRoleAssignment},
		{method: "PATCH", path: "/role_assignments/{id}", permission: "role_assignments_write", do: (*Server).patchRoleAssignment},
		{method: "DELETE", path: "/role_assignments/{id}", permission: "role_assignments_write", do: (*Server).deleteRoleAssignment},
		{method: "GET", path: "/users", permission: "users_read", do: (*Server).getUsers},
		{method: "POST", path: "/users", permission: "users_write", do: (*Server).postUsers},
		{method: "GET", path: "/users/{id}", permission: "users_read", do: (*Server).getUser},
		{method: "GET", path: "/places", do: (*Server).getPlaces},
		{method: "GET", path: "/locks", byLink: true, do: (*Server).getLocks},
		{method: "GET", path: "/locks/{id}", do: (*Server).getLock},
		{method: "POST", path: "/locks/{id}/unlock", permission: "locks_unlock", byLink: true, do: (*Server).unlock},
		{method: "GET", path: "/groups", do: (*Server).getGroups},
		{method: "GET", path: "/group_locks", do: (*Server).getGroupLocks},
		{method: "GET", path: "/schedules", do: (*Server).getSchedules},
		{method: "POST", path: "/schedules", permission: "schedules_write", do: (*Server).postSchedules},
		{method: "GET", path: "/schedules/{id}", do: (*Server).getSchedule},
		{method: "PATCH", path: "/schedules/{id}", permission: "schedules_write", do: (*Server).patchSchedule},
		{method: "DELETE", path: "/schedules/{id}", permission: "schedules_write", do: (*Server).deleteSchedule},
		{method: "GET", path: "/group_links", do: (*Server).getGroupLinks},
		{method: "POST", path: "/group_links", permission: "group_links_write", do: (*Server).postGroupLinks},
		{method: "POST", path: "/event_sets", permission: "events_read", do: (*Server).postEventSets},
		{method: "GET", path: "/event_sets/{id}", permission: "events_read", do: (*Server).getEventSet},
		{method: "GET", path: "/integrations", permission: "integrations_read", do: (*Server).getIntegrations},
		{method: "DELETE", path: "/group_links/{id}", permission: "group_links_write", do: (*Server).deleteGroupLink},
	}
}

// call is a request on its way through the server.
type call struct {
	*http.Request
	body []byte
	id   int64 // in the path
	who  caller
	now  time.Time
}

// answer is what the server says. A nil body is none at all.
type answer struct {
	status int
	header map[string]string
	body   []byte
}

// ServeHTTP answers one request.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(io.LimitReader(r.Body, 1<<20))
	if err != nil {
		return // the client is gone
	}
	c := &call{Request: r, body: body}
	a, f := s.admit(c)
	if f != nil {
		s.pause(f.Delay)
		a = f.instead()
	}
	if a.status == 0 {
		a = s.perform(c)
	}
	if f != nil {
		a = f.spoil(a)
	}
	s.record(c, a)
	s.finish(w, r, a, f)
}

// admit says who calls, and either refuses with 429 or finds the fault that is
// planned for this request.
func (s *Server) admit(c *call) (answer, *Fault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c.now = s.now()
	c.who = s.identify(c.Request)
	if !s.spend(c.who.budget, c.now) {
		return s.tooMany(), nil
	}
	return answer{}, s.takeFault(c.Request)
}

// perform does what is asked.
func (s *Server) perform(c *call) answer {
	s.mu.Lock()
	defer s.mu.Unlock()
	route, id, ok := s.route(c.Request)
	if !ok {
		return refuse(http.StatusNotFound, "f40400", "There is no such path or method.")
	}
	c.id = id
	if a := s.authorize(c, route); a.status != 0 {
		return a
	}
	if a := checkHeaders(c); a.status != 0 {
		return a
	}
	return route.do(s, c)
}

func (s *Server) route(r *http.Request) (route, int64, bool) {
	for _, route := range s.routes {
		if route.method != r.Method {
			continue
		}
		if id, ok := match(route.path, r.URL.Path); ok {
			return route, id, true
		}
	}
	return route{}, 0, false
}

func match(pattern, path string) (id int64, ok bool) {
	before, after, hasID := strings.Cut(pattern, "{id}")
	if !hasID {
		return 0, path == pattern
	}
	text, ok := strings.CutPrefix(path, before)
	if !ok {
		return 0, false
	}
	if text, ok = strings.CutSuffix(text, after); !ok {
		return 0, false
	}
	id, err := strconv.ParseInt(text, 10, 64)
	return id, err == nil
}

// checkHeaders wants a body announced as JSON, and JSON wanted in return.
func checkHeaders(c *call) answer {
	if len(c.body) == 0 {
		return answer{}
	}
	if kind, _, _ := strings.Cut(c.Header.Get("Content-Type"), ";"); kind != "application/json" {
		return refuse(http.StatusUnsupportedMediaType, "f41500", "Content-Type has to be application/json.")
	}
	if !strings.Contains(c.Header.Get("Accept"), "application/json") {
		return refuse(http.StatusNotAcceptable, "f40600", "Accept has to be application/json.")
	}
	return answer{}
}

// finish sends a, or does to the connection what f says.
func (s *Server) finish(w http.ResponseWriter, r *http.Request, a answer, f *Fault) {
	switch {
	case f != nil && f.Then == Hang:
		select {
		case <-r.Context().Done():
		case <-s.gone:
		}
		panic(http.ErrAbortHandler)
	case f != nil && f.Then == Reset:
		reset(w)
		return
	}
	for name, value := range a.header {
		w.Header().Set(name, value)
	}
	if a.body != nil && w.Header().Get("Content-Type") == "" {
		w.Header().Set("Content-Type", "application/json; charset=utf-8")
	}
	w.WriteHeader(a.status)
	_, _ = w.Write(a.body)
}

// reset ends the connection as a crash does.
func reset(w http.ResponseWriter) {
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	if tcp, ok := conn.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0) // a reset instead of an orderly end
	}
	_ = conn.Close()
}

func (s *Server) pause(d time.Duration) {
	if d <= 0 {
		return
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-s.gone:
	}
}

// encode makes JSON of what the server itself has put together.
func encode(v any) []byte {
	text, err := json.Marshal(v)
	if err != nil {
		panic("kisifake: an answer cannot be encoded: " + err.Error())
	}
	return text
}

func ok(v any) answer   { return answer{status: http.StatusOK, body: encode(v)} }
func noContent() answer { return answer{status: http.StatusNoContent} }

// refuse is Kisi's form of an error.
func refuse(status int, code, text string) answer {
	return answer{status: status, body: encode(map[string]string{"error": text, "code": code})}
}

// invalid is Kisi's form of a validation error: no code.
func invalid(p problems) answer {
	return answer{status: http.StatusUnprocessableEntity, body: encode(map[string]any{"errors": p})}
}

func notFound() answer { return refuse(http.StatusNotFound, "f40401", "It could not be found.") }
