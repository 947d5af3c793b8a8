package conformance

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/holdfast-project/holdfast/contentdigest"
	"github.com/holdfast-project/holdfast/httpsig"
	"github.com/holdfast-project/holdfast/keys"
	"github.com/holdfast-project/holdfast/replay"
)

// signaturePolicy is the policy of an RFC 9421 case.
type signaturePolicy struct {
	Label      string                       `json:"label"`
	Tag        string                       `json:"tag"`
	Fields     map[string]string            `json:"structured_fields"`
	Required   []string                     `json:"required_components"`
	Params     []string                     `json:"required_params"`
	Algorithms []httpsig.Algorithm          `json:"allowed_algs"`
	DefaultKey string                       `json:"default_key"`
	SeenNonces []string                     `json:"seen_nonces"`
	MaxAge     int64                        `json:"max_age"`    // seconds
	ClockSkew  int64                        `json:"clock_skew"` // seconds; absent: none
	fields     map[string]httpsig.FieldType // of Fields
}

var fieldTypes = map[string]httpsig.FieldType{"item": httpsig.Item, "list": httpsig.List, "dictionary": httpsig.Dictionary}

// runHTTPSig verifies the signatures of the response if there is one, else of the request.
func runHTTPSig(ctx context.Context, c *Case) (refusal, err error) {
	p := signaturePolicy{Label: c.Label}
	if err := c.policy(&p); err != nil {
		return nil, err
	}
	cfg, err := p.config(c)
	if err != nil {
		return nil, fmt.Errorf("conformance: case %q: %w", c.ID, err)
	}
	v, err := httpsig.NewVerifier(cfg)
	if err != nil {
		return nil, fmt.Errorf("conformance: case %q: %w", c.ID, err)
	}
	m, err := signedMessage(c)
	if err != nil {
		return nil, fmt.Errorf("conformance: case %q: %w", c.ID, err)
	}
	ring, err := newKeyring(c, p.DefaultKey)
	if err != nil {
		return nil, fmt.Errorf("conformance: case %q: %w", c.ID, err)
	}
	sigs, refusal := v.Verify(ctx, m, ring.find)
	if refusal != nil {
		return refusal, nil
	}
	for _, s := range sigs {
		if refusal := checkSigned(c, &p, m, s); refusal != nil {
			return refusal, nil
		}
	}
	return nil, nil
}

func (p *signaturePolicy) config(c *Case) (httpsig.Config, error) {
	p.fields = map[string]httpsig.FieldType{}
	for name, kind := range p.Fields {
		t, ok := fieldTypes[kind]
		if !ok {
			return httpsig.Config{}, fmt.Errorf("structured_fields: %q isn't item, list or dictionary", kind)
		}
		p.fields[name] = t
	}
	cfg := httpsig.Config{
		Label: p.Label, Tag: p.Tag, RequiredParams: p.Params, Algorithms: p.Algorithms, Fields: p.fields,
		MaxAge: time.Duration(p.MaxAge) * time.Second, Skew: time.Duration(p.ClockSkew) * time.Second,
		// The vectors' rules take any coverage that the policy doesn't ask more of.
		InsecureEmptyCoverage: true,
		Now:                   c.now,
	}
	if p.ClockSkew == 0 {
		cfg.Skew = -1
	}
	for _, id := range p.Required {
		component, err := httpsig.ParseComponent(id)
		if err != nil {
			return httpsig.Config{}, err
		}
		cfg.Required = append(cfg.Required, component)
	}
	return cfg, nil
}

// checkSigned runs what a caller of package httpsig owes: the tag beside a label, the digests, the nonce.
func checkSigned(c *Case, p *signaturePolicy, m *httpsig.Message, s *httpsig.Signature) error {
	in := s.Input()
	if c.Base != nil {
		base, err := httpsig.Base(m, in, p.fields)
		if err != nil {
			return err
		}
		if string(base) != *c.Base {
			return &mismatch{what: "signature-base", expected: *c.Base, got: string(base)}
		}
	}
	if err := checkDigests(c, m, in); err != nil {
		return err
	}
	if slices.Contains(p.SeenNonces, in.Nonce()) {
		return replay.ErrReplayed
	}
	return nil
}

// checkDigests verifies the bodies whose digests are covered: the message's own and, in a response, with ;req that of its
// request.
func checkDigests(c *Case, m *httpsig.Message, in *httpsig.Input) error {
	own := c.Request
	if c.Response != nil {
		own = c.Response
	}
	if covers(in, "content-digest", false) {
		if err := checkDigest(m, own); err != nil {
			return err
		}
	}
	if c.Response != nil && covers(in, "content-digest", true) {
		return checkDigest(m.Request, c.Request)
	}
	return nil
}

func checkDigest(m *httpsig.Message, of *message) error {
	digests, err := contentdigest.Parse(m.Header["Content-Digest"])
	if err != nil {
		return err
	}
	body, err := of.body()
	if err != nil {
		return err
	}
	return digests.Verify(body)
}

// covers tells whether the field of this message, or of its request, is covered, in whatever form.
func covers(in *httpsig.Input, field string, ofRequest bool) bool {
	for _, c := range in.Components() {
		if c.Name() == field && strings.Contains(c.String(), ";req") == ofRequest {
			return true
		}
	}
	return false
}

// signedMessage builds the message that the case is about.
func signedMessage(c *Case) (*httpsig.Message, error) {
	var request *httpsig.Message
	if c.Request != nil {
		m, err := view(c.Request)
		if err != nil {
			return nil, err
		}
		request = m
	}
	if c.Response == nil {
		return request, nil
	}
	response, err := view(c.Response)
	if err != nil {
		return nil, err
	}
	response.Request = request
	return response, nil
}

func view(raw *message) (*httpsig.Message, error) {
	h, err := header(raw.Headers)
	if err != nil {
		return nil, err
	}
	trailer, err := header(raw.Trailers)
	if err != nil {
		return nil, err
	}
	return &httpsig.Message{
		Method: raw.Method, TargetURI: raw.URL, RequestTarget: raw.RequestTarget,
		Header: h, Trailer: trailer, Status: raw.Status,
	}, nil
}

// keyring holds the keys of a case by key id.
type keyring struct {
	keys     map[string]caseKey
	fallback string
}

// caseKey is a JWK with the algorithm that it is bound to, if any.
type caseKey struct {
	jwk       []byte
	secret    []byte
	algorithm httpsig.Algorithm
	jose      bool
}

func newKeyring(c *Case, fallback string) (*keyring, error) {
	ring := &keyring{keys: map[string]caseKey{}, fallback: fallback}
	for _, jwk := range c.Keys {
		kid, k, err := parseKey(jwk)
		if err != nil {
			return nil, err
		}
		ring.keys[kid] = k
	}
	if len(c.Key) > 0 {
		// A case with one key means that key, whatever keyid says.
		_, k, err := parseKey(c.Key)
		if err != nil {
			return nil, err
		}
		if c.Alg != "" {
			k.algorithm, k.jose = httpsig.Algorithm(c.Alg), false
		}
		ring.keys[""] = k
	}
	return ring, nil
}

func parseKey(jwk []byte) (kid string, k caseKey, err error) {
	var members struct {
		Kid, Kty, K, Alg string
		HTTPAlg          httpsig.Algorithm `json:"http_alg"`
	}
	if err := json.Unmarshal(jwk, &members); err != nil {
		return "", caseKey{}, fmt.Errorf("key: %w", err)
	}
	k = caseKey{jwk: jwk, algorithm: members.HTTPAlg, jose: members.HTTPAlg == "" && members.Alg != ""}
	if members.Kty == "oct" {
		if k.secret, err = base64.RawURLEncoding.DecodeString(members.K); err != nil {
			return "", caseKey{}, fmt.Errorf("key %q: %w", members.Kid, err)
		}
	}
	return members.Kid, k, nil
}

// find is the httpsig.KeySource of a case. The algorithm is the key's; only where the key has none it is the
// signature's own.
func (k *keyring) find(_ context.Context, in *httpsig.Input) (*httpsig.Key, error) {
	id := in.KeyID()
	if id == "" {
		id = k.fallback
	}
	key, ok := k.keys[id]
	if !ok {
		if key, ok = k.keys[""]; !ok {
			return nil, fmt.Errorf("no key %q", url.QueryEscape(id))
		}
	}
	if key.jose {
		pub, err := keys.ParsePublic(key.jwk)
		if err != nil {
			return nil, err
		}
		return httpsig.NewJOSEKey(pub)
	}
	algorithm := key.algorithm
	if algorithm == "" {
		algorithm = httpsig.Algorithm(in.Alg())
	}
	if key.secret != nil {
		if algorithm != httpsig.HMACSHA256 {
			return nil, fmt.Errorf("a shared secret can't be used with %q", algorithm)
		}
		return httpsig.NewHMACKey(key.secret)
	}
	pub, err := keys.ParsePublic(key.jwk)
	if err != nil {
		return nil, err
	}
	return httpsig.NewKey(pub, algorithm)
}
