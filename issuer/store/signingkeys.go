package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"time"
)

// SigningKey is one key of the issuer. It is published before it signs, so that verifiers know it in time, and as long
// as tokens live that it has signed.
type SigningKey struct {
	KeyID        string
	Algorithm    string
	Period       int64           // which period of the caller's schedule the key is for: one key an algorithm and period
	Sealed       []byte          // the private key, encrypted by the caller
	Public       json.RawMessage // JWK
	Created      time.Time       // set by the store
	PublishFrom  time.Time
	SignFrom     time.Time
	SignUntil    time.Time
	PublishUntil time.Time
}

const signingKeyColumns = `kid, algorithm, period, sealed, public, created, publish_from, sign_from, sign_until,
	publish_until`

func (k *SigningKey) columns() []any {
	return []any{&k.KeyID, &k.Algorithm, &k.Period, &k.Sealed, scanJSON{&k.Public}, scanMicros{&k.Created},
		scanMicros{&k.PublishFrom}, scanMicros{&k.SignFrom}, scanMicros{&k.SignUntil}, scanMicros{&k.PublishUntil}}
}

func (k *SigningKey) check(now time.Time) error {
	c := checks{what: "signing key"}
	c.id("KeyID", k.KeyID)
	c.id("Algorithm", k.Algorithm)
	c.blob("Sealed", k.Sealed, maxSealed)
	c.object("Public", k.Public)
	c.require(len(k.Public) > 0, "Public")
	c.time("now", now)
	c.time("PublishFrom", k.PublishFrom)
	c.require(!k.SignFrom.Before(k.PublishFrom), "SignFrom")
	c.after("SignUntil", k.SignUntil, k.SignFrom)
	c.time("PublishUntil", k.PublishUntil)
	c.require(!k.PublishUntil.Before(k.SignUntil), "PublishUntil")
	return c.err
}

// AddSigningKey adds the key of a period, if the period has none of its algorithm yet, and returns the one that it has:
// of several issuers that make the next key at once, all are given the same. Conflict: the key id is another period's.
func (s *Store) AddSigningKey(ctx context.Context, now time.Time, k SigningKey) (SigningKey, error) {
	if err := k.check(now); err != nil {
		return SigningKey{}, err
	}
	var stored SigningKey
	err := s.update(ctx, "signing key", func(ctx context.Context, q queries) error {
		_, err := q.exec(ctx, "INSERT INTO signing_keys ("+signingKeyColumns+`)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) ON CONFLICT (algorithm, period) DO NOTHING`,
			k.KeyID, k.Algorithm, k.Period, k.Sealed, string(k.Public), micros(now), micros(k.PublishFrom), micros(k.SignFrom),
			micros(k.SignUntil), micros(k.PublishUntil))
		if err != nil {
			return err
		}
		return q.row(ctx, "SELECT "+signingKeyColumns+" FROM signing_keys WHERE algorithm = $1 AND period = $2",
			k.Algorithm, k.Period).Scan(stored.columns()...)
	})
	if err != nil {
		return SigningKey{}, err
	}
	return stored, nil
}

// SigningKeys returns all keys, at most 1000, by period and algorithm: those to come and those that are past too, until
// they are pruned.
func (s *Store) SigningKeys(ctx context.Context) ([]SigningKey, error) {
	var list []SigningKey
	err := s.view(ctx, "signing key", func(ctx context.Context, q queries) error {
		return q.list(ctx, func(rows *sql.Rows) error {
			var k SigningKey
			err := rows.Scan(k.columns()...)
			list = append(list, k)
			return err
		}, "SELECT "+signingKeyColumns+" FROM signing_keys ORDER BY period, algorithm LIMIT $1", maxList)
	})
	return list, err
}

// DeleteSigningKey withdraws a key that must no longer be trusted. Its period is then free for another. NotFound.
func (s *Store) DeleteSigningKey(ctx context.Context, kid string) error {
	return s.update(ctx, "signing key", func(ctx context.Context, q queries) error {
		return q.must(ctx, refused(NotFound, "signing key"), "DELETE FROM signing_keys WHERE kid = $1", kid)
	})
}
