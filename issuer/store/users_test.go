package store

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func testUsers(t *testing.T, s *Store) {
	ctx := t.Context()
	ok(t, s.CreateUser(ctx, now, aUser("bob")))
	u, err := s.User(ctx, "bob")
	ok(t, err)
	u.DisplayName, u.Disabled = "Bob", true
	ok(t, s.UpdateUser(ctx, in(time.Second), u))
	got, err := s.UserByName(ctx, "bob@example")
	ok(t, err)
	want := u
	want.Version, want.Changed = 2, in(time.Second)
	if diff := cmp.Diff(got, want); diff != "" {
		t.Errorf("after a change (-got +want):\n%s", diff)
	}
	refuses(t, s, Conflict, func() error { return s.UpdateUser(ctx, now, u) }) // u is version 1
	taken := want
	taken.Name = "ada@example"
	refuses(t, s, Conflict, func() error { return s.UpdateUser(ctx, now, taken) })
	refuses(t, s, Conflict, func() error { return s.CreateUser(ctx, now, aUser("bob")) })
	sameName := aUser("bob2")
	sameName.Name = "bob@example"
	refuses(t, s, Conflict, func() error { return s.CreateUser(ctx, now, sameName) })
	refuses(t, s, NotFound, func() error { _, err := s.User(ctx, "nobody"); return err })
	refuses(t, s, NotFound, func() error { _, err := s.UserByName(ctx, "Ada@example"); return err })
	refuses(t, s, Conflict, func() error { return s.DeleteUser(ctx, "bob", 1) })

	ok(t, s.DeleteUser(ctx, "ada", 1)) // and all that is ada's
	refuses(t, s, NotFound, func() error { _, _, err := s.Passkey(ctx, []byte("key")); return err })
	refuses(t, s, NotFound, func() error { _, _, err := s.Session(ctx, now, HashOf("cookie")); return err })
	refuses(t, s, NotFound, func() error { _, _, err := s.Invitation(ctx, now, HashOf("invitation")); return err })
	refuses(t, s, NotFound, func() error { _, err := s.Consent(ctx, now, "ada", "client"); return err })
	if _, err := s.Grant(ctx, "grant"); err != nil {
		t.Errorf("the grant of a deleted user: %v", err)
	}
	for name, create := range map[string]func() error{
		"passkey":    func() error { return s.AddPasskey(ctx, now, aPasskey("new", "ada")) },
		"session":    func() error { return s.CreateSession(ctx, now, aSession("new", "ada")) },
		"invitation": func() error { return s.CreateInvitation(ctx, now, anInvitation("new", "ada")) },
		"consent":    func() error { return s.PutConsent(ctx, now, aConsent("ada", "client")) },
	} {
		t.Run(name+" of nobody", func(t *testing.T) { refuses(t, s, NotFound, create) })
	}
}

// disable disables ada.
func disable(t *testing.T, s *Store) {
	t.Helper()
	u, err := s.User(t.Context(), "ada")
	ok(t, err)
	u.Disabled = true
	ok(t, s.UpdateUser(t.Context(), now, u))
}

func testPasskeys(t *testing.T, s *Store) {
	ctx := t.Context()
	ok(t, s.CreateUser(ctx, now, aUser("bob")))
	ok(t, s.AddPasskey(ctx, in(time.Second), aPasskey("second", "ada")))
	refuses(t, s, Conflict, func() error { return s.AddPasskey(ctx, now, aPasskey("key", "bob")) })

	p := aPasskey("key", "ada")
	p.SignCount, p.Credential = 9, json.RawMessage(`{"alg":-7,"bs":true}`)
	ok(t, s.UsePasskey(ctx, in(time.Second), p, 7))
	got, _, err := s.Passkey(ctx, []byte("key"))
	ok(t, err)
	p.Created, p.UsedAt = now, in(time.Second)
	if diff := cmp.Diff(got, p); diff != "" {
		t.Errorf("after a use (-got +want):\n%s", diff)
	}
	refuses(t, s, Conflict, func() error { return s.UsePasskey(ctx, now, p, 7) }) // a use with the same count was faster
	refuses(t, s, Conflict, func() error { return s.UsePasskey(ctx, now, aPasskey("key", "bob"), 9) })
	refuses(t, s, Conflict, func() error { return s.UsePasskey(ctx, now, aPasskey("third", "ada"), 7) })
	ok(t, s.UsePasskey(ctx, in(time.Second), p, 9)) // an authenticator that doesn't count

	order, err := ids(func(p Passkey) string { return string(p.ID) })(s.Passkeys(ctx, "ada"))
	ok(t, err)
	if diff := cmp.Diff(order, []string{"key", "second"}); diff != "" {
		t.Errorf("passkeys (-got +want):\n%s", diff)
	}
	refuses(t, s, NotFound, func() error { return s.DeletePasskey(ctx, "bob", []byte("key")) })
	ok(t, s.DeletePasskey(ctx, "ada", []byte("key")))
	refuses(t, s, NotFound, func() error { _, _, err := s.Passkey(ctx, []byte("key")); return err })
	disable(t, s)
	refuses(t, s, Disabled, func() error { _, _, err := s.Passkey(ctx, []byte("second")); return err })
}

func testInvitations(t *testing.T, s *Store) {
	ctx := t.Context()
	ok(t, s.CreateUser(ctx, now, aUser("bob")))
	ok(t, s.CreateInvitation(ctx, now, anInvitation("for ada", "ada")))
	enrol := func(at time.Time, secret string, p Passkey) func() error {
		return func() error { return s.Enrol(ctx, at, HashOf(secret), p) }
	}
	for _, tc := range []struct {
		name   string
		secret string
		at     time.Time
		key    Passkey
		want   Reason
	}{
		{"unknown", "another", now, aPasskey("new", "ada"), NotFound},
		{"another user's", "invitation", now, aPasskey("new", "bob"), NotFound},
		{"expired", "invitation", in(time.Hour), aPasskey("new", "ada"), Expired},
		{"credential id taken", "invitation", now, aPasskey("key", "ada"), Conflict},
		{"no credential id", "invitation", now, aPasskey("", "ada"), Invalid},
	} {
		t.Run(tc.name, func(t *testing.T) { refuses(t, s, tc.want, enrol(tc.at, tc.secret, tc.key)) })
	}
	refuses(t, s, Conflict, func() error { return s.CreateInvitation(ctx, now, anInvitation("invitation", "bob")) })
	ok(t, enrol(now, "invitation", aPasskey("new", "ada"))())
	if _, _, err := s.Passkey(ctx, []byte("new")); err != nil {
		t.Error(err)
	}
	refuses(t, s, Used, enrol(now, "invitation", aPasskey("newer", "ada")))
	refuses(t, s, Used, func() error { _, _, err := s.Invitation(ctx, now, HashOf("invitation")); return err })
	disable(t, s)
	refuses(t, s, Disabled, enrol(now, "for ada", aPasskey("newer", "ada")))
}

func testSessions(t *testing.T, s *Store) {
	ctx := t.Context()
	find := func(at time.Time, cookie string) func() error {
		return func() error { _, _, err := s.Session(ctx, at, HashOf(cookie)); return err }
	}
	refuses(t, s, NotFound, find(now, "another"))
	refuses(t, s, Expired, find(in(8*time.Hour), "cookie"))
	refuses(t, s, Conflict, func() error { return s.CreateSession(ctx, now, aSession("cookie", "ada")) })
	for _, cookie := range []string{"second", "third"} {
		ok(t, s.CreateSession(ctx, now, aSession(cookie, "ada")))
	}
	ok(t, s.DeleteSession(ctx, HashOf("second")))
	ok(t, s.DeleteSession(ctx, HashOf("second"))) // again
	refuses(t, s, NotFound, find(now, "second"))
	ok(t, find(now, "third")())
	disable(t, s)
	refuses(t, s, Disabled, find(now, "third"))
	if n, err := s.DeleteSessions(ctx, "ada"); err != nil || n != 2 {
		t.Errorf("ended %d sessions, %v, want 2", n, err)
	}
	refuses(t, s, NotFound, find(now, "third"))
}

func testConsents(t *testing.T, s *Store) {
	ctx := t.Context()
	more := aConsent("ada", "client")
	more.Scope, more.Details = []string{"read", "write"}, nil
	ok(t, s.PutConsent(ctx, in(time.Second), more))
	got, err := s.Consent(ctx, now, "ada", "client")
	ok(t, err)
	more.Granted = in(time.Second)
	if diff := cmp.Diff(got, more); diff != "" {
		t.Errorf("after a second consent (-got +want):\n%s", diff)
	}
	refuses(t, s, NotFound, func() error { _, err := s.Consent(ctx, now, "ada", "another"); return err })
	refuses(t, s, Expired, func() error { _, err := s.Consent(ctx, more.Until, "ada", "client"); return err })
	ok(t, s.DeleteConsent(ctx, "ada", "client"))
	ok(t, s.DeleteConsent(ctx, "ada", "client")) // again
	refuses(t, s, NotFound, func() error { _, err := s.Consent(ctx, now, "ada", "client"); return err })
}
