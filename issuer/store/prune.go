package store

import (
	"context"
	"time"
)

// PruneMargin is how long what has expired is kept all the same, for nodes whose clocks are behind.
const PruneMargin = 5 * time.Minute

// clientMargin is how long the id of a deleted client stays taken.
const clientMargin = 30 * 24 * time.Hour

// prunings delete up to $2 rows that were over before $1. Rows go before what they belong to: a grant whose tokens still
// stand waits for the next call, so that no deletion takes more than it was asked to.
var prunings = []struct {
	margin    time.Duration
	statement string
}{
	{PruneMargin, prune("single_uses", "id", "until < $1")},
	{PruneMargin, prune("revoked_tokens", "jti", "until < $1")},
	{PruneMargin, prune("interactions", "id", "expires < $1")},
	{PruneMargin, prune("pushed_requests", "handle",
		"expires < $1 AND NOT EXISTS (SELECT 1 FROM interactions i WHERE i.pushed_request = handle)")},
	{PruneMargin, prune("refresh_tokens", "hash", "forget < $1")},
	{PruneMargin, prune("grants", "id",
		"expires < $1 AND NOT EXISTS (SELECT 1 FROM refresh_tokens t WHERE t.grant_id = grants.id)")},
	// A grant whose code was never redeemed: nothing came of it, and nothing can.
	{PruneMargin, prune("grants", "id", "id IN (SELECT c.grant_id FROM codes c WHERE c.used IS NULL AND c.expires < $1)")},
	{PruneMargin, prune("sessions", "cookie", "expires < $1")},
	{PruneMargin, prune("invitations", "hash", "expires < $1")},
	{PruneMargin, `DELETE FROM consents WHERE (user_id, client_id) IN
		(SELECT user_id, client_id FROM consents WHERE until < $1 LIMIT $2` + skipLocked + `)`},
	{PruneMargin, prune("signing_keys", "kid", "publish_until < $1")},
	{clientMargin, prune("clients", "id", "deleted < $1 AND NOT EXISTS (SELECT 1 FROM grants g WHERE g.client_id = clients.id)")},
}

func prune(table, key, condition string) string {
	return "DELETE FROM " + table + " WHERE " + key + " IN (SELECT " + key + " FROM " + table +
		" WHERE " + condition + " LIMIT $2" + skipLocked + ")"
}

// Prune deletes up to limit (at most 1000) rows of each kind that have been expired for [PruneMargin], and returns how
// many it deleted in all. Call it until that is 0, now and then, on any number of nodes: rows that another is deleting
// are left to that one.
func (s *Store) Prune(ctx context.Context, now time.Time, limit int) (int, error) {
	k := checks{what: "pruning"}
	k.time("now", now)
	if k.limit(limit); k.err != nil {
		return 0, k.err
	}
	var total int64
	err := s.update(ctx, "pruning", func(ctx context.Context, q queries) error {
		total = 0
		for _, p := range prunings {
			n, err := q.exec(ctx, p.statement, micros(now.Add(-p.margin)), limit)
			if err != nil {
				return err
			}
			total += n
		}
		return nil
	})
	if err != nil {
		return 0, err
	}
	return int(total), nil
}
