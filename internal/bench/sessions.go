package bench

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"time"

	"github.com/holdfast-project/holdfast"
	"github.com/holdfast-project/holdfast/accesstoken"
	"github.com/holdfast-project/holdfast/dpop"
	"github.com/holdfast-project/holdfast/httpsig"
	"github.com/holdfast-project/holdfast/keys"
	"github.com/holdfast-project/holdfast/popsession"
	"github.com/holdfast-project/holdfast/replay"
)

// sessionCases are whole passes of requests in a session, with tickets remembered and without.
func sessionCases() ([]Case, error) {
	var out []Case
	for _, c := range []struct {
		name    string
		tickets int
	}{{"Verifier pass, session", 0}, {"Verifier pass, session, ticket opened each time", -1}} {
		client, err := newClient(c.tickets)
		if err != nil {
			return nil, err
		}
		requests, err := newMACSupply(client.session)
		if err != nil {
			return nil, err
		}
		base, err := requests.base()
		if err != nil {
			return nil, err
		}
		work := func() error {
			_, err := client.verifier.Check(requests.next())
			return err
		}
		secret := client.session.Keys().RequestSecret()
		bare := func() error {
			h := hmac.New(sha256.New, secret)
			h.Write(base)
			h.Sum(nil)
			return nil
		}
		out = append(out, Case{Name: c.name, Bare: "HMAC-SHA-256", Work: work, Base: bare, Stock: requests.stock})
	}
	return out, nil
}

// client is one with tokens and a session, and the verifier that gave it the session.
type client struct {
	signer   *keys.Signer
	grants   grants
	verifier *holdfast.Verifier
	session  *popsession.Session
}

// newClient begins a session by DPoP, with a verifier that remembers so many tickets.
func newClient(tickets int, observers ...holdfast.Observer) (*client, error) {
	c := &client{}
	var err error
	if c.signer, err = keys.Generate(keys.ES256); err != nil {
		return nil, err
	}
	if c.grants, err = newGrants(c.signer); err != nil {
		return nil, err
	}
	if c.verifier, err = sessionVerifier(c.grants.verifier, tickets, observers); err != nil {
		return nil, err
	}
	return c, c.begin()
}

// begin proves the client's key and takes up the session that the verifier answers with.
func (c *client) begin() error {
	offer, err := popsession.NewOffer()
	if err != nil {
		return err
	}
	hash := sha256.Sum256([]byte(offer.Field()))
	proof, err := dpop.Sign(c.signer, dpop.Params{
		Method: http.MethodGet, TargetURI: origin + target, Token: c.grants.bound,
		Claims: map[string]any{"pso": base64.RawURLEncoding.EncodeToString(hash[:])},
	})
	if err != nil {
		return err
	}
	u, err := url.Parse(origin + target)
	if err != nil {
		return err
	}
	answer := header{}
	c.verifier.Handler(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})).ServeHTTP(answer, request(u, http.Header{
		"Authorization": {"DPoP " + c.grants.bound}, "Dpop": {proof}, "Pop-Session-Offer": {offer.Field()},
	}))
	c.session, err = offer.Accept(answer["Pop-Session"], popsession.Binding{
		Thumbprint: c.signer.Public().Thumbprint(), TokenHash: sha256.Sum256([]byte(c.grants.bound)), Audience: origin,
	}, time.Now())
	return err
}

// header is an answer of which only the header counts.
type header http.Header

func (h header) Header() http.Header       { return http.Header(h) }
func (header) Write(p []byte) (int, error) { return len(p), nil }
func (header) WriteHeader(int)             {}

// request is a GET as net/http's server would hand it on.
func request(u *url.URL, h http.Header) *http.Request {
	return &http.Request{Method: http.MethodGet, URL: u, RequestURI: target, Host: host, Body: http.NoBody, Header: h}
}

func sessionVerifier(tokens accesstoken.Verifier, tickets int, observers []holdfast.Observer) (*holdfast.Verifier, error) {
	guard, err := replay.NewMemory(replay.MemoryConfig{Capacity: 10_000_000, Share: 10_000_000, InsecureAcceptOlder: true})
	if err != nil {
		return nil, err
	}
	windows, err := replay.NewMemoryWindows(replay.MemoryWindowsConfig{InsecureAcceptOlder: true})
	if err != nil {
		return nil, err
	}
	signer, err := keys.Generate(keys.ES256)
	if err != nil {
		return nil, err
	}
	secret := make([]byte, 32)
	rand.Read(secret)
	return holdfast.NewVerifier(holdfast.Config{
		Tokens: accesstoken.NewCache(tokens, accesstoken.CacheConfig{}), Replay: guard, External: holdfast.External{Origin: origin}, Freshness: 5 * time.Minute, Signer: signer, Observers: observers,
		Sessions: &holdfast.Sessions{
			Secrets: []popsession.Secret{{ID: "bench", Key: secret}}, Windows: windows, Lifetime: 10 * time.Minute, Tickets: tickets,
		},
	})
}

// macSupply hands out requests of a session, each with a counter of its own.
type macSupply struct {
	session  *popsession.Session
	signer   *httpsig.Signer
	counter  uint64 // of the request at hand
	url      *url.URL
	requests []*http.Request // for the next calls, the next one last
}

func newMACSupply(session *popsession.Session) (*macSupply, error) {
	s := &macSupply{session: session}
	var err error
	if s.url, err = url.Parse(origin + target); err != nil {
		return nil, err
	}
	s.signer, err = httpsig.NewSigner(httpsig.SignerConfig{
		Secret: session.Keys().RequestSecret(), Tag: holdfast.TagSession, Components: httpsig.Components("@method", "@target-uri", "authorization"),
		Nonce: func() string { return strconv.FormatUint(s.counter, 10) },
	})
	return s, err
}

func (s *macSupply) stock(n int) error {
	s.requests = s.requests[:0]
	for range n {
		r, err := s.sign()
		if err != nil {
			return err
		}
		s.requests = append(s.requests, r)
	}
	slices.Reverse(s.requests) // in the order of their counters, as a client sends them
	return nil
}

func (s *macSupply) next() *http.Request {
	last := len(s.requests) - 1
	r := s.requests[last]
	s.requests = s.requests[:last]
	return r
}

// sign makes the next request.
func (s *macSupply) sign() (*http.Request, error) {
	var err error
	if s.counter, err = s.session.NextCounter(); err != nil {
		return nil, err
	}
	r := request(s.url, http.Header{"Authorization": {"PoP-Session " + s.session.Ticket()}})
	fields, err := s.signer.Sign(httpsig.RequestMessage(r, origin+target))
	if err != nil {
		return nil, err
	}
	fields.Add(r.Header)
	return r, nil
}

// base returns what the MAC of a request is over.
func (s *macSupply) base() ([]byte, error) {
	r, err := s.sign()
	if err != nil {
		return nil, err
	}
	inputs, err := httpsig.ParseInputs(r.Header)
	if err != nil || len(inputs) != 1 {
		return nil, errors.Join(errBare, err)
	}
	return httpsig.Base(httpsig.RequestMessage(r, origin+target), inputs[0], nil)
}
