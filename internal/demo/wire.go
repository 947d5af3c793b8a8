package demo

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httputil"
	"strconv"
	"strings"
	"time"
)

// wire is the connection that the attacker sits on: it keeps the bytes of every request, and may keep them from
// arriving.
type wire struct {
	gateway string
	hold    bool
	seen    []byte // of the last request
	offer   string // that began a session
	answer  string // to the offer
}

var errHeld = errors.New("held back by the attacker")

// RoundTrip implements http.RoundTripper.
func (w *wire) RoundTrip(r *http.Request) (*http.Response, error) {
	var b bytes.Buffer
	if err := r.Write(&b); err != nil {
		return nil, err
	}
	w.seen = b.Bytes()
	if w.hold {
		return nil, errHeld
	}
	resp, err := exchange(w.gateway, w.seen, r)
	if err == nil && resp.Header.Get("PoP-Session") != "" {
		w.offer, w.answer = r.Header.Get("PoP-Session-Offer"), resp.Header.Get("PoP-Session")
	}
	return resp, err
}

// observe has a client make two requests over the wire, and returns the second as it stood there.
func (w *wire) observe(client *http.Client, first, second *http.Request, held bool) (*captured, error) {
	for _, r := range []*http.Request{first, second} {
		w.hold = held && r != first
		resp, err := client.Do(r)
		if w.hold && errors.Is(err, errHeld) {
			continue
		}
		if err != nil {
			return nil, err
		}
		resp.Body.Close()
		if resp.StatusCode != http.StatusOK {
			return nil, fmt.Errorf("the honest request was answered %s", resp.Status)
		}
	}
	return parse(w.seen)
}

// exchange sends bytes and reads one answer, all of it.
func exchange(address string, request []byte, r *http.Request) (*http.Response, error) {
	c, err := net.DialTimeout("tcp", address, 5*time.Second)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	if err := c.SetDeadline(time.Now().Add(5 * time.Second)); err != nil {
		return nil, err
	}
	if _, err := c.Write(request); err != nil {
		return nil, err
	}
	resp, err := http.ReadResponse(bufio.NewReader(c), r)
	if err != nil {
		return nil, err
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	if err != nil {
		return nil, err
	}
	resp.Body = io.NopCloser(bytes.NewReader(body))
	return resp, nil
}

// answer is what became of an attack.
type answer struct {
	in     bool // the API acted
	status int
	reason string
}

// send delivers bytes of the attacker's to the gateway.
func (s *stage) send(c *captured) (answer, error) { return s.sendTo(s.gateway, c) }

func (s *stage) sendTo(gateway string, c *captured) (answer, error) {
	return s.watch(func() (*http.Response, error) { return exchange(gateway, c.bytes(), nil) })
}

// watch tells what the API did on a call of the attacker's, and what the attacker was told.
func (s *stage) watch(call func() (*http.Response, error)) (answer, error) {
	before := s.api.acted.Load()
	resp, err := call()
	if err != nil {
		return answer{}, err
	}
	defer resp.Body.Close()
	out := answer{in: s.api.acted.Load() > before, status: resp.StatusCode}
	if resp.StatusCode < 400 {
		return out, nil
	}
	var problem struct{ Reason string }
	if err := json.NewDecoder(io.LimitReader(resp.Body, 1<<16)).Decode(&problem); err != nil {
		return out, fmt.Errorf("refused with %s, without a reason: %w", resp.Status, err)
	}
	out.reason = problem.Reason
	return out, nil
}

// captured is a request as it stood on the wire, taken apart.
type captured struct {
	method, target string
	fields         [][2]string
	body           []byte
}

func parse(request []byte) (*captured, error) {
	head, body, ok := strings.Cut(string(request), "\r\n\r\n")
	if !ok {
		return nil, errors.New("no end of header")
	}
	lines := strings.Split(head, "\r\n")
	parts := strings.Split(lines[0], " ")
	if len(parts) != 3 {
		return nil, fmt.Errorf("request line %q", lines[0])
	}
	c := &captured{method: parts[0], target: parts[1], body: []byte(body)}
	for _, line := range lines[1:] {
		name, value, _ := strings.Cut(line, ": ")
		c.fields = append(c.fields, [2]string{name, value})
	}
	if c.field("Transfer-Encoding") == "" {
		return c, nil
	}
	c.drop("Transfer-Encoding")
	var err error
	c.body, err = io.ReadAll(httputil.NewChunkedReader(strings.NewReader(body)))
	return c, err
}

// kind tells how it proves possession.
func (c *captured) kind() kind {
	switch {
	case strings.Contains(c.target, "pop-sig="):
		return onURLs
	case strings.HasPrefix(c.field("Authorization"), "PoP-Session "):
		return onSessions
	}
	return onHeaders
}

func (c *captured) header() http.Header {
	h := http.Header{}
	for _, f := range c.fields {
		h.Add(f[0], f[1])
	}
	return h
}

// field returns the value of the first field with this name.
func (c *captured) field(name string) string {
	for _, f := range c.fields {
		if strings.EqualFold(f[0], name) {
			return f[1]
		}
	}
	return ""
}

// set replaces a field, or adds it.
func (c *captured) set(name, value string) {
	c.drop(name)
	c.fields = append(c.fields, [2]string{name, value})
}

func (c *captured) drop(names ...string) {
	var kept [][2]string
	for _, f := range c.fields {
		keep := true
		for _, name := range names {
			keep = keep && !strings.EqualFold(f[0], name)
		}
		if keep {
			kept = append(kept, f)
		}
	}
	c.fields = kept
}

// bytes puts the request together again, with a length that fits its body.
func (c *captured) bytes() []byte {
	c.set("Content-Length", strconv.Itoa(len(c.body)))
	var b bytes.Buffer
	fmt.Fprintf(&b, "%s %s HTTP/1.1\r\n", c.method, c.target)
	for _, f := range c.fields {
		fmt.Fprintf(&b, "%s: %s\r\n", f[0], f[1])
	}
	b.WriteString("\r\n")
	b.Write(c.body)
	return b.Bytes()
}
