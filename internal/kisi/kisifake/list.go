package kisifake

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// Limits of lists. Source: OpenAPI; the default of limit differs by list.
const (
	maxLimit  = 250
	maxOffset = 20000
)

// params are the query parameters of a list, and what is wrong with them.
type params struct {
	values        url.Values
	wrong         problems
	limit, offset int
}

// readParams takes limit, offset, ids and the named filters, and no other.
func readParams(c *call, defaultLimit int, filters ...string) *params {
	p := &params{values: c.URL.Query(), wrong: problems{}, limit: defaultLimit}
	for name, values := range p.values {
		switch {
		case !slices.Contains(filters, name) && !slices.Contains([]string{"limit", "offset", "ids"}, name):
			p.wrong.add(name, "is not a parameter of this list")
		case len(values) > 1:
			p.wrong.add(name, "is given twice")
		}
	}
	if n, ok := p.integer("limit"); ok {
		p.limit = int(n)
		if n < 1 || n > maxLimit {
			p.wrong.add("limit", fmt.Sprintf("must be from 1 to %d", maxLimit))
		}
	}
	if n, ok := p.integer("offset"); ok {
		p.offset = int(n)
		if n < 0 || n > maxOffset {
			p.wrong.add("offset", fmt.Sprintf("must be from 0 to %d", maxOffset))
		}
	}
	return p
}

func (p *params) integer(name string) (n int64, given bool) {
	if !p.values.Has(name) {
		return 0, false
	}
	n, err := strconv.ParseInt(p.values.Get(name), 10, 64)
	if err != nil {
		p.wrong.add(name, "must be an integer")
	}
	return n, err == nil
}

// oneOf gives a text; "" if it is not given.
func (p *params) oneOf(name string, allowed ...string) string {
	v := p.values.Get(name)
	if p.values.Has(name) && !slices.Contains(allowed, v) {
		p.wrong.add(name, "is not included in the list: "+strings.Join(allowed, ", "))
	}
	return v
}

// is reports whether a value passes the boolean filter name.
func (p *params) is(name string, value bool) bool {
	v := p.oneOf(name, "true", "false")
	return v == "" || v == strconv.FormatBool(value)
}

// has reports whether an id passes the integer filter name.
func (p *params) has(name string, id int64) bool {
	n, given := p.integer(name)
	return !given || n == id
}

// inIDs reports whether an id passes the filter ids, a list with commas.
func (p *params) inIDs(id int64) bool {
	return !p.values.Has("ids") || slices.Contains(strings.Split(p.values.Get("ids"), ","), strconv.FormatInt(id, 10))
}

// matches reports whether one of texts contains the text of the filter query.
func (p *params) matches(texts ...string) bool {
	query := strings.ToLower(p.values.Get("query"))
	return slices.ContainsFunc(texts, func(t string) bool { return strings.Contains(strings.ToLower(t), query) })
}

// page answers with the part of all that was asked for.
func page(p *params, all []map[string]any) answer {
	if len(p.wrong) > 0 {
		return invalid(p.wrong)
	}
	part := all[min(p.offset, len(all)):min(p.offset+p.limit, len(all))]
	a := ok(append([]map[string]any{}, part...)) // never null
	// The range that was asked for, filled or not.
	span := fmt.Sprintf("%d-%d/%d", p.offset, p.offset+p.limit-1, len(all))
	if len(all) == 0 {
		span = "*/0"
	}
	a.header = map[string]string{http.CanonicalHeaderKey("X-Collection-Range"): span}
	return a
}
