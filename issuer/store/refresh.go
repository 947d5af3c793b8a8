package store

import (
	"context"
	"encoding/json"
	"time"

	"github.com/holdfast-project/holdfast/replay"
)

// RefreshToken is one refresh token of a grant: each rotation makes the next generation (RFC 9700, section 4.14.2).
type RefreshToken struct {
	Hash       Hash
	GrantID    string          // set by the store
	Generation int64           // set by the store: 1, 2, …
	Binding    json.RawMessage // JSON object of the caller's: the key that it takes to use it
	Created    time.Time       // set by the store
	Expires    time.Time       // not after the grant's
	UsedAt     time.Time       // set by the store; zero: it is the newest of its grant
	Salt       [32]byte        // of a used one: its successor is HMAC(token, Salt), by the caller
	Successor  Hash            // of a used one
	Repeats    int             // set by the store: how often the successor was handed out again
}

const refreshColumns = `t.hash, t.grant_id, t.generation, t.binding, t.created, t.expires, t.used, t.salt, t.successor,
	t.repeats`

func (t *RefreshToken) columns() []any {
	return []any{scanHash{&t.Hash}, &t.GrantID, &t.Generation, scanJSON{&t.Binding}, scanMicros{&t.Created},
		scanMicros{&t.Expires}, scanMicros{&t.UsedAt}, scanHash{(*Hash)(&t.Salt)}, scanHash{&t.Successor}, &t.Repeats}
}

// check looks at what the caller sets; nil is no token.
func (t *RefreshToken) check(now, grantExpires time.Time) error {
	if t == nil {
		return nil
	}
	k := checks{what: refreshToken}
	k.hash("Hash", t.Hash)
	k.object("Binding", t.Binding)
	k.after("Expires", t.Expires, now)
	k.require(!t.Expires.After(grantExpires), "Expires")
	return k.err
}

const refreshToken = "refresh token"

// RevokedForReuse is the RevokedWhy of a grant that [Store.Rotate] has revoked.
const RevokedForReuse = "refresh token reuse"

// RefreshToken returns a refresh token, used and expired ones too, and its grant, so that the caller can check everything
// before it rotates the token. NotFound.
func (s *Store) RefreshToken(ctx context.Context, hash Hash) (RefreshToken, Grant, error) {
	var t RefreshToken
	var g Grant
	err := s.view(ctx, refreshToken, func(ctx context.Context, q queries) error {
		return q.row(ctx, "SELECT "+refreshColumns+", "+grantColumns+` FROM refresh_tokens t JOIN grants g ON g.id = t.grant_id
			WHERE t.hash = $1`, hash[:]).Scan(append(t.columns(), g.columns()...)...)
	})
	return t, g, err
}

// Outcome is what became of a rotation.
type Outcome string

// The outcomes.
const (
	// Rotated: the token was unused. Its successor is stored. Exactly one call for a token has this outcome.
	Rotated Outcome = "rotated"
	// TooSoon: the token was used less than Window ago, perhaps by the same client at the same time. Nothing has changed,
	// claims aren't used up, and the client may try again later.
	TooSoon Outcome = "too-soon"
	// Repeated: the token was used less than Grace ago, its successor wasn't, and may have been lost. The caller makes the
	// same successor again from the token and its stored Salt.
	Repeated Outcome = "repeated"
	// Reused: none of these; two parties hold tokens of this grant, and nobody knows which is the thief (RFC 9700,
	// section 4.14.2). The grant is revoked.
	Reused Outcome = "reused"
)

// Rotation asks for the successor of a refresh token. Nothing in it has a default.
type Rotation struct {
	Token     Hash
	Salt      [32]byte     // random
	Successor RefreshToken // Hash, Binding and Expires
	// Window is how long after its use a token that comes again is only refused: 2 s or so.
	Window time.Duration
	// Grace is how long after its use the same successor is given again, up to Repeats times, if it wasn't used itself. A
	// thief who holds the token, and the key that it is bound to, gains a successor by this, which the client's next use
	// shows to be stolen.
	Grace   time.Duration
	Repeats int
	// Remember is how long after its use a token is known, so that its reuse is noticed, if it doesn't expire before. Each
	// one that is known is a row. One that is no longer known is NotFound, and revokes nothing.
	Remember time.Duration
	Claims   []replay.Claim // used up with it; one that was used before refuses the rotation and revokes nothing
}

func (r *Rotation) check(now time.Time) error {
	k := checks{what: "rotation"}
	k.time("now", now)
	k.require(r.Salt != [32]byte{}, "Salt")
	k.require(r.Successor.Hash != r.Token, "Successor")
	k.require(r.Window >= 0, "Window")
	k.require(r.Grace >= r.Window, "Grace")
	k.require(r.Remember >= r.Grace, "Remember")
	k.require(r.Repeats >= 0, "Repeats")
	if k.err != nil {
		return k.err
	}
	return checkClaims(now, r.Claims)
}

// Rotate uses a refresh token and returns what became of it, together with the token as it was stored before: after
// Repeated, its Salt and Successor. The caller has checked everything else, above all the client and the key that the
// token is bound to, so that a thief without the key can't revoke the client's grant.
//
// NotFound; Revoked and Expired, for the token or its grant; Used, for a claim. A token past its expiry revokes nothing.
//
// It is decided by now and the time of the earlier use, which may be another node's. Rotated doesn't depend on clocks.
// Between nodes whose clocks differ, Window and Grace are shorter or longer by the difference; a use in the future, by
// the caller's clock, counts as just now.
func (s *Store) Rotate(ctx context.Context, now time.Time, r Rotation) (Outcome, RefreshToken, error) {
	if err := r.check(now); err != nil {
		return "", RefreshToken{}, err
	}
	var outcome Outcome
	var token RefreshToken
	err := s.update(ctx, refreshToken, func(ctx context.Context, q queries) (err error) {
		outcome, token, err = q.rotate(ctx, now, r)
		return err
	})
	if err != nil {
		return "", RefreshToken{}, err
	}
	return outcome, token, nil
}

func (q queries) rotate(ctx context.Context, now time.Time, r Rotation) (Outcome, RefreshToken, error) {
	f, err := q.lockFamily(ctx, r.Token)
	if err != nil {
		return "", RefreshToken{}, err
	}
	outcome, err := f.decide(now, r)
	if err != nil || outcome == TooSoon {
		return outcome, f.token, err
	}
	if err := q.claim(ctx, r.Claims); err != nil {
		return "", RefreshToken{}, err
	}
	switch outcome {
	case Rotated:
		err = q.succeed(ctx, now, r, f)
	case Repeated:
		_, err = q.exec(ctx, "UPDATE refresh_tokens SET repeats = repeats + 1 WHERE hash = $1", r.Token[:])
	case Reused:
		err = q.revoke(ctx, now, f.grant.ID, RevokedForReuse)
	}
	return outcome, f.token, err
}

// family is what a rotation is decided on.
type family struct {
	grant         Grant
	token         RefreshToken
	successorLost bool // if the token was used: its successor is known and unused, and may never have arrived
	successorEnds time.Time
}

// lockFamily locks the grant of a token and reads the token, by a statement of its own: see lockCode.
func (q queries) lockFamily(ctx context.Context, hash Hash) (family, error) {
	var f family
	err := q.row(ctx, "SELECT "+grantColumns+` FROM grants g
		WHERE g.id = (SELECT grant_id FROM refresh_tokens WHERE hash = $1)`+lockRow, hash[:]).Scan(f.grant.columns()...)
	if err != nil {
		return f, err
	}
	err = q.row(ctx, "SELECT "+refreshColumns+`, s.hash IS NOT NULL AND s.used IS NULL, s.expires
		FROM refresh_tokens t LEFT JOIN refresh_tokens s ON s.hash = t.successor WHERE t.hash = $1`, hash[:]).
		Scan(append(f.token.columns(), &f.successorLost, scanMicros{&f.successorEnds})...)
	return f, err
}

// decide is the rule of rotation, without its effects.
func (f *family) decide(now time.Time, r Rotation) (Outcome, error) {
	if err := f.grant.live(now); err != nil {
		return "", err
	}
	if !now.Before(f.token.Expires) {
		return "", refused(Expired, refreshToken)
	}
	if f.token.UsedAt.IsZero() {
		return Rotated, r.Successor.check(now, f.grant.Expires)
	}
	switch since := now.Sub(f.token.UsedAt); {
	case since < r.Window:
		return TooSoon, nil
	case since < r.Grace && f.successorLost && now.Before(f.successorEnds) && f.token.Repeats < r.Repeats:
		return Repeated, nil
	}
	return Reused, nil
}

// succeed marks the token used and stores its successor.
func (q queries) succeed(ctx context.Context, now time.Time, r Rotation, f family) error {
	forget := now.Add(r.Remember)
	if forget.After(f.token.Expires) {
		forget = f.token.Expires
	}
	err := q.must(ctx, refused(Conflict, refreshToken), `UPDATE refresh_tokens SET used = $1, salt = $2, successor = $3,
		forget = $4 WHERE hash = $5 AND used IS NULL`,
		micros(now), r.Salt[:], r.Successor.Hash[:], micros(forget), r.Token[:])
	if err != nil {
		return err
	}
	return q.insertRefresh(ctx, now, f.grant.ID, f.token.Generation+1, r.Successor)
}

// insertFirst stores the first token of a grant; nil is none.
func (q queries) insertFirst(ctx context.Context, now time.Time, grantID string, t *RefreshToken) error {
	if t == nil {
		return nil
	}
	return q.insertRefresh(ctx, now, grantID, 1, *t)
}

func (q queries) insertRefresh(ctx context.Context, now time.Time, grantID string, generation int64, t RefreshToken) error {
	_, err := q.exec(ctx, `INSERT INTO refresh_tokens (hash, grant_id, generation, binding, created, expires, forget)
		VALUES ($1, $2, $3, $4, $5, $6, $6)`,
		t.Hash[:], grantID, generation, string(t.Binding), micros(now), micros(t.Expires))
	return err
}
