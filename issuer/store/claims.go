package store

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"slices"
	"time"

	"github.com/holdfast-project/holdfast/replay"
)

// UseOnce remembers a single-use id, as the jti of a client assertion (RFC 7523, section 3, step 7), until c.Until. It
// differs from a [replay.Guard] in that it lasts, and in that the caller tells the time. Methods that use something up
// take such claims too, for the same transaction.
//
// Used, wrapping [replay.ErrReplayed]: the owner has used this id. Expired, wrapping [replay.ErrExpired]: now isn't
// before c.Until.
func (s *Store) UseOnce(ctx context.Context, now time.Time, c replay.Claim) error {
	claims := []replay.Claim{c}
	if err := checkClaims(now, claims); err != nil {
		return err
	}
	return s.update(ctx, singleUse, func(ctx context.Context, q queries) error { return q.claim(ctx, claims) })
}

const singleUse = "single-use id"

func checkClaims(now time.Time, claims []replay.Claim) error {
	k := checks{what: singleUse}
	k.time("now", now)
	k.require(len(claims) <= maxClaims, "claims")
	for _, c := range claims {
		k.require(c.ID != "", "ID")
		k.time("Until", c.Until)
		if k.err == nil && !now.Before(c.Until) {
			return &Error{Reason: Expired, What: singleUse, Err: replay.ErrExpired}
		}
	}
	return k.err
}

// claim uses the ids up, all or none. An id that another transaction has just inserted makes this one wait for that.
func (q queries) claim(ctx context.Context, claims []replay.Claim) error {
	type use struct {
		id    []byte
		until int64
	}
	uses := make([]use, len(claims))
	for i, c := range claims {
		uses[i] = use{claimID(c), micros(c.Until)}
	}
	// In one order, so that two transactions with the same ids don't wait for each other.
	slices.SortFunc(uses, func(a, b use) int { return bytes.Compare(a.id, b.id) })
	for _, u := range uses {
		used := &Error{Reason: Used, What: singleUse, Err: replay.ErrReplayed}
		err := q.must(ctx, used, "INSERT INTO single_uses (id, until) VALUES ($1, $2) ON CONFLICT DO NOTHING", u.id, u.until)
		if err != nil {
			return err
		}
	}
	return nil
}

// claimID names an id together with its owner. The length keeps the two apart from each other.
func claimID(c replay.Claim) []byte {
	h := sha256.New()
	h.Write(binary.BigEndian.AppendUint64(nil, uint64(len(c.Owner))))
	h.Write(c.Owner[:])
	h.Write([]byte(c.ID))
	return h.Sum(nil)
}
