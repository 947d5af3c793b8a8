package issuer

import (
	"context"
	"crypto/rand"
	"errors"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/holdfast-project/holdfast/dpop"
	"github.com/holdfast-project/holdfast/internal/jws"
	"github.com/holdfast-project/holdfast/issuer/store"
	"github.com/holdfast-project/holdfast/keys"
)

const testOutside = "https://login.example"

// outsideKey signs the tokens of the other issuer.
var outsideKey = func() *keys.Signer {
	s, err := keys.Generate(keys.ES256)
	if err != nil {
		panic(err)
	}
	return s
}()

func outsideVerifier(now time.Time) func(context.Context, string) (OutsideToken, error) {
	return func(_ context.Context, token string) (OutsideToken, error) {
		parsed, err := jws.Parse(token, maxToken)
		if err != nil {
			return OutsideToken{}, err
		}
		if err := parsed.Verify(outsideKey.Public()); err != nil {
			return OutsideToken{}, err
		}
		if strings.Contains(parsed.Payload, "expired") {
			return OutsideToken{Subject: "x", Expires: now}, nil
		}
		if strings.Contains(parsed.Payload, "unreachable") {
			return OutsideToken{}, &Error{Reason: Unavailable}
		}
		if !strings.Contains(parsed.Payload, "bob") {
			return OutsideToken{}, errors.New("not of bob")
		}
		return OutsideToken{Subject: testOutside + "|bob", Expires: now.Add(time.Minute)}, nil
	}
}

func outsideToken(t testing.TB, claims string) string {
	t.Helper()
	token, err := jws.Sign(outsideKey, jws.Header{}, []byte(claims))
	if err != nil {
		t.Fatal(err)
	}
	return token
}

// party is a service with a key of its own.
type party struct {
	*fixture
	t   *testing.T
	id  string
	key *keys.Signer
}

func (f *fixture) party(t *testing.T, id string) *party {
	return &party{fixture: f, t: t, id: id, key: newKey(t, keys.ES256, "")}
}

// exchange sends a token exchange of the party, with a proof by its key.
func (p *party) exchange(subject string, change func(*tokenRequest)) result {
	p.t.Helper()
	q := request(p.id)
	q.form = url.Values{"grant_type": {string(ExchangeGrant)}, "subject_token": {subject}, "subject_token_type": {typeAccessToken}}
	p.prove(q)
	if change != nil {
		change(q)
	}
	return p.send(p.t, q)
}

func (p *party) prove(q *tokenRequest) {
	p.t.Helper()
	proof, err := dpop.Sign(p.key, dpop.Params{Method: "POST", TargetURI: testToken, Now: testNow})
	if err != nil {
		p.t.Fatal(err)
	}
	q.header.Set("DPoP", proof)
}

// userToken is what alice's client got, for the resource of "orders".
func (f *fixture) userToken(t *testing.T) string {
	t.Helper()
	q := redemption("spa", f.code(t, "spa", nil))
	f.addProof(t, q, nil)
	got := f.send(t, q)
	checkGranted(t, got)
	token, _ := got.body["access_token"].(string)
	return token
}

func accessToken(t *testing.T, got result) (string, map[string]any) {
	t.Helper()
	checkGranted(t, got)
	token, _ := got.body["access_token"].(string)
	_, claims := claimsOf(t, token)
	return token, claims
}

// A user's token goes through two services: each is named, each binds the token to its own key, and none is lost.
func TestExchangeChain(t *testing.T) {
	f := newFixture(t, nil)
	user := f.userToken(t)
	_, userClaims := claimsOf(t, user)
	orders, stock := f.party(t, "orders"), f.party(t, "stock")

	first := orders.exchange(user, nil)
	atStock, claims := accessToken(t, first)
	want := map[string]any{
		"iss": testIssuer, "sub": "alice", "client_id": "orders", "aud": "https://stock.example", "scope": "read", "grant_id": userClaims["grant_id"],
		"iat": float64(testNow.Unix()), "exp": float64(testNow.Unix() + 300), "auth_time": userClaims["auth_time"], "jti": claims["jti"],
		"act": map[string]any{"sub": "orders", "client_id": "orders"}, "cnf": map[string]any{"jkt": orders.key.Public().Thumbprint().String()},
	}
	if d := cmp.Diff(claims, want); d != "" {
		t.Errorf("first hop: -got +want\n%s", d)
	}
	if first.body["issued_token_type"] != typeAccessToken || first.body["token_type"] != "DPoP" {
		t.Errorf("got answer %v", first.body)
	}

	_, claims = accessToken(t, stock.exchange(atStock, nil))
	want["client_id"], want["aud"], want["jti"] = "stock", "https://depot.example", claims["jti"]
	want["act"] = map[string]any{"sub": "stock", "client_id": "stock", "act": map[string]any{"sub": "orders", "client_id": "orders"}}
	want["cnf"] = map[string]any{"jkt": stock.key.Public().Thumbprint().String()}
	if d := cmp.Diff(claims, want); d != "" {
		t.Errorf("second hop: -got +want\n%s", d)
	}
}

// Each differs in one thing from an exchange that is granted.
func TestExchangeRefused(t *testing.T) {
	f := newFixture(t, nil)
	user := f.userToken(t)
	orders := f.party(t, "orders")
	accessToken(t, orders.exchange(user, nil))
	for _, tc := range []struct {
		name   string
		change func(q *tokenRequest)
		code   string
		reason Reason
	}{
		{"no proof", func(q *tokenRequest) { q.header.Del("DPoP") }, "invalid_request", ProofMissing},
		{"no subject token", func(q *tokenRequest) { q.form.Del("subject_token") }, "invalid_request", FormRefused},
		{"no type", func(q *tokenRequest) { q.form.Del("subject_token_type") }, "invalid_request", FormRefused},
		{"another type", func(q *tokenRequest) { q.form.Set("subject_token_type", typeIDToken) }, "invalid_request", ExchangeRefused},
		{"another type wanted", func(q *tokenRequest) { q.form.Set("requested_token_type", typeIDToken) }, "invalid_request", ExchangeRefused},
		{"a changed token", func(q *tokenRequest) { q.form.Set("subject_token", user[:len(user)-4]+"AAAA") }, "invalid_request", ExchangeRefused},
		{"no token", func(q *tokenRequest) { q.form.Set("subject_token", "x") }, "invalid_request", ExchangeRefused},
		{"a server of another audience", func(q *tokenRequest) { q.basic("stock", testSecret) }, "invalid_request", ExchangeDenied},
		{"a client without the grant type", func(q *tokenRequest) { q.basic("any", testSecret) }, "unauthorized_client", ClientRefused},
		{"scope that the user didn't grant", func(q *tokenRequest) { q.form.Set("scope", "admin") }, "invalid_scope", ScopeRefused},
		{"scope that isn't the client's", func(q *tokenRequest) { q.form.Set("scope", "write") }, "invalid_scope", ScopeRefused},
		{"a resource that isn't the client's", func(q *tokenRequest) { q.form.Set("resource", testResource) }, "invalid_target", TargetRefused},
		{"an actor's type alone", func(q *tokenRequest) { q.form.Set("actor_token_type", typeAccessToken) }, "invalid_request", FormRefused},
		{"an actor that is no token", func(q *tokenRequest) {
			q.form.Set("actor_token", "x")
			q.form.Set("actor_token_type", typeAccessToken)
		}, "invalid_request", ExchangeRefused},
	} {
		t.Run(tc.name, func(t *testing.T) {
			checkRefused(t, orders.exchange(user, tc.change), 400, tc.code, tc.reason)
		})
	}
}

// A thief's client can't exchange a stolen token, and nor can the right client without the token's key.
func TestHazardStolenTokenExchanged(t *testing.T) {
	f := newFixture(t, func(cfg *Config) {
		for i := range cfg.Clients {
			if c := &cfg.Clients[i]; c.ID == "spa" || c.ID == "any" {
				c.Grants = []GrantType{CodeGrant, ExchangeGrant}
				if c.ID == "any" {
					c.Grants = []GrantType{ExchangeGrant}
				}
			}
		}
	})
	user := f.userToken(t)
	checkRefused(t, f.party(t, "any").exchange(user, nil), 400, "invalid_request", ExchangeDenied)

	public := func(q *tokenRequest) { q.header.Del("Authorization"); q.form.Set("client_id", "spa") }
	checkRefused(t, f.party(t, "spa").exchange(user, public), 400, "invalid_grant", KeyMismatch)
	owner := &party{fixture: f, t: t, id: "spa", key: f.dpopKey}
	accessToken(t, owner.exchange(user, public))
}

func TestExchangeOfRevokedToken(t *testing.T) {
	f := newFixture(t, nil)
	var grantID string
	q := redemption("spa", f.code(t, "spa", func(a *store.Approval) { grantID = a.Grant.ID }))
	f.addProof(t, q, nil)
	user, _ := accessToken(t, f.send(t, q))
	orders := f.party(t, "orders")
	exchanged, _ := accessToken(t, orders.exchange(user, nil))
	if err := f.store.RevokeGrant(t.Context(), testNow, grantID, "test"); err != nil {
		t.Fatal(err)
	}
	checkRefused(t, orders.exchange(user, nil), 400, "invalid_request", ExchangeRefused)
	checkRefused(t, f.party(t, "stock").exchange(exchanged, nil), 400, "invalid_request", ExchangeRefused)
}

// policy sets what a client may exchange.
func policy(id string, e Exchange) func(*Config) {
	return func(cfg *Config) {
		for i := range cfg.Clients {
			if cfg.Clients[i].ID == id {
				cfg.Clients[i].Exchange = e
			}
		}
	}
}

func TestExchangePolicies(t *testing.T) {
	t.Run("impersonation", func(t *testing.T) {
		f := newFixture(t, policy("orders", Exchange{Impersonate: true}))
		exchanged, claims := accessToken(t, f.party(t, "orders").exchange(f.userToken(t), nil))
		if claims["act"] != nil || claims["sub"] != "alice" {
			t.Errorf("got claims %v", claims)
		}
		_, claims = accessToken(t, f.party(t, "stock").exchange(exchanged, nil))
		if d := cmp.Diff(claims["act"], any(map[string]any{"sub": "stock", "client_id": "stock"})); d != "" {
			t.Errorf("act: -got +want\n%s", d)
		}
	})
	t.Run("the subject token's key", func(t *testing.T) {
		f := newFixture(t, policy("orders", Exchange{RequireSubjectKey: true}))
		checkRefused(t, f.party(t, "orders").exchange(f.userToken(t), nil), 400, "invalid_grant", KeyMismatch)
		owner := &party{fixture: f, t: t, id: "orders", key: f.dpopKey}
		accessToken(t, owner.exchange(f.userToken(t), nil))
	})
	t.Run("an actor token", func(t *testing.T) {
		f := newFixture(t, policy("orders", Exchange{RequireActor: true}))
		orders, stock := f.party(t, "orders"), f.party(t, "stock")
		own := request("stock")
		stock.prove(own)
		actorToken, _ := accessToken(t, f.send(t, own))
		with := func(q *tokenRequest) {
			q.form.Set("actor_token", actorToken)
			q.form.Set("actor_token_type", typeAccessToken)
		}
		user := f.userToken(t)
		checkRefused(t, orders.exchange(user, nil), 400, "invalid_request", ExchangeRefused)
		checkRefused(t, orders.exchange(user, with), 400, "invalid_grant", KeyMismatch)
		_, claims := accessToken(t, (&party{fixture: f, t: t, id: "orders", key: stock.key}).exchange(user, with))
		if d := cmp.Diff(claims["act"], any(map[string]any{"sub": "stock", "client_id": "stock"})); d != "" {
			t.Errorf("act: -got +want\n%s", d)
		}
	})
}

func TestExchangeMayAct(t *testing.T) {
	f := newFixture(t, nil)
	for _, tc := range []struct {
		may    actor
		reason Reason
	}{
		{actor{Subject: "orders"}, ""},
		{actor{Subject: "orders", ClientID: "orders"}, ""},
		{actor{Subject: "stock"}, ExchangeDenied},
		{actor{Subject: "orders", ClientID: "stock"}, ExchangeDenied},
	} {
		t.Run(tc.may.Subject+" "+tc.may.ClientID, func(t *testing.T) {
			token, err := f.sign(claims{Issuer: testIssuer, Subject: "alice", ClientID: "spa", Audience: testResource, ID: rand.Text(),
				Scope: "read", IssuedAt: testNow.Unix(), Expires: testNow.Unix() + 60, MayAct: &tc.may})
			if err != nil {
				t.Fatal(err)
			}
			got := f.party(t, "orders").exchange(token, nil)
			if tc.reason == "" {
				if _, claims := accessToken(t, got); claims["exp"] != float64(testNow.Unix()+60) {
					t.Errorf("the new token outlives the old one: exp %v", claims["exp"])
				}
				return
			}
			checkRefused(t, got, 400, "invalid_request", tc.reason)
		})
	}
}

func TestExchangeDepth(t *testing.T) {
	f := newFixture(t, nil)
	for _, n := range []int{maxActors - 1, maxActors} {
		var chain *actor
		for range n {
			chain = &actor{Subject: "x", Actor: chain}
		}
		token, err := f.sign(claims{Issuer: testIssuer, Subject: "alice", ClientID: "spa", Audience: testResource, ID: rand.Text(),
			Scope: "read", IssuedAt: testNow.Unix(), Expires: testNow.Unix() + 60, Actor: chain})
		if err != nil {
			t.Fatal(err)
		}
		got := f.party(t, "orders").exchange(token, nil)
		if n < maxActors {
			checkGranted(t, got)
			continue
		}
		checkRefused(t, got, 400, "invalid_request", ExchangeRefused)
	}
}

// A bearer token of another issuer becomes a bound one of ours.
func TestExchangeOutside(t *testing.T) {
	f := newFixture(t, nil)
	orders := f.party(t, "orders")
	id := func(q *tokenRequest) { q.form.Set("subject_token_type", typeIDToken) }
	_, claims := accessToken(t, orders.exchange(outsideToken(t, `{"iss":"`+testOutside+`","sub":"bob"}`), id))
	want := map[string]any{
		"iss": testIssuer, "sub": testOutside + "|bob", "client_id": "orders", "aud": "https://stock.example", "scope": "read",
		"iat": float64(testNow.Unix()), "exp": float64(testNow.Unix() + 60), "jti": claims["jti"],
		"act": map[string]any{"sub": "orders", "client_id": "orders"}, "cnf": map[string]any{"jkt": orders.key.Public().Thumbprint().String()},
	}
	if d := cmp.Diff(claims, want); d != "" {
		t.Errorf("-got +want\n%s", d)
	}
	res := orders.exchange(outsideToken(t, `{"iss":"`+testOutside+`","sub":"unreachable"}`), id)
	checkRefused(t, res, 503, "temporarily_unavailable", Unavailable)
	for _, tc := range []struct {
		name, claims string
		who          string
		reason       Reason
	}{
		{"another subject", `{"iss":"` + testOutside + `","sub":"eve"}`, "orders", ExchangeRefused},
		{"expired", `{"iss":"` + testOutside + `","sub":"expired"}`, "orders", ExchangeRefused},
		{"an unknown issuer", `{"iss":"https://other.example","sub":"bob"}`, "orders", ExchangeRefused},
		{"no issuer", `{"sub":"bob"}`, "orders", ExchangeRefused},
		{"our issuer, another's key", `{"iss":"` + testIssuer + `","sub":"bob"}`, "orders", ExchangeRefused},
		{"a client that may not", `{"iss":"` + testOutside + `","sub":"bob"}`, "stock", ExchangeDenied},
	} {
		t.Run(tc.name, func(t *testing.T) {
			checkRefused(t, f.party(t, tc.who).exchange(outsideToken(t, tc.claims), nil), 400, "invalid_request", tc.reason)
		})
	}
}

// Without a proof, a bearer token would only become another one.
func TestExchangeOutsideUnbound(t *testing.T) {
	f := newFixture(t, func(cfg *Config) {
		for i := range cfg.Clients {
			cfg.Clients[i].InsecureAllowUnbound = true
		}
	})
	got := f.party(t, "orders").exchange(outsideToken(t, `{"iss":"`+testOutside+`","sub":"bob"}`), func(q *tokenRequest) { q.header.Del("DPoP") })
	checkRefused(t, got, 400, "invalid_request", ProofMissing)
}
