package bench

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"net/http"
	"net/http/httptest"
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
		v, s, err := newSession(c.tickets)
		if err != nil {
			return nil, err
		}
		requests, err := newMACSupply(s)
		if err != nil {
			return nil, err
		}
		base, err := requests.base()
		if err != nil {
			return nil, err
		}
		work := func() error {
			_, err := v.Check(requests.next())
			return err
		}
		secret := s.Keys().RequestSecret()
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

// newSession begins a session by DPoP.
func newSession(tickets int) (*holdfast.Verifier, *popsession.Session, error) {
	prims, err := newPrimitives()
	if err != nil {
		return nil, nil, err
	}
	signer := prims[0].signer
	token, tokens, err := boundToken(signer)
	if err != nil {
		return nil, nil, err
	}
	v, err := sessionVerifier(tokens, tickets)
	if err != nil {
		return nil, nil, err
	}
	offer, err := popsession.NewOffer()
	if err != nil {
		return nil, nil, err
	}
	hash := sha256.Sum256([]byte(offer.Field()))
	proof, err := dpop.Sign(signer, dpop.Params{
		Method: http.MethodGet, TargetURI: origin + target, Token: token, Claims: map[string]any{"pso": base64.RawURLEncoding.EncodeToString(hash[:])},
	})
	if err != nil {
		return nil, nil, err
	}
	r := httptest.NewRequest(http.MethodGet, target, nil)
	r.Header = http.Header{"Authorization": {"DPoP " + token}, "Dpop": {proof}, "Pop-Session-Offer": {offer.Field()}}
	answer := httptest.NewRecorder()
	v.Handler(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})).ServeHTTP(answer, r)
	s, err := offer.Accept(answer.Header()["Pop-Session"], popsession.Binding{
		Thumbprint: signer.Public().Thumbprint(), TokenHash: sha256.Sum256([]byte(token)), Audience: origin,
	}, time.Now())
	return v, s, err
}

func sessionVerifier(tokens accesstoken.Verifier, tickets int) (*holdfast.Verifier, error) {
	guard, err := replay.NewMemory(replay.MemoryConfig{InsecureAcceptOlder: true})
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
		Tokens: tokens, Replay: guard, External: holdfast.External{Origin: origin}, Freshness: 5 * time.Minute, Signer: signer,
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
	r := &http.Request{
		Method: http.MethodGet, URL: s.url, RequestURI: target, Host: "api.example.com", Body: http.NoBody,
		Header: http.Header{"Authorization": {"PoP-Session " + s.session.Ticket()}},
	}
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
