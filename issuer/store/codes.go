package store

import (
	"context"
	"encoding/json"
	"time"

	"github.com/holdfast-project/holdfast/replay"
)

// Code is an authorization code (RFC 6749, section 4.1.2).
type Code struct {
	Hash        Hash
	GrantID     string          // set by the store: the grant that it was stored with
	RedirectURI string          // as in the authorization request
	Challenge   string          // code_challenge, by S256 (RFC 7636)
	Binding     json.RawMessage // JSON object of the caller's, as the thumbprint in dpop_jkt (RFC 9449, section 10)
	Nonce       string          // OpenID Connect
	Created     time.Time       // set by the store
	Expires     time.Time
	UsedAt      time.Time // set by the store; zero: it is unused
}

const codeColumns = "c.hash, c.grant_id, c.redirect_uri, c.challenge, c.binding, c.nonce, c.created, c.expires, c.used"

func (c *Code) columns() []any {
	return []any{scanHash{&c.Hash}, &c.GrantID, &c.RedirectURI, &c.Challenge, scanJSON{&c.Binding}, &c.Nonce,
		scanMicros{&c.Created}, scanMicros{&c.Expires}, scanMicros{&c.UsedAt}}
}

func (c *Code) check(now time.Time) error {
	k := checks{what: "code"}
	k.hash("Hash", c.Hash)
	k.text("RedirectURI", c.RedirectURI)
	k.text("Challenge", c.Challenge)
	k.object("Binding", c.Binding)
	k.text("Nonce", c.Nonce)
	k.after("Expires", c.Expires, now)
	return k.err
}

// Approval is what completes an authorization request. At most one of Interaction and PushedRequest is given; neither,
// if the request came in the URL and was answered without a page.
type Approval struct {
	Interaction   *Interaction // the interaction as the caller read it; uses up its pushed request too
	PushedRequest Hash         // the handle of a pushed request that was answered without a page
	Grant         Grant
	Code          Code
}

// CompleteAuthorization uses up the request, and stores the grant and its code. Nobody else has then completed it, nor
// can: Conflict if the interaction has changed, ended or expired; NotFound, Used or Expired for the pushed request.
func (s *Store) CompleteAuthorization(ctx context.Context, now time.Time, a Approval) error {
	if err := a.check(now); err != nil {
		return err
	}
	return s.update(ctx, "authorization", func(ctx context.Context, q queries) error {
		if err := q.useRequest(ctx, now, a); err != nil {
			return err
		}
		if err := q.insertGrant(ctx, now, a.Grant); err != nil {
			return err
		}
		c := a.Code
		_, err := q.exec(ctx, `INSERT INTO codes (hash, grant_id, redirect_uri, challenge, binding, nonce, created, expires)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8)`, c.Hash[:], a.Grant.ID, c.RedirectURI, c.Challenge, string(c.Binding),
			c.Nonce, micros(now), micros(c.Expires))
		return err
	})
}

func (a *Approval) check(now time.Time) error {
	if err := a.Grant.check(now); err != nil {
		return err
	}
	if err := a.Code.check(now); err != nil {
		return err
	}
	k := checks{what: "authorization"}
	k.require(a.Interaction == nil || a.PushedRequest == Hash{}, "PushedRequest")
	k.require(!a.Code.Expires.After(a.Grant.Expires), "Expires")
	return k.err
}

func (q queries) useRequest(ctx context.Context, now time.Time, a Approval) error {
	if a.Interaction != nil {
		return q.end(ctx, now, *a.Interaction)
	}
	if a.PushedRequest == (Hash{}) {
		return nil
	}
	if err := q.pushedUsable(ctx, now, a.PushedRequest); err != nil {
		return err
	}
	return q.usePushed(ctx, now, a.PushedRequest)
}

// Code returns a code, used and expired ones too, and its grant, so that the caller can check everything before it
// redeems the code. NotFound.
func (s *Store) Code(ctx context.Context, hash Hash) (Code, Grant, error) {
	var c Code
	var g Grant
	err := s.view(ctx, "code", func(ctx context.Context, q queries) error {
		return q.row(ctx, "SELECT "+codeColumns+", "+grantColumns+` FROM codes c JOIN grants g ON g.id = c.grant_id
			WHERE c.hash = $1`, hash[:]).Scan(append(c.columns(), g.columns()...)...)
	})
	return c, g, err
}

// Redemption is what happens when a code is redeemed.
type Redemption struct {
	Code    Hash
	Refresh *RefreshToken  // the first refresh token, or nil
	Claims  []replay.Claim // used up with it
}

// RedeemCode marks a code used, stores the refresh token and uses the claims up. The caller has checked the rest of the
// request. NotFound; Used, which is for the caller to answer with [Store.RevokeGrant]; Expired; Revoked.
func (s *Store) RedeemCode(ctx context.Context, now time.Time, r Redemption) error {
	k := checks{what: "code"}
	if k.time("now", now); k.err != nil {
		return k.err
	}
	if err := checkClaims(now, r.Claims); err != nil {
		return err
	}
	return s.update(ctx, "code", func(ctx context.Context, q queries) error {
		g, err := q.lockCode(ctx, now, r.Code)
		if err != nil {
			return err
		}
		if err := r.Refresh.check(now, g.Expires); err != nil {
			return err
		}
		if err := q.claim(ctx, r.Claims); err != nil {
			return err
		}
		err = q.must(ctx, refused(Used, "code"), "UPDATE codes SET used = $1 WHERE hash = $2 AND used IS NULL",
			micros(now), r.Code[:])
		if err != nil {
			return err
		}
		return q.insertFirst(ctx, now, g.ID, r.Refresh)
	})
}

// lockCode locks the grant of a code and refuses a code that can't be redeemed. The code is read by a statement of its
// own, which sees what the one before us has committed; one that joined the two would see it as it was before we waited.
func (q queries) lockCode(ctx context.Context, now time.Time, hash Hash) (Grant, error) {
	var g Grant
	err := q.row(ctx, "SELECT "+grantColumns+" FROM grants g WHERE g.id = (SELECT grant_id FROM codes WHERE hash = $1)"+lockRow,
		hash[:]).Scan(g.columns()...)
	if err != nil {
		return g, notFound(err, "code")
	}
	var used, expires time.Time
	err = q.row(ctx, "SELECT used, expires FROM codes WHERE hash = $1", hash[:]).Scan(scanMicros{&used}, scanMicros{&expires})
	if err != nil {
		return g, notFound(err, "code")
	}
	if err := usable("code", used, expires, now); err != nil {
		return g, err
	}
	return g, g.live(now)
}
