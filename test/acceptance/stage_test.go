package acceptance

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/oauth2"
	"golang.org/x/oauth2/clientcredentials"

	"github.com/holdfast-project/holdfast"
	"github.com/holdfast-project/holdfast/keys"
)

// stage is what surrounds the gateways: an issuer, an API, a balancer, and files with keys and secrets.
type stage struct {
	t         *testing.T
	dir       string
	binary    string
	issuerURL string
	api       *api
	upstream  string
	balancer  *balancer
	resource  *keys.Public
	drain     time.Duration // of gateways
	issuer    *process
	nodes     []*member
}

// member is a gateway of the fleet, through its restarts.
type member struct {
	config  string // file
	process *process
	node    *node
	refused map[string]int // by reason, of processes that have ended
	taken   int            // by their nodes
}

// open starts everything but the gateways.
func open(t *testing.T, binary func() (string, error), serve func(*testing.T, *balancer, net.Listener)) *stage {
	t.Helper()
	s := &stage{t: t, dir: t.TempDir(), api: newAPI()}
	t.Cleanup(s.stop)
	var err error
	if s.binary, err = binary(); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"issuer", "resource"} {
		signer, err := keys.CreateFile(s.file(name+".jwk"), keys.ES256)
		if err != nil {
			t.Fatal(err)
		}
		s.resource = signer.Public() // of the last one
	}
	for _, name := range []string{"nonce", "client", "a", "b", "c"} {
		s.write(name+".secret", base64.RawURLEncoding.EncodeToString(random(33)))
	}
	s.upstream = s.serve(s.api)
	s.balancer = newBalancer(t, serve)
	front := newBalancer(t, perConnection)
	s.issuerURL = front.origin
	s.write("issuer.yaml", s.expand(`
admin: {listen: "127.0.0.1:0", drain: 0s}
issuer:
  listen: 127.0.0.1:0
  url: $ISSUER
  database: "sqlite:$DIR/issuer.db"
  secret_file: $DIR/nonce.secret
  token_lifetime: 1h
  replay: {insecure_accept_older: true} # it isn't what is tested: it may be ready at once
  clients:
    - {id: app, auth: client_secret_basic, secret_file: $DIR/client.secret, audience: ["https://api.example"], insecure_allow_unbound: true}
`))
	s.issuer = start(t, s.binary, "issuer", s.file("issuer.yaml"))
	n := front.add(s.issuer.at("issuer"), s.issuer.at("admin"))
	s.until(func() bool { return front.isReady(n) })
	return s
}

// stop ends all processes at once.
func (s *stage) stop() {
	var wg sync.WaitGroup
	for _, m := range s.nodes {
		wg.Go(func() { m.process.stop(s.t) })
	}
	if s.issuer != nil {
		s.issuer.stop(s.t)
	}
	wg.Wait()
}

func (s *stage) file(name string) string { return filepath.Join(s.dir, name) }

func (s *stage) write(name, text string) {
	s.t.Helper()
	if err := os.WriteFile(s.file(name), []byte(text), 0o600); err != nil {
		s.t.Fatal(err)
	}
}

func (s *stage) expand(text string) string {
	return os.Expand(text, func(name string) string {
		return map[string]string{"DIR": s.dir, "ISSUER": s.issuerURL, "UPSTREAM": s.upstream, "ORIGIN": s.balancer.origin}[name]
	})
}

// serve runs a server until the test ends, and returns its origin.
func (s *stage) serve(h http.Handler) string {
	s.t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		s.t.Fatal(err)
	}
	server := &http.Server{Handler: h, ReadHeaderTimeout: 10 * time.Second}
	var wg sync.WaitGroup
	wg.Go(func() { server.Serve(l) })
	s.t.Cleanup(func() { server.Close(); wg.Wait() })
	return "http://" + l.Addr().String()
}

// until waits for a condition.
func (s *stage) until(holds func() bool) {
	s.t.Helper()
	tick := time.NewTicker(poll)
	defer tick.Stop()
	for !holds() {
		select {
		case <-tick.C:
		case <-s.t.Context().Done():
			s.t.Fatal("the test ended")
		}
	}
}

// gatewayText is a gateway's configuration. SESSIONS are the entries of that section. Gateways are ready a second after
// SKEW, which is its default at full size, and go on for DRAIN when they are stopped.
const gatewayText = `
admin: {listen: "127.0.0.1:0", drain: DRAIN}
gateway:
  listen: 127.0.0.1:0
  external_origin: $ORIGIN
  audience: https://api.example
  issuers: [{url: $ISSUER}]
  nonce_secret_file: $DIR/nonce.secret
  resource_key_file: $DIR/resource.jwk
  skew: SKEW
  limits: {header_timeout: 1m} # on a busy machine, honest clients are slow, too
  sessions:
SESSIONS
  routes:
    - {path: /, upstream: $UPSTREAM}
    - {path: /buffered, upstream: $UPSTREAM, body: buffered, cover_body: true}
    - {path: /bearer, upstream: $UPSTREAM, bearer: observe}
`

// configure writes a gateway's configuration.
func (s *stage) configure(name, sessions string) {
	s.t.Helper()
	text := strings.NewReplacer("SESSIONS\n", sessions, "SKEW", fmt.Sprint(size(2, 5), "s"), "DRAIN", s.drain.String()).Replace(gatewayText)
	s.write(name, s.expand(text))
}

// sessionsText is a configuration of sessions under secrets of the given names; all but the first from soon on.
func sessionsText(lifetime time.Duration, from time.Time, secrets ...string) string {
	text := fmt.Sprintf("    lifetime: %s\n    secrets:\n", lifetime)
	for i, name := range secrets {
		begins := ""
		if i > 0 {
			begins = ", not_before: " + from.UTC().Format(time.RFC3339)
		}
		text += fmt.Sprintf("      - {id: %s, secret_file: $DIR/%s.secret%s}\n", name, name, begins)
	}
	return text
}

// addGateway starts a gateway with this configuration of sessions.
func (s *stage) addGateway(sessions string) *member {
	s.t.Helper()
	name := fmt.Sprintf("gateway-%d.yaml", len(s.nodes))
	s.configure(name, sessions)
	m := &member{config: name, refused: map[string]int{}}
	s.run(m)
	s.nodes = append(s.nodes, m)
	return m
}

// run starts a member and puts it behind the balancer.
func (s *stage) run(m *member) {
	s.t.Helper()
	m.process = start(s.t, s.binary, "gateway", s.file(m.config))
	m.node = s.balancer.add(m.process.at("gateway"), m.process.at("admin"))
}

// awaitReady waits until the balancer has all of them.
func (s *stage) awaitReady() {
	s.t.Helper()
	for _, m := range s.nodes {
		s.until(func() bool { return s.balancer.isReady(m.node) })
	}
}

// restart stops a member as an operator would, starts it anew, and waits until the balancer has it back.
func (s *stage) restart(m *member) {
	s.t.Helper()
	m.process.stop(s.t)
	s.balancer.remove(m.node)
	m.taken += m.node.taken
	for reason, n := range m.process.refusals() {
		m.refused[reason] += n
	}
	s.run(m)
	s.awaitReady()
}

// refused returns what all gateways have refused, by reason.
func (s *stage) refused() map[string]int {
	all := map[string]int{}
	for _, m := range s.nodes {
		for reason, n := range m.process.refusals() {
			all[reason] += n
		}
		for reason, n := range m.refused {
			all[reason] += n
		}
	}
	return all
}

func random(n int) []byte {
	b := make([]byte, n)
	rand.Read(b) // never fails
	return b
}

// api is what the gateways protect. It says what it was sent.
type api struct {
	served atomic.Int64 // requests that came to their end
	cut    atomic.Int64 // those that didn't

	mu      sync.Mutex
	ended   *sync.Cond
	running int                 // requests being served; guarded by mu
	seen    map[string]*arrival // request target → what came; guarded by mu
}

// arrival is what the API got of one request.
type arrival struct {
	times int
	whole bool   // it had an end
	bytes []byte // of the body, up to keptBytes
}

const keptBytes = 1 << 10

func newAPI() *api {
	a := &api{seen: map[string]*arrival{}}
	a.ended = sync.NewCond(&a.mu)
	return a
}

// ServeHTTP implements http.Handler.
func (a *api) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	got := a.begin(r.RequestURI)
	var head bytes.Buffer
	hash := sha256.New()
	_, err := io.Copy(&head, io.TeeReader(io.LimitReader(r.Body, keptBytes), hash))
	if err == nil {
		_, err = io.Copy(hash, r.Body)
	}
	a.end(got, head.Bytes(), err == nil)
	if err == nil {
		fmt.Fprintf(w, "%s %s %x", r.Method, r.RequestURI, hash.Sum(nil))
	}
}

func (a *api) begin(target string) *arrival {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.running++
	if a.seen[target] == nil {
		a.seen[target] = new(arrival)
	}
	a.seen[target].times++
	return a.seen[target]
}

func (a *api) end(got *arrival, head []byte, whole bool) {
	if whole {
		a.served.Add(1)
	} else {
		a.cut.Add(1)
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.running--
	got.bytes, got.whole = head, got.whole || whole
	a.ended.Broadcast()
}

// arrived returns what has come of a request, once none is being served any more.
func (a *api) arrived(target string) arrival {
	a.mu.Lock()
	defer a.mu.Unlock()
	for a.running > 0 {
		a.ended.Wait()
	}
	if got := a.seen[target]; got != nil {
		return *got
	}
	return arrival{}
}

// repeated returns how many requests were served twice.
func (a *api) repeated() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	n := 0
	for _, got := range a.seen {
		n += got.times - 1
	}
	return n
}

// client is an honest client: holdfast.Transport and what it did.
type client struct {
	*holdfast.Transport
	connections *http.Transport

	attempts atomic.Int64
	full     atomic.Int64 // attempts with a full proof
	offers   atomic.Int64
	begun    atomic.Int64 // answers that began a session
	http2    atomic.Int64 // answers over HTTP/2
	retries  sync.Map     // why → *atomic.Int64
}

// newClient makes a client with a key and a token of its own. edit may change the Transport.
func (s *stage) newClient(edit func(*holdfast.Transport)) *client {
	s.t.Helper()
	c := &client{connections: &http.Transport{MaxIdleConnsPerHost: 256, DisableCompression: true}}
	s.t.Cleanup(c.connections.CloseIdleConnections)
	c.Transport = &holdfast.Transport{Base: c.connections, ResourceKeys: []*keys.Public{s.resource}, Trace: c.count}
	if edit != nil {
		edit(c.Transport)
	}
	next := c.Base
	c.Base = roundTripper(func(r *http.Request) (*http.Response, error) {
		res, err := next.RoundTrip(r)
		if err == nil && res.Header["Pop-Session"] != nil {
			c.begun.Add(1)
		}
		if err == nil && res.ProtoMajor == 2 {
			c.http2.Add(1)
		}
		return res, err
	})
	if c.Signer == nil {
		signer, err := keys.Generate(keys.ES256)
		if err != nil {
			s.t.Fatal(err)
		}
		c.Signer = signer
	}
	c.Source = s.token(&holdfast.Transport{Signer: c.Signer, Now: c.Now})
	return c
}

// token gets one from the issuer, over a transport that proves the key; http.DefaultTransport proves none.
func (s *stage) token(proving http.RoundTripper) oauth2.TokenSource {
	s.t.Helper()
	secret, err := os.ReadFile(s.file("client.secret"))
	if err != nil {
		s.t.Fatal(err)
	}
	cfg := clientcredentials.Config{
		ClientID: "app", ClientSecret: string(secret), TokenURL: s.issuerURL + "/token", AuthStyle: oauth2.AuthStyleInHeader,
	}
	token, err := cfg.Token(context.WithValue(s.t.Context(), oauth2.HTTPClient, &http.Client{Transport: proving}))
	if err != nil {
		s.t.Fatal(err)
	}
	return oauth2.StaticTokenSource(token)
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// count is the Transport's Trace.
func (c *client) count(a *holdfast.Attempt) {
	c.attempts.Add(1)
	if a.Scheme != holdfast.SchemeSession {
		c.full.Add(1)
	}
	if a.Request.Header["Pop-Session-Offer"] != nil {
		c.offers.Add(1)
	}
	n, _ := c.retries.LoadOrStore(a.Because, new(atomic.Int64))
	n.(*atomic.Int64).Add(1)
}

// retried tells how often the Transport sent a request again for this reason.
func (c *client) retried(because string) int64 {
	n, ok := c.retries.Load(because)
	if !ok {
		return 0
	}
	return n.(*atomic.Int64).Load()
}

// send makes a request and compares what the API says it was sent.
func (c *client) send(r *http.Request, body string) error {
	res, err := c.RoundTrip(r)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	got, err := io.ReadAll(res.Body)
	if err != nil {
		return err
	}
	want := fmt.Sprintf("%s %s %x", r.Method, r.URL.RequestURI(), sha256.Sum256([]byte(body)))
	if res.StatusCode != http.StatusOK || string(got) != want {
		return fmt.Errorf("%s %s: %s, %s", r.Method, r.URL.Path, res.Status, bytes.TrimSpace(got))
	}
	return nil
}
