package action

import (
	"crypto/tls"
	"net"
	"net/http"
	"net/netip"
	"syscall"
	"time"

	"code.dny.dev/ssrf"
)

// deniedError says that an address is not to be sent to.
type deniedError struct{ address string }

func (e *deniedError) Error() string { return e.address + " is not to be sent to" }

// guard refuses every address that is not public, but for those allowed: whoever writes
// what is sent must not reach what only this machine can reach. It is asked when a
// connection is made, so that no name of the DNS leads around it.
func guard(allow []netip.Prefix) func(network, address string, c syscall.RawConn) error {
	var v4, v6 []netip.Prefix
	for _, p := range allow {
		if p.Addr().Is4() {
			v4 = append(v4, p)
		} else {
			v6 = append(v6, p)
		}
	}
	g := ssrf.New(ssrf.WithAnyPort(), ssrf.WithAllowedV4Prefixes(v4...), ssrf.WithAllowedV6Prefixes(v6...))
	return func(network, address string, c syscall.RawConn) error {
		if g.Safe(network, address, c) == nil {
			return nil
		}
		host, _, err := net.SplitHostPort(address)
		if err != nil {
			host = address
		}
		return &deniedError{host}
	}
}

func newTransport(allow []netip.Prefix) *http.Transport {
	var protocols http.Protocols
	protocols.SetHTTP1(true) // as with Kisi: what was never sent is known as such
	return &http.Transport{
		Proxy:                  nil, // the guard would see the proxy's address alone
		DialContext:            (&net.Dialer{Timeout: 5 * time.Second, Control: guard(allow)}).DialContext,
		Protocols:              &protocols,
		TLSClientConfig:        &tls.Config{MinVersion: tls.VersionTLS12},
		MaxConnsPerHost:        64,
		MaxIdleConnsPerHost:    mostAtOnce,
		MaxIdleConns:           mostReceivers,
		IdleConnTimeout:        90 * time.Second, // longer than a minute, for what comes once a minute
		MaxResponseHeaderBytes: 64 << 10,
		DisableCompression:     true,
	}
}
