package holdfast

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/holdfast-project/holdfast/accesstoken"
	"github.com/holdfast-project/holdfast/contentdigest"
	"github.com/holdfast-project/holdfast/dpop"
	"github.com/holdfast-project/holdfast/httpsig"
	"github.com/holdfast-project/holdfast/keys"
	"github.com/holdfast-project/holdfast/popsession"
	"github.com/holdfast-project/holdfast/replay"
)

var (
	httpsigComponents = httpsig.Components(`"@method"`, `"@target-uri"`, `"authorization"`)
	besideComponents  = httpsig.Components(`"@method"`, `"@target-uri"`, `"authorization"`, `"dpop"`)
	digestComponent   = httpsig.Components(`"content-digest"`)[0]
)

// proof is what a request's proof was found to say.
type proof struct {
	scheme         Scheme
	key            keys.Thumbprint
	algorithm      string
	covered        []string
	few            [4]string // where covered lies, unless it is longer
	bodyCovered    bool
	digestCovered  bool // by Content-Digest in the header
	trailerCovered bool // the same, in the trailer
	made           time.Time
	until          time.Time           // the end of the certificate that proved, or zero
	uses           []replay.Claim      // what must be claimed before the request is let through
	mark           *replay.Mark        // the same, of a session's request
	session        *SessionInfo        // of a session's request
	offer          *popsession.Offered // of a new session, covered by the proof
	stream         *streamKey          // of a body that is covered chunk by chunk
	own            ownSignature        // where that is the proof
	answers        *sessionResponses   // of a session's request
}

// prove checks the proof that the token's confirmation asks for: signature, coverage and freshness.
func (v *Verifier) prove(r *http.Request, cred credential, token *accesstoken.Token, uri, special string) (*proof, error) {
	switch cred.scheme {
	case SchemeDPoP:
		return v.proveDPoP(r, cred, token, uri, special)
	case SchemeHTTPSig:
		return v.proveHTTPSig(r, token, uri, special)
	case SchemeMTLS:
		return v.proveMTLS(r, token)
	}
	return &proof{scheme: SchemeBearer}, nil // a bearer token, which admit let through: nothing is proved
}

func (v *Verifier) proveDPoP(r *http.Request, cred credential, token *accesstoken.Token, uri, special string) (*proof, error) {
	p, err := v.dpop.Verify(dpop.Request{
		Fields: r.Header["Dpop"], Method: r.Method, TargetURI: uri,
		Token: cred.token, Thumbprint: token.Confirmation.Thumbprint,
	})
	if err != nil {
		return nil, err
	}
	out := &proof{
		scheme: SchemeDPoP, key: p.Thumbprint(), algorithm: string(p.Algorithm()), covered: coveredByDPoP, made: p.IssuedAt(),
		uses: []replay.Claim{{Owner: p.Thumbprint(), ID: "dpop " + p.ID(), Made: p.IssuedAt(), Until: p.Expires()}},
	}
	// A signature beside the proof covers the proof, so its own nonce needs no claim: the jti stands for both.
	sig, err := v.signatureBeside(r, p, uri, special)
	if err != nil {
		return nil, err
	}
	demanded := v.rules.demanded(r, hasBody(r))
	hash := offerHash(r)
	out.offer = v.offerOf(r, hash != "" && p.Claim("pso") == hash || sig != nil && sig.Input().Covers(offerComponent))
	if sig == nil {
		if v.rules.exceedsDPoP(demanded) {
			return nil, uncovered(SchemeDPoP, "signature", demanded)
		}
		return out, nil
	}
	return out, v.cover(out, SchemeDPoP, sig, demanded)
}

// signatureBeside verifies the message signature that accompanies a DPoP proof, or returns nil if there is none. One
// that is there must hold, even where the policy doesn't ask for it.
func (v *Verifier) signatureBeside(r *http.Request, p *dpop.Proof, uri, special string) (*httpsig.Signature, error) {
	_, header := r.Header["Signature-Input"]
	if _, trailer := r.Trailer["Signature-Input"]; !header && !trailer {
		return nil, nil
	}
	key, err := httpsig.NewJOSEKey(p.Key())
	if err != nil {
		return nil, err
	}
	sig, err := v.verifySignature(v.beside, r, key, uri, special)
	if err != nil {
		var e *httpsig.Error
		if errors.As(err, &e) && e.Reason == httpsig.Missing {
			return nil, nil // others' signatures are none of our business
		}
		return nil, err
	}
	return sig, nil
}

func (v *Verifier) proveHTTPSig(r *http.Request, token *accesstoken.Token, uri, special string) (*proof, error) {
	key, err := confirmationKey(token.Confirmation)
	if err != nil {
		return nil, err
	}
	sig, err := v.verifySignature(v.httpsig, r, key, uri, special)
	if err != nil {
		return nil, err
	}
	in := sig.Input()
	made := in.Created()
	out := &proof{
		scheme: SchemeHTTPSig, key: key.Thumbprint(), algorithm: algorithmName(key, token.Confirmation), made: made, own: ownSignatureOf(r, in),
		uses: []replay.Claim{{Owner: key.Thumbprint(), ID: "httpsig " + in.Nonce(), Made: made, Until: made.Add(v.age + max(v.skew, 0))}},
	}
	out.offer = v.offerOf(r, in.Covers(offerComponent))
	return out, v.cover(out, SchemeHTTPSig, sig, v.rules.demanded(r, hasBody(r)))
}

// confirmationKey is the key of an httpsig-bound token with its one algorithm.
func confirmationKey(c accesstoken.Confirmation) (*httpsig.Key, error) {
	if c.Binding == accesstoken.BoundHTSK {
		return httpsig.NewKey(c.Key, httpsig.Algorithm(c.Algorithm))
	}
	return httpsig.NewJOSEKey(c.Key)
}

func algorithmName(k *httpsig.Key, c accesstoken.Confirmation) string {
	if a := k.Algorithm(); a != "" {
		return string(a)
	}
	return string(c.Key.Algorithm())
}

// ownSignature is a request's own signature.
type ownSignature struct {
	label     string
	lines     []string // of the field
	inTrailer bool
}

func ownSignatureOf(r *http.Request, in *httpsig.Input) ownSignature {
	if lines := r.Header["Signature"]; lines != nil {
		return ownSignature{label: in.Label(), lines: lines}
	}
	return ownSignature{label: in.Label(), lines: r.Trailer["Signature"], inTrailer: true}
}

func (v *Verifier) verifySignature(by *httpsig.Verifier, r *http.Request, key *httpsig.Key, uri, special string) (*httpsig.Signature, error) {
	if err := v.awaitTrailer(r); err != nil {
		return nil, err
	}
	m := httpsig.RequestMessage(r, uri)
	m.RequestTarget = special
	sigs, err := by.Verify(r.Context(), m, func(context.Context, *httpsig.Input) (*httpsig.Key, error) { return key, nil })
	if err != nil {
		return nil, err
	}
	return sigs[0], nil // the policies take one
}

// cover checks what the policy demands and records what is covered.
func (v *Verifier) cover(out *proof, scheme Scheme, sig *httpsig.Signature, demanded []httpsig.Component) error {
	for _, c := range demanded {
		inTrailer := c.String() == digestComponent.String() && sig.Input().Covers(trailerDigestComponent)
		if !inTrailer && !sig.Input().Covers(c) {
			return uncovered(scheme, c.String(), demanded)
		}
	}
	out.digestCovered, out.trailerCovered = sig.Input().Covers(digestComponent), sig.Input().Covers(trailerDigestComponent)
	out.bodyCovered = out.digestCovered || out.trailerCovered
	out.covered = sig.Input().AppendComponents(out.few[:0])
	return nil
}

// hasBody tells whether a request may bring body bytes. A length of -1 means that only reading tells.
func hasBody(r *http.Request) bool {
	return r.Body != nil && r.Body != http.NoBody && r.ContentLength != 0
}

// guardBody makes a body with a covered digest unreadable where it differs (RFC 9421, section 7.2.8).
func (v *Verifier) guardBody(r *http.Request, p *proof) error {
	if !p.bodyCovered {
		return nil
	}
	if p.stream != nil {
		return v.guardStream(r, p.stream)
	}
	if p.trailerCovered {
		if err := guardTrailer(r); err != nil || !p.digestCovered {
			return err
		}
	}
	digests, err := contentdigest.Parse(r.Header["Content-Digest"])
	if err != nil {
		return err
	}
	if !hasBody(r) {
		return digests.Verify(nil)
	}
	if v.rules.Body == BodyStreamed {
		r.Body = contentdigest.NewReader(r.Body, digests)
		return nil
	}
	return bufferBody(r, digests, v.rules.BodyLimit)
}
