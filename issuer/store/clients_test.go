package store

import (
	"encoding/json"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/holdfast-project/holdfast/keys"
	"github.com/holdfast-project/holdfast/replay"
)

func testClients(t *testing.T, s *Store) {
	ctx := t.Context()
	c, err := s.Client(ctx, "client")
	ok(t, err)
	c.Registration = json.RawMessage(`{"client_name":"Tides"}`)
	ok(t, s.UpdateClient(ctx, in(time.Second), c))
	got, err := s.Client(ctx, "client")
	ok(t, err)
	want := Client{ID: "client", Registration: c.Registration, Version: 2, Created: now, Changed: in(time.Second)}
	if diff := cmp.Diff(got, want); diff != "" {
		t.Errorf("after a change (-got +want):\n%s", diff)
	}
	refuses(t, s, Conflict, func() error { return s.UpdateClient(ctx, now, c) }) // c is version 1
	refuses(t, s, Conflict, func() error { return s.CreateClient(ctx, now, aClient("client")) })
	refuses(t, s, Conflict, func() error { return s.UpdateClient(ctx, now, aClient("nobody")) })
	refuses(t, s, Conflict, func() error { return s.DeleteClient(ctx, now, "client", 1) })
	refuses(t, s, NotFound, func() error { _, err := s.Client(ctx, "nobody"); return err })

	ok(t, s.DeleteClient(ctx, now, "client", 2))
	refuses(t, s, NotFound, func() error { _, err := s.Client(ctx, "client"); return err })
	refuses(t, s, Conflict, func() error { return s.CreateClient(ctx, now, aClient("client")) }) // its tokens may be about
	refuses(t, s, Conflict, func() error { return s.DeleteClient(ctx, now, "client", 3) })
}

// testLists pages through what is listed, in the order of bytes: capital letters first.
func testLists(t *testing.T, s *Store) {
	ctx := t.Context()
	for _, id := range []string{"b", "B", "a", "ä"} {
		ok(t, s.CreateClient(ctx, now, aClient(id)))
		ok(t, s.CreateUser(ctx, now, aUser(id)))
		ok(t, s.CreateGrant(ctx, now, aGrant(id), nil))
	}
	for _, tc := range []struct {
		name string
		page func(after string) ([]string, error)
		want []string
	}{
		{"clients", func(after string) ([]string, error) {
			return ids(func(c Client) string { return c.ID })(s.Clients(ctx, after, 2))
		}, []string{"B", "a", "b", "client", "ä"}},
		{"users", func(after string) ([]string, error) {
			return ids(func(u User) string { return u.ID })(s.Users(ctx, after, 2))
		}, []string{"B", "a", "ada", "b", "ä"}},
		{"grants of a client", func(after string) ([]string, error) {
			return ids(func(g Grant) string { return g.ID })(s.Grants(ctx, Parties{ClientID: "client"}, after, 2))
		}, []string{"B", "a", "b", "code-grant", "grant", "ä"}},
		{"grants of both", func(after string) ([]string, error) {
			return ids(func(g Grant) string { return g.ID })(s.Grants(ctx, Parties{"client", "ada"}, after, 2))
		}, []string{"B", "a", "b", "code-grant", "grant", "ä"}},
		{"grants of nobody", func(after string) ([]string, error) {
			return ids(func(g Grant) string { return g.ID })(s.Grants(ctx, Parties{"client", "bob"}, after, 2))
		}, nil},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var got []string
			for after := ""; ; after = got[len(got)-1] {
				page, err := tc.page(after)
				ok(t, err)
				if got = append(got, page...); len(page) < 2 {
					break
				}
			}
			if diff := cmp.Diff(got, tc.want); diff != "" {
				t.Errorf("(-got +want):\n%s", diff)
			}
		})
	}
	for _, limit := range []int{0, -1, maxList + 1} {
		_, err := s.Clients(ctx, "", limit)
		wantReason(t, err, Invalid)
		_, err = s.Users(ctx, "", limit)
		wantReason(t, err, Invalid)
		_, err = s.Grants(ctx, Parties{Subject: "ada"}, "", limit)
		wantReason(t, err, Invalid)
	}
	_, err := s.Grants(ctx, Parties{}, "", 1)
	wantReason(t, err, Invalid)
}

func ids[T any](id func(T) string) func([]T, error) ([]string, error) {
	return func(list []T, err error) ([]string, error) {
		var names []string
		for _, v := range list {
			names = append(names, id(v))
		}
		return names, err
	}
}

func testClaims(t *testing.T, s *Store) {
	ctx := t.Context()
	refuses(t, s, Used, func() error {
		err := s.UseOnce(ctx, now, aClaim("used"))
		if !errors.Is(err, replay.ErrReplayed) {
			t.Errorf("got %v, want replay.ErrReplayed in it", err)
		}
		return err
	})
	refuses(t, s, Expired, func() error {
		err := s.UseOnce(ctx, in(time.Minute), aClaim("late"))
		if !errors.Is(err, replay.ErrExpired) {
			t.Errorf("got %v, want replay.ErrExpired in it", err)
		}
		return err
	})
	refuses(t, s, Invalid, func() error { return s.UseOnce(ctx, now, aClaim("")) })

	another := aClaim("used")
	another.Owner = keys.Thumbprint{2}
	ok(t, s.UseOnce(ctx, now, another)) // the id of another owner
	ok(t, s.UseOnce(ctx, now, aClaim("NUL \x00 and \xff, which are text to nobody")))

	// Of several ids, all or none.
	refuses(t, s, Used, func() error {
		return s.PushRequest(ctx, now, aPushedRequest("p2"), aClaim("new"), aClaim("used"))
	})
	var many []replay.Claim
	for i := range maxClaims + 1 {
		many = append(many, aClaim(fmt.Sprint(i)))
	}
	refuses(t, s, Invalid, func() error { return s.PushRequest(ctx, now, aPushedRequest("p2"), many...) })
	ok(t, s.PushRequest(ctx, now, aPushedRequest("p2"), many[1:]...))
	refuses(t, s, Used, func() error { return s.UseOnce(ctx, now, many[1]) })
}

func testSigningKeys(t *testing.T, s *Store) {
	ctx := t.Context()
	before := dump(t, s)
	got, err := s.AddSigningKey(ctx, in(time.Second), aSigningKey("other", 0))
	ok(t, err)
	want := aSigningKey("k0", 0)
	want.Created = now
	if diff := cmp.Diff(got, want); diff != "" {
		t.Errorf("adding a second key of a period gives (-got +want):\n%s", diff)
	}
	if diff := cmp.Diff(before, dump(t, s)); diff != "" {
		t.Errorf("and changes (-before +after):\n%s", diff)
	}
	refuses(t, s, Conflict, func() error { _, err := s.AddSigningKey(ctx, now, aSigningKey("k0", 1)); return err })
	refuses(t, s, NotFound, func() error { return s.DeleteSigningKey(ctx, "k7") })

	ed := aSigningKey("ed", 0) // of the same period, for another algorithm
	ed.Algorithm = "Ed25519"
	for _, k := range []SigningKey{aSigningKey("k2", 2), ed, aSigningKey("k1", 1)} {
		_, err := s.AddSigningKey(ctx, now, k)
		ok(t, err)
	}
	ok(t, s.DeleteSigningKey(ctx, "k1"))
	_, err = s.AddSigningKey(ctx, now, aSigningKey("k1b", 1))
	ok(t, err)
	order, err := ids(func(k SigningKey) string { return k.KeyID })(s.SigningKeys(ctx))
	ok(t, err)
	if diff := cmp.Diff(order, []string{"k0", "ed", "k1b", "k2"}); diff != "" {
		t.Errorf("keys (-got +want):\n%s", diff)
	}
}
