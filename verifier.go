package holdfast

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/holdfast-project/holdfast/accesstoken"
	"github.com/holdfast-project/holdfast/dpop"
	"github.com/holdfast-project/holdfast/httpsig"
	"github.com/holdfast-project/holdfast/internal/fetch"
	"github.com/holdfast-project/holdfast/keys"
	"github.com/holdfast-project/holdfast/replay"
	"github.com/holdfast-project/holdfast/revocation"
	"github.com/holdfast-project/holdfast/signedurl"
)

// Config configures a Verifier.
type Config struct {
	// Tokens verifies access tokens. Required.
	Tokens accesstoken.Verifier
	// Replay remembers proofs. Required, unless the policy switches replay off.
	Replay replay.Guard
	// External says what this server is called from outside. Required.
	External External
	// Policy is what requests must fulfil. For routes with other needs see [Verifier.With].
	Policy Policy
	// Nonces, if set, challenges clients for server nonces (RFC 9449, section 9): DPoP proofs made in advance are then
	// good for no longer than a nonce is.
	Nonces NonceSource
	// DPoPAlgorithms accepted in proofs. If empty, ECDSA and Ed25519; RSA only if named.
	DPoPAlgorithms []keys.Algorithm
	// MaxProofBytes bounds a DPoP proof. If zero, 8192.
	MaxProofBytes int
	// Freshness is how old a proof may be. If zero, 60 s.
	Freshness time.Duration
	// Skew is how far a proof may lie in the future, and is granted to Freshness too. If zero, 5 s; negative means none.
	Skew time.Duration
	// Signer is the resource's key. It signs the answers that begin sessions, so that clients who know its public half can
	// tell an edge that put itself in between, and responses where a request or the policy asks for it. Required with
	// Sessions and for policies that sign responses.
	Signer *keys.Signer
	// Sessions, if set, lets clients resume sessions.
	Sessions *Sessions
	// MetadataURL, if set, is where the resource's metadata is (RFC 9728): challenges name it in resource_metadata. See
	// [Verifier.Metadata] for what it should say.
	MetadataURL string
	// Revocations, if set, says which tokens, sessions, keys, clients and subjects are refused before their time, whether or
	// not Tokens remembers them as good. If it can't be asked, requests are refused (503).
	Revocations revocation.List
	// Observers see every verdict and refusal, after it is reached and before the handler runs.
	Observers []Observer
	// Realm is named in challenges, if set.
	Realm string
	// Now tells the time. If nil, time.Now.
	Now func() time.Time
}

// NonceSource issues and checks server nonces. *dpop.Nonces is one.
type NonceSource interface {
	dpop.NonceChecker
	Issue() string
}

// Observer is told what was decided. Exactly one of verdict and refusal is set. It must not block.
type Observer interface {
	Observe(ctx context.Context, r *http.Request, verdict *Verdict, refusal *Refusal)
}

// Verifier checks requests: the life of a request, in ARCHITECTURE.md. It is safe for concurrent use.
type Verifier struct {
	tokens    accesstoken.Verifier
	guard     replay.Guard
	external  external
	rules     rules
	nonces    NonceSource
	dpop      *dpop.Verifier
	httpsig   *httpsig.Verifier // of HTTPSig requests
	beside    *httpsig.Verifier // of signatures beside a DPoP proof
	sessions  *sessions         // nil: none are offered
	revoked   revocation.List   // nil: nothing is
	observers []Observer
	signer    *keys.Signer // nil: only sessions' responses can be signed
	realm     string
	metadata  string // where it is, or ""
	age, skew time.Duration
	now       func() time.Time
}

// NewVerifier checks cfg and copies it.
func NewVerifier(cfg Config) (*Verifier, error) {
	if cfg.Tokens == nil {
		return nil, errors.New("holdfast: config: Tokens is required")
	}
	if cfg.Freshness < 0 {
		return nil, errors.New("holdfast: config: negative Freshness")
	}
	if cfg.MetadataURL != "" {
		if _, err := fetch.Endpoint(cfg.MetadataURL); err != nil {
			return nil, fmt.Errorf("holdfast: config: MetadataURL: %w", err)
		}
	}
	ext, err := newExternal(cfg.External)
	if err != nil {
		return nil, err
	}
	v := &Verifier{
		tokens: cfg.Tokens, guard: cfg.Replay, external: ext, nonces: cfg.Nonces,
		observers: slices.Clone(cfg.Observers), realm: cfg.Realm, signer: cfg.Signer, metadata: cfg.MetadataURL, age: cfg.Freshness, skew: cfg.Skew,
		now: cfg.Now, revoked: cfg.Revocations,
	}
	if v.now == nil {
		v.now = time.Now
	}
	if v.age == 0 {
		v.age = defaultFreshness
	}
	if v.skew == 0 {
		v.skew = defaultSkew
	}
	if err := v.buildProofs(cfg); err != nil {
		return nil, err
	}
	return v.With(cfg.Policy)
}

// buildProofs makes the verifiers of each kind of proof.
func (v *Verifier) buildProofs(cfg Config) (err error) {
	dc := dpop.Config{Algorithms: cfg.DPoPAlgorithms, MaxAge: v.age, Skew: v.skew, MaxBytes: cfg.MaxProofBytes, Now: v.now}
	if cfg.Nonces != nil {
		dc.Nonces = cfg.Nonces
	}
	if v.dpop, err = dpop.NewVerifier(dc); err != nil {
		return err
	}
	// One signature with our tag: a client needs no more, and each more would be a verification by a key that the client
	// chose, of milliseconds with P-521.
	base := httpsig.Config{
		Tag: TagHTTPSig, One: true, Required: httpsigComponents, RequiredParams: []string{"created", "nonce", "tag"},
		RefusedParams: []string{"alg", "keyid", "pub"}, MaxAge: v.age, Skew: v.skew, Now: v.now,
	}
	if v.httpsig, err = httpsig.NewVerifier(base); err != nil {
		return err
	}
	base.Tag, base.Required = TagProof, besideComponents
	if v.beside, err = httpsig.NewVerifier(base); err != nil || cfg.Sessions == nil {
		return err
	}
	v.sessions, err = newSessions(cfg.Sessions, cfg.Signer, v.now)
	return err
}

// With returns a Verifier that shares everything but the policy.
func (v *Verifier) With(p Policy) (*Verifier, error) {
	u, err := compile(p)
	if err != nil {
		return nil, err
	}
	if v.guard == nil && p.Replay != InsecureReplayOff {
		return nil, errors.New("holdfast: config: Replay is required unless the policy says InsecureReplayOff")
	}
	if v.signer == nil && p.SignResponses {
		return nil, errors.New("holdfast: config: Signer is required by a policy that signs responses")
	}
	out := *v
	out.rules = u
	return &out, nil
}

// Check verifies r and returns what it proved, or a *Refusal. On success r.Body is replaced by one that verifies where
// a digest is covered: hand this r on, not a clone that was made before. Nothing of the body is read before the proof
// holds.
func (v *Verifier) Check(r *http.Request) (*Verdict, error) {
	verdict, err := v.check(r)
	if err == nil {
		v.observe(r, verdict, nil)
		return verdict, nil
	}
	refusal := v.refuse(err, r)
	v.observe(r, nil, refusal)
	return nil, refusal
}

func (v *Verifier) observe(r *http.Request, verdict *Verdict, refusal *Refusal) {
	for _, o := range v.observers {
		o.Observe(r.Context(), r, verdict, refusal)
	}
}

// check is the life of a request. Its last step is the only one that changes any state.
func (v *Verifier) check(r *http.Request) (*Verdict, error) {
	uri, special, err := v.external.target(r)
	if err != nil {
		return nil, err
	}
	signed, err := v.signedURLOf(uri)
	if err != nil {
		return nil, err
	}
	token, p, err := v.authenticate(r, signed, uri, special)
	if err != nil {
		return nil, err
	}
	if err := v.checkScope(token); err != nil {
		return nil, err
	}
	if err := v.guardBody(r, p); err != nil {
		return nil, err
	}
	if err := v.claim(r.Context(), p); err != nil {
		return nil, err
	}
	verdict := &Verdict{
		Token: token, Scheme: p.scheme, Key: p.key, Algorithm: p.algorithm, Covered: p.covered,
		BodyCovered: p.bodyCovered, ProofTime: p.made, TargetURI: uri, Session: p.session, verifier: v,
	}
	if p.offer != nil {
		verdict.answer = v.answer(r, p, token, uri)
	}
	verdict.response = v.responseTo(r, p, uri)
	if signed != nil {
		strip(r, signed, uri)
		verdict.TargetURI = signed.Clean()
	}
	return verdict, nil
}

// authenticate verifies token and proof, or what stands for both in a session.
func (v *Verifier) authenticate(r *http.Request, signed *signedurl.URL, uri, special string) (*accesstoken.Token, *proof, error) {
	if signed != nil {
		return v.redeem(r, signed, uri)
	}
	cred, err := credentialOf(r)
	if err != nil {
		return nil, nil, err
	}
	if cred.scheme == SchemeSession {
		if v.sessions == nil {
			return nil, nil, &Refusal{Reason: ReasonSchemeRefused, Part: "Authorization scheme", Expected: v.rules.schemeNames(), Got: string(SchemeSession)}
		}
		return v.resume(r, cred, uri, special)
	}
	token, err := v.tokens.Verify(r.Context(), cred.token)
	if err != nil {
		return nil, nil, err
	}
	if err := v.checkRevoked(r.Context(), token, nil); err != nil {
		return nil, nil, err
	}
	if cred.scheme, err = v.rules.admit(cred.scheme, token.Confirmation); err != nil {
		return nil, nil, err
	}
	p, err := v.prove(r, cred, token, uri, special)
	return token, p, err
}

func (v *Verifier) checkScope(token *accesstoken.Token) error {
	for _, s := range v.rules.Scope {
		if !slices.Contains(token.Scope, s) {
			return &Refusal{Reason: ReasonScope, Section: "RFC 6750, section 3.1", Part: "scope", Expected: s}
		}
	}
	return nil
}

// claim marks every use of the proof. A forger never comes here, so it can't fill the guard.
func (v *Verifier) claim(ctx context.Context, p *proof) error {
	if v.rules.Replay == InsecureReplayOff {
		return nil
	}
	if p.mark != nil {
		return v.sessions.windows.Mark(ctx, *p.mark)
	}
	for _, u := range p.uses {
		if err := v.guard.Claim(ctx, u); err != nil {
			return fmt.Errorf("claiming a proof: %w", err)
		}
	}
	return nil
}

// Handler calls next for verified requests, with the verdict in their context, and answers the others. With a nonce
// source, verified answers carry the next nonce (RFC 9449, section 8.2). Answers to signed URLs have Cache-Control: no-store
// and Referrer-Policy: no-referrer unless next sets them.
//
// The response is signed where the request or the policy asks for it: wrap what changes responses, such as compression,
// inside and not around it. Refusals are not signed: a signature for anybody who asks would cost more than the asking.
func (v *Verifier) Handler(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		verdict, err := v.Check(r)
		if err != nil {
			var refusal *Refusal
			errors.As(err, &refusal) // Check returns no other error
			refusal.ServeHTTP(w, r)
			return
		}
		if v.nonces != nil {
			w.Header().Set("DPoP-Nonce", v.nonces.Issue())
		}
		writeAnswer(w, verdict.answer)
		if verdict.Scheme == SchemeSignedURL {
			guardAnswer(w.Header())
		}
		r = r.WithContext(context.WithValue(r.Context(), verdictKey{}, verdict))
		if verdict.response == nil {
			next.ServeHTTP(w, r)
			return
		}
		signed := newResponseWriter(w, r, verdict.response)
		next.ServeHTTP(signed, r)
		signed.finish() // not if the handler panics: such a response has no good end
	})
}
