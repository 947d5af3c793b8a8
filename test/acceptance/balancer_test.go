package acceptance

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// balancer spreads what comes over the nodes that say they are ready, each in its turn. It knows nothing of clients,
// sessions or proofs.
type balancer struct {
	origin string // that clients call
	turn   atomic.Uint64
	failed atomic.Int64 // requests or connections that no node took
	begun  atomic.Int64 // sessions, as nodes answered; only request by request

	mu    sync.Mutex
	nodes []*node // guarded by mu

	conns connections
}

// node is a gateway as the balancer sees it.
type node struct {
	address, readyz string
	ready           bool // guarded by balancer.mu
	taken           int  // requests or connections; guarded by it
}

// poll is how often nodes are asked whether they are ready: much more often than they take to drain.
const poll = 20 * time.Millisecond

// newBalancer makes one without nodes on a port of the system's choosing. serve is one of the two kinds below.
func newBalancer(t *testing.T, serve func(*testing.T, *balancer, net.Listener)) *balancer {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	b := &balancer{origin: "http://" + l.Addr().String()}
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() { b.watch(ctx) })
	t.Cleanup(func() { cancel(); wg.Wait() })
	serve(t, b, l)
	return b
}

// add takes a node in, once it is ready.
func (b *balancer) add(address, admin string) *node {
	n := &node{address: address, readyz: "http://" + admin + "/readyz"}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.nodes = append(b.nodes, n)
	return n
}

func (b *balancer) remove(n *node) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.nodes = slices.DeleteFunc(b.nodes, func(other *node) bool { return other == n })
}

// isReady tells what the balancer found last.
func (b *balancer) isReady(n *node) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return n.ready
}

// next returns the node whose turn it is.
func (b *balancer) next() (address string, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	ready := slices.DeleteFunc(slices.Clone(b.nodes), func(n *node) bool { return !n.ready })
	if len(ready) == 0 {
		b.failed.Add(1)
		return "", errors.New("no node is ready")
	}
	n := ready[b.turn.Add(1)%uint64(len(ready))]
	n.taken++
	return n.address, nil
}

func (b *balancer) watch(ctx context.Context) {
	client := &http.Client{Timeout: 5 * time.Second}
	defer client.CloseIdleConnections()
	tick := time.NewTicker(poll)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		b.mu.Lock()
		nodes := slices.Clone(b.nodes)
		b.mu.Unlock()
		for _, n := range nodes {
			res, err := client.Get(n.readyz)
			if err == nil {
				res.Body.Close()
			}
			b.mu.Lock()
			n.ready = err == nil && res.StatusCode == http.StatusOK
			b.mu.Unlock()
		}
	}
}

// perRequest balances HTTP requests.
func perRequest(t *testing.T, b *balancer, l net.Listener) {
	upstream := &http.Transport{MaxIdleConnsPerHost: 256, DisableCompression: true}
	proxy := &httputil.ReverseProxy{
		Transport: upstream, FlushInterval: -1,
		Rewrite: func(pr *httputil.ProxyRequest) {
			address, err := b.next()
			if err != nil {
				address = "0.0.0.0:0" // which nobody answers
			}
			pr.SetURL(&url.URL{Scheme: "http", Host: address})
			pr.Out.Host = pr.In.Host
		},
		ModifyResponse: func(res *http.Response) error {
			if res.Header["Pop-Session"] != nil {
				b.begun.Add(1)
			}
			return nil
		},
		ErrorHandler: func(w http.ResponseWriter, r *http.Request, err error) {
			if r.Context().Err() == nil {
				t.Logf("balancer: %s %s: %v", r.Method, r.URL.Path, err)
				b.failed.Add(1)
			}
			w.WriteHeader(http.StatusBadGateway)
		},
	}
	server := &http.Server{Handler: proxy, ReadHeaderTimeout: 10 * time.Second}
	var wg sync.WaitGroup
	wg.Go(func() { server.Serve(l) })
	t.Cleanup(func() { server.Close(); wg.Wait(); upstream.CloseIdleConnections() })
}

// perConnection balances TCP connections.
func perConnection(t *testing.T, b *balancer, l net.Listener) {
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			wg.Go(func() { b.pass(c) })
		}
	})
	t.Cleanup(func() { l.Close(); b.conns.close(); wg.Wait() })
}

// pass joins a connection to one of a node until both directions have ended.
func (b *balancer) pass(c net.Conn) {
	defer c.Close()
	address, err := b.next()
	if err != nil {
		return
	}
	s, err := net.Dial("tcp", address)
	if err != nil {
		b.failed.Add(1)
		return
	}
	defer s.Close()
	if !b.conns.keep(c, s) {
		return
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		io.Copy(s, c)
		s.(*net.TCPConn).CloseWrite()
		io.Copy(io.Discard, c) // closing with something unread would take an answer back that is on its way
	})
	wg.Go(func() { io.Copy(c, s); c.(*net.TCPConn).CloseWrite() })
	wg.Wait()
}

// connections are those to close at the end. The zero value has none.
type connections struct {
	mu   sync.Mutex
	all  []net.Conn // guarded by mu
	done bool       // guarded by mu
}

// keep tells whether there is still time for more.
func (c *connections) keep(more ...net.Conn) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.all = append(c.all, more...)
	return !c.done
}

func (c *connections) close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.done = true
	for _, conn := range c.all {
		conn.Close()
	}
}
