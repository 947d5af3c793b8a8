package store

import (
	"context"
	"time"
)

// RevokeAccessToken remembers that one access token was revoked, until it expires (RFC 7009). To revoke all tokens of
// its grant, use [Store.RevokeGrant].
func (s *Store) RevokeAccessToken(ctx context.Context, jti string, until time.Time) error {
	k := checks{what: "access token"}
	k.id("jti", jti)
	if k.time("until", until); k.err != nil {
		return k.err
	}
	return s.update(ctx, "access token", func(ctx context.Context, q queries) error {
		_, err := q.exec(ctx, "INSERT INTO revoked_tokens (jti, until) VALUES ($1, $2) ON CONFLICT DO NOTHING",
			jti, micros(until))
		return err
	})
}

// TokenRevoked tells whether an access token was revoked, or the grant that it came of. A grant that isn't stored counts
// as revoked: grants outlive their tokens. grantID is "" for a token without one, as of client_credentials.
func (s *Store) TokenRevoked(ctx context.Context, jti, grantID string) (revoked bool, err error) {
	err = s.view(ctx, "access token", func(ctx context.Context, q queries) error {
		return q.row(ctx, `SELECT EXISTS (SELECT 1 FROM revoked_tokens WHERE jti = $1)
			OR ($2 <> '' AND NOT EXISTS (SELECT 1 FROM grants WHERE id = $2 AND revoked IS NULL))`,
			jti, grantID).Scan(&revoked)
	})
	return revoked || err != nil, err
}
