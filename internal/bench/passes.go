package bench

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"time"

	"github.com/holdfast-project/holdfast"
	"github.com/holdfast-project/holdfast/accesstoken"
	"github.com/holdfast-project/holdfast/dpop"
	"github.com/holdfast-project/holdfast/httpsig"
	"github.com/holdfast-project/holdfast/internal/jws"
	"github.com/holdfast-project/holdfast/keys"
	"github.com/holdfast-project/holdfast/replay"
)

// grants are what an issuer gave a client: one token that is bound to its key for each scheme, and one that isn't bound.
type grants struct {
	dpop, httpsig, bearer string
	verifier              accesstoken.Verifier
}

func newGrants(client *keys.Signer) (grants, error) {
	as, err := keys.Generate(keys.ES256)
	if err != nil {
		return grants{}, err
	}
	jwk, err := json.Marshal(client.Public())
	if err != nil {
		return grants{}, err
	}
	now := time.Now().Unix()
	claims := fmt.Sprintf(`{"iss":%q,"sub":"alice","client_id":"shop","aud":%q,"iat":%d,"exp":%d,"jti":"6fd1b7a0c3","scope":"read"`,
		issuerURL, origin, now, now+3600)
	var g grants
	for to, confirmation := range map[*string]string{
		&g.dpop:    fmt.Sprintf(`,"cnf":{"jkt":%q}`, client.Public().Thumbprint().String()),
		&g.httpsig: fmt.Sprintf(`,"cnf":{"jwk":%s}`, jwk),
		&g.bearer:  "",
	} {
		if *to, err = jws.Sign(as, jws.Header{Typ: "at+jwt", KeyID: as.Public().KeyID()}, []byte(claims+confirmation+"}")); err != nil {
			return grants{}, err
		}
	}
	g.verifier, err = accesstoken.NewJWTVerifier(accesstoken.JWTConfig{Issuer: issuerURL, Audience: origin, Keys: accesstoken.StaticKeys{as.Public()}})
	return g, err
}

// newGuard is a memory that no measurement fills.
func newGuard() (replay.Guard, error) {
	return replay.NewMemory(replay.MemoryConfig{Share: 1_000_000, InsecureAcceptOlder: true})
}

// passCases are whole passes of the front door: token, proof, replay. Each is beside the pass of a bearer JWT in the same
// state: cold, where each token is verified, and warm, where tokens are remembered. Each pass has a proof of its own,
// made before it is timed, since a proof works once.
func passCases() ([]Case, error) {
	prims, err := newPrimitives()
	if err != nil {
		return nil, err
	}
	var out []Case
	for _, warm := range []bool{false, true} {
		bearer, err := bearerPass(prims[0], warm)
		if err != nil {
			return nil, err
		}
		out = append(out, bearer)
		for _, p := range prims {
			cases, err := boundPasses(p, warm)
			if err != nil {
				return nil, err
			}
			for _, c := range cases {
				c.Bare, c.Base = bearer.Name, bearer.Work
				out = append(out, c)
			}
		}
	}
	return out, nil
}

func newVerifier(g grants, warm bool, alg keys.Algorithm) (*holdfast.Verifier, error) {
	guard, err := newGuard()
	if err != nil {
		return nil, err
	}
	tokens := g.verifier
	if warm {
		tokens = accesstoken.NewCache(tokens, accesstoken.CacheConfig{MaxAge: time.Hour})
	}
	return holdfast.NewVerifier(holdfast.Config{
		Tokens: tokens, Replay: guard, External: holdfast.External{Origin: origin}, Freshness: 5 * time.Minute,
		DPoPAlgorithms: []keys.Algorithm{alg}, Policy: holdfast.Policy{Bearer: holdfast.InsecureBearerObserved},
	})
}

// state is how a case says whether tokens are remembered.
func state(warm bool) string {
	if warm {
		return ", warm"
	}
	return ", cold"
}

func bearerPass(p *primitives, warm bool) (Case, error) {
	g, err := newGrants(p.signer)
	if err != nil {
		return Case{}, err
	}
	v, err := newVerifier(g, warm, p.signer.Algorithm())
	if err != nil {
		return Case{}, err
	}
	u, err := url.Parse(origin + target)
	return Case{Name: "bearer JWT" + state(warm), Work: func() error {
		_, err := v.Check(request(u, http.Header{"Authorization": {"Bearer " + g.bearer}}))
		return err
	}}, err
}

func boundPasses(p *primitives, warm bool) ([]Case, error) {
	g, err := newGrants(p.signer)
	if err != nil {
		return nil, err
	}
	v, err := newVerifier(g, warm, p.signer.Algorithm())
	if err != nil {
		return nil, err
	}
	signed, err := newSigned(p.signer, g)
	if err != nil {
		return nil, err
	}
	var out []Case
	for _, c := range []struct {
		name string
		sign func(http.Header) error
	}{{"DPoP ", signed.dpop}, {"HTTPSig ", signed.httpsig}} {
		s := &supply{url: signed.url, sign: c.sign}
		out = append(out, Case{Name: c.name + p.name + state(warm), Stock: s.stock, Work: func() error {
			_, err := v.Check(s.next())
			return err
		}})
	}
	return out, nil
}

// signed makes the fields of requests with proof.
type signed struct {
	key                     *keys.Signer
	grants                  grants
	dpopToken, httpsigToken []string // fields Authorization
	signer                  *httpsig.Signer
	url                     *url.URL
}

func newSigned(key *keys.Signer, g grants) (*signed, error) {
	s := &signed{key: key, grants: g, dpopToken: []string{"DPoP " + g.dpop}, httpsigToken: []string{"HTTPSig " + g.httpsig}}
	var err error
	if s.url, err = url.Parse(origin + target); err != nil {
		return nil, err
	}
	s.signer, err = httpsig.NewSigner(httpsig.SignerConfig{
		Key: key, Tag: holdfast.TagHTTPSig, Components: httpsig.Components("@method", "@target-uri", "authorization"),
	})
	return s, err
}

func (s *signed) dpop(h http.Header) error {
	proof, err := dpop.Sign(s.key, dpop.Params{Method: http.MethodGet, TargetURI: origin + target, Token: s.grants.dpop})
	h["Authorization"], h["Dpop"] = s.dpopToken, []string{proof}
	return err
}

func (s *signed) httpsig(h http.Header) error {
	h["Authorization"] = s.httpsigToken
	return sign(s.signer, s.url, h)
}

// sign puts the signature of a GET with the header h into h.
func sign(signer *httpsig.Signer, u *url.URL, h http.Header) error {
	fields, err := signer.Sign(httpsig.RequestMessage(request(u, h), origin+target))
	if err == nil {
		fields.Add(h)
	}
	return err
}

// supply hands out requests that are made before they are needed. A pass is timed neither with signing nor with what it
// takes to make a request value around a proof. Request values are used again: else a pass would be timed with the
// collection of what they leave, several times what a pass does.
type supply struct {
	url      *url.URL
	sign     func(http.Header) error // writes the fields of a new request into an empty header
	requests []*http.Request
	left     int // of requests, for the next calls: the last of them is next
}

func (s *supply) stock(n int) error {
	for len(s.requests) < n {
		s.requests = append(s.requests, request(s.url, http.Header{}))
	}
	s.left = n
	// The next one is the first to be signed: a session's counters come in their order.
	for _, r := range slices.Backward(s.requests[:n]) {
		clear(r.Header)
		if err := s.sign(r.Header); err != nil {
			return err
		}
	}
	return nil
}

func (s *supply) next() *http.Request {
	s.left--
	return s.requests[s.left]
}

// request is a GET as net/http's server would hand it on.
func request(u *url.URL, h http.Header) *http.Request {
	return &http.Request{Method: http.MethodGet, URL: u, RequestURI: target, Host: host, Body: http.NoBody, Header: h}
}
