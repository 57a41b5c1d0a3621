package kisi_test

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"testing"
)

// shelf answers with pages of a list of total locks, never more than most at
// once, with the header that header makes.
func shelf(total, most int, header func(offset, limit int) string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		offset, _ := strconv.Atoi(r.FormValue("offset"))
		limit, _ := strconv.Atoi(r.FormValue("limit"))
		if h := header(offset, limit); h != "" {
			w.Header().Set("X-Collection-Range", h)
		}
		var all []string
		for id := offset + 1; id <= min(total, offset+min(limit, most)); id++ {
			all = append(all, fmt.Sprintf(`{"id":%d}`, id))
		}
		_, _ = fmt.Fprintf(w, "[%s]", strings.Join(all, ","))
	}
}

func TestWhereAListEnds(t *testing.T) {
	requested := func(total int) func(int, int) string {
		return func(offset, limit int) string { return fmt.Sprintf("%d-%d/%d", offset, offset+limit-1, total) }
	}
	nothing := func(int, int) string { return "" }
	for name, c := range map[string]struct {
		total, most int
		header      func(int, int) string
		requests    int
	}{
		"empty":                        {0, 250, func(int, int) string { return "*/0" }, 1},
		"one page, exactly full":       {250, 250, requested(250), 1},
		"a short page":                 {251, 250, requested(251), 2},
		"no header":                    {600, 250, nothing, 3},
		"no header, exactly full":      {500, 250, nothing, 3},
		"odd header":                   {600, 250, func(int, int) string { return "0-9/many" }, 3},
		"smaller pages than asked for": {600, 100, requested(600), 6},
		"a total that is too large":    {300, 250, requested(900), 3},
	} {
		t.Run(name, func(t *testing.T) {
			requests := 0
			give := shelf(c.total, c.most, c.header)
			client := answering(t, func(w http.ResponseWriter, r *http.Request) {
				requests++
				give(w, r)
			})
			all, err := client.Locks(t.Context())
			if err != nil || len(all) != c.total || requests != c.requests {
				t.Errorf("%d locks in %d requests, %v; want %d in %d", len(all), requests, err, c.total, c.requests)
			}
		})
	}
}

// A part must not pass for the whole.
func TestListThatKisiDoesNotGiveWhole(t *testing.T) {
	c := answering(t, shelf(30_000, 250, func(int, int) string { return "" }))
	_, err := c.Locks(t.Context())
	if e := failure(t, err); e.Err == nil || !strings.Contains(e.Error(), "more than 20000") {
		t.Errorf("got %v", err)
	}
}

func TestObjectSeenTwice(t *testing.T) {
	c := answering(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Collection-Range", "0-249/4")
		_, _ = w.Write([]byte(map[string]string{"0": `[{"id":1},{"id":2}]`, "2": `[{"id":2},{"id":3}]`}[r.FormValue("offset")]))
	})
	if all, err := c.Locks(t.Context()); err != nil || len(all) != 3 {
		t.Errorf("got %+v, %v", all, err)
	}
}
