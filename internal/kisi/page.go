package kisi

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"strconv"
	"strings"
)

// What Kisi allows of a list. Source: OpenAPI, section on pagination.
const (
	pageSize  = 250
	maxOffset = 20000
)

// list reads a list to its end. An object that moved to the next page meanwhile
// is not given twice.
//
// The list ends where X-Collection-Range says it does, and without that header
// with a short page. A short page alone does not end it while the header says
// that there is more: taking a part for the whole would make an object doorhook
// made look as if it were not there, and it would be made again.
func list[T any](ctx context.Context, c *Client, path string, query url.Values, id func(T) int64) ([]T, error) {
	return listBy(ctx, c, path, query, pageSize, id)
}

// listBy is list for a list whose pages Kisi keeps shorter.
func listBy[T any](ctx context.Context, c *Client, path string, query url.Values, size int, id func(T) int64) ([]T, error) {
	var all []T
	seen := map[int64]bool{}
	for offset := 0; offset <= maxOffset; {
		page, total, err := listPage[T](ctx, c, path, query, size, offset)
		if err != nil {
			return nil, err
		}
		for _, one := range page {
			if !seen[id(one)] {
				seen[id(one)] = true
				all = append(all, one)
			}
		}
		offset += len(page)
		known := total >= 0
		if len(page) == 0 || known && offset >= total || !known && len(page) < size {
			return all, nil
		}
	}
	return nil, &Error{
		Op: "GET " + path, Status: http.StatusOK,
		Err: fmt.Errorf("there are more than %d of them, and Kisi lists no further: delete some in Kisi", maxOffset),
	}
}

func listPage[T any](ctx context.Context, c *Client, path string, query url.Values, size, offset int) (page []T, total int, err error) {
	q := url.Values{"limit": {strconv.Itoa(size)}, "offset": {strconv.Itoa(offset)}}
	maps.Copy(q, query)
	h, err := c.callHeader(ctx, request{method: http.MethodGet, path: path, query: q}, &page)
	return page, collectionTotal(h), err
}

// collectionTotal reads the header's "0-9/200", or "*/0" of an empty list; -1
// without a total. The range in it is the one asked for, not the one given.
func collectionTotal(h http.Header) int {
	_, text, _ := strings.Cut(h.Get("X-Collection-Range"), "/")
	total, err := strconv.Atoi(text)
	if err != nil || total < 0 {
		return -1
	}
	return total
}

// create sends r and expects an object with an id: without it, what was made
// could not be taken back.
func (c *Client) create(ctx context.Context, r request, out any, id *int64) error {
	if err := c.call(ctx, r, out); err != nil {
		return err
	}
	if *id <= 0 {
		return &Error{Op: r.op(), Status: http.StatusOK, Err: errors.New("the answer has no id")}
	}
	return nil
}
