package bench

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"net/http"
	"net/url"
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
	}{{"session, ticket remembered", 0}, {"session, ticket opened each time", -1}} {
		client, err := newClient(c.tickets)
		if err != nil {
			return nil, err
		}
		macs, err := newMACs(client.session)
		if err != nil {
			return nil, err
		}
		base, err := macs.base()
		if err != nil {
			return nil, err
		}
		requests := &supply{url: macs.url, sign: macs.sign}
		out = append(out, Case{
			Name: c.name, Bare: "HMAC-SHA-256", Base: bareMAC(client.session.Keys().RequestSecret(), base), Stock: requests.stock,
			Work: func() error {
				_, err := client.verifier.Check(requests.next())
				return err
			},
		})
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
		Method: http.MethodGet, TargetURI: origin + target, Token: c.grants.dpop,
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
		"Authorization": {"DPoP " + c.grants.dpop}, "Dpop": {proof}, "Pop-Session-Offer": {offer.Field()},
	}))
	c.session, err = offer.Accept(answer["Pop-Session"], popsession.Binding{
		Thumbprint: c.signer.Public().Thumbprint(), TokenHash: sha256.Sum256([]byte(c.grants.dpop)), Audience: origin,
	}, time.Now())
	return err
}

// header is an answer of which only the header counts.
type header http.Header

func (h header) Header() http.Header       { return http.Header(h) }
func (header) Write(p []byte) (int, error) { return len(p), nil }
func (header) WriteHeader(int)             {}

func sessionVerifier(tokens accesstoken.Verifier, tickets int, observers []holdfast.Observer) (*holdfast.Verifier, error) {
	guard, err := newGuard()
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

// macs makes the fields of requests in a session, each with a counter of its own.
type macs struct {
	session *popsession.Session
	ticket  []string // the field Authorization
	signer  *httpsig.Signer
	counter uint64 // of the request at hand
	url     *url.URL
}

func newMACs(session *popsession.Session) (*macs, error) {
	m := &macs{session: session, ticket: []string{"PoP-Session " + session.Ticket()}}
	var err error
	if m.url, err = url.Parse(origin + target); err != nil {
		return nil, err
	}
	m.signer, err = httpsig.NewSigner(httpsig.SignerConfig{
		Secret: session.Keys().RequestSecret(), Tag: holdfast.TagSession, Components: httpsig.Components("@method", "@target-uri", "authorization"),
		Nonce: func() string { return strconv.FormatUint(m.counter, 10) },
	})
	return m, err
}

// sign makes the next request's.
func (m *macs) sign(h http.Header) (err error) {
	if m.counter, err = m.session.NextCounter(); err != nil {
		return err
	}
	h["Authorization"] = m.ticket
	return sign(m.signer, m.url, h)
}

// base returns what the MAC of a request is over.
func (m *macs) base() ([]byte, error) {
	h := http.Header{}
	if err := m.sign(h); err != nil {
		return nil, err
	}
	inputs, err := httpsig.ParseInputs(h)
	if err != nil || len(inputs) != 1 {
		return nil, errors.Join(errBare, err)
	}
	return httpsig.Base(httpsig.RequestMessage(request(m.url, h), origin+target), inputs[0], nil)
}
