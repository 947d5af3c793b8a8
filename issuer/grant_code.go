package issuer

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"time"

	"github.com/holdfast-project/holdfast/issuer/store"
	"github.com/holdfast-project/holdfast/replay"
)

// authorizationCode finds what a code stands for (RFC 6749, section 4.1.3) and checks everything that the request must
// have right. Whether the code is still unused is left to the one transaction that uses it.
func (s *Server) authorizationCode(ctx context.Context, is *issuance) (basis, error) {
	const section = "RFC 6749, section 4.1.3"
	for _, name := range [...]string{"code", "redirect_uri", "code_verifier"} {
		if is.form.get(name) == "" {
			return basis{}, &Error{Reason: FormRefused, Section: section, Part: name}
		}
	}
	if _, ok := kindCode.parse(is.form.get("code")); !ok {
		return basis{}, &Error{Reason: CodeRefused, Section: section, Part: "code"}
	}
	hash := hashOf(is.form.get("code"))
	code, grant, err := s.store.Code(ctx, hash)
	if err != nil {
		return basis{}, storeRefusal(err, CodeRefused, "code")
	}
	switch {
	case grant.ClientID != is.caller.ID:
		return basis{}, &Error{Reason: CodeRefused, Section: section, Part: "client_id"}
	case code.RedirectURI != is.form.get("redirect_uri"):
		return basis{}, &Error{Reason: CodeRefused, Section: section, Part: "redirect_uri"}
	case !matchesChallenge(is.form.get("code_verifier"), code.Challenge):
		return basis{}, &Error{Reason: CodeRefused, Section: "RFC 7636, section 4.6", Part: "code_verifier"}
	}
	if err := is.proof.meets(code.Binding); err != nil {
		return basis{}, err
	}
	b, err := grantBasis(grant, is.form.get("resource"))
	if err != nil {
		return basis{}, err
	}
	b.nonce = code.Nonce
	redemption := store.Redemption{Code: hash}
	if is.mayRefresh() {
		is.refresh = newSecret(kindRefresh)
		redemption.Refresh = &store.RefreshToken{
			Hash: hashOf(is.refresh), Binding: is.refreshBinding(), Expires: s.refreshExpiry(grant),
		}
	}
	b.use = func(ctx context.Context, claims []replay.Claim) error {
		redemption.Claims = claims
		return s.redeem(ctx, redemption, grant.ID)
	}
	return b, nil
}

// redeem uses a code up. One that was used before is in two hands: nobody knows whose tokens are the thief's, so all end
// (RFC 6749, section 4.1.2). Whoever comes here had everything else right: client, verifier and key.
func (s *Server) redeem(ctx context.Context, r store.Redemption, grantID string) error {
	err := s.store.RedeemCode(ctx, s.now(), r)
	if e, ok := errors.AsType[*store.Error](err); ok && e.Reason == store.Used && e.What == "code" {
		if err := s.store.RevokeGrant(ctx, s.now(), grantID, "code used twice"); err != nil {
			return storeRefusal(err, CodeUsed, "code")
		}
		return &Error{Reason: CodeUsed, Section: "RFC 6749, section 4.1.2", Part: "code", Err: err}
	}
	if err != nil {
		return storeRefusal(err, CodeRefused, "code")
	}
	return nil
}

// matchesChallenge compares a verifier with the challenge of S256 (RFC 7636, sections 4.1 and 4.6).
func matchesChallenge(verifier, challenge string) bool {
	if !isVerifier(verifier) {
		return false
	}
	sum := sha256.Sum256([]byte(verifier))
	return subtle.ConstantTimeCompare([]byte(base64.RawURLEncoding.EncodeToString(sum[:])), []byte(challenge)) == 1
}

// isVerifier tells whether v has 43 to 128 unreserved characters.
func isVerifier(v string) bool {
	if len(v) < 43 || len(v) > 128 {
		return false
	}
	for i := range len(v) {
		switch c := v[i]; {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '-', c == '.', c == '_', c == '~':
		default:
			return false
		}
	}
	return true
}

// meets refuses a proof of another key than the one that something is bound to, written as cnf; nothing bound is met by
// all.
func (p *proof) meets(binding []byte) error {
	if len(binding) == 0 {
		return nil
	}
	if p == nil || !bytes.Equal(p.confirmation, binding) {
		return &Error{Reason: KeyMismatch, Section: "RFC 9449, section 10", Part: "key"}
	}
	return nil
}

// grantBasis is what a stored grant lets its client have: one of its resources, the first if none is named
// (RFC 8707, section 2.2).
func grantBasis(g store.Grant, resource string) (basis, error) {
	b := basis{subject: g.Subject, scope: g.Scope, grant: &g}
	for _, r := range g.Resources {
		if r == resource || resource == "" {
			b.audience = r
			return b, nil
		}
	}
	return basis{}, &Error{Reason: TargetRefused, Section: "RFC 8707, section 2.2", Part: "resource"}
}

// mayRefresh tells whether the client gets a refresh token. A public client's is bound to the key of its proof
// (RFC 9449, section 5); without a key it gets none, for whoever found it could use it.
func (is *issuance) mayRefresh() bool {
	return is.caller.uses(RefreshGrant) && (is.caller.AuthMethod != NoAuth || is.proof != nil)
}

// refreshBinding is what the refresh token is bound to besides its client's authentication.
func (is *issuance) refreshBinding() []byte {
	if is.caller.AuthMethod == NoAuth {
		return is.proof.confirmation
	}
	return nil
}

func (s *Server) refreshExpiry(g store.Grant) time.Time {
	if end := s.now().Add(s.refreshLifetime); end.Before(g.Expires) {
		return end
	}
	return g.Expires
}
