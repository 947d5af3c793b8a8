package bench

import (
	"context"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/holdfast-project/holdfast"
	"github.com/holdfast-project/holdfast/accesstoken"
	"github.com/holdfast-project/holdfast/contentdigest"
	"github.com/holdfast-project/holdfast/dpop"
	"github.com/holdfast-project/holdfast/httpsig"
	"github.com/holdfast-project/holdfast/internal/jws"
	"github.com/holdfast-project/holdfast/keys"
	"github.com/holdfast-project/holdfast/replay"
)

const (
	host      = "api.example.com"
	origin    = "https://" + host
	target    = "/v1/accounts/2c5a/transactions?limit=50&cursor=eyJpZCI6MTIzfQ"
	issuerURL = "https://as.example.com"
)

// errBare is a primitive that fails on its own input.
var errBare = errors.New("the primitive failed")

// Groups returns all there is to measure in one process, in the order of a report.
func Groups() []Group {
	return []Group{
		{"signature", "RFC 9421 signatures of a GET with five components, beside the bare primitive", signatureCases},
		{"hmac", "the same by hmac-sha256", hmacCases},
		{"proof", "DPoP proofs and JWT access tokens, beside the bare primitive", proofCases},
		{"pass", "whole passes of the verifier", verifierCases},
		{"session", "whole passes of requests in a session", sessionCases},
		{"digest", "a body that is read through its digest", digestCases},
	}
}

// primitives are the bare operations of one key.
type primitives struct {
	name   string
	signer *keys.Signer
	sign   func(message []byte) ([]byte, error)
	verify func(message, signature []byte) bool
}

func newPrimitives() ([]primitives, error) {
	ec, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	edPublic, ed, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, err
	}
	ecSigner, err := keys.NewSigner(ec, "", keys.ES256)
	if err != nil {
		return nil, err
	}
	edSigner, err := keys.NewSigner(ed, "", keys.Ed25519)
	if err != nil {
		return nil, err
	}
	return []primitives{
		{
			name: "P-256", signer: ecSigner,
			sign: func(m []byte) ([]byte, error) {
				digest := sha256.Sum256(m)
				return ecdsa.SignASN1(rand.Reader, ec, digest[:])
			},
			verify: func(m, sig []byte) bool {
				digest := sha256.Sum256(m)
				return ecdsa.VerifyASN1(&ec.PublicKey, digest[:], sig)
			},
		},
		{
			name: "Ed25519", signer: edSigner,
			sign:   func(m []byte) ([]byte, error) { return ed25519.Sign(ed, m), nil },
			verify: func(m, sig []byte) bool { return ed25519.Verify(edPublic, m, sig) },
		},
	}, nil
}

// bareVerify is the primitive's verification of a message.
func (p *primitives) bareVerify(message []byte) (func() error, error) {
	sig, err := p.sign(message)
	if err != nil {
		return nil, err
	}
	return func() error {
		if !p.verify(message, sig) {
			return errBare
		}
		return nil
	}, nil
}

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

// signedMessage signs a GET and returns what verifies it, with its signature base.
func signedMessage(cfg httpsig.SignerConfig, key *httpsig.Key) (sign, verify func() error, base []byte, err error) {
	cfg.Components, cfg.Tag, cfg.KeyID = signedGET, "bench", "client-1"
	signer, err := httpsig.NewSigner(cfg)
	if err != nil {
		return nil, nil, nil, err
	}
	m := getMessage()
	sign = func() error {
		_, err := signer.Sign(m)
		return err
	}
	signed := getMessage()
	fields, err := signer.Sign(signed)
	if err != nil {
		return nil, nil, nil, err
	}
	fields.Add(signed.Header)
	v, err := httpsig.NewVerifier(httpsig.Config{Tag: "bench", Required: signedGET[:3], RequiredParams: []string{"nonce"}, MaxAge: time.Hour})
	if err != nil {
		return nil, nil, nil, err
	}
	source := func(context.Context, *httpsig.Input) (*httpsig.Key, error) { return key, nil }
	verify = func() error {
		_, err := v.Verify(context.Background(), signed, source)
		return err
	}
	inputs, err := httpsig.ParseInputs(signed.Header)
	if err != nil {
		return nil, nil, nil, err
	}
	base, err = httpsig.Base(signed, inputs[0], nil)
	return sign, verify, base, err
}

func signatureCases() ([]Case, error) {
	prims, err := newPrimitives()
	if err != nil {
		return nil, err
	}
	var out []Case
	for _, p := range prims {
		key, err := httpsig.NewJOSEKey(p.signer.Public())
		if err != nil {
			return nil, err
		}
		sign, verify, base, err := signedMessage(httpsig.SignerConfig{Key: p.signer}, key)
		if err != nil {
			return nil, err
		}
		bareVerify, err := p.bareVerify(base)
		if err != nil {
			return nil, err
		}
		bareSign := func() error {
			_, err := p.sign(base)
			return err
		}
		out = append(out,
			Case{Name: "RFC 9421 verify, " + p.name, Bare: p.name + " verify", Work: verify, Base: bareVerify},
			Case{Name: "RFC 9421 sign, " + p.name, Bare: p.name + " sign", Work: sign, Base: bareSign})
	}
	return out, nil
}

func hmacCases() ([]Case, error) {
	secret := make([]byte, 32)
	rand.Read(secret)
	key, err := httpsig.NewHMACKey(secret)
	if err != nil {
		return nil, err
	}
	sign, verify, base, err := signedMessage(httpsig.SignerConfig{Secret: secret}, key)
	if err != nil {
		return nil, err
	}
	bare := func() error {
		h := hmac.New(sha256.New, secret)
		h.Write(base)
		h.Sum(nil)
		return nil
	}
	return []Case{
		{Name: "RFC 9421 verify, HMAC", Bare: "HMAC-SHA-256", Work: verify, Base: bare},
		{Name: "RFC 9421 sign, HMAC", Bare: "HMAC-SHA-256", Work: sign, Base: bare},
	}, nil
}

// grants are what an issuer gave a client: a token that is bound to its key and one that isn't.
type grants struct {
	bound, bearer string
	verifier      accesstoken.Verifier
}

func newGrants(client *keys.Signer) (grants, error) {
	as, err := keys.Generate(keys.ES256)
	if err != nil {
		return grants{}, err
	}
	now := time.Now().Unix()
	claims := fmt.Sprintf(`{"iss":%q,"sub":"alice","client_id":"shop","aud":%q,"iat":%d,"exp":%d,"jti":"6fd1b7a0c3","scope":"read"`,
		issuerURL, origin, now, now+3600)
	confirmation := fmt.Sprintf(`,"cnf":{"jkt":%q}`, client.Public().Thumbprint().String())
	head := jws.Header{Typ: "at+jwt", KeyID: as.Public().KeyID()}
	var g grants
	if g.bound, err = jws.Sign(as, head, []byte(claims+confirmation+"}")); err != nil {
		return grants{}, err
	}
	if g.bearer, err = jws.Sign(as, head, []byte(claims+"}")); err != nil {
		return grants{}, err
	}
	g.verifier, err = accesstoken.NewJWTVerifier(accesstoken.JWTConfig{Issuer: issuerURL, Audience: origin, Keys: accesstoken.StaticKeys{as.Public()}})
	return g, err
}

func proofCases() ([]Case, error) {
	prims, err := newPrimitives()
	if err != nil {
		return nil, err
	}
	p := prims[0]
	g, err := newGrants(p.signer)
	if err != nil {
		return nil, err
	}
	token := g.bound
	proof, err := dpop.Sign(p.signer, dpop.Params{Method: "GET", TargetURI: origin + target, Token: token})
	if err != nil {
		return nil, err
	}
	v, err := dpop.NewVerifier(dpop.Config{MaxAge: time.Hour})
	if err != nil {
		return nil, err
	}
	r := dpop.Request{Fields: []string{proof}, Method: "GET", TargetURI: origin + target, Token: token, Thumbprint: p.signer.Public().Thumbprint()}
	signed := func(jwt string) []byte { return []byte(jwt[:strings.LastIndexByte(jwt, '.')]) }
	bareProof, err := p.bareVerify(signed(proof))
	if err != nil {
		return nil, err
	}
	bareToken, err := p.bareVerify(signed(token))
	if err != nil {
		return nil, err
	}
	return []Case{
		{Name: "DPoP verify, P-256", Bare: "P-256 verify", Base: bareProof, Work: func() error {
			_, err := v.Verify(r)
			return err
		}},
		{Name: "JWT verify, P-256", Bare: "P-256 verify", Base: bareToken, Work: func() error {
			_, err := g.verifier.Verify(context.Background(), token)
			return err
		}},
	}, nil
}

// verifierCases are whole passes of the front door: cached token, proof, replay. Each pass has a proof of its own, made
// before it is timed, since a proof works once.
func verifierCases() ([]Case, error) {
	prims, err := newPrimitives()
	if err != nil {
		return nil, err
	}
	p := prims[0]
	g, err := newGrants(p.signer)
	if err != nil {
		return nil, err
	}
	guard, err := replay.NewMemory(replay.MemoryConfig{Capacity: 10_000_000, Share: 10_000_000, InsecureAcceptOlder: true, Horizon: 2 * time.Hour})
	if err != nil {
		return nil, err
	}
	v, err := holdfast.NewVerifier(holdfast.Config{
		Tokens: accesstoken.NewCache(g.verifier, accesstoken.CacheConfig{MaxAge: time.Hour}), Replay: guard,
		External: holdfast.External{Origin: origin}, Freshness: time.Hour,
	})
	if err != nil {
		return nil, err
	}
	requests, err := newSupply(p.signer, g.bound)
	if err != nil {
		return nil, err
	}
	bare, err := p.bareVerify(make([]byte, 600))
	if err != nil {
		return nil, err
	}
	return []Case{{Name: "Verifier pass, DPoP P-256", Bare: "P-256 verify", Base: bare, Stock: requests.stock, Work: func() error {
		_, err := v.Check(requests.next())
		return err
	}}}, nil
}

// supply hands out requests with fresh proofs. A pass is timed with what it takes to make a request value around a
// proof, but not with signing.
type supply struct {
	signer *keys.Signer
	token  string
	url    *url.URL
	proofs []string // for the next calls
}

func newSupply(signer *keys.Signer, token string) (*supply, error) {
	u, err := url.Parse(origin + target)
	return &supply{signer: signer, token: token, url: u}, err
}

func (s *supply) stock(n int) error {
	s.proofs = s.proofs[:0]
	for range n {
		proof, err := dpop.Sign(s.signer, dpop.Params{Method: "GET", TargetURI: origin + target, Token: s.token})
		if err != nil {
			return err
		}
		s.proofs = append(s.proofs, proof)
	}
	return nil
}

func (s *supply) next() *http.Request {
	last := len(s.proofs) - 1
	r := request(s.url, http.Header{"Authorization": {"DPoP " + s.token}, "Dpop": {s.proofs[last]}})
	s.proofs = s.proofs[:last]
	return r
}

// digestCases reads a body as a handler would, in pieces of 64 KiB. Both sides hash; one also verifies.
func digestCases() ([]Case, error) {
	sum := sha256.New()
	buf := make([]byte, 64<<10)
	hashAlone := func() error {
		sum.Reset()
		return drain(sum, &zeros{bodySize}, buf)
	}
	if err := hashAlone(); err != nil {
		return nil, err
	}
	field := "sha-256=:" + base64.StdEncoding.EncodeToString(sum.Sum(nil)) + ":"
	digests, err := contentdigest.Parse([]string{field})
	if err != nil {
		return nil, err
	}
	verified := func() error {
		return drain(io.Discard, contentdigest.NewReader(io.NopCloser(&zeros{bodySize}), digests), buf)
	}
	return []Case{{Name: "Content-Digest of 256 MiB", Bare: "SHA-256 alone", Work: verified, Base: hashAlone}}, nil
}

const bodySize = 256 << 20

// zeros is a body of n zero bytes.
type zeros struct{ n int64 }

func (z *zeros) Read(p []byte) (int, error) {
	if z.n == 0 {
		return 0, io.EOF
	}
	n := int(min(int64(len(p)), z.n))
	z.n -= int64(n)
	return n, nil
}

// drain copies through buf and nothing else.
func drain(to io.Writer, from io.Reader, buf []byte) error {
	_, err := io.CopyBuffer(struct{ io.Writer }{to}, struct{ io.Reader }{from}, buf)
	return err
}
