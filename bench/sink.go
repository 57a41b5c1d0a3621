//go:build linux

package main

import (
	"io"
	"net"
	"net/http"
	"sync/atomic"
	"time"
)

// sink receives what is handed on.
type sink struct {
	url   string
	web   *http.Server
	count atomic.Int64
}

func newSink() (*sink, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // it serves until the end
	if err != nil {
		return nil, err
	}
	s := &sink{url: "http://" + l.Addr().String() + "/"}
	s.web = &http.Server{ReadHeaderTimeout: 10 * time.Second, Handler: http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		s.count.Add(1)
	})}
	go func() { _ = s.web.Serve(l) }() // ends with ErrServerClosed
	return s, nil
}
