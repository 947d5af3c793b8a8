package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"time"

	"github.com/holdfast-project/holdfast/replay"
)

// Grant is what a user or a client has authorised: the family of all tokens that came of it.
type Grant struct {
	ID                   string          // chosen by the caller; goes into access tokens, so that they fall with the grant
	ClientID             string          // whom it was granted to
	Subject              string          // who granted it
	Scope                []string        // scope tokens
	Resources            []string        // RFC 8707
	AuthorizationDetails json.RawMessage // JSON array (RFC 9396), or nil
	Extra                json.RawMessage // JSON object of the caller's, as acr and amr, or nil
	AuthTime             time.Time       // when the user authenticated; zero if nobody did
	Created              time.Time       // set by the store
	Expires              time.Time       // when the last of its tokens has expired; none may live longer
	RevokedAt            time.Time       // set by the store; zero: it wasn't revoked
	RevokedWhy           string          // set by the store
}

const grantColumns = `g.id, g.client_id, g.subject, g.scope, g.resources, g.authorization_details, g.extra,
	g.auth_time, g.created, g.expires, g.revoked, g.revoked_why`

func (g *Grant) columns() []any {
	return []any{&g.ID, &g.ClientID, &g.Subject, scanStrings{&g.Scope}, scanStrings{&g.Resources},
		scanJSON{&g.AuthorizationDetails}, scanJSON{&g.Extra}, scanMicros{&g.AuthTime},
		scanMicros{&g.Created}, scanMicros{&g.Expires}, scanMicros{&g.RevokedAt}, &g.RevokedWhy}
}

func (g *Grant) check(now time.Time) error {
	k := checks{what: "grant"}
	k.id("ID", g.ID)
	k.id("ClientID", g.ClientID)
	k.id("Subject", g.Subject)
	k.strings("Scope", g.Scope)
	k.strings("Resources", g.Resources)
	k.array("AuthorizationDetails", g.AuthorizationDetails)
	k.object("Extra", g.Extra)
	if !g.AuthTime.IsZero() {
		k.time("AuthTime", g.AuthTime)
	}
	k.time("now", now)
	k.after("Expires", g.Expires, now)
	return k.err
}

// live refuses a grant that was revoked or is past its time.
func (g *Grant) live(now time.Time) error {
	if !g.RevokedAt.IsZero() {
		return refused(Revoked, "grant")
	}
	if !now.Before(g.Expires) {
		return refused(Expired, "grant")
	}
	return nil
}

// CreateGrant stores a grant that needed no browser, with its first refresh token if there is one, and uses the claims
// up. Conflict: the id is taken. Disabled: the subject is a user who is.
func (s *Store) CreateGrant(ctx context.Context, now time.Time, g Grant, first *RefreshToken, claims ...replay.Claim) error {
	if err := g.check(now); err != nil {
		return err
	}
	if err := first.check(now, g.Expires); err != nil {
		return err
	}
	if err := checkClaims(now, claims); err != nil {
		return err
	}
	return s.update(ctx, "grant", func(ctx context.Context, q queries) error {
		if err := q.claim(ctx, claims); err != nil {
			return err
		}
		if err := q.insertGrant(ctx, now, g); err != nil {
			return err
		}
		return q.insertFirst(ctx, now, g.ID, first)
	})
}

func (q queries) insertGrant(ctx context.Context, now time.Time, g Grant) error {
	if err := q.holdEnabled(ctx, g.Subject); err != nil {
		return err
	}
	scope, err := encodeStrings(g.Scope)
	if err != nil {
		return err
	}
	resources, err := encodeStrings(g.Resources)
	if err != nil {
		return err
	}
	_, err = q.exec(ctx, `INSERT INTO grants (id, client_id, subject, scope, resources, authorization_details, extra,
		auth_time, created, expires) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)`,
		g.ID, g.ClientID, g.Subject, scope, resources, string(g.AuthorizationDetails), string(g.Extra),
		optionalMicros(g.AuthTime), micros(now), micros(g.Expires))
	return err
}

// Grant returns a grant, revoked and expired ones too, or NotFound.
func (s *Store) Grant(ctx context.Context, id string) (Grant, error) {
	var g Grant
	err := s.view(ctx, "grant", func(ctx context.Context, q queries) error {
		return q.row(ctx, "SELECT "+grantColumns+" FROM grants g WHERE g.id = $1", id).Scan(g.columns()...)
	})
	return g, err
}

// Parties picks grants: all of a client, all of a subject, or those of a subject to a client. Both empty picks none.
type Parties struct {
	ClientID string
	Subject  string
}

// where is the condition, whose parameters follow those numbered up to n.
func (p Parties) where(n int) (condition string, args []any, err error) {
	switch {
	case p.ClientID != "" && p.Subject != "":
		return fmt.Sprintf("g.client_id = $%d AND g.subject = $%d", n+1, n+2), []any{p.ClientID, p.Subject}, nil
	case p.ClientID != "":
		return fmt.Sprintf("g.client_id = $%d", n+1), []any{p.ClientID}, nil
	case p.Subject != "":
		return fmt.Sprintf("g.subject = $%d", n+1), []any{p.Subject}, nil
	}
	return "", nil, &Error{Reason: Invalid, What: "grant", Part: "Parties"}
}

// Grants returns up to limit (at most 1000) grants of p whose id is greater than after, in the order of their ids' bytes,
// revoked and expired ones too.
func (s *Store) Grants(ctx context.Context, p Parties, after string, limit int) ([]Grant, error) {
	k := checks{what: "grant"}
	k.text("after", after)
	if k.limit(limit); k.err != nil {
		return nil, k.err
	}
	condition, args, err := p.where(2)
	if err != nil {
		return nil, err
	}
	var list []Grant
	err = s.view(ctx, "grant", func(ctx context.Context, q queries) error {
		return q.list(ctx, func(rows *sql.Rows) error {
			var g Grant
			err := rows.Scan(g.columns()...)
			list = append(list, g)
			return err
		}, "SELECT "+grantColumns+" FROM grants g WHERE g.id > $1 AND "+condition+" ORDER BY g.id LIMIT $2",
			append([]any{after, limit}, args...)...)
	})
	return list, err
}

// RevokeGrant revokes a grant and thereby all tokens that came of it, now and later. why is for those who look later; a
// grant that was revoked before keeps its time and reason, and that is no error. NotFound.
//
// It answers a code that is presented again (RFC 6749, section 4.1.2): RedeemCode says Used, and [Store.Code] names the
// grant. It also revokes a refresh token (RFC 7009), whose grant [Store.RefreshToken] names.
func (s *Store) RevokeGrant(ctx context.Context, now time.Time, id, why string) error {
	if err := checkWhy(now, why); err != nil {
		return err
	}
	return s.update(ctx, "grant", func(ctx context.Context, q queries) error { return q.revoke(ctx, now, id, why) })
}

func checkWhy(now time.Time, why string) error {
	k := checks{what: "grant"}
	k.id("why", why)
	k.time("now", now)
	return k.err
}

func (q queries) revoke(ctx context.Context, now time.Time, id, why string) error {
	return q.must(ctx, refused(NotFound, "grant"), `UPDATE grants SET revoked = coalesce(revoked, $1),
		revoked_why = CASE WHEN revoked IS NULL THEN $2 ELSE revoked_why END WHERE id = $3`, micros(now), why, id)
}

// RevokeGrants revokes up to limit (at most 1000) grants of p and returns how many; call it until that is less than
// limit. A grant that is made meanwhile may escape, so stop that first: delete the client. Disabling a user revokes the
// user's grants by itself.
func (s *Store) RevokeGrants(ctx context.Context, now time.Time, p Parties, why string, limit int) (int, error) {
	if err := checkWhy(now, why); err != nil {
		return 0, err
	}
	k := checks{what: "grant"}
	if k.limit(limit); k.err != nil {
		return 0, k.err
	}
	condition, args, err := p.where(3)
	if err != nil {
		return 0, err
	}
	var n int64
	err = s.update(ctx, "grant", func(ctx context.Context, q queries) (err error) {
		n, err = q.exec(ctx, `UPDATE grants SET revoked = $1, revoked_why = $2 WHERE id IN (SELECT g.id FROM grants g
			WHERE g.revoked IS NULL AND g.expires > $1 AND `+condition+" ORDER BY g.id LIMIT $3"+lockRow+")",
			append([]any{micros(now), why, limit}, args...)...)
		return err
	})
	return int(n), err
}
