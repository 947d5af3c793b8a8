package store

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/holdfast-project/holdfast/keys"
	"github.com/holdfast-project/holdfast/replay"
)

// What the tests store. Each function makes one whole thing, named for the test's own use.

func aClient(id string) Client {
	return Client{ID: id, Registration: json.RawMessage(`{"client_name":"Tide tables"}`)}
}

func aPushedRequest(handle string) PushedRequest {
	return PushedRequest{Handle: HashOf(handle), ClientID: "client", Parameters: json.RawMessage(`{"scope":"read"}`),
		Binding: json.RawMessage(`{"jkt":"0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I"}`), Expires: in(time.Minute)}
}

func anInteraction(id, pushed string) Interaction {
	i := Interaction{ID: HashOf(id), Cookie: HashOf("cookie of " + id), Request: json.RawMessage(`{"scope":"read"}`),
		State: json.RawMessage(`{"step":"login"}`), Version: 1, Expires: in(10 * time.Minute)}
	if pushed != "" {
		i.PushedRequest = HashOf(pushed)
	}
	return i
}

func aGrant(id string) Grant {
	return Grant{ID: id, ClientID: "client", Subject: "ada", Scope: []string{"read", "write"},
		Resources: []string{"https://api.example"}, AuthorizationDetails: json.RawMessage(`[{"type":"tide"}]`),
		Extra: json.RawMessage(`{"acr":"phr"}`), AuthTime: in(-time.Minute), Expires: in(30 * 24 * time.Hour)}
}

func aCode(code string) Code {
	return Code{Hash: HashOf(code), RedirectURI: "https://client.example/cb",
		Challenge: "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM", Binding: json.RawMessage(`{"jkt":"x"}`),
		Nonce: "n-0S6_WzA2Mj", Expires: in(time.Minute)}
}

func aToken(token string) RefreshToken {
	return RefreshToken{Hash: HashOf(token), Binding: json.RawMessage(`{"jkt":"x"}`), Expires: in(7 * 24 * time.Hour)}
}

// aRotation asks for the successor of a token.
func aRotation(token, successor string) Rotation {
	return Rotation{Token: HashOf(token), Salt: HashOf("salt of " + token), Successor: aToken(successor),
		Window: 2 * time.Second, Grace: time.Minute, Repeats: 2, Remember: 24 * time.Hour}
}

func aClaim(id string) replay.Claim {
	return replay.Claim{Owner: keys.Thumbprint{1}, ID: id, Made: now, Until: in(time.Minute)}
}

func aUser(id string) User { return User{ID: id, Name: id + "@example", DisplayName: "Ada Lovelace"} }

func aPasskey(id, user string) Passkey {
	return Passkey{ID: []byte(id), UserID: user, Credential: json.RawMessage(`{"alg":-7}`), SignCount: 7}
}

// aCeremony begins one, which the passkey of that id ends.
func aCeremony(t testing.TB, s *Store, id string) Interaction {
	t.Helper()
	i := anInteraction("ceremony for "+id, "")
	ok(t, s.CreateInteraction(t.Context(), now, i))
	return i
}

// addPasskey adds one by a ceremony of its own.
func addPasskey(t testing.TB, s *Store, at time.Time, p Passkey) {
	t.Helper()
	ok(t, s.AddPasskey(t.Context(), at, aCeremony(t, s, string(p.ID)), p))
}

func aLogin(ceremony Interaction, p Passkey, was int64, cookie string) PasskeyLogin {
	return PasskeyLogin{Ceremony: ceremony, Passkey: p, Was: was, Session: aSession(cookie, p.UserID)}
}

func anInvitation(secret, user string) Invitation {
	return Invitation{Hash: HashOf(secret), UserID: user, Expires: in(time.Hour)}
}

func aSession(cookie, user string) Session {
	return Session{Cookie: HashOf(cookie), UserID: user, Authentication: json.RawMessage(`{"amr":["hwk"]}`),
		AuthTime: in(-time.Second), Expires: in(8 * time.Hour)}
}

func aConsent(user, client string) Consent {
	return Consent{UserID: user, ClientID: client, Scope: []string{"read"}, Details: json.RawMessage(`{"why":"asked"}`),
		Until: in(90 * 24 * time.Hour)}
}

func aSigningKey(kid string, period int64) SigningKey {
	from := in(time.Duration(period) * 24 * time.Hour)
	return SigningKey{KeyID: kid, Algorithm: "ES256", Period: period, Sealed: []byte{0, 1, 0xff}, Public: json.RawMessage(`{"kty":"EC"}`),
		PublishFrom: from, SignFrom: from.Add(time.Hour), SignUntil: from.Add(25 * time.Hour), PublishUntil: from.Add(26 * time.Hour)}
}

// populate stores one of everything, as the tests' starting point:
//
//	client "client"; user "ada" with passkey "key", session "cookie", invitation "invitation", consent to "client"
//	pushed request "pushed"; interaction "page" of it, interaction "plain", interaction "ceremony", which has ended
//	grant "code-grant" with code "code"; grant "grant" with refresh token "r1"
//	signing key "k0" of period 0; revoked access token "jti"; claim "used"
func populate(t testing.TB, s *Store) {
	t.Helper()
	ctx := t.Context()
	ok(t, s.CreateClient(ctx, now, aClient("client")))
	ok(t, s.CreateUser(ctx, now, aUser("ada")))
	key := anInteraction("ceremony", "")
	ok(t, s.CreateInteraction(ctx, now, key))
	ok(t, s.AddPasskey(ctx, now, key, aPasskey("key", "ada")))
	ok(t, s.CreateSession(ctx, now, aSession("cookie", "ada")))
	ok(t, s.CreateInvitation(ctx, now, anInvitation("invitation", "ada")))
	ok(t, s.PutConsent(ctx, now, aConsent("ada", "client")))
	ok(t, s.PushRequest(ctx, now, aPushedRequest("pushed")))
	ok(t, s.CreateInteraction(ctx, now, anInteraction("page", "pushed")))
	ok(t, s.CreateInteraction(ctx, now, anInteraction("plain", "")))
	ok(t, s.CompleteAuthorization(ctx, now, Approval{Grant: aGrant("code-grant"), Code: aCode("code")}))
	first := aToken("r1")
	ok(t, s.CreateGrant(ctx, now, aGrant("grant"), &first))
	_, err := s.AddSigningKey(ctx, now, aSigningKey("k0", 0))
	ok(t, err)
	ok(t, s.RevokeAccessToken(ctx, "jti", in(time.Minute)))
	ok(t, s.UseOnce(ctx, now, aClaim("used")))
}

func claims(id string) []replay.Claim { return []replay.Claim{aClaim(id)} }
