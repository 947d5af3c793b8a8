package store

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/holdfast-project/holdfast/replay"
)

// testRoundTrip reads one of everything and compares it with what populate has stored.
func testRoundTrip(t *testing.T, s *Store) {
	ctx := t.Context()
	ok(t, s.Ping(ctx))
	client, pushed, page := aClient("client"), aPushedRequest("pushed"), anInteraction("page", "pushed")
	client.Version, client.Created, client.Changed = 1, now, now
	pushed.Created, page.Created = now, now
	grant, codeGrant, code, token := aGrant("grant"), aGrant("code-grant"), aCode("code"), aToken("r1")
	grant.Created, codeGrant.Created, code.Created, token.Created = now, now, now, now
	code.GrantID, token.GrantID, token.Generation = "code-grant", "grant", 1
	user, passkey, invitation, session := aUser("ada"), aPasskey("key", "ada"), anInvitation("invitation", "ada"), aSession("cookie", "ada")
	user.Version, user.Created, user.Changed = 1, now, now
	passkey.Created, invitation.Created, session.Created = now, now, now
	consent, key := aConsent("ada", "client"), aSigningKey("k0", 0)
	consent.Granted, key.Created = now, now

	for _, tc := range []struct {
		name string
		read func() (any, error)
		want any
	}{
		{"client", func() (any, error) { return s.Client(ctx, "client") }, client},
		{"pushed request", func() (any, error) { return s.PushedRequest(ctx, now, pushed.Handle) }, pushed},
		{"interaction", func() (any, error) { return s.Interaction(ctx, now, page.ID, page.Cookie) }, page},
		{"grant", func() (any, error) { return s.Grant(ctx, "grant") }, grant},
		{"code", func() (any, error) { c, g, err := s.Code(ctx, code.Hash); return []any{c, g}, err }, []any{code, codeGrant}},
		{"token", func() (any, error) { r, g, err := s.RefreshToken(ctx, token.Hash); return []any{r, g}, err }, []any{token, grant}},
		{"user", func() (any, error) { return s.User(ctx, "ada") }, user},
		{"user by name", func() (any, error) { return s.UserByName(ctx, "ada@example") }, user},
		{"passkey", func() (any, error) { p, u, err := s.Passkey(ctx, []byte("key")); return []any{p, u}, err }, []any{passkey, user}},
		{"passkeys", func() (any, error) { return s.Passkeys(ctx, "ada") }, []Passkey{passkey}},
		{"invitation", func() (any, error) {
			i, u, err := s.Invitation(ctx, now, invitation.Hash)
			return []any{i, u}, err
		}, []any{invitation, user}},
		{"session", func() (any, error) { e, u, err := s.Session(ctx, now, session.Cookie); return []any{e, u}, err }, []any{session, user}},
		{"consent", func() (any, error) { return s.Consent(ctx, now, "ada", "client") }, consent},
		{"consents", func() (any, error) { return s.Consents(ctx, "ada") }, []Consent{consent}},
		{"signing keys", func() (any, error) { return s.SigningKeys(ctx) }, []SigningKey{key}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got, err := tc.read()
			ok(t, err)
			if diff := cmp.Diff(got, tc.want); diff != "" {
				t.Errorf("(-got +want):\n%s", diff)
			}
		})
	}

	bare := Grant{ID: "bare", ClientID: "c", Subject: "s", Expires: in(time.Hour).Add(1)} // a nanosecond is not kept
	ok(t, s.CreateGrant(ctx, now, bare, nil))
	bare.Created, bare.Expires = now, in(time.Hour)
	got, err := s.Grant(ctx, "bare")
	ok(t, err)
	if diff := cmp.Diff(got, bare); diff != "" {
		t.Errorf("a grant with nothing optional (-got +want):\n%s", diff)
	}
	for name, read := range map[string]func() error{
		"grant":         func() error { _, err := s.Grant(ctx, "nothing"); return err },
		"code":          func() error { _, _, err := s.Code(ctx, HashOf("nothing")); return err },
		"refresh token": func() error { _, _, err := s.RefreshToken(ctx, HashOf("nothing")); return err },
	} {
		t.Run("no "+name, func(t *testing.T) { refuses(t, s, NotFound, read) })
	}
}

func testRedeem(t *testing.T, s *Store) {
	ctx := t.Context()
	short := aGrant("short") // expires with its code
	short.Expires = in(time.Minute)
	ok(t, s.CompleteAuthorization(ctx, now, Approval{Grant: short, Code: aCode("short")}))
	ok(t, s.CompleteAuthorization(ctx, now, Approval{Grant: aGrant("gone"), Code: aCode("gone")}))
	ok(t, s.RevokeGrant(ctx, now, "gone", "a test"))

	first := aToken("first")
	good := Redemption{Code: HashOf("code"), Refresh: &first, Claims: []replay.Claim{aClaim("fresh")}}
	for _, tc := range []struct {
		name   string
		at     time.Time
		modify func(r *Redemption)
		want   Reason
	}{
		{"unknown", now, func(r *Redemption) { r.Code = HashOf("another") }, NotFound},
		{"expired", in(time.Minute), func(r *Redemption) { r.Claims = nil }, Expired},
		{"grant revoked", now, func(r *Redemption) { r.Code = HashOf("gone") }, Revoked},
		{"claim used", now, func(r *Redemption) { r.Claims = []replay.Claim{aClaim("fresh"), aClaim("used")} }, Used},
		{"claim expired", in(time.Minute), func(*Redemption) {}, Expired},
		{"refresh token exists", now, func(r *Redemption) { r.Refresh = ref(aToken("r1")) }, Conflict},
		{"refresh token is none", now, func(r *Redemption) { r.Refresh = &RefreshToken{Expires: in(time.Hour)} }, Invalid},
		{"refresh token outlives the grant", now, func(r *Redemption) { r.Code = HashOf("short") }, Invalid},
		{"no time", time.Time{}, func(*Redemption) {}, Invalid},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r := good
			tc.modify(&r)
			refuses(t, s, tc.want, func() error { return s.RedeemCode(ctx, tc.at, r) })
		})
	}

	ok(t, s.RedeemCode(ctx, now, good))
	c, g, err := s.Code(ctx, HashOf("code"))
	ok(t, err)
	if !c.UsedAt.Equal(now) || !g.RevokedAt.IsZero() {
		t.Errorf("after redeeming: got used %v, revoked %v", c.UsedAt, g.RevokedAt)
	}
	r, _, err := s.RefreshToken(ctx, HashOf("first"))
	ok(t, err)
	if r.GrantID != "code-grant" || r.Generation != 1 {
		t.Errorf("the refresh token is generation %d of %q, want 1 of code-grant", r.Generation, r.GrantID)
	}
	refuses(t, s, Used, func() error { return s.UseOnce(ctx, now, aClaim("fresh")) })

	// Presenting it again revokes everything, if the caller so decides.
	good.Claims, good.Refresh = nil, ref(aToken("second"))
	refuses(t, s, Used, func() error { return s.RedeemCode(ctx, now, good) })
	refuses(t, s, Used, func() error { return s.RedeemCode(ctx, in(time.Hour), good) }) // long after, too
	ok(t, s.RevokeGrant(ctx, now, c.GrantID, "code presented again"))
	refuses(t, s, Revoked, func() error { _, _, err := s.Rotate(ctx, now, aRotation("first", "next")); return err })
	refuses(t, s, Used, func() error { return s.RedeemCode(ctx, now, good) })

	ok(t, s.RedeemCode(ctx, now, Redemption{Code: HashOf("short")})) // without a refresh token
}

func ref[T any](v T) *T { return &v }

func testRevocation(t *testing.T, s *Store) {
	ctx := t.Context()
	revoked := func(jti, grant string) bool {
		t.Helper()
		got, err := s.TokenRevoked(ctx, jti, grant)
		ok(t, err)
		return got
	}
	for _, tc := range []struct {
		name, jti, grant string
		want             bool
	}{
		{"live token of a live grant", "other", "grant", false},
		{"token without a grant", "other", "", false},
		{"revoked token", "jti", "grant", true},
		{"revoked token without a grant", "jti", "", true},
		{"token of a grant that isn't there", "other", "nothing", true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if got := revoked(tc.jti, tc.grant); got != tc.want {
				t.Errorf("got revoked %t, want %t", got, tc.want)
			}
		})
	}
	ok(t, s.RevokeAccessToken(ctx, "jti", in(time.Minute))) // again
	refuses(t, s, Invalid, func() error { return s.RevokeAccessToken(ctx, "", in(time.Minute)) })
	refuses(t, s, Invalid, func() error { return s.RevokeAccessToken(ctx, "x", time.Time{}) })

	refuses(t, s, NotFound, func() error { return s.RevokeGrant(ctx, now, "nothing", "a test") })
	refuses(t, s, Invalid, func() error { return s.RevokeGrant(ctx, now, "grant", "") })
	ok(t, s.RevokeGrant(ctx, in(time.Second), "grant", "logout"))
	if !revoked("other", "grant") {
		t.Error("a token of a revoked grant is not revoked")
	}
	ok(t, s.RevokeGrant(ctx, in(time.Minute), "grant", "again"))
	g, err := s.Grant(ctx, "grant")
	ok(t, err)
	if !g.RevokedAt.Equal(in(time.Second)) || g.RevokedWhy != "logout" {
		t.Errorf("got revoked at %v for %q, want the first time and reason", g.RevokedAt, g.RevokedWhy)
	}
	refuses(t, s, Revoked, func() error { _, _, err := s.Rotate(ctx, now, aRotation("r1", "r2")); return err })
	ok(t, s.RevokeGrant(ctx, now, "code-grant", "a test"))
	refuses(t, s, Revoked, func() error { return s.RedeemCode(ctx, now, Redemption{Code: HashOf("code")}) })
}

func testRevokeGrants(t *testing.T, s *Store) {
	ctx := t.Context()
	for i := range 5 {
		g := aGrant(fmt.Sprint("g", i))
		g.Subject = "bob"
		ok(t, s.CreateGrant(ctx, now, g, nil))
	}
	expired := aGrant("expired")
	expired.Subject, expired.Expires = "bob", in(time.Second)
	ok(t, s.CreateGrant(ctx, now, expired, nil))
	refuses(t, s, Invalid, func() error { _, err := s.RevokeGrants(ctx, now, Parties{}, "a test", 10); return err })
	refuses(t, s, Invalid, func() error { _, err := s.RevokeGrants(ctx, now, Parties{Subject: "bob"}, "", 10); return err })
	refuses(t, s, Invalid, func() error { _, err := s.RevokeGrants(ctx, now, Parties{Subject: "bob"}, "a test", 0); return err })
	for _, tc := range []struct {
		of   Parties
		want int
	}{
		{Parties{ClientID: "other", Subject: "bob"}, 0},
		{Parties{Subject: "bob"}, 3},
		{Parties{Subject: "bob"}, 2},
		{Parties{Subject: "bob"}, 0},
		{Parties{ClientID: "client", Subject: "ada"}, 2},
		{Parties{ClientID: "client"}, 0},
	} {
		n, err := s.RevokeGrants(ctx, in(time.Minute), tc.of, "a test", 3)
		ok(t, err)
		if n != tc.want {
			t.Errorf("%+v: revoked %d, want %d", tc.of, n, tc.want)
		}
	}
}

// testInvalid stores what PostgreSQL refuses in its own words, and what SQLite would take.
func testInvalid(t *testing.T, s *Store) {
	ctx := t.Context()
	for name, json := range map[string]json.RawMessage{
		"not JSON":          json.RawMessage(`{`),
		"not an object":     json.RawMessage(`[]`),
		"a duplicate":       json.RawMessage(`{"a":1,"a":2}`),
		"something behind":  json.RawMessage(`{} {}`),
		"invalid UTF-8":     json.RawMessage("{\"a\":\"\xff\"}"),
		"a NUL":             json.RawMessage("{\"a\":\"\x00\"}"),
		"64 KiB and a byte": json.RawMessage(`{"a":"` + string(make([]byte, maxJSON)) + `"}`),
		"nothing":           nil,
	} {
		t.Run(name, func(t *testing.T) {
			c := aClient("new")
			c.Registration = json
			refuses(t, s, Invalid, func() error { return s.CreateClient(ctx, now, c) })
		})
	}
	for name, id := range map[string]string{
		"no id": "", "a NUL in an id": "a\x00", "a line break in an id": "a\n", "invalid UTF-8 in an id": "\xff",
		"a long id": string(make([]byte, maxID+1)),
	} {
		t.Run(name, func(t *testing.T) {
			refuses(t, s, Invalid, func() error { return s.CreateClient(ctx, now, aClient(id)) })
			refuses(t, s, Invalid, func() error { return s.CreateUser(ctx, now, aUser(id)) })
			refuses(t, s, Invalid, func() error { return s.CreateGrant(ctx, now, aGrant(id), nil) })
			refuses(t, s, Invalid, func() error { return s.PutConsent(ctx, now, aConsent("ada", id)) })
		})
	}
	for _, tc := range []struct {
		name string
		call func() error
	}{
		{"no handle", func() error { p := aPushedRequest("x"); p.Handle = Hash{}; return s.PushRequest(ctx, now, p) }},
		{"expired when pushed", func() error { p := aPushedRequest("x"); p.Expires = now; return s.PushRequest(ctx, now, p) }},
		{"no cookie", func() error {
			i := anInteraction("x", "")
			i.Cookie = Hash{}
			return s.CreateInteraction(ctx, now, i)
		}},
		{"an empty scope token", func() error { g := aGrant("x"); g.Scope = []string{""}; return s.CreateGrant(ctx, now, g, nil) }},
		{"too many scope tokens", func() error {
			g := aGrant("x")
			for i := range maxStrings + 1 {
				g.Scope = append(g.Scope, fmt.Sprint(i))
			}
			return s.CreateGrant(ctx, now, g, nil)
		}},
		{"details that are no array", func() error {
			g := aGrant("x")
			g.AuthorizationDetails = json.RawMessage(`{}`)
			return s.CreateGrant(ctx, now, g, nil)
		}},
		{"a year with five digits", func() error {
			g := aGrant("x")
			g.Expires = latest.Add(time.Second)
			return s.CreateGrant(ctx, now, g, nil)
		}},
		{"before 1970", func() error { return s.CreateClient(ctx, time.Unix(-1, 0), aClient("x")) }},
		{"a long redirect URI", func() error {
			c := aCode("x")
			c.RedirectURI = string(make([]byte, maxText+1))
			return s.CompleteAuthorization(ctx, now, Approval{Grant: aGrant("x"), Code: c})
		}},
		{"no sealed key", func() error {
			k := aSigningKey("x", 1)
			k.Sealed = nil
			_, err := s.AddSigningKey(ctx, now, k)
			return err
		}},
		{"signs before it is published", func() error {
			k := aSigningKey("x", 1)
			k.SignFrom = k.PublishFrom.Add(-1)
			_, err := s.AddSigningKey(ctx, now, k)
			return err
		}},
		{"signs after it is published", func() error {
			k := aSigningKey("x", 1)
			k.PublishUntil = k.SignUntil.Add(-1)
			_, err := s.AddSigningKey(ctx, now, k)
			return err
		}},
		{"never signs", func() error {
			k := aSigningKey("x", 1)
			k.SignUntil = k.SignFrom
			_, err := s.AddSigningKey(ctx, now, k)
			return err
		}},
		{"a long credential id", func() error {
			p := aPasskey("x", "ada")
			p.ID = make([]byte, maxCredential+1)
			return s.AddPasskey(ctx, now, anInteraction("plain", ""), p)
		}},
		{"a count beyond 32 bits", func() error {
			p := aPasskey("x", "ada")
			p.SignCount = 1 << 32
			return s.AddPasskey(ctx, now, anInteraction("plain", ""), p)
		}},
		{"a session without an authentication", func() error {
			e := aSession("x", "ada")
			e.AuthTime = time.Time{}
			return s.CreateSession(ctx, now, e)
		}},
		{"an expired invitation", func() error {
			i := anInvitation("x", "ada")
			i.Expires = now
			return s.CreateInvitation(ctx, now, i)
		}},
		{"an expired consent", func() error { c := aConsent("ada", "x"); c.Until = now; return s.PutConsent(ctx, now, c) }},
	} {
		t.Run(tc.name, func(t *testing.T) { refuses(t, s, Invalid, tc.call) })
	}
}

// testOddNames looks things up by what a peer may send as a name, and no row can have.
func testOddNames(t *testing.T, s *Store) {
	ctx := t.Context()
	for name, id := range map[string]string{"empty": "", "a NUL": "client\x00", "invalid UTF-8": "\xff", "long": strings.Repeat("x", 1<<17)} {
		t.Run(name, func(t *testing.T) {
			refuses(t, s, NotFound, func() error { _, err := s.Client(ctx, id); return err })
			refuses(t, s, NotFound, func() error { _, err := s.UserByName(ctx, id); return err })
			refuses(t, s, NotFound, func() error { _, err := s.Grant(ctx, id); return err })
			refuses(t, s, NotFound, func() error { return s.RevokeGrant(ctx, now, id, "a test") })
			refuses(t, s, NotFound, func() error { _, _, err := s.Passkey(ctx, []byte(id)); return err })
			refuses(t, s, NotFound, func() error { _, err := s.Consent(ctx, now, id, id); return err })
		})
	}
	for _, after := range []string{"\x00", "\xff"} {
		refuses(t, s, Invalid, func() error { _, err := s.Clients(ctx, after, 1); return err })
		refuses(t, s, Invalid, func() error { _, err := s.Users(ctx, after, 1); return err })
		refuses(t, s, Invalid, func() error { _, err := s.Grants(ctx, Parties{Subject: "ada"}, after, 1); return err })
	}
}
