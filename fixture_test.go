package holdfast_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/holdfast-project/holdfast"
	"github.com/holdfast-project/holdfast/accesstoken"
	"github.com/holdfast-project/holdfast/contentdigest"
	"github.com/holdfast-project/holdfast/dpop"
	"github.com/holdfast-project/holdfast/httpsig"
	"github.com/holdfast-project/holdfast/keys"
	"github.com/holdfast-project/holdfast/replay"
)

const (
	origin       = "https://api.example"
	boundToken   = "token.bound.by-jkt"
	runtimeToken = "token.bound.by-htsk"
	jwkToken     = "token.bound.by-jwk"
	certToken    = "token.bound.by-certificate"
	bearerToken  = "token.unbound"
)

var start = time.Unix(1_800_000_000, 0)

// tokenTable is an issuer whose tokens are looked up.
type tokenTable map[string]*accesstoken.Token

func (t tokenTable) Verify(_ context.Context, token string) (*accesstoken.Token, error) {
	if tok, ok := t[token]; ok {
		return tok, nil
	}
	return nil, &accesstoken.Error{Reason: accesstoken.BadSignature}
}

// world is a verifier, a client's key and tokens for it.
type world struct {
	t      testing.TB
	signer *keys.Signer
	config holdfast.Config
	now    time.Time
}

func newWorld(t testing.TB) *world {
	t.Helper()
	signer, err := keys.Generate(keys.ES256)
	if err != nil {
		t.Fatal(err)
	}
	w := &world{t: t, signer: signer, now: start}
	pub := signer.Public()
	confirmed := func(c accesstoken.Confirmation) *accesstoken.Token {
		return &accesstoken.Token{Issuer: "https://as.example", Subject: "alice", ClientID: "shop", Scope: []string{"read"}, Confirmation: c}
	}
	w.config = holdfast.Config{
		Tokens: tokenTable{
			boundToken:   confirmed(accesstoken.Confirmation{Binding: accesstoken.BoundJKT, Thumbprint: pub.Thumbprint()}),
			runtimeToken: confirmed(accesstoken.Confirmation{Binding: accesstoken.BoundHTSK, Thumbprint: pub.Thumbprint(), Key: pub, Algorithm: "ecdsa-p256-sha256"}),
			jwkToken:     confirmed(accesstoken.Confirmation{Binding: accesstoken.BoundJWK, Thumbprint: pub.Thumbprint(), Key: pub}),
			certToken:    confirmed(accesstoken.Confirmation{Binding: accesstoken.BoundX5T}),
			bearerToken:  confirmed(accesstoken.Confirmation{}),
		},
		External: holdfast.External{Origin: origin},
		Now:      func() time.Time { return w.now },
	}
	w.config.Replay = w.newGuard(replay.MemoryConfig{InsecureAcceptOlder: true})
	return w
}

func (w *world) newGuard(cfg replay.MemoryConfig) *replay.Memory {
	w.t.Helper()
	cfg.Now = func() time.Time { return w.now }
	guard, err := replay.NewMemory(cfg)
	if err != nil {
		w.t.Fatal(err)
	}
	return guard
}

func (w *world) verifier(p holdfast.Policy) *holdfast.Verifier {
	w.t.Helper()
	w.config.Policy = p
	v, err := holdfast.NewVerifier(w.config)
	if err != nil {
		w.t.Fatal(err)
	}
	return v
}

// request is a request as a server gets it.
func request(method, target, body string) *http.Request {
	var b io.Reader
	if body != "" {
		b = bytes.NewReader([]byte(body))
	}
	r := httptest.NewRequest(method, target, b)
	r.Host = "api.example"
	return r
}

// prove adds what a client with this key would: the token and a DPoP proof.
func (w *world) prove(r *http.Request, token string, change ...func(*dpop.Params)) *http.Request {
	w.t.Helper()
	p := dpop.Params{Method: r.Method, TargetURI: origin + r.RequestURI, Token: token, Now: w.now}
	for _, f := range change {
		f(&p)
	}
	proof, err := dpop.Sign(w.signer, p)
	if err != nil {
		w.t.Fatal(err)
	}
	r.Header.Set("Authorization", "DPoP "+token)
	r.Header.Set("DPoP", proof)
	return r
}

// sign adds a message signature that covers ids.
func (w *world) sign(r *http.Request, tag string, ids ...string) *http.Request {
	w.t.Helper()
	return w.signWith(r, httpsig.SignerConfig{Key: w.signer, Tag: tag, Components: httpsig.Components(ids...)})
}

func (w *world) signWith(r *http.Request, cfg httpsig.SignerConfig) *http.Request {
	w.t.Helper()
	if cfg.Now == nil {
		cfg.Now = func() time.Time { return w.now }
	}
	s, err := httpsig.NewSigner(cfg)
	if err != nil {
		w.t.Fatal(err)
	}
	fields, err := s.Sign(httpsig.RequestMessage(r, origin+r.RequestURI))
	if err != nil {
		w.t.Fatal(err)
	}
	fields.Add(r.Header)
	return r
}

// httpsigRequest is a request with a run-time key's token and signature.
func (w *world) httpsigRequest(r *http.Request, more ...string) *http.Request {
	r.Header.Set("Authorization", "HTTPSig "+runtimeToken)
	return w.sign(r, holdfast.TagHTTPSig, append([]string{"@method", "@target-uri", "authorization"}, more...)...)
}

// beside adds the signature that accompanies a DPoP proof.
func (w *world) beside(r *http.Request, more ...string) *http.Request {
	return w.sign(r, holdfast.TagProof, append([]string{"@method", "@target-uri", "authorization", "dpop"}, more...)...)
}

func digested(r *http.Request, body string) *http.Request {
	r.Header.Set("Content-Digest", contentdigest.Sum(contentdigest.SHA256, []byte(body)))
	return r
}

// refusal checks that err is one, with this reason.
func refusal(t *testing.T, err error, reason string) *holdfast.Refusal {
	t.Helper()
	var r *holdfast.Refusal
	if !errors.As(err, &r) {
		t.Fatalf("got error %v, want a refusal with reason %s", err, reason)
	}
	if r.Reason != reason {
		t.Fatalf("got reason %s (%v), want %s", r.Reason, r, reason)
	}
	return r
}

// contest sends one request many times at once, and tells how many got in and how many were told that it was a replay.
func contest(v *holdfast.Verifier, r *http.Request, times int) (passed, replayed int64) {
	var in, out atomic.Int64
	var wg sync.WaitGroup
	for range times {
		wg.Go(func() {
			_, err := v.Check(r.Clone(context.Background()))
			var refused *holdfast.Refusal
			switch {
			case err == nil:
				in.Add(1)
			case errors.As(err, &refused) && refused.Reason == holdfast.ReasonReplayed:
				out.Add(1)
			}
		})
	}
	wg.Wait()
	return in.Load(), out.Load()
}
