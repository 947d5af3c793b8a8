package gateway

import (
	"bufio"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/holdfast-project/holdfast"
	"github.com/holdfast-project/holdfast/accesstoken"
	"github.com/holdfast-project/holdfast/popsession"
)

// severable is an answer that can be cut off while it is written, also after an upgrade, and also where the client reads
// nothing.
type severable struct {
	http.ResponseWriter

	mu      sync.Mutex
	conn    net.Conn // after an upgrade; guarded by mu
	severed bool     // guarded by mu
}

// Unwrap is for http.ResponseController.
func (s *severable) Unwrap() http.ResponseWriter { return s.ResponseWriter }

// Hijack implements http.Hijacker, as far as what is below does.
func (s *severable) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	conn, buffered, err := http.NewResponseController(s.ResponseWriter).Hijack()
	if err != nil {
		return nil, nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.conn = conn; s.severed {
		_ = conn.Close() // whoever uses it will find out
	}
	return conn, buffered, nil
}

// sever ends the answer. It must not be called when the handler has returned: the connection may be another request's then.
func (s *severable) sever() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.severed = true
	if s.conn != nil {
		_ = s.conn.Close() // closed already is as good
		return
	}
	// Where there are no deadlines, the answer ends with its next byte.
	_ = http.NewResponseController(s.ResponseWriter).SetWriteDeadline(time.Unix(1, 0))
}

// sever cuts off an answer that has outlived what let it in. Observers are told if that was revoked: a token and a session
// that have ended are no news.
func (g *Gateway) sever(x *exchange, why *holdfast.Refusal) {
	x.cancel()
	x.out.sever()
	if why.Reason != string(accesstoken.Expired) && why.Reason != string(popsession.Expired) {
		g.observe(x.request, why)
	}
}
