package bench

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"net/http"
	"strings"
	"time"

	"github.com/holdfast-project/holdfast/dpop"
	"github.com/holdfast-project/holdfast/httpsig"
	"github.com/holdfast-project/holdfast/keys"
)

// signedGET is a GET of which five components are covered.
var signedGET = httpsig.Components("@method", "@target-uri", "authorization", "content-type", "x-request-id")

func getMessage() *httpsig.Message {
	return &httpsig.Message{
		Method: "GET", TargetURI: origin + target,
		Header: http.Header{
			"Authorization": {"HTTPSig eyJhbGciOiJFUzI1NiIsInR5cCI6ImF0K2p3dCJ9.eyJpc3MiOiJodHRwczovL2FzLmV4YW1wbGUifQ.c2lnbmF0dXJl"},
			"Content-Type":  {"application/json"},
			"X-Request-Id":  {"7d3b5a2e-6f0d-4c36-8a2c-3a2b1c0d9e8f"},
		},
	}
}

// message is a signed GET.
type message struct {
	sign   func() error
	verify func(*httpsig.Key) error
	base   []byte
}

func newMessage(cfg httpsig.SignerConfig) (*message, error) {
	cfg.Components, cfg.Tag, cfg.KeyID = signedGET, "bench", "client-1"
	signer, err := httpsig.NewSigner(cfg)
	if err != nil {
		return nil, err
	}
	plain, signed := getMessage(), getMessage()
	fields, err := signer.Sign(signed)
	if err != nil {
		return nil, err
	}
	fields.Add(signed.Header)
	v, err := httpsig.NewVerifier(httpsig.Config{Tag: "bench", Required: signedGET[:3], RequiredParams: []string{"nonce"}, MaxAge: time.Hour})
	if err != nil {
		return nil, err
	}
	inputs, err := httpsig.ParseInputs(signed.Header)
	if err != nil {
		return nil, err
	}
	m := &message{
		sign: func() error {
			_, err := signer.Sign(plain)
			return err
		},
		verify: func(key *httpsig.Key) error {
			_, err := v.Verify(context.Background(), signed, func(context.Context, *httpsig.Input) (*httpsig.Key, error) { return key, nil })
			return err
		},
	}
	m.base, err = httpsig.Base(signed, inputs[0], nil)
	return m, err
}

func newMACMessage() (m *message, secret []byte, err error) {
	secret = make([]byte, 32)
	rand.Read(secret)
	m, err = newMessage(httpsig.SignerConfig{Secret: secret})
	return m, secret, err
}

// signCases are signatures and proofs as a client makes them, beside the bare primitive.
func signCases() ([]Case, error) {
	prims, err := newPrimitives()
	if err != nil {
		return nil, err
	}
	var out []Case
	for _, p := range prims {
		m, err := newMessage(httpsig.SignerConfig{Key: p.signer})
		if err != nil {
			return nil, err
		}
		out = append(out, Case{Name: "RFC 9421 sign, " + p.name, Bare: p.name + " sign", Work: m.sign, Base: p.bareSign(m.base)})
	}
	m, secret, err := newMACMessage()
	if err != nil {
		return nil, err
	}
	out = append(out, Case{Name: "RFC 9421 sign, HMAC", Bare: "HMAC-SHA-256", Work: m.sign, Base: bareMAC(secret, m.base)})
	for _, p := range prims {
		g, err := newGrants(p.signer)
		if err != nil {
			return nil, err
		}
		params := dpop.Params{Method: http.MethodGet, TargetURI: origin + target, Token: g.dpop}
		proof, err := dpop.Sign(p.signer, params)
		if err != nil {
			return nil, err
		}
		out = append(out, Case{Name: "DPoP sign, " + p.name, Bare: p.name + " sign", Base: p.bareSign(signingInput(proof)), Work: func() error {
			_, err := dpop.Sign(p.signer, params)
			return err
		}})
	}
	return out, nil
}

// signingInput is what the signature of a JWS is over.
func signingInput(jws string) []byte { return []byte(jws[:strings.LastIndexByte(jws, '.')]) }

// verifyCases are signatures, proofs and tokens as each package verifies them, beside the bare primitive. Keys are parsed
// each time where the name says so.
func verifyCases() ([]Case, error) {
	prims, err := newPrimitives()
	if err != nil {
		return nil, err
	}
	var out []Case
	for _, build := range []func(*primitives) ([]Case, error){messageCases, dpopCases} {
		for _, p := range prims {
			cases, err := build(p)
			if err != nil {
				return nil, err
			}
			out = append(out, cases...)
		}
	}
	mac, err := macCase()
	if err != nil {
		return nil, err
	}
	token, err := tokenCase()
	return append(out, mac, token), err
}

func messageCases(p *primitives) ([]Case, error) {
	m, err := newMessage(httpsig.SignerConfig{Key: p.signer})
	if err != nil {
		return nil, err
	}
	key, err := httpsig.NewJOSEKey(p.signer.Public())
	if err != nil {
		return nil, err
	}
	jwk, err := json.Marshal(p.signer.Public())
	if err != nil {
		return nil, err
	}
	bare, err := p.bareVerify(m.base)
	return []Case{
		{Name: "RFC 9421 verify, " + p.name, Bare: p.name + " verify", Base: bare, Work: func() error { return m.verify(key) }},
		{Name: "RFC 9421 verify, " + p.name + ", key parsed", Bare: p.name + " verify", Base: bare, Work: func() error {
			public, err := keys.ParsePublic(jwk)
			if err != nil {
				return err
			}
			key, err := httpsig.NewJOSEKey(public)
			if err != nil {
				return err
			}
			return m.verify(key)
		}},
	}, err
}

func dpopCases(p *primitives) ([]Case, error) {
	g, err := newGrants(p.signer)
	if err != nil {
		return nil, err
	}
	proof, err := dpop.Sign(p.signer, dpop.Params{Method: http.MethodGet, TargetURI: origin + target, Token: g.dpop})
	if err != nil {
		return nil, err
	}
	v, err := dpop.NewVerifier(dpop.Config{MaxAge: time.Hour, Algorithms: []keys.Algorithm{p.signer.Algorithm()}})
	if err != nil {
		return nil, err
	}
	r := dpop.Request{
		Fields: []string{proof}, Method: http.MethodGet, TargetURI: origin + target, Token: g.dpop, Thumbprint: p.signer.Public().Thumbprint(),
	}
	bare, err := p.bareVerify(signingInput(proof))
	return []Case{{Name: "DPoP verify, " + p.name, Bare: p.name + " verify", Base: bare, Work: func() error {
		_, err := v.Verify(r)
		return err
	}}}, err
}

func macCase() (Case, error) {
	m, secret, err := newMACMessage()
	if err != nil {
		return Case{}, err
	}
	key, err := httpsig.NewHMACKey(secret)
	return Case{Name: "RFC 9421 verify, HMAC", Bare: "HMAC-SHA-256", Work: func() error { return m.verify(key) }, Base: bareMAC(secret, m.base)}, err
}

func tokenCase() (Case, error) {
	p, err := newP256()
	if err != nil {
		return Case{}, err
	}
	g, err := newGrants(p.signer)
	if err != nil {
		return Case{}, err
	}
	bare, err := p.bareVerify(signingInput(g.dpop))
	return Case{Name: "JWT access token verify, P-256", Bare: "P-256 verify", Base: bare, Work: func() error {
		_, err := g.verifier.Verify(context.Background(), g.dpop)
		return err
	}}, err
}
