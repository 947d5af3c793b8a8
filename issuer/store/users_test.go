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
		"passkey":    func() error { return s.AddPasskey(ctx, now, anInteraction("plain", ""), aPasskey("new", "ada")) },
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
	addPasskey(t, s, in(time.Second), aPasskey("second", "ada"))
	plain := anInteraction("plain", "")
	refuses(t, s, Conflict, func() error { return s.AddPasskey(ctx, now, plain, aPasskey("key", "bob")) })
	refuses(t, s, Conflict, func() error { return s.AddPasskey(ctx, now, anInteraction("ceremony", ""), aPasskey("third", "bob")) }) // ended
	refuses(t, s, Conflict, func() error { return s.AddPasskey(ctx, plain.Expires, plain, aPasskey("third", "bob")) })

	order, err := ids(func(p Passkey) string { return string(p.ID) })(s.Passkeys(ctx, "ada"))
	ok(t, err)
	if diff := cmp.Diff(order, []string{"key", "second"}); diff != "" {
		t.Errorf("passkeys (-got +want):\n%s", diff)
	}
	refuses(t, s, NotFound, func() error { return s.DeletePasskey(ctx, "bob", []byte("key")) })
	ok(t, s.DeletePasskey(ctx, "ada", []byte("key")))
	refuses(t, s, NotFound, func() error { _, _, err := s.Passkey(ctx, []byte("key")); return err })
	refuses(t, s, Last, func() error { return s.DeletePasskey(ctx, "ada", []byte("second")) })
	refuses(t, s, NotFound, func() error { return s.DeletePasskey(ctx, "nobody", []byte("second")) })
	disable(t, s)
	refuses(t, s, Disabled, func() error { _, _, err := s.Passkey(ctx, []byte("second")); return err })
	refuses(t, s, Disabled, func() error { return s.AddPasskey(ctx, now, plain, aPasskey("third", "ada")) })
}

func testPasskeyLogins(t *testing.T, s *Store) {
	ctx := t.Context()
	ok(t, s.CreateUser(ctx, now, aUser("bob")))
	plain := anInteraction("plain", "")
	p := aPasskey("key", "ada")
	p.SignCount, p.Credential = 9, json.RawMessage(`{"alg":-7,"bs":true}`)
	good := aLogin(plain, p, 7, "new")
	for _, tc := range []struct {
		name   string
		at     time.Time
		change func(l *PasskeyLogin)
		want   Reason
	}{
		{"the ceremony has ended", now, func(l *PasskeyLogin) { l.Ceremony = anInteraction("ceremony", "") }, Conflict},
		{"the ceremony is another browser's", now, func(l *PasskeyLogin) { l.Ceremony.Cookie = HashOf("another") }, Conflict},
		{"the ceremony has expired", plain.Expires, func(*PasskeyLogin) {}, Conflict},
		{"another login with that count was faster", now, func(l *PasskeyLogin) { l.Was = 8 }, Conflict},
		{"another user's passkey", now, func(l *PasskeyLogin) { l.Passkey.UserID, l.Session.UserID = "bob", "bob" }, Conflict},
		{"another user's session", now, func(l *PasskeyLogin) { l.Session.UserID = "bob" }, Invalid},
		{"no such passkey", now, func(l *PasskeyLogin) { l.Passkey.ID = []byte("third") }, Conflict},
		{"the cookie is taken", now, func(l *PasskeyLogin) { l.Session.Cookie = HashOf("cookie") }, Conflict},
		{"no session", now, func(l *PasskeyLogin) { l.Session = Session{} }, Invalid},
	} {
		t.Run(tc.name, func(t *testing.T) {
			l := good
			tc.change(&l)
			refuses(t, s, tc.want, func() error { return s.LogIn(ctx, tc.at, l) })
		})
	}
	ok(t, s.LogIn(ctx, in(time.Second), good))
	got, _, err := s.Passkey(ctx, []byte("key"))
	ok(t, err)
	p.Created, p.UsedAt = now, in(time.Second)
	if diff := cmp.Diff(got, p); diff != "" {
		t.Errorf("after a login (-got +want):\n%s", diff)
	}
	if _, u, err := s.Session(ctx, in(time.Second), HashOf("new")); err != nil || u.ID != "ada" {
		t.Errorf("got a session of %q, %v", u.ID, err)
	}
	refuses(t, s, Conflict, func() error { return s.LogIn(ctx, now, aLogin(plain, p, 9, "newer")) }) // again
	ok(t, s.LogIn(ctx, now, aLogin(aCeremony(t, s, "again"), p, 9, "newer")))                        // an authenticator that doesn't count
	last := aCeremony(t, s, "last")
	disable(t, s)
	refuses(t, s, Disabled, func() error { return s.LogIn(ctx, now, aLogin(last, p, 9, "newest")) })
}

func testInvitations(t *testing.T, s *Store) {
	ctx := t.Context()
	ok(t, s.CreateUser(ctx, now, aUser("bob")))
	ok(t, s.CreateInvitation(ctx, now, anInvitation("for ada", "ada")))
	ceremony := aCeremony(t, s, "new")
	enrol := func(at time.Time, secret string, p Passkey) func() error {
		return func() error { return s.Enrol(ctx, at, HashOf(secret), ceremony, p) }
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
		{"the ceremony has expired", "invitation", in(30 * time.Minute), aPasskey("new", "ada"), Conflict},
	} {
		t.Run(tc.name, func(t *testing.T) { refuses(t, s, tc.want, enrol(tc.at, tc.secret, tc.key)) })
	}
	refuses(t, s, Conflict, func() error { return s.CreateInvitation(ctx, now, anInvitation("invitation", "bob")) })
	refuses(t, s, Conflict, func() error {
		return s.Enrol(ctx, now, HashOf("invitation"), anInteraction("ceremony", ""), aPasskey("new", "ada")) // ended
	})
	ok(t, enrol(now, "invitation", aPasskey("new", "ada"))())
	if _, _, err := s.Passkey(ctx, []byte("new")); err != nil {
		t.Error(err)
	}
	refuses(t, s, Used, enrol(now, "invitation", aPasskey("newer", "ada")))
	refuses(t, s, Used, func() error { _, _, err := s.Invitation(ctx, now, HashOf("invitation")); return err })
	disable(t, s)
	refuses(t, s, NotFound, enrol(now, "for ada", aPasskey("newer", "ada"))) // taken back
	refuses(t, s, Disabled, func() error { return s.CreateInvitation(ctx, now, anInvitation("again", "ada")) })
}

// testDisabling: what was granted and begun ends with the user, for good.
func testDisabling(t *testing.T, s *Store) {
	ctx := t.Context()
	ok(t, s.CreateUser(ctx, now, aUser("bob")))
	ok(t, s.CreateSession(ctx, now, aSession("bob's", "bob")))
	bobs := aGrant("bob's")
	bobs.Subject = "bob"
	token := aToken("bob's")
	ok(t, s.CreateGrant(ctx, now, bobs, &token))
	elsewhere := aGrant("elsewhere")
	elsewhere.Subject = "https://idp.example|ada" // no user of ours
	ok(t, s.CreateGrant(ctx, now, elsewhere, nil))
	ok(t, s.CreateGrant(ctx, now, aGrant("before"), nil))
	ok(t, s.RevokeGrant(ctx, now, "before", "logged out"))

	disable(t, s)
	refuses(t, s, Revoked, func() error { _, _, err := s.Rotate(ctx, in(time.Second), aRotation("r1", "r2")); return err })
	refuses(t, s, Revoked, func() error { return s.RedeemCode(ctx, now, Redemption{Code: HashOf("code")}) })
	refuses(t, s, NotFound, func() error { _, _, err := s.Session(ctx, now, HashOf("cookie")); return err })
	refuses(t, s, Disabled, func() error { return s.CreateSession(ctx, now, aSession("new", "ada")) })
	refuses(t, s, Disabled, func() error { return s.CreateGrant(ctx, now, aGrant("new"), nil) })
	page := anInteraction("page", "pushed")
	refuses(t, s, Disabled, func() error {
		return s.CompleteAuthorization(ctx, now, Approval{Interaction: &page, Grant: aGrant("new"), Code: aCode("new")})
	})
	if revoked, err := s.TokenRevoked(ctx, "another jti", "grant"); err != nil || !revoked {
		t.Errorf("the access tokens: revoked %t, %v", revoked, err)
	}
	for id, why := range map[string]string{
		"grant": RevokedForDisabling, "code-grant": RevokedForDisabling, "before": "logged out", "bob's": "", "elsewhere": "",
	} {
		if g, err := s.Grant(ctx, id); err != nil || g.RevokedWhy != why {
			t.Errorf("grant %s: got %q, %v, want %q", id, g.RevokedWhy, err, why)
		}
	}
	if _, _, err := s.Session(ctx, now, HashOf("bob's")); err != nil {
		t.Errorf("another user's session: %v", err)
	}
	rotate(t, s, now, aRotation("bob's", "bob's second"), Rotated)

	u, err := s.User(ctx, "ada")
	ok(t, err)
	u.Disabled = false
	ok(t, s.UpdateUser(ctx, in(time.Minute), u))
	refuses(t, s, Revoked, func() error { _, _, err := s.Rotate(ctx, in(time.Minute), aRotation("r1", "r2")); return err })
	ok(t, s.CreateSession(ctx, in(time.Minute), aSession("new", "ada")))
	if _, _, err := s.Passkey(ctx, []byte("key")); err != nil {
		t.Error(err)
	}
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
