//go:build linux

package main

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/valyala/fasthttp"
)

// load is a way to send requests.
type load struct {
	url         string
	connections int
	duration    time.Duration
	rate        int // requests a second, whatever the answers do; 0 sends the next when one is answered
	duplicates  int // of 100 requests, how many repeat an earlier one
	make        func(n int) (body, signature []byte)
}

// measured is what a load came to.
type measured struct {
	Requests  int           `json:"requests"`
	Errors    int           `json:"errors"`
	Seconds   float64       `json:"seconds"`
	PerSecond float64       `json:"per_second"`
	P50       time.Duration `json:"p50_ns"`
	P99       time.Duration `json:"p99_ns"`
	P999      time.Duration `json:"p999_ns"`
}

// run sends until the time is over. Latency counts from when a request was meant to be
// sent, so that a stall counts for all who would have come during it.
func (l load) run() measured {
	client := &fasthttp.HostClient{Addr: hostOf(l.url), MaxConns: l.connections, ReadTimeout: 10 * time.Second, WriteTimeout: 10 * time.Second}
	defer client.CloseIdleConnections()
	var next, failed atomic.Int64
	took := make([][]time.Duration, l.connections)
	started := time.Now()
	end := started.Add(l.duration)
	var wg sync.WaitGroup
	for c := range l.connections {
		wg.Go(func() {
			s := sender{load: l, client: client, random: rand.New(rand.NewPCG(uint64(c), 1))}
			for {
				n := next.Add(1) - 1
				meant := l.meant(started, n)
				if meant.IsZero() {
					meant = time.Now()
				}
				if meant.After(end) || time.Now().After(end.Add(l.duration)) {
					return
				}
				time.Sleep(time.Until(meant))
				if !s.send(int(n)) {
					failed.Add(1)
				}
				took[c] = append(took[c], time.Since(meant))
			}
		})
	}
	wg.Wait()
	return summary(slices.Concat(took...), int(failed.Load()), time.Since(started))
}

// meant is when request n is to be sent at a fixed rate.
func (l load) meant(started time.Time, n int64) time.Time {
	if l.rate == 0 {
		return time.Time{}
	}
	return started.Add(time.Duration(n) * time.Second / time.Duration(l.rate))
}

func summary(took []time.Duration, failed int, over time.Duration) measured {
	slices.Sort(took)
	at := func(share float64) time.Duration {
		if len(took) == 0 {
			return 0
		}
		return took[min(len(took)-1, int(share*float64(len(took))))]
	}
	return measured{
		Requests: len(took), Errors: failed, Seconds: over.Seconds(), PerSecond: float64(len(took)-failed) / over.Seconds(),
		P50: at(0.5), P99: at(0.99), P999: at(0.999),
	}
}

// sender is one connection.
type sender struct {
	load
	client *fasthttp.HostClient
	random *rand.Rand
}

func (s sender) send(n int) bool {
	if n > 0 && s.random.IntN(100) < s.duplicates {
		n = s.random.IntN(n)
	}
	req, resp := fasthttp.AcquireRequest(), fasthttp.AcquireResponse()
	defer fasthttp.ReleaseRequest(req)
	defer fasthttp.ReleaseResponse(resp)
	body, signature := s.make(n)
	req.SetRequestURI(s.url)
	req.Header.SetMethod(fasthttp.MethodPost)
	req.Header.SetContentType("application/json")
	req.Header.SetBytesV("X-Signature", signature)
	req.SetBody(body)
	return s.client.Do(req, resp) == nil && resp.StatusCode() == fasthttp.StatusOK
}

// webhookKey signs what the bench sends as Kisi.
const webhookKey = "bench-webhook-key"

// kisiEvents makes the events of one run: no two runs share one.
func kisiEvents(run string, now time.Time) func(n int) (body, signature []byte) {
	created := now.UTC().Format(time.RFC3339)
	return func(n int) ([]byte, []byte) {
		body := fmt.Appendf(nil, `{"uuid":"%s-%s","actor_type":null,"actor_id":null,"actor_name":null,"object_type":"Lock","object_id":22290,"object_name":"Front door","organization_id":3,"place_id":5,"success":true,"type":"lock.unlock","error_code":null,"error_message":null,"created_at":"%s"}`,
			run, strconv.Itoa(n), created)
		mac := hmac.New(sha256.New, []byte(webhookKey))
		mac.Write(body)
		return body, []byte("sha256=" + hex.EncodeToString(mac.Sum(nil)))
	}
}

func hostOf(url string) string {
	u := fasthttp.AcquireURI()
	defer fasthttp.ReleaseURI(u)
	_ = u.Parse(nil, []byte(url)) // the bench made it
	return string(u.Host())
}
