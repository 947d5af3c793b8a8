package acceptance

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httputil"
	"strconv"
	"strings"
	"sync"
	"testing"
)

// middle sits on the connections of a client, knows HTTP/1.1, and may change what the client sends.
type middle struct {
	to    string // host:port
	conns connections

	mu   sync.Mutex
	head func(string) string       // changes a request's header; nil for no change. Guarded by mu, as is body.
	body func(io.Reader) io.Reader // changes the body of a request that has one; nil for no change
}

// between puts one between a client and an address. dial is for the client's connections.
func between(t *testing.T, to string) (m *middle, dial func(context.Context, string, string) (net.Conn, error)) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	m = &middle{to: to}
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			wg.Go(func() { m.pass(c) })
		}
	})
	t.Cleanup(func() { l.Close(); m.conns.close(); wg.Wait() })
	return m, func(ctx context.Context, network, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, network, l.Addr().String())
	}
}

// change sets what is done to the next requests.
func (m *middle) change(head func(string) string, body func(io.Reader) io.Reader) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.head, m.body = head, body
}

func (m *middle) pass(c net.Conn) {
	defer c.Close()
	s, err := net.Dial("tcp", m.to)
	if err != nil {
		return
	}
	defer s.Close()
	if !m.conns.keep(c, s) {
		return
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		io.Copy(c, s)
		c.(*net.TCPConn).CloseWrite()
	})
	wg.Go(func() {
		r := bufio.NewReaderSize(c, 256<<10)
		for m.request(s, r) == nil {
		}
		s.(*net.TCPConn).CloseWrite()
		io.Copy(io.Discard, r) // closing with something unread would take an answer back that is on its way
	})
	wg.Wait()
}

var errCut = errors.New("cut off in the middle")

// cutAfter ends a body with the connection.
func cutAfter(r io.Reader, n int64) io.Reader {
	return io.MultiReader(io.LimitReader(r, n), failing{errCut})
}

type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }

// request passes one request on.
func (m *middle) request(w io.Writer, r *bufio.Reader) error {
	var head strings.Builder
	length, chunked := int64(0), false
	for {
		line, err := r.ReadString('\n')
		if err != nil {
			return err
		}
		head.WriteString(line)
		name, value, _ := strings.Cut(strings.TrimSpace(line), ": ")
		switch {
		case strings.EqualFold(name, "Content-Length"):
			if length, err = strconv.ParseInt(value, 10, 64); err != nil {
				return err
			}
		case strings.EqualFold(name, "Transfer-Encoding"):
			chunked = true
		}
		if line == "\r\n" {
			break
		}
	}
	m.mu.Lock()
	editHead, editBody := m.head, m.body
	m.mu.Unlock()
	text := head.String()
	hasBody := length > 0 || chunked
	if editHead != nil && hasBody {
		text = editHead(text)
	}
	if _, err := io.WriteString(w, text); err != nil || !hasBody {
		return err
	}
	body := io.LimitReader(r, length)
	if chunked {
		body = httputil.NewChunkedReader(r)
	}
	if editBody != nil {
		body = editBody(body)
	}
	return passBody(w, r, body, chunked)
}

func passBody(w io.Writer, r *bufio.Reader, body io.Reader, chunked bool) error {
	if !chunked {
		_, err := io.Copy(w, body)
		return err
	}
	cw := httputil.NewChunkedWriter(w)
	if _, err := io.Copy(cw, body); err != nil {
		return err
	}
	if err := cw.Close(); err != nil {
		return err
	}
	if _, err := r.ReadString('\n'); err != nil { // what ends the client's chunks
		return err
	}
	_, err := io.WriteString(w, "\r\n")
	return err
}

// clientBetween is a client with a middle on its connections.
func (s *stage) clientBetween() (*client, *middle) {
	s.t.Helper()
	m, dial := between(s.t, strings.TrimPrefix(s.balancer.origin, "http://"))
	c := s.newClient(nil)
	c.connections.DialContext = dial
	return c, m
}

// begin has a client begin its session, so that the next request is in it.
func (s *stage) begin(c *client) {
	s.t.Helper()
	r, err := http.NewRequestWithContext(s.t.Context(), http.MethodGet, s.balancer.origin+"/begin", nil)
	if err != nil {
		s.t.Fatal(err)
	}
	res, err := c.RoundTrip(r)
	if err != nil {
		s.t.Fatal(err)
	}
	defer res.Body.Close()
	if _, err := io.Copy(io.Discard, res.Body); err != nil || res.StatusCode != http.StatusOK || c.begun.Load() == 0 {
		s.t.Fatal(fmt.Errorf("no session: %s, %w", res.Status, err))
	}
}
