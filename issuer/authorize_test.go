package issuer

import (
	"html"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/holdfast-project/holdfast/dpop"
	"github.com/holdfast-project/holdfast/issuer/store"
)

const testChallenge = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM" // of testVerifier

// cookieLogin is a Login whose sessions are the store's, by a cookie that tests set.
type cookieLogin struct {
	store *store.Store
	now   func() time.Time
}

func (l *cookieLogin) Session(r *http.Request) (*LoginSession, error) {
	cookie, err := r.Cookie("who")
	if err != nil {
		return nil, nil
	}
	session, user, err := l.store.Session(r.Context(), l.now(), store.HashOf(cookie.Value))
	if err != nil {
		return nil, err
	}
	return &LoginSession{Subject: user.ID, Name: user.Name, AuthTime: session.AuthTime, AMR: []string{"hwk"}}, nil
}

func (l *cookieLogin) Begin(w http.ResponseWriter, r *http.Request, back string, hint LoginHint) {
	w.Header().Set("Login-Back", back)
	w.Header().Set("Login-After", hint.After.Format(time.RFC3339))
	w.WriteHeader(http.StatusOK)
}

func (l *cookieLogin) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.WriteHeader(http.StatusTeapot)
}

// newAuthorizing makes a fixture whose users log in by cookieLogin, at a time that the test sets.
func newAuthorizing(t testing.TB, now *time.Time, change func(*Config)) *fixture {
	t.Helper()
	return newFixture(t, func(cfg *Config) {
		cfg.Now = func() time.Time { return *now }
		cfg.Store, cfg.Keys = openStore(t, cfg.Now)
		cfg.Login = &cookieLogin{cfg.Store, cfg.Now}
		cfg.Clients = append(cfg.Clients,
			Client{ID: "ours", AuthMethod: NoAuth, SkipConsent: true, Grants: []GrantType{CodeGrant}, RedirectURIs: []string{testRedirect + "?a=1"},
				Scope: []string{"read"}, Audience: []string{testResource}},
			Client{ID: "native", AuthMethod: NoAuth, SkipConsent: true, Grants: []GrantType{CodeGrant},
				RedirectURIs: []string{"http://127.0.0.1/cb", "http://[::1]:1/cb", "com.example.app:/cb"}, Scope: []string{"read"}, Audience: []string{testResource}},
			Client{ID: "pushing", AuthMethod: NoAuth, RequirePushedRequests: true, Grants: []GrantType{CodeGrant}, RedirectURIs: []string{testRedirect},
				Scope: []string{"read"}, Audience: []string{testResource}},
		)
		if change != nil {
			change(cfg)
		}
	})
}

// browser keeps cookies, and follows nothing by itself.
type browser struct {
	f       *fixture
	cookies map[string]string
}

func (f *fixture) browser() *browser { return &browser{f, map[string]string{}} }

// logIn gives the browser a fresh login of a user.
func (b *browser) logIn(t testing.TB, name string) {
	t.Helper()
	err := b.f.store.CreateUser(t.Context(), b.f.now(), store.User{ID: name, Name: name})
	if err != nil && storeReason(err) != store.Conflict {
		t.Fatal(err)
	}
	secret := newSecret(kindBrowser)
	err = b.f.store.CreateSession(t.Context(), b.f.now(), store.Session{
		Cookie: hashOf(secret), UserID: name, AuthTime: b.f.now(), Expires: b.f.now().Add(time.Hour),
	})
	if err != nil {
		t.Fatal(err)
	}
	b.cookies["who"] = secret
}

func (b *browser) send(r *http.Request) *httptest.ResponseRecorder {
	for name, value := range b.cookies {
		r.AddCookie(&http.Cookie{Name: name, Value: value})
	}
	w := httptest.NewRecorder()
	b.f.Handler().ServeHTTP(w, r)
	for _, c := range w.Result().Cookies() {
		b.cookies[c.Name] = c.Value
	}
	return w
}

func (b *browser) get(target string) *httptest.ResponseRecorder {
	return b.send(httptest.NewRequest("GET", target, nil))
}

// authorize visits the authorization endpoint and follows to the page that asks, if there is one.
func (b *browser) authorize(query url.Values) *httptest.ResponseRecorder {
	w := b.get(b.f.urls.authorize + "?" + query.Encode())
	if next := w.Header().Get("Location"); strings.HasPrefix(next, b.f.urls.base+"/consent?") {
		return b.get(next)
	}
	return w
}

var hiddenField = regexp.MustCompile(`<input type="hidden" name="([a-z]+)" value="([^"]*)">`)

// fillIn fills in the consent page.
func fillIn(page *httptest.ResponseRecorder, decision string) url.Values {
	fields := url.Values{"decision": {decision}}
	for _, m := range hiddenField.FindAllStringSubmatch(page.Body.String(), -1) {
		fields.Set(m[1], html.UnescapeString(m[2]))
	}
	return fields
}

// decide sends it; change edits the request.
func (b *browser) decide(fields url.Values, change func(*http.Request)) *httptest.ResponseRecorder {
	r := httptest.NewRequest("POST", testIssuer+"/consent", strings.NewReader(fields.Encode()))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header.Set("Sec-Fetch-Site", "same-origin")
	if change != nil {
		change(r)
	}
	return b.send(r)
}

// response returns the parameters of an authorization response.
func response(t testing.TB, w *httptest.ResponseRecorder, redirect string) url.Values {
	t.Helper()
	location := w.Header().Get("Location")
	if w.Code != http.StatusSeeOther || !strings.HasPrefix(location, redirect) {
		t.Fatalf("got %d to %q, want a redirect to %s\n%s", w.Code, location, redirect, w.Body)
	}
	u, err := url.Parse(location)
	if err != nil {
		t.Fatal(err)
	}
	q := u.Query()
	if got := q["iss"]; len(got) != 1 || got[0] != testIssuer {
		t.Errorf("got iss %q", got)
	}
	return q
}

// asking is an authorization request that is good.
func asking(client string) url.Values {
	return url.Values{
		"response_type": {"code"}, "client_id": {client}, "redirect_uri": {testRedirect}, "scope": {"read"}, "state": {"a state & more"},
		"code_challenge": {testChallenge}, "code_challenge_method": {"S256"},
	}
}

// pushing is the same for the endpoint that requests are pushed to, by the "web" client.
func pushing() *tokenRequest {
	q := request("web")
	q.url = testIssuer + "/par"
	q.form = asking("web")
	return q
}

// pushed pushes it and returns what the browser then brings.
func (f *fixture) pushed(t testing.TB, q *tokenRequest) url.Values {
	t.Helper()
	got := f.send(t, q)
	uri, _ := got.body["request_uri"].(string)
	if got.status != http.StatusCreated || !strings.HasPrefix(uri, requestURI) {
		t.Fatalf("got %d %v", got.status, got.body)
	}
	return url.Values{"client_id": {"web"}, "request_uri": {uri}}
}

// The whole way of FAPI 2.0: pushed with a proof, login, consent, code, token, all with one key.
func TestPushedFlow(t *testing.T) {
	now := testNow
	f := newAuthorizing(t, &now, nil)
	q := pushing()
	q.form.Set("authorization_details", `[{"type":"payment","amount":"<b>12</b>"}]`)
	f.addProof(t, q, func(p *dpop.Params) { p.TargetURI = testIssuer + "/par" })
	query := f.pushed(t, q)

	b := f.browser()
	login := b.authorize(query)
	back := login.Header().Get("Login-Back")
	if !strings.HasPrefix(back, "/tenant/consent?interaction=hfi_") {
		t.Fatalf("login leads back to %q", back)
	}
	b.logIn(t, "alice")
	asked := b.get(back)
	for _, want := range []string{"The web shop", "alice", "<code>read</code>", testResource, "app.example", `&lt;b&gt;12&lt;/b&gt;`} {
		if !strings.Contains(asked.Body.String(), want) {
			t.Errorf("the page doesn't say %q", want)
		}
	}
	got := response(t, b.decide(fillIn(asked, "allow"), nil), testRedirect)
	if got.Get("state") != "a state & more" {
		t.Errorf("got state %q", got.Get("state"))
	}
	redeemed := redemption("web", got.Get("code"))
	otherProof(t, f, redeemed)
	checkRefused(t, f.send(t, redeemed), 400, "invalid_grant", KeyMismatch)
	redeemed = redemption("web", got.Get("code"))
	f.addProof(t, redeemed, nil)
	tokens := f.send(t, redeemed)
	checkGranted(t, tokens)
	_, claims := claimsOf(t, tokens.body["access_token"].(string))
	if claims["sub"] != "alice" || claims["scope"] != "read" || claims["authorization_details"] == nil {
		t.Errorf("got claims %v", claims)
	}
	if w := b.decide(fillIn(asked, "allow"), nil); w.Code != http.StatusBadRequest {
		t.Errorf("a second answer got %d", w.Code)
	}
}

// Each differs in one thing from a pushed request that is accepted. What FAPI 2.0's suite has is in fapi_cases_test.go.
func TestPush(t *testing.T) {
	now := testNow
	f := newAuthorizing(t, &now, nil)
	set := func(name, value string) func(*testing.T, *tokenRequest) {
		return func(_ *testing.T, q *tokenRequest) {
			if q.form.Set(name, value); value == "" {
				q.form.Del(name)
			}
		}
	}
	for _, tc := range []struct {
		name   string
		change func(*testing.T, *tokenRequest)
		code   string
		reason Reason
	}{
		{"no code_challenge_method, which means plain", set("code_challenge_method", ""), "invalid_request", PKCERefused},
		{"code_challenge of another length", set("code_challenge", testChallenge[1:]), "invalid_request", PKCERefused},
		{"request object", set("request", "e30.e30."), "request_not_supported", RequestRefused},
		{"id_token_hint", set("id_token_hint", "e30.e30."), "invalid_request", ParameterRefused},
		{"no response_type", set("response_type", ""), "invalid_request", ParameterRefused},
		{"response_mode", set("response_mode", "fragment"), "invalid_request", ParameterRefused},
		{"redirect_uri with a query", set("redirect_uri", testRedirect+"?x=1"), "invalid_request", RedirectRefused},
		{"another client_id", set("client_id", "spa"), "invalid_request", AuthAmbiguous},
		{"scope", set("scope", "read admin"), "invalid_scope", ScopeRefused},
		{"resource", set("resource", "https://third.example"), "invalid_target", TargetRefused},
		{"state with a line feed", set("state", "a\nb"), "invalid_request", ParameterRefused},
		{"state too long", set("state", strings.Repeat("s", maxParameter+1)), "invalid_request", ParameterRefused},
		{"nonce too long", set("nonce", strings.Repeat("s", maxParameter+1)), "invalid_request", ParameterRefused},
		{"prompt", set("prompt", "create"), "invalid_request", ParameterRefused},
		{"prompt none and another", set("prompt", "none login"), "invalid_request", ParameterRefused},
		{"max_age", set("max_age", "-1"), "invalid_request", ParameterRefused},
		{"dpop_jkt", set("dpop_jkt", "short"), "invalid_request", ParameterRefused},
		{"details of another type", set("authorization_details", `[{"type":"account"}]`), "invalid_authorization_details", DetailsRefused},
		{"details without a type", set("authorization_details", `[{}]`), "invalid_authorization_details", DetailsRefused},
		{"details that are an object", set("authorization_details", `{"type":"payment"}`), "invalid_authorization_details", DetailsRefused},
		{"details with a type twice", set("authorization_details", `[{"type":"payment","type":"payment"}]`), "invalid_authorization_details", DetailsRefused},
		{"no details", set("authorization_details", `[]`), "invalid_authorization_details", DetailsRefused},
		{"too many details", set("authorization_details", "["+strings.Repeat(`{"type":"payment"},`, maxDetailsCount)+`{"type":"payment"}]`), "invalid_authorization_details", DetailsRefused},
		{"a client without the grant type", func(_ *testing.T, q *tokenRequest) {
			q.basic("any", testSecret)
			q.form.Del("client_id")
		}, "invalid_request", RedirectRefused},
		{"GET", func(_ *testing.T, q *tokenRequest) { q.method = "GET" }, "invalid_request", MethodRefused},
		{"a parameter twice", func(_ *testing.T, q *tokenRequest) { q.form.Add("state", "again") }, "invalid_request", FormRefused},
		{"no client authentication", func(_ *testing.T, q *tokenRequest) { q.header.Del("Authorization") }, "invalid_client", AuthMissing},
		{"dpop_jkt of another key than the proof's", func(t *testing.T, q *tokenRequest) {
			q.form.Set("dpop_jkt", f.runtimeKey.Public().Thumbprint().String())
			f.addProof(t, q, func(p *dpop.Params) { p.TargetURI = testIssuer + "/par" })
		}, "invalid_dpop_proof", JKTMismatch},
		{"proof for the token endpoint", func(t *testing.T, q *tokenRequest) { f.addProof(t, q, nil) }, "invalid_dpop_proof", DPoPRefused},
	} {
		t.Run(tc.name, func(t *testing.T) {
			q := pushing()
			tc.change(t, q)
			got := f.send(t, q)
			if got.body["error"] != tc.code || got.event.Refusal == nil || got.event.Refusal.Reason != tc.reason {
				t.Errorf("got %v because of %v, want %s because of %s", got.body, got.event.Refusal, tc.code, tc.reason)
			}
		})
	}
	for _, tc := range []struct {
		name   string
		change func(*testing.T, *tokenRequest)
	}{
		{"no client_id besides the authentication's", set("client_id", "")},
		{"acr_values, which are a wish", set("acr_values", "urn:x")},
		{"dpop_jkt of the proof's key", func(t *testing.T, q *tokenRequest) {
			q.form.Set("dpop_jkt", f.dpopKey.Public().Thumbprint().String())
			f.addProof(t, q, func(p *dpop.Params) { p.TargetURI = testIssuer + "/par" })
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			q := pushing()
			tc.change(t, q)
			f.pushed(t, q)
		})
	}
}

// A challenged or refused push leaves the assertion to the next attempt.
func TestHazardPushChallengeBurnsNothing(t *testing.T) {
	now := testNow
	f := newAuthorizing(t, &now, func(cfg *Config) {
		cfg.RequireNonce = true
		for i := range cfg.Clients {
			if c := &cfg.Clients[i]; c.ID == "jwt" {
				c.Grants, c.RedirectURIs = []GrantType{CodeGrant}, []string{testRedirect}
			}
		}
	})
	q := f.asserted(t, nil)
	q.url = testIssuer + "/par"
	for name, values := range asking("jwt") {
		q.form[name] = values
	}
	f.addProof(t, q, func(p *dpop.Params) { p.TargetURI = q.url })
	got := f.send(t, q)
	checkRefused(t, got, 400, "use_dpop_nonce", NonceNeeded)
	q.header.Del("DPoP")
	f.addProof(t, q, func(p *dpop.Params) { p.TargetURI, p.Nonce = q.url, got.header.Get("DPoP-Nonce") })
	f.pushed(t, q)
	q.header.Del("DPoP")
	checkRefused(t, f.send(t, q), 401, "invalid_client", AssertionUsed)
}

// A request_uri is used when the authorization completes; not when it is visited, by whomever.
func TestRequestURI(t *testing.T) {
	now := testNow
	f := newAuthorizing(t, &now, nil)
	b := f.browser()
	b.logIn(t, "alice")
	t.Run("visited twice, used once", func(t *testing.T) {
		query := f.pushed(t, pushing())
		first, second := b.authorize(query), b.authorize(query)
		response(t, b.decide(fillIn(second, "allow"), nil), testRedirect)
		refusedPage(t, b.decide(fillIn(first, "allow"), nil))
		refusedPage(t, b.authorize(query))
	})
	t.Run("another client's", func(t *testing.T) {
		query := f.pushed(t, pushing())
		query.Set("client_id", "spa")
		refusedPage(t, b.authorize(query))
		query.Set("client_id", "web")
		response(t, b.authorize(query), testRedirect)
	})
	t.Run("expired", func(t *testing.T) {
		query := f.pushed(t, pushing())
		now = now.Add(time.Minute)
		refusedPage(t, b.authorize(query))
	})
	t.Run("visited in time, answered later", func(t *testing.T) {
		q := pushing()
		q.form.Set("prompt", "consent")
		asked := b.authorize(f.pushed(t, q))
		now = now.Add(5 * time.Minute)
		response(t, b.decide(fillIn(asked, "allow"), nil), testRedirect)
	})
	t.Run("somebody else's request_uri", func(t *testing.T) {
		refusedPage(t, b.authorize(url.Values{"client_id": {"web"}, "request_uri": {"https://evil.example/request"}}))
	})
	t.Run("state beside it", func(t *testing.T) {
		q := pushing()
		q.form.Del("state")
		query := f.pushed(t, q)
		query.Set("state", "outside")
		if got := response(t, b.authorize(query), testRedirect); got.Has("state") {
			t.Errorf("got state %q", got.Get("state"))
		}
	})
}

// Errors go to the client once it is known that the redirect URI is its own, and to no other place.
func TestAuthorizeRefused(t *testing.T) {
	now := testNow
	f := newAuthorizing(t, &now, nil)
	for _, tc := range []struct {
		name   string
		change func(q url.Values)
		code   string // "" for a page
		reason Reason
	}{
		{"unknown client", func(q url.Values) { q.Set("client_id", "nobody") }, "", ClientUnknown},
		{"no client", func(q url.Values) { q.Del("client_id") }, "", ClientUnknown},
		{"redirect_uri of another", func(q url.Values) { q.Set("redirect_uri", "https://evil.example/callback") }, "", RedirectRefused},
		{"redirect_uri in another spelling", func(q url.Values) { q.Set("redirect_uri", "https://APP.example/callback") }, "", RedirectRefused},
		{"redirect_uri with a port", func(q url.Values) { q.Set("redirect_uri", "https://app.example:443/callback") }, "", RedirectRefused},
		{"no redirect_uri", func(q url.Values) { q.Del("redirect_uri") }, "", RedirectRefused},
		{"redirect_uri twice", func(q url.Values) { q.Add("redirect_uri", "https://evil.example/callback") }, "", FormRefused},
		{"not pushed", func(q url.Values) { q.Set("client_id", "pushing") }, "invalid_request", PushRequired},
		{"response type", func(q url.Values) { q.Set("response_type", "token") }, "unsupported_response_type", ResponseTypeRefused},
		{"no challenge", func(q url.Values) { q.Del("code_challenge") }, "invalid_request", PKCERefused},
		{"request object", func(q url.Values) { q.Set("request", "e30.e30.") }, "request_not_supported", RequestRefused},
		{"scope", func(q url.Values) { q.Set("scope", "admin") }, "invalid_scope", ScopeRefused},
		{"nobody logged in", func(q url.Values) { q.Set("prompt", "none") }, "login_required", LoginNeeded},
	} {
		t.Run(tc.name, func(t *testing.T) {
			q := asking("spa")
			tc.change(q)
			w := f.browser().authorize(q)
			f.mu.Lock()
			event := f.events[len(f.events)-1]
			f.mu.Unlock()
			if event.Refusal == nil || event.Refusal.Reason != tc.reason {
				t.Errorf("got %v, want %s", event.Refusal, tc.reason)
			}
			if tc.code == "" {
				if w.Code != http.StatusBadRequest || w.Header().Get("Location") != "" {
					t.Errorf("got %d to %q, want a page", w.Code, w.Header().Get("Location"))
				}
				return
			}
			if got := response(t, w, testRedirect+"?"); got.Get("error") != tc.code || got.Get("state") != "a state & more" || got.Has("code") {
				t.Errorf("got %v, want %s", got, tc.code)
			}
		})
	}
}

func TestPrompt(t *testing.T) {
	now := testNow
	f := newAuthorizing(t, &now, nil)
	b := f.browser()
	b.logIn(t, "alice")
	ask := func(change func(q url.Values)) *httptest.ResponseRecorder {
		q := asking("spa")
		change(q)
		return b.authorize(q)
	}
	if got := response(t, ask(func(q url.Values) { q.Set("prompt", "none") }), testRedirect); got.Get("error") != "consent_required" {
		t.Errorf("without consent: got %v", got)
	}
	response(t, b.decide(fillIn(ask(func(url.Values) {}), "allow"), nil), testRedirect)
	if got := response(t, ask(func(q url.Values) { q.Set("prompt", "none") }), testRedirect); !got.Has("code") {
		t.Errorf("with consent: got %v", got)
	}
	for _, tc := range []struct {
		name   string
		change func(q url.Values)
		login  bool
	}{
		{"consent", func(q url.Values) { q.Set("prompt", "consent") }, false},
		{"login", func(q url.Values) { q.Set("prompt", "login") }, true},
		{"select_account", func(q url.Values) { q.Set("prompt", "select_account") }, true},
		{"more scope than agreed to", func(q url.Values) { q.Set("scope", "read write") }, false},
		{"max_age", func(q url.Values) { q.Set("max_age", "59") }, true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			b.logIn(t, "alice")
			now = now.Add(time.Minute)
			w := ask(tc.change)
			back := w.Header().Get("Login-Back")
			if got := back != ""; w.Code != http.StatusOK || got != tc.login {
				t.Fatalf("got %d, a login %v, want %v", w.Code, got, tc.login)
			}
			if !tc.login {
				return
			}
			if again := b.get(back); again.Header().Get("Login-Back") == "" {
				t.Error("coming back without a login was enough")
			}
			b.logIn(t, "alice")
			if again := b.get(back); again.Header().Get("Login-Back") != "" {
				t.Error("the login wasn't enough")
			}
		})
	}
}

func TestConsentSkipped(t *testing.T) {
	now := testNow
	f := newAuthorizing(t, &now, nil)
	for _, tc := range []struct {
		name, client, redirect string
		skips                  bool
	}{
		{"our own application", "ours", testRedirect + "?a=1", true},
		{"another program may pass itself off as it", "native", "http://127.0.0.1:49152/cb", false},
		{"the other loopback address", "native", "http://[::1]:49152/cb", false},
		{"private-use scheme", "native", "com.example.app:/cb", false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			b := f.browser()
			b.logIn(t, "alice")
			q := asking(tc.client)
			q.Set("redirect_uri", tc.redirect)
			w := b.authorize(q)
			if !tc.skips {
				if w.Code != http.StatusOK {
					t.Fatalf("got %d %s, want a page", w.Code, w.Body)
				}
				w = b.decide(fillIn(w, "allow"), nil)
			}
			if got := response(t, w, tc.redirect); !got.Has("code") {
				t.Errorf("got %v", got)
			}
		})
	}
}

func TestConsentDenied(t *testing.T) {
	now := testNow
	f := newAuthorizing(t, &now, nil)
	b := f.browser()
	b.logIn(t, "alice")
	asked := b.authorize(asking("spa"))
	if got := response(t, b.decide(fillIn(asked, "deny"), nil), testRedirect); got.Get("error") != "access_denied" || got.Has("code") {
		t.Errorf("got %v", got)
	}
	if w := b.decide(fillIn(asked, "allow"), nil); w.Code != http.StatusBadRequest {
		t.Errorf("allowed after all: %d", w.Code)
	}
}

// Nobody but the user whom the page was shown to can answer it, and what is refused leaves it to be answered.
func TestHazardConsentForged(t *testing.T) {
	now := testNow
	f := newAuthorizing(t, &now, nil)
	for _, tc := range []struct {
		name    string
		fields  func(t *testing.T, b *browser, fields url.Values)
		request func(*http.Request)
		status  int
	}{
		{"from another site", nil, func(r *http.Request) { r.Header.Set("Sec-Fetch-Site", "cross-site") }, 403},
		{"from a sibling host", nil, func(r *http.Request) { r.Header.Set("Sec-Fetch-Site", "same-site") }, 403},
		{"from another origin, by an old browser", nil, func(r *http.Request) {
			r.Header.Del("Sec-Fetch-Site")
			r.Header.Set("Origin", "https://evil.example")
		}, 403},
		{"without a token", func(_ *testing.T, _ *browser, v url.Values) { v.Del("token") }, nil, 403},
		{"with the token of another interaction", func(_ *testing.T, b *browser, v url.Values) {
			v.Set("token", fillIn(b.authorize(asking("spa")), "allow").Get("token"))
		}, nil, 403},
		{"after another user has logged in", func(t *testing.T, b *browser, _ url.Values) { b.logIn(t, "mallory") }, nil, 403},
		{"without a decision", func(_ *testing.T, _ *browser, v url.Values) { v.Del("decision") }, nil, 403},
		{"in another browser", func(_ *testing.T, b *browser, _ url.Values) {
			b.cookies["__Host-"+browserCookie] = newSecret(kindBrowser)
		}, nil, 400},
		{"without the browser's cookie", func(_ *testing.T, b *browser, _ url.Values) { delete(b.cookies, "__Host-"+browserCookie) }, nil, 400},
		{"after the session has ended", func(_ *testing.T, b *browser, _ url.Values) { delete(b.cookies, "who") }, nil, 303},
	} {
		t.Run(tc.name, func(t *testing.T) {
			b := f.browser()
			b.logIn(t, "alice")
			asked := b.authorize(asking("spa"))
			cookies := map[string]string{}
			for name, value := range b.cookies {
				cookies[name] = value
			}
			fields := fillIn(asked, "allow")
			if tc.fields != nil {
				tc.fields(t, b, fields)
			}
			w := b.decide(fields, tc.request)
			if w.Code != tc.status || strings.HasPrefix(w.Header().Get("Location"), "https:") {
				t.Errorf("got %d to %q, want %d", w.Code, w.Header().Get("Location"), tc.status)
			}
			b.cookies = cookies
			response(t, b.decide(fillIn(asked, "deny"), nil), testRedirect)
		})
	}
}

// A link to the attacker's own interaction does nothing in the victim's browser.
func TestHazardInteractionOfAnotherBrowser(t *testing.T) {
	now := testNow
	f := newAuthorizing(t, &now, nil)
	attacker, victim := f.browser(), f.browser()
	next := attacker.get(f.urls.authorize + "?" + asking("spa").Encode()).Header().Get("Location")
	victim.logIn(t, "alice")
	victim.authorize(asking("spa"))
	if w := victim.get(next); w.Code != http.StatusBadRequest || w.Header().Get("Location") != "" {
		t.Errorf("got %d to %q", w.Code, w.Header().Get("Location"))
	}
}

// Two tabs of one browser don't get in each other's way.
func TestTwoTabs(t *testing.T) {
	now := testNow
	f := newAuthorizing(t, &now, nil)
	b := f.browser()
	b.logIn(t, "alice")
	first, second := b.authorize(asking("spa")), b.authorize(asking("web"))
	response(t, b.decide(fillIn(first, "allow"), nil), testRedirect)
	response(t, b.decide(fillIn(second, "allow"), nil), testRedirect)
}

func TestAuthorizeByPost(t *testing.T) {
	now := testNow
	f := newAuthorizing(t, &now, nil)
	r := httptest.NewRequest("POST", testIssuer+"/authorize", strings.NewReader(asking("spa").Encode()))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	w := f.browser().send(r)
	if w.Code != http.StatusSeeOther || len(w.Result().Cookies()) > 0 {
		t.Fatalf("got %d with cookies %v", w.Code, w.Result().Cookies())
	}
	if again := f.browser().authorize(mustQuery(t, w.Header().Get("Location"))); again.Code != http.StatusOK {
		t.Errorf("got %d", again.Code)
	}
}

func mustQuery(t testing.TB, text string) url.Values {
	t.Helper()
	u, err := url.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	return u.Query()
}

func TestPagesAreConfined(t *testing.T) {
	now := testNow
	f := newAuthorizing(t, &now, nil)
	b := f.browser()
	b.logIn(t, "alice")
	for name, w := range map[string]*httptest.ResponseRecorder{
		"consent": b.authorize(asking("spa")),
		"error":   b.authorize(url.Values{"client_id": {"<script>"}}),
	} {
		t.Run(name, func(t *testing.T) {
			policy := w.Header().Get("Content-Security-Policy")
			for _, want := range []string{"default-src 'none'", "frame-ancestors 'none'", "script-src 'none'", "base-uri 'none'", "form-action 'self'"} {
				if !strings.Contains(policy, want) {
					t.Errorf("no %s in policy %q", want, policy)
				}
			}
			if w.Header().Get("Cache-Control") != "no-store" || w.Header().Get("Referrer-Policy") == "" {
				t.Errorf("got fields %v", w.Header())
			}
			if strings.Contains(w.Body.String(), "<script") {
				t.Error("a script in the page")
			}
		})
	}
	if cookie := b.get(f.urls.authorize + "?" + asking("spa").Encode()).Result().Cookies(); len(cookie) != 0 {
		t.Error("a browser that has its cookie got another")
	}
	fresh := f.browser().get(f.urls.authorize + "?" + asking("spa").Encode()).Result().Cookies()
	if len(fresh) != 1 || fresh[0].Name != "__Host-holdfast-browser" || !fresh[0].Secure || !fresh[0].HttpOnly || fresh[0].SameSite != http.SameSiteLaxMode || fresh[0].Path != "/" {
		t.Errorf("got cookies %+v", fresh)
	}
}

func TestRedirectURIsOfClients(t *testing.T) {
	for _, tc := range []struct {
		uri  string
		want bool
	}{
		{"https://app.example/cb", true}, {"http://localhost:3000/cb", true}, {"http://127.0.0.1/cb", true}, {"com.example.app:/cb", true},
		{"http://app.example/cb", false}, {"https://app.example/cb#f", false}, {"https://user@app.example/cb", false},
		{"javascript:alert(1)", false}, {"data:text/html,x", false}, {"app:/cb", false}, {"/cb", false}, {"https:///cb", false},
		{"https://a;sandbox/cb", false}, {"https://app.example/ cb", false}, {"", false},
	} {
		t.Run(tc.uri, func(t *testing.T) {
			if err := checkRedirectURI(tc.uri); (err == nil) != tc.want {
				t.Errorf("got %v", err)
			}
		})
	}
}

func TestRedirectFor(t *testing.T) {
	c := &client{Client: Client{RedirectURIs: []string{"http://127.0.0.1:3000/cb?a=1", "http://localhost:3000/cb", "https://127.0.0.1/cb"}}}
	for _, tc := range []struct {
		uri  string
		want bool
	}{
		{"http://127.0.0.1:3000/cb?a=1", true}, {"http://127.0.0.1:49152/cb?a=1", true}, {"http://127.0.0.1/cb?a=1", true}, {"http://localhost:3000/cb", true},
		{"http://localhost:3001/cb", false}, {"http://127.0.0.1:49152/cb", false}, {"http://127.0.0.1:49152/cb?a=2", false}, {"http://127.0.0.2:1/cb?a=1", false},
		{"http://127.0.0.1:049152/cb?a=1", false}, {"http://127.0.0.1:65536/cb?a=1", false}, {"http://127.0.0.1:@evil.example/cb?a=1", false},
		{"https://127.0.0.1:1/cb", false}, {"http://127.0.0.1:1/cb?a=1#f", false}, {"HTTP://127.0.0.1:1/cb?a=1", false},
	} {
		t.Run(tc.uri, func(t *testing.T) {
			if got, err := c.redirectFor(tc.uri); (err == nil) != tc.want || err == nil && got != tc.uri {
				t.Errorf("got %q, %v", got, err)
			}
		})
	}
}
