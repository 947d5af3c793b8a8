package issuer

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/holdfast-project/holdfast/accesstoken"
	"github.com/holdfast-project/holdfast/contentdigest"
	"github.com/holdfast-project/holdfast/dpop"
	"github.com/holdfast-project/holdfast/httpsig"
	"github.com/holdfast-project/holdfast/issuer/signing"
	"github.com/holdfast-project/holdfast/issuer/store"
	"github.com/holdfast-project/holdfast/keys"
	"github.com/holdfast-project/holdfast/replay"
)

const (
	testIssuer   = "https://as.example/tenant"
	testToken    = testIssuer + "/token"
	testResource = "https://rs.example"
	testSecret   = "Zm9ydHktdHdvLXJhbmRvbS1ieXRlcw~+/"
)

var testNow = time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)

// fixture is a server with clients of every kind, at a fixed time.
type fixture struct {
	*Server
	cfg   Config // as given to New
	guard *countingGuard

	dpopKey    *keys.Signer // of nobody in particular
	runtimeKey *keys.Signer
	jwtKey     *keys.Signer // "jwt" client's, kid "jwt-1", ES256
	eddsaKey   *keys.Signer // the same client's, kid "jwt-eddsa": not fully specified
	signedKey  *keys.Signer // "signed" client's, kid "sig-1", Ed25519

	mu     sync.Mutex // guards events
	events []Event
}

// countingGuard is a real guard that tells how often it was asked.
type countingGuard struct {
	replay.Guard
	mu     sync.Mutex // guards claims
	claims []replay.Claim
}

func (g *countingGuard) Claim(ctx context.Context, c replay.Claim) error {
	g.mu.Lock()
	g.claims = append(g.claims, c)
	g.mu.Unlock()
	return g.Guard.Claim(ctx, c)
}

func newGuard(t testing.TB, now func() time.Time) *countingGuard {
	t.Helper()
	memory, err := replay.NewMemory(replay.MemoryConfig{Now: now, InsecureAcceptOlder: true})
	if err != nil {
		t.Fatal(err)
	}
	return &countingGuard{Guard: memory}
}

// newFixture makes one; change edits the configuration first. Without a guard in it, one is made that counts.
func newFixture(t testing.TB, change func(*Config)) *fixture {
	t.Helper()
	f := &fixture{
		dpopKey:    newKey(t, keys.ES256, ""),
		runtimeKey: newKey(t, keys.Ed25519, ""),
		jwtKey:     newKey(t, keys.ES256, "jwt-1"),
		eddsaKey:   newKey(t, keys.EdDSA, "jwt-eddsa"),
		signedKey:  newKey(t, keys.Ed25519, "sig-1"),
	}
	hash, err := HashSecret(testSecret)
	if err != nil {
		t.Fatal(err)
	}
	secret := func(c Client) Client {
		c.AuthMethod, c.SecretHash = ClientSecretBasic, hash
		if c.Introspect == nil {
			c.Scope, c.Audience = []string{"read", "write"}, []string{testResource, "https://other.example"}
		}
		return c
	}
	cfg := Config{
		Issuer: testIssuer,
		Secret: []byte(strings.Repeat("s", 32)),
		Now:    func() time.Time { return testNow },
		Clients: []Client{
			secret(Client{ID: "any"}),
			secret(Client{ID: "dpop", Binding: DPoP}),
			secret(Client{ID: "runtime", Binding: HTTPSigRuntime}),
			secret(Client{ID: "signed", Binding: HTTPSigPreregistered, Keys: []*keys.Public{f.signedKey.Public(), f.eddsaKey.Public()}}),
			secret(Client{ID: "unbound", InsecureAllowUnbound: true}),
			secret(Client{ID: "web", Name: "The web shop", Grants: []GrantType{CodeGrant, RefreshGrant}, RedirectURIs: []string{testRedirect},
				AuthorizationDetails: []string{"payment"}}),
			{ID: "orders", AuthMethod: ClientSecretBasic, SecretHash: hash, Grants: []GrantType{ExchangeGrant}, Scope: []string{"read"},
				Audience: []string{"https://stock.example"}, Introspect: []string{testResource}, Exchange: Exchange{Outside: []string{testOutside}}},
			{ID: "stock", AuthMethod: ClientSecretBasic, SecretHash: hash, Grants: []GrantType{ExchangeGrant, ClientCredentials}, Scope: []string{"read", "admin"},
				Audience: []string{"https://depot.example"}, Introspect: []string{"https://stock.example"}},
			secret(Client{ID: "rs", Introspect: []string{testResource}}),
			secret(Client{ID: "other-rs", Introspect: []string{"https://other.example"}}),
			{ID: "spa", AuthMethod: NoAuth, RedirectURIs: []string{testRedirect}, Grants: []GrantType{CodeGrant, RefreshGrant}, Scope: []string{"read", "write"}, Audience: []string{testResource}},
			{ID: "jwt", AuthMethod: PrivateKeyJWT, Keys: []*keys.Public{f.jwtKey.Public(), f.eddsaKey.Public()},
				Scope: []string{"read"}, Audience: []string{testResource}},
		},
		Outside: []Outside{{Issuer: testOutside, Verify: outsideVerifier(testNow)}},
		Observer: func(_ context.Context, e Event) {
			f.mu.Lock()
			f.events = append(f.events, e)
			f.mu.Unlock()
		},
	}
	if change != nil {
		change(&cfg)
	}
	if cfg.Replay == nil {
		f.guard = newGuard(t, cfg.Now)
		cfg.Replay = f.guard
	}
	if cfg.Store == nil {
		cfg.Store, cfg.Keys = openStore(t, cfg.Now)
	}
	f.cfg = cfg
	if f.Server, err = New(cfg); err != nil {
		t.Fatal(err)
	}
	return f
}

// signer is the key that signs tokens.
func (f *fixture) signer(t testing.TB) *keys.Signer {
	t.Helper()
	signer, err := f.keys.Signer("")
	if err != nil {
		t.Fatal(err)
	}
	return signer
}

// openStore makes an empty database with signing keys.
func openStore(t testing.TB, now func() time.Time) (*store.Store, *signing.Ring) {
	t.Helper()
	s, err := store.Open(t.Context(), "sqlite::memory:")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	ring, err := signing.Open(t.Context(), signing.Config{Store: s, Secrets: [][]byte{bytes.Repeat([]byte("s"), 32)}, Now: now})
	if err != nil {
		t.Fatal(err)
	}
	return s, ring
}

// newKey makes a key with a kid. EdDSA names the key's type in its JWK as older ones do.
func newKey(t testing.TB, alg keys.Algorithm, kid string) *keys.Signer {
	t.Helper()
	generated, err := keys.Generate(alg)
	if err != nil {
		t.Fatal(err)
	}
	jwk, err := generated.MarshalPrivateJWK()
	if err != nil {
		t.Fatal(err)
	}
	var members map[string]any
	if err := json.Unmarshal(jwk, &members); err != nil {
		t.Fatal(err)
	}
	members["alg"] = alg
	if kid != "" {
		members["kid"] = kid
	}
	signer, err := keys.ParseSigner(mustJSON(t, members))
	if err != nil {
		t.Fatal(err)
	}
	return signer
}

// jsonObject reads a JSON object.
func jsonObject(t testing.TB, text []byte) map[string]any {
	t.Helper()
	var object map[string]any
	if err := json.Unmarshal(text, &object); err != nil {
		t.Fatal(err)
	}
	return object
}

func mustJSON(t testing.TB, v any) []byte {
	t.Helper()
	text, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// tokenRequest is a request under construction.
type tokenRequest struct {
	method, url string
	header      http.Header
	form        url.Values
	body        string // instead of form, if set
}

// request starts a token request of a client with a secret, without a proof.
func request(clientID string) *tokenRequest {
	q := &tokenRequest{method: "POST", url: testToken, header: http.Header{}, form: url.Values{"grant_type": {"client_credentials"}}}
	q.header.Set("Content-Type", "application/x-www-form-urlencoded")
	if clientID != "" {
		q.basic(clientID, testSecret)
	}
	return q
}

func (q *tokenRequest) basic(id, secret string) {
	text := url.QueryEscape(id) + ":" + url.QueryEscape(secret)
	q.header.Set("Authorization", "Basic "+base64.StdEncoding.EncodeToString([]byte(text)))
}

func (q *tokenRequest) encode() string {
	if q.body != "" {
		return q.body
	}
	return q.form.Encode()
}

// http builds the request. Its Host is one that the server must not care about.
func (q *tokenRequest) http() *http.Request {
	r := httptest.NewRequest(q.method, q.url, strings.NewReader(q.encode()))
	r.Host = "internal:8080"
	r.Header = q.header.Clone()
	return r
}

// result is an answer of either endpoint.
type result struct {
	status int
	header http.Header
	body   map[string]any
	event  Event
}

func (f *fixture) send(t testing.TB, q *tokenRequest) result {
	t.Helper()
	w := httptest.NewRecorder()
	f.Handler().ServeHTTP(w, q.http())
	res := result{status: w.Code, header: w.Header()}
	if err := json.Unmarshal(w.Body.Bytes(), &res.body); err != nil {
		t.Fatalf("status %d, body %q: %v", w.Code, w.Body, err)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.events) == 0 {
		t.Fatal("the observer was told nothing")
	}
	res.event = f.events[len(f.events)-1]
	return res
}

// addProof adds a DPoP proof; change edits what it says.
func (f *fixture) addProof(t testing.TB, q *tokenRequest, change func(*dpop.Params)) {
	t.Helper()
	p := dpop.Params{Method: "POST", TargetURI: testToken, Now: testNow}
	if change != nil {
		change(&p)
	}
	proof, err := dpop.Sign(f.dpopKey, p)
	if err != nil {
		t.Fatal(err)
	}
	q.header["Dpop"] = append(q.header["Dpop"], proof)
}

// addSignature adds a digest and the signature of a run-time key; change edits the policy.
func (f *fixture) addSignature(t testing.TB, q *tokenRequest, change func(*httpsig.SignerConfig)) {
	t.Helper()
	raw := rawKey(t, f.runtimeKey)
	cfg := httpsig.SignerConfig{
		Key:        f.runtimeKey,
		Components: httpsig.Components("@method", "@target-uri", "content-digest", "authorization"),
		Tag:        tokenRequestTag,
		Alg:        true,
		PublicKey:  raw,
		Now:        func() time.Time { return testNow },
	}
	if q.header.Get("Authorization") == "" {
		cfg.Components = cfg.Components[:3]
	}
	if change != nil {
		change(&cfg)
	}
	q.header.Set("Content-Digest", contentdigest.Sum(contentdigest.SHA256, []byte(q.encode())))
	signer, err := httpsig.NewSigner(cfg)
	if err != nil {
		t.Fatal(err)
	}
	fields, err := signer.Sign(httpsig.RequestMessage(q.http(), testToken))
	if err != nil {
		t.Fatal(err)
	}
	fields.Add(q.header)
}

// rawKey is a key as the pub parameter has it.
func rawKey(t testing.TB, s *keys.Signer) []byte {
	t.Helper()
	_, raw, err := accesstoken.RuntimeKey(s.Public())
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

// preregistered makes it a signature of the "signed" client's own key.
func (f *fixture) preregistered(cfg *httpsig.SignerConfig) {
	cfg.Key, cfg.KeyID, cfg.Alg, cfg.PublicKey = f.signedKey, "sig-1", false, nil
}

// asserted starts a request of the "jwt" client, without a proof; change edits its assertion.
func (f *fixture) asserted(t testing.TB, change func(header, claims map[string]any)) *tokenRequest {
	t.Helper()
	q := request("")
	q.form.Set("client_assertion_type", jwtBearer)
	q.form.Set("client_assertion", f.assertion(t, f.jwtKey, change))
	return q
}

// assertion signs a client assertion; change edits a good one.
func (f *fixture) assertion(t testing.TB, signer *keys.Signer, change func(header, claims map[string]any)) string {
	t.Helper()
	header := map[string]any{"alg": signer.Algorithm(), "kid": signer.Public().KeyID(), "typ": "JWT"}
	claims := map[string]any{
		"iss": "jwt", "sub": "jwt", "aud": testIssuer, "jti": "assertion-1",
		"iat": testNow.Unix(), "nbf": testNow.Unix(), "exp": testNow.Add(time.Minute).Unix(),
	}
	if change != nil {
		change(header, claims)
	}
	return sealJWS(t, signer, header, claims)
}

// sealJWS makes a compact JWS, whatever it says.
func sealJWS(t testing.TB, signer *keys.Signer, header, claims map[string]any) string {
	t.Helper()
	return sealText(t, signer, string(mustJSON(t, header)), string(mustJSON(t, claims)))
}

// sealText makes a compact JWS of header and claims as they are.
func sealText(t testing.TB, signer *keys.Signer, header, claims string) string {
	t.Helper()
	text := b64([]byte(header)) + "." + b64([]byte(claims))
	signature, err := signer.Sign([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return text + "." + b64(signature)
}

func b64(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

// claimsOf reads a JWT without judging it.
func claimsOf(t testing.TB, token string) (header, claims map[string]any) {
	t.Helper()
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		t.Fatalf("got %d parts of a JWT", len(parts))
	}
	for i, into := range []*map[string]any{&header, &claims} {
		text, err := base64.RawURLEncoding.DecodeString(parts[i])
		if err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(text, into); err != nil {
			t.Fatal(err)
		}
	}
	return header, claims
}
