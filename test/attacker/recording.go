package main

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http/httputil"
	"slices"
	"strconv"
	"strings"
	"time"
)

// request is one as it stood on the wire, taken apart.
type request struct {
	method, target string
	fields         [][2]string
	body           []byte
}

// exchange is a recorded request, with its answer.
type exchange struct {
	server string
	request
	answer [][2]string // fields
	said   []byte      // the answer's body
}

// loot is what the recording holds.
type loot struct {
	*Input
	all   []exchange
	picks []exchange // a few of each kind
}

// sift takes the recording apart.
func sift(in *Input) (*loot, error) {
	l := &loot{Input: in}
	for _, c := range in.Connections {
		sent, received := bufio.NewReader(bytes.NewReader(c.Sent)), bufio.NewReader(bytes.NewReader(c.Received))
		for {
			x := exchange{server: c.Server}
			line, err := readMessage(sent, &x.fields, &x.body)
			if err == io.EOF {
				break
			}
			parts := strings.Split(line, " ")
			if err != nil || len(parts) != 3 {
				return nil, fmt.Errorf("a recorded request to %s: %q: %w", c.Server, line, err)
			}
			x.method, x.target = parts[0], parts[1]
			if _, err := readMessage(received, &x.answer, &x.said); err != nil && err != io.EOF {
				return nil, fmt.Errorf("a recorded answer of %s: %w", c.Server, err)
			}
			l.all = append(l.all, x)
		}
	}
	kinds := map[string]int{}
	for _, x := range slices.Backward(l.all) {
		if x.server != "gateway" {
			continue
		}
		path, _, _ := strings.Cut(x.target, "?")
		scheme, _, _ := strings.Cut(x.field("Authorization"), " ")
		kind := fmt.Sprint(x.method, path, scheme, x.field("PoP-Stream"), x.field("PoP-Session-Offer") != "", x.signedURL())
		most := 1
		if scheme == "PoP-Session" || x.signedURL() {
			most = 2 // they have things to swap
		}
		if kinds[kind]++; kinds[kind] <= most {
			l.picks = append(l.picks, x)
		}
	}
	return l, nil
}

// readMessage reads one message of HTTP/1.1, and returns its first line.
func readMessage(r *bufio.Reader, fields *[][2]string, body *[]byte) (first string, err error) {
	for {
		line, err := r.ReadString('\n')
		if err != nil {
			return first, io.EOF // a message that wasn't ended is none
		}
		line = strings.TrimRight(line, "\r\n")
		if first == "" {
			first = line
			continue
		}
		if line == "" {
			break
		}
		name, value, _ := strings.Cut(line, ":")
		*fields = append(*fields, [2]string{name, strings.TrimSpace(value)})
	}
	switch length := get(*fields, "Content-Length"); {
	case get(*fields, "Transfer-Encoding") != "":
		if *body, err = io.ReadAll(httputil.NewChunkedReader(r)); err == nil {
			_, err = r.ReadString('\n')
		}
	case length != "":
		n, atoi := strconv.Atoi(length)
		if atoi != nil {
			return first, atoi
		}
		*body = make([]byte, n)
		_, err = io.ReadFull(r, *body)
	}
	return first, err
}

func get(fields [][2]string, name string) string {
	for _, f := range fields {
		if strings.EqualFold(f[0], name) {
			return f[1]
		}
	}
	return ""
}

func (r *request) field(name string) string { return get(r.fields, name) }

func (r *request) signedURL() bool { return strings.Contains(r.target, "pop-sig=") }

// with returns a copy with a field replaced, added or, if value is empty, removed.
func (r request) with(name, value string) request {
	r.fields = slices.DeleteFunc(slices.Clone(r.fields), func(f [2]string) bool { return strings.EqualFold(f[0], name) })
	if value != "" {
		r.fields = append(r.fields, [2]string{name, value})
	}
	return r
}

// without returns a copy without some fields.
func (r request) without(names ...string) request {
	for _, name := range names {
		r = r.with(name, "")
	}
	return r
}

// bytes puts the request together for one connection. Its framing is made anew; all other fields stay as they are.
func (r request) bytes() []byte {
	r = r.without("Content-Length", "Transfer-Encoding", "Connection").with("Connection", "close")
	if len(r.body) > 0 || r.method != "GET" && r.method != "HEAD" {
		r = r.with("Content-Length", strconv.Itoa(len(r.body)))
	}
	var b bytes.Buffer
	fmt.Fprintf(&b, "%s %s HTTP/1.1\r\n", r.method, r.target)
	for _, f := range r.fields {
		fmt.Fprintf(&b, "%s: %s\r\n", f[0], f[1])
	}
	b.WriteString("\r\n")
	b.Write(r.body)
	return b.Bytes()
}

// send delivers a request and returns the answer's status, or none.
func (l *loot) send(server string, r request) string {
	line, _, _ := l.ask(server, r)
	if line == "" {
		return "none"
	}
	_, status, _ := strings.Cut(line, " ")
	return status
}

func (l *loot) ask(server string, r request) (line string, fields [][2]string, body []byte) {
	c, err := net.DialTimeout("tcp", l.Servers[server], 5*time.Second)
	if err != nil {
		return "", nil, nil
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(10 * time.Second))
	if _, err := c.Write(r.bytes()); err != nil {
		return "", nil, nil
	}
	line, err = readMessage(bufio.NewReader(c), &fields, &body)
	if err != nil {
		return "", nil, nil
	}
	return line, fields, body
}
