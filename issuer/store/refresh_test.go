package store

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/holdfast-project/holdfast/replay"
)

// TestDecide is the rule of rotation. Each row differs from "repeated" in one thing.
func TestDecide(t *testing.T) {
	for _, tc := range []struct {
		name   string
		since  time.Duration // between the use and now
		modify func(f *family, r *Rotation)
		want   Outcome
		reason Reason
	}{
		{"repeated", 10 * time.Second, func(*family, *Rotation) {}, Repeated, ""},
		{"unused", 10 * time.Second, func(f *family, _ *Rotation) { f.token.UsedAt = time.Time{} }, Rotated, ""},
		{"just now", 2*time.Second - time.Microsecond, func(*family, *Rotation) {}, TooSoon, ""},
		{"no longer just now", 2 * time.Second, func(*family, *Rotation) {}, Repeated, ""},
		{"at once", 0, func(*family, *Rotation) {}, TooSoon, ""},
		{"in the future, by our clock", -5 * time.Second, func(*family, *Rotation) {}, TooSoon, ""},
		{"no window, at once", 0, func(_ *family, r *Rotation) { r.Window = 0 }, Repeated, ""},
		{"the end of the grace", time.Minute - time.Microsecond, func(*family, *Rotation) {}, Repeated, ""},
		{"after the grace", time.Minute, func(*family, *Rotation) {}, Reused, ""},
		{"no grace", 10 * time.Second, func(_ *family, r *Rotation) { r.Window, r.Grace = 0, 0 }, Reused, ""},
		{"successor used", 10 * time.Second, func(f *family, _ *Rotation) { f.successorLost = false }, Reused, ""},
		{"successor used, just now", time.Second, func(f *family, _ *Rotation) { f.successorLost = false }, TooSoon, ""},
		{"successor expired", 10 * time.Second, func(f *family, _ *Rotation) { f.successorEnds = now }, Reused, ""},
		{"once more", 10 * time.Second, func(f *family, r *Rotation) { f.token.Repeats = r.Repeats - 1 }, Repeated, ""},
		{"too often", 10 * time.Second, func(f *family, r *Rotation) { f.token.Repeats = r.Repeats }, Reused, ""},
		{"token expired", 10 * time.Second, func(f *family, _ *Rotation) { f.token.Expires = now }, "", Expired},
		{"grant expired", 10 * time.Second, func(f *family, _ *Rotation) { f.grant.Expires = now }, "", Expired},
		{"grant revoked", 10 * time.Second, func(f *family, _ *Rotation) { f.grant.RevokedAt = now }, "", Revoked},
	} {
		t.Run(tc.name, func(t *testing.T) {
			f := family{grant: aGrant("g"), token: aToken("t"), successorLost: true, successorEnds: in(time.Hour)}
			f.token.UsedAt = in(-tc.since)
			r := aRotation("t", "next")
			tc.modify(&f, &r)
			got, err := f.decide(now, r)
			if got != tc.want || reasonOf(err) != tc.reason {
				t.Errorf("got %q, %v, want %q, %q", got, err, tc.want, tc.reason)
			}
		})
	}
}

func rotate(t *testing.T, s *Store, at time.Time, r Rotation, want Outcome) RefreshToken {
	t.Helper()
	got, token, err := s.Rotate(t.Context(), at, r)
	ok(t, err)
	if got != want {
		t.Fatalf("got %s, want %s", got, want)
	}
	return token
}

// testRotation goes through the outcomes in turn, on one family.
func testRotation(t *testing.T, s *Store) {
	ctx := t.Context()
	token := rotate(t, s, now, aRotation("r1", "r2"), Rotated)
	if !token.UsedAt.IsZero() || token.Generation != 1 {
		t.Errorf("got %+v, want the token as it was before", token)
	}

	before := dump(t, s)
	again := aRotation("r1", "r2b")
	again.Claims = []replay.Claim{aClaim("fresh"), aClaim("used")}
	rotate(t, s, in(time.Second), again, TooSoon)
	if diff := cmp.Diff(before, dump(t, s)); diff != "" {
		t.Errorf("%s changes (-before +after):\n%s", TooSoon, diff)
	}

	again.Claims = again.Claims[:1]
	token = rotate(t, s, in(2*time.Second), again, Repeated)
	if token.Salt != HashOf("salt of r1") || token.Successor != HashOf("r2") || token.Repeats != 0 {
		t.Errorf("got %+v, want the salt and successor of the first rotation", token)
	}
	refuses(t, s, Used, func() error { return s.UseOnce(ctx, now, aClaim("fresh")) })
	refuses(t, s, NotFound, func() error { _, _, err := s.RefreshToken(ctx, HashOf("r2b")); return err })
	token = rotate(t, s, in(59*time.Second), aRotation("r1", "r2c"), Repeated)
	if token.Repeats != 1 {
		t.Errorf("got %d repeats before the second, want 1", token.Repeats)
	}

	rotate(t, s, in(59*time.Second), aRotation("r2", "r3"), Rotated) // the successor had arrived
	r3, g, err := s.RefreshToken(ctx, HashOf("r3"))
	ok(t, err)
	want := aToken("r3")
	want.GrantID, want.Generation, want.Created = "grant", 3, in(59*time.Second)
	if diff := cmp.Diff(r3, want); diff != "" {
		t.Errorf("the third token (-got +want):\n%s", diff)
	}

	// r1 is reused, in a request that was itself replayed: nothing is revoked.
	replayed := aRotation("r1", "r2d")
	replayed.Claims = []replay.Claim{aClaim("used")}
	refuses(t, s, Used, func() error { _, _, err := s.Rotate(ctx, in(3*time.Second), replayed); return err })
	if !g.RevokedAt.IsZero() {
		t.Fatal("revoked too early")
	}
	rotate(t, s, in(3*time.Second), aRotation("r1", "r2e"), Reused)
	g, err = s.Grant(ctx, "grant")
	ok(t, err)
	if !g.RevokedAt.Equal(in(3*time.Second)) || g.RevokedWhy != RevokedForReuse {
		t.Errorf("got revoked at %v for %q", g.RevokedAt, g.RevokedWhy)
	}
	for _, token := range []string{"r1", "r2", "r3"} {
		refuses(t, s, Revoked, func() error { _, _, err := s.Rotate(ctx, in(4*time.Second), aRotation(token, "next")); return err })
	}
	if revoked, err := s.TokenRevoked(ctx, "an access token", "grant"); err != nil || !revoked {
		t.Errorf("access tokens of the grant: got revoked %t, %v", revoked, err)
	}
}

func testRotationRefused(t *testing.T, s *Store) {
	ctx := t.Context()
	for _, tc := range []struct {
		name   string
		at     time.Time
		modify func(r *Rotation)
		want   Reason
	}{
		{"unknown", now, func(r *Rotation) { r.Token = HashOf("another") }, NotFound},
		{"expired", in(7 * 24 * time.Hour), func(*Rotation) {}, Expired},
		{"claim used", now, func(r *Rotation) { r.Claims = []replay.Claim{aClaim("fresh"), aClaim("used")} }, Used},
		{"claim expired", in(time.Minute), func(r *Rotation) { r.Claims = []replay.Claim{aClaim("fresh")} }, Expired},
		{"successor exists", now, func(r *Rotation) { r.Successor.Hash = HashOf("r1"); r.Token = HashOf("x") }, NotFound},
		{"its own successor", now, func(r *Rotation) { r.Successor.Hash = HashOf("r1") }, Invalid},
		{"no successor", now, func(r *Rotation) { r.Successor.Hash = Hash{} }, Invalid},
		{"successor expired", now, func(r *Rotation) { r.Successor.Expires = now }, Invalid},
		{"successor outlives the grant", now, func(r *Rotation) { r.Successor.Expires = in(31 * 24 * time.Hour) }, Invalid},
		{"no salt", now, func(r *Rotation) { r.Salt = [32]byte{} }, Invalid},
		{"negative window", now, func(r *Rotation) { r.Window = -1 }, Invalid},
		{"grace shorter than the window", now, func(r *Rotation) { r.Grace = time.Second }, Invalid},
		{"forgotten within the grace", now, func(r *Rotation) { r.Remember = time.Second }, Invalid},
		{"negative repeats", now, func(r *Rotation) { r.Repeats = -1 }, Invalid},
		{"no time", time.Time{}, func(*Rotation) {}, Invalid},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r := aRotation("r1", "r2")
			tc.modify(&r)
			refuses(t, s, tc.want, func() error { _, _, err := s.Rotate(ctx, tc.at, r); return err })
		})
	}
	other := aToken("taken")
	ok(t, s.CreateGrant(ctx, now, aGrant("other"), &other))
	refuses(t, s, Conflict, func() error { _, _, err := s.Rotate(ctx, now, aRotation("r1", "taken")); return err })
	refuses(t, s, Conflict, func() error { return s.CreateGrant(ctx, now, aGrant("new"), &other) })
	refuses(t, s, Conflict, func() error { return s.CreateGrant(ctx, now, aGrant("other"), nil) })
	refuses(t, s, Used, func() error { return s.CreateGrant(ctx, now, aGrant("new"), nil, aClaim("used")) })
	long := aToken("long")
	long.Expires = in(31 * 24 * time.Hour)
	refuses(t, s, Invalid, func() error { return s.CreateGrant(ctx, now, aGrant("new"), &long) })
}

// testFamily rotates one token after the other: a chain without a fork.
func testFamily(t *testing.T, s *Store) {
	for i := 1; i < 20; i++ {
		at := in(time.Duration(i) * time.Hour)
		r := aRotation(fmt.Sprint("r", i), fmt.Sprint("r", i+1))
		r.Successor.Expires = at.Add(24 * time.Hour)
		rotate(t, s, at, r, Rotated)
	}
	checkFamilies(t, s)
}

// checkFamilies checks every family in the database: generations without a gap, each used token followed by the one that
// it names, and the newest alone unused.
func checkFamilies(t testing.TB, s *Store) {
	t.Helper()
	var broken, families int
	q := queries{s.dialect, s.readers}
	ok(t, q.row(t.Context(), `SELECT count(*) FROM refresh_tokens a LEFT JOIN refresh_tokens b
		ON b.grant_id = a.grant_id AND b.generation = a.generation + 1
		WHERE (a.used IS NULL) <> (b.hash IS NULL) OR (b.hash IS NOT NULL AND b.hash <> a.successor)`).Scan(&broken))
	ok(t, q.row(t.Context(), "SELECT count(DISTINCT grant_id) FROM refresh_tokens WHERE used IS NULL").Scan(&families))
	if broken != 0 || families == 0 {
		t.Errorf("%d tokens of %d families have no successor or two, or another than they name", broken, families)
	}
}
