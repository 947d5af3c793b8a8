package issuer

import (
	"context"
	"crypto/rand"
	"time"

	"github.com/holdfast-project/holdfast/issuer/store"
	"github.com/holdfast-project/holdfast/replay"
)

const (
	// refreshWindow is how long after its use a refresh token that comes again is only told to wait: two requests of one
	// client may have crossed.
	refreshWindow = 2 * time.Second
	// refreshGrace is how long after its use a lost answer may be asked for again.
	refreshGrace = time.Minute
	// refreshRepeats is how often.
	refreshRepeats = 3
	// refreshRemembered is how long a used token is known, so that a thief who uses it is noticed.
	refreshRemembered = 30 * 24 * time.Hour
)

// refreshToken finds what a refresh token stands for (RFC 6749, section 6). Whether it is the newest of its grant is left
// to the one transaction that uses it.
func (s *Server) refreshToken(ctx context.Context, is *issuance) (basis, error) {
	const section = "RFC 6749, section 6"
	text := is.form.get("refresh_token")
	if text == "" {
		return basis{}, &Error{Reason: FormRefused, Section: section, Part: "refresh_token"}
	}
	secret, ok := kindRefresh.parse(text)
	if !ok {
		return basis{}, &Error{Reason: RefreshRefused, Section: section, Part: "refresh_token"}
	}
	token, grant, err := s.store.RefreshToken(ctx, hashOf(text))
	if err != nil {
		return basis{}, storeRefusal(err, RefreshRefused, "refresh_token")
	}
	if grant.ClientID != is.caller.ID {
		return basis{}, &Error{Reason: RefreshRefused, Section: section, Part: "client_id"}
	}
	if err := is.proof.meets(token.Binding); err != nil {
		return basis{}, err
	}
	b, err := grantBasis(grant, is.form.get("resource"))
	if err != nil {
		return basis{}, err
	}
	if b.scope, err = narrowed(grant.Scope, is.form.get("scope")); err != nil {
		return basis{}, err
	}
	r := store.Rotation{
		Token: token.Hash, Window: refreshWindow, Grace: refreshGrace, Repeats: refreshRepeats, Remember: refreshRemembered,
		Successor: store.RefreshToken{Binding: token.Binding, Expires: s.refreshExpiry(grant)},
	}
	rand.Read(r.Salt[:])
	r.Successor.Hash = hashOf(successor(secret, r.Salt))
	b.use = func(ctx context.Context, claims []replay.Claim) (err error) {
		r.Claims = claims
		is.refresh, err = s.rotate(ctx, r, secret)
		return err
	}
	return b, nil
}

// rotate uses a refresh token and returns its successor.
func (s *Server) rotate(ctx context.Context, r store.Rotation, secret []byte) (string, error) {
	const section = "RFC 9700, section 4.14.2"
	outcome, was, err := s.store.Rotate(ctx, s.now(), r)
	if err != nil {
		return "", storeRefusal(err, RefreshRefused, "refresh_token")
	}
	switch outcome {
	case store.Rotated:
		return successor(secret, r.Salt), nil
	case store.Repeated:
		return successor(secret, was.Salt), nil
	case store.TooSoon:
		return "", &Error{Reason: RefreshRace, Section: section, Part: "refresh_token", Wait: refreshWindow}
	default:
		return "", &Error{Reason: RefreshReused, Section: section, Part: "refresh_token"}
	}
}
