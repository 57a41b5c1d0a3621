package embedded

import (
	"net"
	"sync"
)

// served is miniredis's end of a connection, which it closes after the last command. It
// takes in what the client sends before miniredis asks for it: a client that sends many
// commands at once reads no answer before it has sent the last, and a pipe holds nothing.
type served struct {
	net.Conn
	once  sync.Once
	ended chan struct{}

	mu   sync.Mutex
	more sync.Cond // sent or err has changed
	sent []byte    // that miniredis has not read
	err  error     // what came after it
}

// serve gives the end that the client of far has at the other.
func serve(far net.Conn) *served {
	s := &served{Conn: far, ended: make(chan struct{})}
	s.more.L = &s.mu
	go s.takeIn()
	return s
}

func (s *served) takeIn() {
	buf := make([]byte, 4096)
	for {
		n, err := s.Conn.Read(buf)
		s.mu.Lock()
		s.sent, s.err = append(s.sent, buf[:n]...), err
		s.mu.Unlock()
		s.more.Signal()
		if err != nil {
			return
		}
	}
}

// Read gives what the client sent.
func (s *served) Read(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for len(s.sent) == 0 && s.err == nil {
		s.more.Wait()
	}
	if len(s.sent) == 0 {
		return 0, s.err
	}
	n := copy(p, s.sent)
	s.sent = s.sent[n:]
	return n, nil
}

func (s *served) Close() error {
	s.once.Do(func() { close(s.ended) })
	return s.Conn.Close()
}
