package store

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func testPushedRequests(t *testing.T, s *Store) {
	ctx := t.Context()
	handle := HashOf("pushed")
	for range 3 { // visiting is no use
		if _, err := s.PushedRequest(ctx, in(59*time.Second), handle); err != nil {
			t.Error(err)
		}
	}
	visit := func(at time.Time, handle Hash) func() error {
		return func() error { _, err := s.PushedRequest(ctx, at, handle); return err }
	}
	refuses(t, s, NotFound, visit(now, HashOf("another")))
	refuses(t, s, Expired, visit(in(time.Minute), handle))
	refuses(t, s, Conflict, func() error { return s.PushRequest(ctx, now, aPushedRequest("pushed"), aClaim("new")) })

	approve := func(at time.Time, handle string) func() error {
		return func() error {
			return s.CompleteAuthorization(ctx, at, Approval{PushedRequest: HashOf(handle), Grant: aGrant("g"), Code: aCode("c")})
		}
	}
	refuses(t, s, NotFound, approve(now, "another"))
	late := aCode("c")
	late.Expires = in(2 * time.Minute)
	refuses(t, s, Expired, func() error {
		return s.CompleteAuthorization(ctx, in(time.Minute), Approval{PushedRequest: handle, Grant: aGrant("g"), Code: late})
	})
	ok(t, approve(now, "pushed")())
	refuses(t, s, Used, visit(now, handle))
	refuses(t, s, Used, approve(now, "pushed"))
	refuses(t, s, Used, func() error { return s.CreateInteraction(ctx, now, anInteraction("new", "pushed")) })
	// The interaction that began with it can't complete any more, nor end as if nothing had been.
	page := anInteraction("page", "pushed")
	refuses(t, s, Used, func() error {
		return s.CompleteAuthorization(ctx, now, Approval{Interaction: &page, Grant: aGrant("g2"), Code: aCode("c2")})
	})
	refuses(t, s, Used, func() error { return s.EndInteraction(ctx, now, page) })
}

func testInteractions(t *testing.T, s *Store) {
	ctx := t.Context()
	page := anInteraction("page", "pushed")
	find := func(at time.Time, id, cookie Hash) func() error {
		return func() error { _, err := s.Interaction(ctx, at, id, cookie); return err }
	}
	refuses(t, s, NotFound, find(now, page.ID, HashOf("another browser's")))
	refuses(t, s, NotFound, find(now, HashOf("another"), page.Cookie))
	refuses(t, s, Expired, find(page.Expires, page.ID, page.Cookie))
	refuses(t, s, NotFound, func() error { return s.CreateInteraction(ctx, now, anInteraction("new", "unknown")) })
	refuses(t, s, Expired, func() error { return s.CreateInteraction(ctx, in(time.Minute), anInteraction("new", "pushed")) })
	refuses(t, s, Conflict, func() error { return s.CreateInteraction(ctx, now, anInteraction("page", "pushed")) })

	page.State = json.RawMessage(`{"step":"consent"}`)
	page.Request = json.RawMessage(`{"scope":"everything"}`) // doesn't change
	ok(t, s.UpdateInteraction(ctx, now, page))
	got, err := s.Interaction(ctx, now, page.ID, page.Cookie)
	ok(t, err)
	want := anInteraction("page", "pushed")
	want.State, want.Version, want.Created = page.State, 2, now
	if diff := cmp.Diff(got, want); diff != "" {
		t.Errorf("after a change (-got +want):\n%s", diff)
	}

	// Each differs from what is current in one thing, and neither changes nor ends it.
	for _, tc := range []struct {
		name   string
		at     time.Time
		modify func(i *Interaction)
	}{
		{"another tab was faster", now, func(i *Interaction) { i.Version = 1 }},
		{"another browser", now, func(i *Interaction) { i.Cookie = HashOf("another") }},
		{"another interaction", now, func(i *Interaction) { i.ID = HashOf("another") }},
		{"too late", want.Expires, func(*Interaction) {}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			i := want
			tc.modify(&i)
			refuses(t, s, Conflict, func() error { return s.UpdateInteraction(ctx, tc.at, i) })
			refuses(t, s, Conflict, func() error { return s.EndInteraction(ctx, tc.at, i) })
			refuses(t, s, Conflict, func() error {
				code := aCode("new")
				code.Expires = in(time.Hour)
				return s.CompleteAuthorization(ctx, tc.at, Approval{Interaction: &i, Grant: aGrant("new"), Code: code})
			})
		})
	}

	ok(t, s.EndInteraction(ctx, now, want))
	refuses(t, s, Used, find(now, page.ID, page.Cookie))
	refuses(t, s, Used, func() error { _, err := s.PushedRequest(ctx, now, HashOf("pushed")); return err })
	want.Version = 3
	refuses(t, s, Conflict, func() error { return s.UpdateInteraction(ctx, now, want) })
	ok(t, s.EndInteraction(ctx, now, anInteraction("plain", "")))
	plain := anInteraction("plain", "")
	plain.Version = 2 // as it is now, had it not ended
	refuses(t, s, Conflict, func() error { return s.EndInteraction(ctx, now, plain) })
}

func testAuthorizations(t *testing.T, s *Store) {
	ctx := t.Context()
	page := anInteraction("page", "pushed")
	good := Approval{Interaction: &page, Grant: aGrant("g"), Code: aCode("c")}
	for _, tc := range []struct {
		name   string
		modify func(a *Approval)
		want   Reason
	}{
		{"both kinds of request", func(a *Approval) { a.PushedRequest = HashOf("pushed") }, Invalid},
		{"a grant that exists", func(a *Approval) { a.Grant.ID = "grant" }, Conflict},
		{"a code that exists", func(a *Approval) { a.Code.Hash = HashOf("code") }, Conflict},
		{"a code that outlives its grant", func(a *Approval) { a.Grant.Expires = in(time.Second) }, Invalid},
		{"an expired code", func(a *Approval) { a.Code.Expires = now }, Invalid},
		{"an expired grant", func(a *Approval) { a.Grant.Expires = now }, Invalid},
	} {
		t.Run(tc.name, func(t *testing.T) {
			a := good
			tc.modify(&a)
			refuses(t, s, tc.want, func() error { return s.CompleteAuthorization(ctx, now, a) })
		})
	}

	// The pushed request has expired while the user logged in: it was visited in time.
	later := good
	later.Code.Expires = in(4 * time.Minute)
	later.Interaction = &page
	later.Code.GrantID = "grant" // the store knows better
	ok(t, s.CompleteAuthorization(ctx, in(3*time.Minute), later))
	c, g, err := s.Code(ctx, HashOf("c"))
	ok(t, err)
	if c.GrantID != "g" || g.ID != "g" {
		t.Errorf("got a code of grant %q, %q, want g", c.GrantID, g.ID)
	}
	refuses(t, s, Conflict, func() error { return s.CompleteAuthorization(ctx, in(3*time.Minute), later) })
	refuses(t, s, Used, func() error { _, err := s.PushedRequest(ctx, now, HashOf("pushed")); return err })
}
