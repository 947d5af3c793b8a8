package store

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// pruneAll prunes until nothing is left to prune.
func pruneAll(t *testing.T, s *Store, at time.Time, limit int) (total int) {
	t.Helper()
	for {
		n, err := s.Prune(t.Context(), at, limit)
		ok(t, err)
		if total += n; n == 0 {
			return total
		}
	}
}

// counts returns how many rows each table has that isn't empty.
func counts(t *testing.T, s *Store) map[string]int {
	t.Helper()
	m := map[string]int{}
	for _, line := range dump(t, s) {
		table, _, _ := strings.Cut(line, ":")
		m[table]++
	}
	delete(m, "schema_version")
	return m
}

func testPrune(t *testing.T, s *Store) {
	ctx := t.Context()
	rotate(t, s, now, aRotation("r1", "r2"), Rotated) // r1 may be forgotten after a day
	ok(t, s.RedeemCode(ctx, now, Redemption{Code: HashOf("code")}))
	ok(t, s.CompleteAuthorization(ctx, now, Approval{Grant: aGrant("abandoned"), Code: aCode("abandoned")}))
	ok(t, s.DeleteClient(ctx, now, "client", 1))
	const day = 24 * time.Hour
	for _, tc := range []struct {
		at   time.Time
		want []string
	}{
		{in(time.Minute + PruneMargin), nil}, // the margin is for clocks that are behind
		// The grant whose code was never redeemed goes. The pushed request waits for its interaction.
		{in(time.Minute + PruneMargin + time.Microsecond), []string{"grants 1", "codes 1", "revoked_tokens 1", "single_uses 1"}},
		{in(10*time.Minute + PruneMargin + time.Microsecond), []string{"pushed_requests 1", "interactions 3"}},
		{in(time.Hour + PruneMargin + time.Microsecond), []string{"invitations 1"}},
		{in(9 * time.Hour), []string{"sessions 1"}},
		{in(day + PruneMargin + time.Microsecond), []string{"refresh_tokens 1"}}, // r1
		{in(2 * day), []string{"signing_keys 1"}},
		{in(8 * day), []string{"refresh_tokens 1"}},                  // r2
		{in(31 * day), []string{"clients 1", "grants 2", "codes 1"}}, // the client's id was taken as long as they
		{in(91 * day), []string{"consents 1"}},
	} {
		before := counts(t, s)
		total := pruneAll(t, s, tc.at, 1)
		after := counts(t, s)
		var gone []string
		for _, table := range tables(t) {
			if n := before[table] - after[table]; n != 0 {
				gone = append(gone, fmt.Sprint(table, " ", n))
			}
		}
		if diff := cmp.Diff(gone, tc.want); diff != "" {
			t.Errorf("after %v, pruned %d (-got +want):\n%s", tc.at.Sub(now), total, diff)
		}
	}
	if diff := cmp.Diff(counts(t, s), map[string]int{"users": 1, "passkeys": 1}); diff != "" {
		t.Errorf("what never expires (-got +want):\n%s", diff)
	}
	refuses(t, s, Invalid, func() error { _, err := s.Prune(ctx, now, 0); return err })
}

func testPruneLimit(t *testing.T, s *Store) {
	ctx := t.Context()
	for i := range 7 {
		ok(t, s.UseOnce(ctx, now, aClaim(fmt.Sprint(i))))
	}
	at := in(2*time.Minute + PruneMargin)
	n, err := s.Prune(ctx, at, 3)
	ok(t, err)
	if got := counts(t, s)["single_uses"]; got != 5 {
		t.Errorf("of 8 ids, %d are left, want 5 (pruned %d in all)", got, n)
	}
	if left := pruneAll(t, s, at, 3); left != 5 {
		t.Errorf("then pruned %d, want 5", left)
	}
}

func testContext(t *testing.T, s *Store) {
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	calls := map[string]func(ctx context.Context) error{
		"rotate": func(ctx context.Context) error { _, _, err := s.Rotate(ctx, now, aRotation("r1", "r2")); return err },
		"redeem": func(ctx context.Context) error { return s.RedeemCode(ctx, now, Redemption{Code: HashOf("code")}) },
		"read":   func(ctx context.Context) error { _, err := s.Grant(ctx, "grant"); return err },
		"ping":   s.Ping,
		"prune":  func(ctx context.Context) error { _, err := s.Prune(ctx, in(time.Hour), 1); return err },
	}
	for name, call := range calls {
		t.Run(name, func(t *testing.T) {
			refuses(t, s, Unavailable, func() error {
				err := call(cancelled)
				if !errors.Is(err, context.Canceled) {
					t.Errorf("got %v, want context.Canceled in it", err)
				}
				return err
			})
		})
	}

	t.Run("between two statements", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		refuses(t, s, Unavailable, func() error {
			return s.update(ctx, "test", func(ctx context.Context, q queries) error {
				if err := q.claim(ctx, claims("one")); err != nil {
					return err
				}
				cancel()
				return q.claim(ctx, claims("two"))
			})
		})
	})

	t.Run("before the commit", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		ok(t, s.update(ctx, "test", func(ctx context.Context, q queries) error {
			defer cancel()
			return q.claim(ctx, claims("three"))
		}))
		refuses(t, s, Used, func() error { return s.UseOnce(t.Context(), now, aClaim("three")) }) // was committed all the same
	})

	t.Run("while another holds the lock", func(t *testing.T) {
		ctx := t.Context()
		ok(t, s.update(ctx, "test", func(ctx context.Context, q queries) error {
			if _, err := q.lockFamily(ctx, HashOf("r1")); err != nil {
				return err
			}
			waiting, cancel := context.WithTimeout(ctx, 50*time.Millisecond)
			defer cancel()
			_, _, err := s.Rotate(waiting, now, aRotation("r1", "r2"))
			if wantReason(t, err, Unavailable); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("got %v, want context.DeadlineExceeded in it", err)
			}
			return nil
		}))
		rotate(t, s, now, aRotation("r1", "r2"), Rotated)
	})
}
