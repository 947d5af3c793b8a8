package issuer

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/holdfast-project/holdfast/accesstoken"
	"github.com/holdfast-project/holdfast/certbound"
	"github.com/holdfast-project/holdfast/contentdigest"
	"github.com/holdfast-project/holdfast/dpop"
	"github.com/holdfast-project/holdfast/httpsig"
	"github.com/holdfast-project/holdfast/keys"
	"github.com/holdfast-project/holdfast/replay"
)

const (
	tokenRequestTag = "httpsig-oauth-token-request"

	// signatureAge is how old a signed token request may be (draft-richer-oauth-httpsig-03).
	signatureAge = 30 * time.Second
	// skew is how far ahead of ours a client's clock may be: FAPI 2.0 Security Profile, section 5.3.2.1, accepts 10 s
	// and refuses 60 s.
	skew = 10 * time.Second
	// guardSkew is how much of it every replay guard grants.
	guardSkew = 5 * time.Second
	// GuardLag is how long after the replay guard's memory has begun ([replay.Memory.Begins]) fresh proofs of honest clients
	// are still refused: we grant that much more skew than the guard. A second more, and none is.
	GuardLag = skew - guardSkew

	draftTokenRequest = "draft-richer-oauth-httpsig-03, token request"

	// Parts of errors that tell the kinds of proof apart.
	partDPoP      = "DPoP"
	partSignature = "Signature"
)

// proof is a verified proof of possession: what the token gets bound to.
type proof struct {
	binding      Binding
	key          keys.Thumbprint
	confirmation json.RawMessage // the value of cnf
	tokenType    string
	claim        *replay.Claim // its one use; nil for a certificate, which TLS keeps from being used by others
	used         Error         // the refusal of a second use
}

// prove verifies the proof that came with the request, the one that the client is registered for. It returns nil for a
// client that may have unbound tokens and sent none.
func (s *Server) prove(r *http.Request, body []byte, from caller) (*proof, error) {
	c := from.client
	signature, err := tokenRequestSignature(r.Header)
	if err != nil {
		return nil, err
	}
	fields := r.Header.Values("DPoP")
	switch {
	case len(fields) > 0 && signature != nil:
		// Which of two keys the token is bound to is not for us to guess.
		return nil, &Error{Reason: ProofAmbiguous}
	case len(fields) > 0:
		if err := c.mayUse(DPoP); err != nil {
			return nil, err
		}
		return s.proveDPoP(r, fields)
	case from.signature != nil:
		return from.signature, nil
	case signature != nil:
		binding := HTTPSigRuntime
		if signature.KeyID() != "" {
			binding = HTTPSigPreregistered
		}
		if err := c.mayUse(binding); err != nil {
			return nil, err
		}
		return s.proveSignature(r, body, c, binding)
	}
	if c.Binding == AnyBinding || c.Binding == MutualTLS {
		if p, err := s.proveCertificate(r); p != nil || err != nil {
			return p, err
		}
	}
	if c.InsecureAllowUnbound {
		return nil, nil
	}
	return nil, &Error{Reason: ProofMissing, Expected: string(c.Binding)}
}

// proveCertificate takes the certificate that the client presented as the proof (RFC 8705, section 3). It returns nil if
// there is none.
func (s *Server) proveCertificate(r *http.Request) (*proof, error) {
	cert, err := s.certificateOf(r)
	if cert == nil || err != nil {
		return nil, err
	}
	thumbprint := certbound.ThumbprintOf(cert.Certificate)
	return &proof{
		binding: MutualTLS, key: keys.Thumbprint(thumbprint), tokenType: "Bearer",
		confirmation: fmt.Appendf(nil, `{"x5t#S256":%q}`, thumbprint.String()),
	}, nil
}

// mayUse refuses a binding that isn't the client's.
func (c *client) mayUse(b Binding) error {
	if c.Binding == AnyBinding || c.Binding == b {
		return nil
	}
	return &Error{Reason: ProofRefused, Expected: string(c.Binding), Got: string(b)}
}

// proveDPoP verifies a DPoP proof (RFC 9449, section 5).
func (s *Server) proveDPoP(r *http.Request, fields []string) (*proof, error) {
	return s.verifyDPoP(dpop.Request{Fields: fields, Method: r.Method, TargetURI: s.urlOf(r)}, "RFC 9449, section 5")
}

// verifyDPoP verifies a DPoP proof; section says of what.
func (s *Server) verifyDPoP(q dpop.Request, section string) (*proof, error) {
	verified, err := s.dpop.Verify(q)
	if err != nil {
		return nil, &Error{Reason: dpopReason(err), Section: section, Part: partDPoP, Err: err}
	}
	key := verified.Key().Thumbprint()
	return &proof{
		binding:      DPoP,
		key:          key,
		confirmation: fmt.Appendf(nil, `{"jkt":%q}`, key.String()),
		tokenType:    "DPoP",
		claim:        &replay.Claim{Owner: key, ID: "dpop " + verified.ID(), Made: dated(verified.IssuedAt()), Until: verified.Expires()},
		used:         Error{Reason: ProofUsed, Section: "RFC 9449, section 11.1", Part: partDPoP},
	}, nil
}

// dated returns when something was made, for a replay guard that grants less skew than we do: earlier by the rest, so
// that what a fast clock made, and may have used before the guard's memory began, is refused like everything older.
func dated(made time.Time) time.Time { return made.Add(-GuardLag) }

// tokenRequestSignature returns a signature with the tag of token requests, or nil. Signatures for others, such as a
// proxy's, are none of our business.
func tokenRequestSignature(h http.Header) (*httpsig.Input, error) {
	if len(h.Values("Signature-Input")) == 0 {
		return nil, nil
	}
	inputs, err := httpsig.ParseInputs(h)
	if err != nil {
		return nil, &Error{Reason: SignatureRefused, Section: draftTokenRequest, Part: "Signature-Input", Err: err}
	}
	for _, in := range inputs {
		if in.Tag() == tokenRequestTag {
			return in, nil
		}
	}
	return nil, nil
}

// signatureKind is what the policy for a signature depends on.
type signatureKind struct {
	binding       Binding
	authorization bool // the request has an Authorization field, which must then be covered
}

// newSignatureVerifiers makes the policies for signed token requests (draft-richer-oauth-httpsig-03).
func newSignatureVerifiers(now func() time.Time) (map[signatureKind]*httpsig.Verifier, error) {
	verifiers := make(map[signatureKind]*httpsig.Verifier, 4)
	for _, binding := range []Binding{HTTPSigPreregistered, HTTPSigRuntime} {
		for _, authorization := range []bool{false, true} {
			cfg := httpsig.Config{Tag: tokenRequestTag, One: true, MaxAge: signatureAge, Skew: skew, Now: now,
				Required:       httpsig.Components("@method", "@target-uri", "content-digest"),
				RequiredParams: []string{"created", "nonce", "alg", "pub"},
				RefusedParams:  []string{"keyid"},
			}
			if binding == HTTPSigPreregistered {
				cfg.RequiredParams = []string{"created", "nonce", "keyid"}
				cfg.RefusedParams = []string{"alg", "pub"}
			}
			if authorization {
				cfg.Required = append(cfg.Required, httpsig.Components("authorization")...)
			}
			verifier, err := httpsig.NewVerifier(cfg)
			if err != nil {
				return nil, fmt.Errorf("issuer: %w", err)
			}
			verifiers[signatureKind{binding, authorization}] = verifier
		}
	}
	return verifiers, nil
}

// proveSignature verifies the one signature over a token request and the body that it covers.
func (s *Server) proveSignature(r *http.Request, body []byte, c *client, binding Binding) (*proof, error) {
	kind := signatureKind{binding, len(r.Header.Values("Authorization")) > 0}
	p := &proof{binding: binding, tokenType: "httpsig", used: Error{Reason: ProofUsed, Section: draftTokenRequest, Part: partSignature}}
	keyOf := func(_ context.Context, in *httpsig.Input) (key *httpsig.Key, err error) {
		if binding == HTTPSigPreregistered {
			key, p.confirmation, err = preregisteredKey(c, in)
		} else {
			key, p.confirmation, err = runtimeKey(in)
		}
		return key, err
	}
	signatures, err := s.signatures[kind].Verify(r.Context(), httpsig.RequestMessage(r, s.urlOf(r)), keyOf)
	if err != nil {
		return nil, &Error{Reason: SignatureRefused, Section: draftTokenRequest, Part: partSignature, Err: err}
	}
	digests, err := contentdigest.Parse(r.Header.Values("Content-Digest"))
	if err == nil {
		err = digests.Verify(body)
	}
	if err != nil {
		return nil, &Error{Reason: DigestRefused, Section: draftTokenRequest, Part: "Content-Digest", Err: err}
	}
	in := signatures[0].Input()
	if in.Nonce() == "" {
		return nil, &Error{Reason: SignatureRefused, Section: draftTokenRequest, Part: "nonce"}
	}
	p.key = signatures[0].Key().Thumbprint()
	p.claim = &replay.Claim{Owner: p.key, ID: "signature " + in.Nonce(), Made: dated(in.Created()), Until: in.Created().Add(signatureAge + skew)}
	return p, nil
}

// preregisteredKey finds the client's own key. That it isn't another client's is what keeps a client from being issued
// tokens that are bound to somebody else's key.
func preregisteredKey(c *client, in *httpsig.Input) (*httpsig.Key, json.RawMessage, error) {
	key := c.signatureKeys[in.KeyID()]
	if key == nil {
		return nil, nil, errors.New("keyid names no key of this client with a fully specified alg")
	}
	jwk, err := c.keys[in.KeyID()].MarshalJSON()
	if err != nil {
		return nil, nil, err
	}
	return key, fmt.Appendf(nil, `{"jwk":%s}`, jwk), nil
}

// runtimeKey reads the key that the signature brings along.
func runtimeKey(in *httpsig.Input) (*httpsig.Key, json.RawMessage, error) {
	public, err := accesstoken.ParseRuntimeKey(in.Alg(), in.PublicKey())
	if err != nil {
		return nil, nil, err
	}
	key, err := httpsig.NewKey(public, httpsig.Algorithm(in.Alg()))
	if err != nil {
		return nil, nil, err
	}
	confirmation, err := accesstoken.AppendHTSK(nil, public, in.Alg())
	return key, confirmation, err
}
