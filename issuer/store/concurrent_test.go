package store

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// racers is how many calls use one thing at the same time.
const racers = 200

// TestConcurrent has two Stores on one database, as two nodes have, use up each kind of thing 200 times at once.
func TestConcurrent(t *testing.T) {
	onEach(t, func(t *testing.T, dsn string) {
		nodes := []*Store{open(t, dsn), open(t, dsn)}
		populate(t, nodes[0])
		for _, tc := range []struct {
			name string
			call func(ctx context.Context, s *Store, i int) (string, error)
			want map[string]int
		}{
			{"authorization", func(ctx context.Context, s *Store, i int) (string, error) {
				page := anInteraction("page", "pushed")
				return "completed", s.CompleteAuthorization(ctx, now, Approval{Interaction: &page,
					Grant: aGrant(fmt.Sprint("g", i)), Code: aCode(fmt.Sprint("c", i))})
			}, map[string]int{"completed": 1, string(Conflict): racers - 1}},
			{"redemption", func(ctx context.Context, s *Store, i int) (string, error) {
				first := aToken(fmt.Sprint("first", i))
				return "redeemed", s.RedeemCode(ctx, now, Redemption{Code: HashOf("code"), Refresh: &first})
			}, map[string]int{"redeemed": 1, string(Used): racers - 1}},
			{"rotation", func(ctx context.Context, s *Store, i int) (string, error) {
				outcome, _, err := s.Rotate(ctx, now, aRotation("r1", fmt.Sprint("r2-", i)))
				return string(outcome), err
			}, map[string]int{string(Rotated): 1, string(TooSoon): racers - 1}},
			{"repetition", func(ctx context.Context, s *Store, i int) (string, error) {
				r := aRotation("r1", fmt.Sprint("r2-", i))
				r.Repeats = racers
				outcome, token, err := s.Rotate(ctx, in(3*time.Second), r)
				return fmt.Sprintf("%s %t", outcome, token.Salt == HashOf("salt of r1")), err
			}, map[string]int{string(Repeated) + " true": racers}},
			{"reuse", func(ctx context.Context, s *Store, i int) (string, error) {
				outcome, _, err := s.Rotate(ctx, in(time.Hour), aRotation("r1", fmt.Sprint("r2-", i)))
				return string(outcome), err
			}, map[string]int{string(Reused): 1, string(Revoked): racers - 1}},
			{"single-use id", func(ctx context.Context, s *Store, _ int) (string, error) {
				return "first", s.UseOnce(ctx, now, aClaim("contended"))
			}, map[string]int{"first": 1, string(Used): racers - 1}},
			{"invitation", func(ctx context.Context, s *Store, i int) (string, error) {
				id := fmt.Sprint("key", i)
				ceremony := anInteraction("ceremony for "+id, "")
				if err := s.CreateInteraction(ctx, now, ceremony); err != nil {
					return "", err
				}
				return "enrolled", s.Enrol(ctx, now, HashOf("invitation"), ceremony, aPasskey(id, "ada"))
			}, map[string]int{"enrolled": 1, string(Used): racers - 1}},
			{"challenge", func(ctx context.Context, s *Store, i int) (string, error) {
				return "first", s.LogIn(ctx, now, aLogin(anInteraction("plain", ""), aPasskey("key", "ada"), 7, fmt.Sprint("cookie", i)))
			}, map[string]int{"first": 1, string(Conflict): racers - 1}},
			{"count of a passkey", func(ctx context.Context, s *Store, i int) (string, error) {
				ceremony := anInteraction(fmt.Sprint("ceremony ", i), "")
				if err := s.CreateInteraction(ctx, now, ceremony); err != nil {
					return "", err
				}
				p := aPasskey("key", "ada")
				p.SignCount = 8
				return "first", s.LogIn(ctx, now, aLogin(ceremony, p, 7, fmt.Sprint("counted", i)))
			}, map[string]int{"first": 1, string(Conflict): racers - 1}},
			{"next signing key", func(ctx context.Context, s *Store, i int) (string, error) {
				mine := fmt.Sprint("key", i)
				k, err := s.AddSigningKey(ctx, now, aSigningKey(mine, 1))
				if k.KeyID == mine {
					return "mine", err
				}
				return "another's", err
			}, map[string]int{"mine": 1, "another's": racers - 1}},
		} {
			t.Run(tc.name, func(t *testing.T) {
				got := race(t.Context(), nodes, tc.call)
				if diff := cmp.Diff(got, tc.want); diff != "" {
					t.Errorf("outcomes (-got +want):\n%s", diff)
				}
			})
		}
		checkFamilies(t, nodes[0])
	})
}

// race makes all calls at once and counts what came of them.
func race(ctx context.Context, nodes []*Store, call func(context.Context, *Store, int) (string, error)) map[string]int {
	var mu sync.Mutex // guards counts
	counts := map[string]int{}
	var wg sync.WaitGroup
	start := make(chan struct{})
	for i := range racers {
		wg.Go(func() {
			<-start
			outcome, err := call(ctx, nodes[i%len(nodes)], i)
			if err != nil {
				outcome = outcomeOf(err)
			}
			mu.Lock()
			defer mu.Unlock()
			counts[outcome]++
		})
	}
	close(start)
	wg.Wait()
	return counts
}

func outcomeOf(err error) string {
	if e, ok := errors.AsType[*Error](err); ok && e.Reason != Unavailable {
		return string(e.Reason)
	}
	return err.Error()
}

// TestRevokedMeanwhile revokes a grant while its tokens rotate on two nodes: no call that begins after the revocation has
// returned succeeds.
func TestRevokedMeanwhile(t *testing.T) {
	onEach(t, func(t *testing.T, dsn string) {
		nodes := []*Store{open(t, dsn), open(t, dsn)}
		for round := range 10 {
			id := fmt.Sprint("grant", round)
			token := func(i int) string { return fmt.Sprint(id, "-", i) }
			first := aToken(token(0))
			ok(t, nodes[0].CreateGrant(t.Context(), now, aGrant(id), &first))
			var wg sync.WaitGroup
			wg.Go(func() {
				for i := range 20 {
					outcome, _, err := nodes[0].Rotate(t.Context(), now, aRotation(token(i), token(i+1)))
					if err != nil {
						wantReason(t, err, Revoked)
						return
					}
					if outcome != Rotated {
						t.Errorf("got %s", outcome)
					}
				}
			})
			wg.Go(func() { // somewhere in the middle
				if err := nodes[1].RevokeGrant(t.Context(), now, id, "a test"); err != nil {
					t.Error(err)
				}
				for i := range 21 {
					_, _, err := nodes[i%2].Rotate(t.Context(), now, aRotation(token(i), "late"+token(i)))
					if reason := reasonOf(err); reason != Revoked && reason != NotFound {
						t.Errorf("after the revocation: got %v", err)
					}
				}
			})
			wg.Wait()
		}
	})
}

// TestDisabledMeanwhile disables a user while grants, sessions and passkeys are made for that user on two nodes: what is
// there at the end has ended, and nothing begins any more.
func TestDisabledMeanwhile(t *testing.T) {
	onEach(t, func(t *testing.T, dsn string) {
		nodes := []*Store{open(t, dsn), open(t, dsn)}
		populate(t, nodes[0])
		ctx := t.Context()
		ada, err := nodes[0].User(ctx, "ada")
		ok(t, err)
		ada.Disabled = true
		var wg sync.WaitGroup
		for i := range racers {
			wg.Go(func() {
				s, id := nodes[i%2], fmt.Sprint("late ", i)
				for _, err := range []error{
					s.CreateSession(ctx, now, aSession(id, "ada")),
					s.CreateInvitation(ctx, now, anInvitation(id, "ada")),
					s.CompleteAuthorization(ctx, now, Approval{Grant: aGrant(id), Code: aCode(id)}),
				} {
					if err != nil {
						wantReason(t, err, Disabled)
					}
				}
			})
			if i == racers/2 {
				wg.Go(func() {
					if err := nodes[0].UpdateUser(ctx, now, ada); err != nil {
						t.Error(err)
					}
				})
			}
		}
		wg.Wait()
		left := counts(t, nodes[0])
		if left["sessions"] != 0 || left["invitations"] != 0 {
			t.Errorf("%d sessions and %d invitations are left", left["sessions"], left["invitations"])
		}
		grants, err := nodes[0].Grants(ctx, Parties{Subject: "ada"}, "", 1000)
		ok(t, err)
		for _, g := range grants {
			if g.RevokedWhy != RevokedForDisabling {
				t.Errorf("grant %s: revoked %q", g.ID, g.RevokedWhy)
			}
		}
	})
}

// TestLastPasskeyTwice deletes a user's last two passkeys on two nodes at once: one of them stays.
func TestLastPasskeyTwice(t *testing.T) {
	onEach(t, func(t *testing.T, dsn string) {
		nodes := []*Store{open(t, dsn), open(t, dsn)}
		populate(t, nodes[0])
		for round := range 10 {
			second := fmt.Sprint("second ", round)
			addPasskey(t, nodes[0], now, aPasskey(second, "ada"))
			keys, err := nodes[0].Passkeys(t.Context(), "ada")
			ok(t, err)
			got := race2(func(i int) error { return nodes[i].DeletePasskey(t.Context(), "ada", keys[i].ID) })
			if got[0] == nil {
				got[0], got[1] = got[1], got[0]
			}
			if wantReason(t, got[0], Last); got[1] != nil {
				t.Errorf("neither was deleted: %v", got[1])
			}
		}
	})
}

// race2 makes two calls at once.
func race2(call func(i int) error) [2]error {
	var errs [2]error
	var wg sync.WaitGroup
	for i := range errs {
		wg.Go(func() { errs[i] = call(i) })
	}
	wg.Wait()
	return errs
}

// TestLockedElsewhere: a node waits for another node's transaction no longer than its context allows, and gets its turn.
func TestLockedElsewhere(t *testing.T) {
	onEach(t, func(t *testing.T, dsn string) {
		a, b := open(t, dsn), open(t, dsn)
		populate(t, a)
		ctx := t.Context()
		turn := make(chan error, 1)
		ok(t, a.update(ctx, "test", func(ctx context.Context, q queries) error {
			if _, err := q.lockFamily(ctx, HashOf("r1")); err != nil {
				return err
			}
			short, cancel := context.WithTimeout(ctx, 50*time.Millisecond)
			defer cancel()
			_, _, err := b.Rotate(short, now, aRotation("r1", "r2"))
			if wantReason(t, err, Unavailable); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("got %v, want context.DeadlineExceeded in it", err)
			}
			if _, _, err := b.RefreshToken(ctx, HashOf("r1")); err != nil {
				t.Errorf("reading while another writes: %v", err)
			}
			go func() { _, _, err := b.Rotate(t.Context(), now, aRotation("r1", "r2")); turn <- err }()
			return nil
		}))
		ok(t, <-turn)
	})
}

// TestPruneTogether: two nodes that prune at once leave rows to each other, and delete all between them.
func TestPruneTogether(t *testing.T) {
	onEach(t, func(t *testing.T, dsn string) {
		nodes := []*Store{open(t, dsn), open(t, dsn)}
		for i := range 100 {
			ok(t, nodes[0].UseOnce(t.Context(), now, aClaim(fmt.Sprint(i))))
		}
		var wg sync.WaitGroup
		for _, s := range nodes {
			wg.Go(func() {
				for range 20 {
					if _, err := s.Prune(t.Context(), in(time.Hour), 10); err != nil {
						t.Error(err)
					}
				}
			})
		}
		wg.Wait()
		if got := counts(t, nodes[0])["single_uses"]; got != 0 {
			t.Errorf("%d ids are left", got)
		}
	})
}
