package golden

import (
	"net/http"
	"net/textproto"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v4"

	"doorhook/internal/kisi/kisifake"
	"doorhook/internal/relay"
	"doorhook/internal/rules"
)

var (
	kisiKeys = []string{"groups", "users", "answers"}
	failures = []string{"status", "timeout", "reset", "crash", "empty", "junk"}
	toldKeys = append([]string{"to", "times", "code", "reason", "retry_after"}, failures...)
	methods  = []string{http.MethodGet, http.MethodPost, http.MethodPatch, http.MethodDelete}
)

// kisi reads the site of a case and how it answers. What a case says of it adds to what
// the file says; its answers come first.
func (r *reader) kisi(s *story, n *yaml.Node) {
	keys := r.keys(n, "kisi", kisiKeys)
	if e, ok := keys["groups"]; ok {
		for _, g := range r.Entries(e.Node, "groups", nil) {
			if id := r.id(g.Key, "a group"); id > 0 {
				s.groups[id] = r.ids(g.Node)
			}
		}
	}
	if e, ok := keys["users"]; ok {
		for _, u := range r.Entries(e.Node, "users", nil) {
			s.users = append(s.users, r.user(u))
		}
	}
	if e, ok := keys["answers"]; ok {
		var own []kisifake.Fault
		for _, item := range r.Items(e.Node, "answers") {
			own = append(own, r.fault(item))
		}
		s.faults = append(own, s.faults...)
	}
}

// user reads one that Kisi has: `77: {name: Jo, email: jo@example.com}`.
func (r *reader) user(e rules.Entry) kisifake.User {
	u := kisifake.User{ID: r.id(e.Key, "a user")}
	for name, one := range r.keys(e.Node, "a user", []string{"name", "email"}) {
		text, _ := r.Text(one.Node, name)
		if name == "name" {
			u.Name = text
		} else {
			u.Email = text
		}
	}
	return u
}

func (r *reader) ids(n *yaml.Node) []int64 {
	nodes := []*yaml.Node{n}
	if n.Kind == yaml.SequenceNode {
		nodes = r.Items(n, "the locks of a group")
	}
	ids := []int64{}
	for _, one := range nodes {
		ids = append(ids, r.id(one, "a lock"))
	}
	return ids
}

func (r *reader) id(n *yaml.Node, what string) int64 {
	text, ok := r.Text(n, what)
	id, err := strconv.ParseInt(text, 10, 64)
	if ok && (err != nil || id <= 0) {
		r.Errorf(n, "the id of %s is a positive whole number, and this is %q", what, text)
	}
	return id
}

// fault reads one answer of Kisi's that is not its usual one.
func (r *reader) fault(n *yaml.Node) kisifake.Fault {
	var f kisifake.Fault
	keys := r.keys(n, "an answer", toldKeys)
	if n.Kind != yaml.MappingNode {
		return f
	}
	if e, ok := keys["to"]; ok {
		f.Method, f.Path = r.target(e)
	}
	if e, ok := keys["times"]; ok {
		f.Times = r.times(e)
	}
	for name, to := range map[string]*string{"code": &f.Code, "reason": &f.Reason, "retry_after": &f.RetryAfter} {
		if e, ok := keys[name]; ok {
			*to, _ = r.Text(e.Node, name)
		}
	}
	var given []rules.Entry
	for _, name := range failures {
		if e, ok := keys[name]; ok {
			given = append(given, e)
		}
	}
	if len(given) != 1 {
		r.Errorf(n, "an answer takes one of %s: that is what goes wrong", strings.Join(failures, ", "))
		return f
	}
	r.failure(&f, given[0])
	return f
}

func (r *reader) failure(f *kisifake.Fault, e rules.Entry) {
	text, ok := r.Text(e.Node, e.Name)
	if e.Name == "status" {
		f.Status, _ = strconv.Atoi(text)
		if ok && (f.Status < 300 || f.Status > 599) {
			r.Errorf(e.Node, "status takes a number from 300 to 599: Kisi's refusal, before it does anything")
		}
		return
	}
	if ok && text != "true" {
		r.Errorf(e.Node, "write `%s: true`, or remove it", e.Name)
	}
	switch e.Name {
	case "timeout":
		f.Then = kisifake.Hang
	case "reset":
		f.Then = kisifake.Reset
	case "crash":
		f.Then = kisifake.Crash
	case "empty":
		f.Empty = true
	case "junk":
		f.Junk = true
	}
}

// target reads `POST /group_links`, or one of the two; or the same of a message, with the
// beginning of its address.
func (r *reader) target(e rules.Entry) (method, path string) {
	text, ok := r.Text(e.Node, "to")
	if !ok {
		return "", ""
	}
	method, path, _ = strings.Cut(text, " ")
	if strings.HasPrefix(method, "/") || isOutside(method) {
		method, path = "", text
	}
	known := slices.Contains(methods, method) || isOutside(path) && method == http.MethodPut
	if method != "" && !known || path != "" && !strings.HasPrefix(path, "/") && !isOutside(path) {
		r.Errorf(e.Node, "to takes a request as `POST /group_links`, or its method or the beginning of its path alone, or a send as `POST ${env.NAME}`; the methods are %s", strings.Join(methods, ", "))
	}
	return method, path
}

func (r *reader) times(e rules.Entry) int {
	text, ok := r.Text(e.Node, "times")
	if text == "always" {
		return -1
	}
	n, err := strconv.Atoi(text)
	if ok && (err != nil || n < 1) {
		r.Errorf(e.Node, "times takes a number from 1 on, or always")
	}
	return n
}

func (r *reader) texts(n *yaml.Node, what string) []string {
	nodes := []*yaml.Node{n}
	if n.Kind == yaml.SequenceNode {
		nodes = r.Items(n, what)
	}
	var texts []string
	for _, one := range nodes {
		text, _ := r.Text(one, what)
		texts = append(texts, text)
	}
	return texts
}

func canonical(header string) string { return textproto.CanonicalMIMEHeaderKey(header) }

// options are a Kisi that has every lock and group that actions name, and takes all of
// them. Of a group whose locks are asked for, the case has to say which those are; 0
// if all is known.
func (c story) options(actions []relay.Action) (o kisifake.Options, unknown int64) {
	groups := map[int64][]int64{}
	locks := map[int64]bool{}
	for id, of := range c.groups {
		groups[id] = of
		for _, lock := range of {
			locks[lock] = true
		}
	}
	for _, a := range actions {
		group, lock := target(a)
		if lock != 0 {
			locks[lock] = true
		}
		_, known := groups[group]
		if _, asked := a.GroupToExpand(); asked && !known {
			return o, group
		}
		if group != 0 && !known {
			groups[group] = []int64{}
		}
	}
	o.Locks, o.Groups = []kisifake.Lock{}, []kisifake.Group{}
	for _, id := range sorted(locks) {
		o.Locks = append(o.Locks, kisifake.Lock{ID: id})
	}
	for _, id := range sorted(groups) {
		o.Groups = append(o.Groups, kisifake.Group{ID: id, Locks: groups[id]})
	}
	o.Users = usersOf(c.users, actions)
	o.Rate, o.EmailLinks = -1, -1
	return o, 0
}
