package bench

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

// stock is requests as they stand on the wire, one behind the other. They are made before the clock runs: what a client
// spends on its proofs isn't in the figures.
type stock struct {
	bytes []byte
	ends  []int
}

// fill makes n requests with the fields that sign writes into an empty header. The room of earlier ones is used again.
func (s *stock) fill(n int, sign func(http.Header) error) error {
	s.bytes, s.ends = s.bytes[:0], s.ends[:0]
	h := http.Header{}
	for range n {
		clear(h)
		if err := sign(h); err != nil {
			return err
		}
		s.bytes = appendWire(s.bytes, h)
		s.ends = append(s.ends, len(s.bytes))
	}
	return nil
}

func (s *stock) at(i int) []byte {
	start := 0
	if i > 0 {
		start = s.ends[i-1]
	}
	return s.bytes[start:s.ends[i]]
}

// pool is a number of kept connections to one server. Each has one request under way at a time.
type pool []*connection

func dialPool(address string, size int) (pool, error) {
	p := make(pool, size)
	for i := range p {
		c, err := net.Dial("tcp", address)
		if err != nil {
			p.close()
			return nil, err
		}
		p[i] = &connection{c, bufio.NewReader(c)}
	}
	return p, nil
}

// close closes connections that are of no more use.
func (p pool) close() {
	for _, c := range p {
		if c != nil {
			_ = c.Close()
		}
	}
}

// send sends the whole stock, each connection what comes next, and returns how long that took, and appends to latencies
// how long each request took.
func (p pool) send(s *stock, latencies []time.Duration) (time.Duration, []time.Duration, error) {
	first := len(latencies)
	latencies = append(latencies, make([]time.Duration, len(s.ends))...)
	each := latencies[first:]
	var next atomic.Int64
	var wg sync.WaitGroup
	errs := make([]error, len(p))
	start := time.Now()
	for i, c := range p {
		wg.Go(func() {
			for errs[i] == nil {
				n := int(next.Add(1)) - 1
				if n >= len(each) {
					return
				}
				sent := time.Now()
				errs[i] = c.exchange(s.at(n))
				each[n] = time.Since(sent)
			}
		})
	}
	wg.Wait()
	took := time.Since(start)
	if i := slices.IndexFunc(errs, func(err error) bool { return err != nil }); i >= 0 {
		return 0, nil, errs[i] // one is enough: what stops a connection stops most
	}
	return took, latencies, nil
}

// connection reads no more of an answer than it must: a client that parses more would be measured instead.
type connection struct {
	net.Conn
	r *bufio.Reader
}

// patience is how long an answer may take. Only a server that hangs takes that long.
const patience = 30 * time.Second

var lengthField = []byte("Content-Length: ")

// exchange sends a request and reads its answer, which must have status 200 and a length.
func (c *connection) exchange(request []byte) error {
	if err := c.SetDeadline(time.Now().Add(patience)); err != nil {
		return err
	}
	if _, err := c.Write(request); err != nil {
		return err
	}
	status, err := c.r.ReadSlice('\n')
	if err != nil {
		return err
	}
	good := bytes.HasPrefix(status, []byte("HTTP/1.1 200 "))
	said := string(bytes.TrimSpace(status[:min(len(status), 40)]))
	length := -1
	for {
		line, err := c.r.ReadSlice('\n')
		if err != nil {
			return err
		}
		if len(line) <= len("\r\n") {
			break
		}
		if value, ok := bytes.CutPrefix(line, lengthField); ok {
			if length, err = strconv.Atoi(string(bytes.TrimSpace(value))); err != nil {
				return err
			}
		}
	}
	if length < 0 {
		return errors.New("an answer without a length")
	}
	if !good {
		body, err := io.ReadAll(io.LimitReader(c.r, int64(length)))
		return errors.Join(fmt.Errorf("answer %q: %s", said, body), err)
	}
	_, err = c.r.Discard(length)
	return err
}
