package conformance

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/holdfast-project/holdfast"
	"github.com/holdfast-project/holdfast/accesstoken"
	"github.com/holdfast-project/holdfast/dpop"
	"github.com/holdfast-project/holdfast/keys"
	"github.com/holdfast-project/holdfast/replay"
)

// proofPolicy is the policy of a case with an endpoint.
type proofPolicy struct {
	Algorithms []keys.Algorithm                      `json:"algs"`
	MaxAge     int64                                 `json:"max_age"`         // seconds
	ClockSkew  int64                                 `json:"clock_skew"`      // seconds; absent: none
	MaxBytes   int                                   `json:"max_proof_bytes"` //
	Tokens     map[string]map[string]json.RawMessage `json:"tokens"`          // token → what introspection says of it
	Bearer     bool                                  `json:"bearer_allowed"`
	Nonces     *[]string                             `json:"nonce"` // accepted nonces; absent: none are demanded
	SeenIDs    []string                              `json:"seen_jti"`
	Thumbprint string                                `json:"expected_jkt"`
	Required   *bool                                 `json:"dpop_required"` // at the token endpoint; absent: true
	Cover      []string                              `json:"cover"`         // components that a signature must cover
	CoverBody  bool                                  `json:"cover_body"`    // a body's digest must be covered
}

// runDPoP sends the request of a case through the front door, or for a token request through the proof's verifier, as
// the issuer does.
func runDPoP(_ context.Context, c *Case) (refusal, err error) {
	var p proofPolicy
	if err := c.policy(&p); err != nil {
		return nil, err
	}
	r, err := httpRequest(c.Request)
	if err != nil {
		return nil, fmt.Errorf("conformance: case %q: %w", c.ID, err)
	}
	var got keys.Thumbprint
	if c.Endpoint == "token" {
		got, refusal, err = p.tokenRequest(c, r)
	} else {
		got, refusal, err = p.resourceRequest(c, r)
	}
	if err != nil {
		return nil, fmt.Errorf("conformance: case %q: %w", c.ID, err)
	}
	if refusal == nil && c.JKT != "" && got.String() != c.JKT {
		refusal = &mismatch{what: "jkt", expected: c.JKT, got: got.String()}
	}
	return refusal, nil
}

// httpRequest is the request as net/http gives it to a server.
func httpRequest(m *message) (*http.Request, error) {
	h, err := header(m.Headers)
	if err != nil {
		return nil, err
	}
	body, err := m.body()
	if err != nil {
		return nil, err
	}
	scheme, rest, ok := strings.Cut(m.URL, "://")
	if !ok {
		return nil, fmt.Errorf("url %q isn't absolute", m.URL)
	}
	authority, path := rest, "/"
	if i := strings.IndexAny(rest, "/?"); i >= 0 {
		authority, path = rest[:i], rest[i:]
	}
	if strings.HasPrefix(path, "?") {
		path = "/" + path
	}
	if m.RequestTarget != "" {
		path = m.RequestTarget
	}
	plain, query, _ := strings.Cut(path, "?")
	return &http.Request{
		Method: m.Method, URL: &url.URL{Scheme: scheme, Host: authority, Path: plain, RawQuery: query}, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: h, Host: authority, RequestURI: path, Body: io.NopCloser(bytes.NewReader(body)), ContentLength: int64(len(body)),
	}, nil
}

func (p *proofPolicy) resourceRequest(c *Case, r *http.Request) (keys.Thumbprint, error, error) {
	v, err := holdfast.NewVerifier(holdfast.Config{
		Tokens:         tokenTable(p.Tokens),
		Replay:         seenGuard(p.SeenIDs),
		External:       holdfast.External{Origin: r.URL.Scheme + "://" + r.URL.Host},
		Policy:         holdfast.Policy{Bearer: p.bearer(), Cover: p.Cover, CoverBody: p.CoverBody, Body: holdfast.BodyBuffered},
		Nonces:         p.nonces(),
		DPoPAlgorithms: p.Algorithms,
		MaxProofBytes:  p.MaxBytes,
		Freshness:      time.Duration(p.MaxAge) * time.Second,
		Skew:           p.skew(),
		Now:            c.now,
	})
	if err != nil {
		return keys.Thumbprint{}, nil, err
	}
	verdict, refusal := v.Check(r)
	if refusal != nil {
		return keys.Thumbprint{}, refusal, nil
	}
	return verdict.Key, nil, nil
}

func (p *proofPolicy) tokenRequest(c *Case, r *http.Request) (keys.Thumbprint, error, error) {
	fields := r.Header["Dpop"]
	if len(fields) == 0 && p.Required != nil && !*p.Required {
		return keys.Thumbprint{}, nil, nil
	}
	cfg := dpop.Config{
		Algorithms: p.Algorithms, MaxAge: time.Duration(p.MaxAge) * time.Second, Skew: p.skew(), MaxBytes: p.MaxBytes, Now: c.now,
	}
	if n := p.nonces(); n != nil {
		cfg.Nonces = n
	}
	v, err := dpop.NewVerifier(cfg)
	if err != nil {
		return keys.Thumbprint{}, nil, err
	}
	request := dpop.Request{Fields: fields, Method: r.Method, TargetURI: c.Request.URL}
	if p.Thumbprint != "" {
		if request.Thumbprint, err = keys.ParseThumbprint(p.Thumbprint); err != nil {
			return keys.Thumbprint{}, nil, err
		}
	}
	proof, refusal := v.Verify(request)
	if refusal != nil {
		return keys.Thumbprint{}, refusal, nil
	}
	if slices.Contains(p.SeenIDs, proof.ID()) {
		return keys.Thumbprint{}, replay.ErrReplayed, nil
	}
	return proof.Thumbprint(), nil, nil
}

func (p *proofPolicy) bearer() holdfast.BearerMode {
	if p.Bearer {
		return holdfast.InsecureBearerObserved
	}
	return holdfast.BearerRefused
}

func (p *proofPolicy) skew() time.Duration {
	if p.ClockSkew == 0 {
		return -1
	}
	return time.Duration(p.ClockSkew) * time.Second
}

func (p *proofPolicy) nonces() holdfast.NonceSource {
	if p.Nonces == nil {
		return nil
	}
	return nonceList(*p.Nonces)
}

// nonceList accepts the nonces that a case says its server issued.
type nonceList []string

func (n nonceList) Issue() string { return "issued-by-this-run" }

func (n nonceList) Check(nonce string) error {
	if !slices.Contains(n, nonce) {
		return errors.New("not a nonce of this case")
	}
	return nil
}

// seenGuard has seen the ids of a case before.
type seenGuard []string

func (s seenGuard) Claim(_ context.Context, c replay.Claim) error {
	for _, id := range s {
		if strings.HasSuffix(c.ID, " "+id) {
			return replay.ErrReplayed
		}
	}
	return nil
}

// tokenTable verifies tokens by looking them up.
type tokenTable map[string]map[string]json.RawMessage

func (t tokenTable) Verify(_ context.Context, token string) (*accesstoken.Token, error) {
	claims, ok := t[token]
	if !ok {
		return nil, &accesstoken.Error{Reason: accesstoken.Inactive, Section: "RFC 7662, section 2.2", Part: "token"}
	}
	out := &accesstoken.Token{}
	if cnf, ok := claims["cnf"]; ok {
		c, err := accesstoken.ParseConfirmation(cnf)
		if err != nil {
			return nil, err
		}
		out.Confirmation = c
	}
	return out, nil
}
