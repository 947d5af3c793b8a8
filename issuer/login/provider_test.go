package login

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/holdfast-project/holdfast/internal/base64url"
	"github.com/holdfast-project/holdfast/internal/jws"
	"github.com/holdfast-project/holdfast/issuer"
	"github.com/holdfast-project/holdfast/issuer/store"
	"github.com/holdfast-project/holdfast/keys"
)

const providerSecret = "a secret that the provider knows"

// company is an OpenID provider that says what a test wants it to.
type company struct {
	*httptest.Server
	key      *keys.Signer
	metadata map[string]any
	status   int                         // of the metadata; 0: 200
	claims   map[string]any              // of ID tokens, besides the nonce
	sign     func(claims []byte) string  // makes them; nil: by key
	token    func(w http.ResponseWriter) // answers in place of the token endpoint, if set
	asked    atomic.Int64                // tokens
	seen     atomic.Pointer[url.Values]  // the last token request
	basic    atomic.Pointer[[2]string]   // its client authentication
}

func newCompany(t *testing.T) *company {
	t.Helper()
	key, err := keys.Generate(keys.ES256)
	if err != nil {
		t.Fatal(err)
	}
	c := &company{key: key}
	mux := http.NewServeMux()
	c.Server = httptest.NewServer(mux)
	t.Cleanup(c.Close)
	c.metadata = map[string]any{
		"issuer": c.URL, "authorization_endpoint": c.URL + "/authorize", "token_endpoint": c.URL + "/token", "jwks_uri": c.URL + "/jwks",
		"id_token_signing_alg_values_supported": []string{"ES256", "HS256", "none"},
		"token_endpoint_auth_methods_supported": []string{"client_secret_basic"},
	}
	now := time.Now().Unix()
	c.claims = map[string]any{"iss": c.URL, "sub": "u7", "aud": "rp", "iat": now, "exp": now + 300, "auth_time": now - 60, "name": "Ada\u202e L."}
	mux.HandleFunc("GET /.well-known/openid-configuration", func(w http.ResponseWriter, _ *http.Request) {
		if c.status != 0 {
			w.WriteHeader(c.status)
		}
		json.NewEncoder(w).Encode(c.metadata)
	})
	mux.HandleFunc("GET /jwks", func(w http.ResponseWriter, _ *http.Request) {
		json.NewEncoder(w).Encode(map[string]any{"keys": []any{key.Public()}})
	})
	mux.HandleFunc("POST /token", c.serveToken)
	return c
}

// serveToken gives an ID token for a code, which is the nonce that it is to have.
func (c *company) serveToken(w http.ResponseWriter, r *http.Request) {
	c.asked.Add(1)
	r.ParseForm()
	c.seen.Store(&r.PostForm)
	user, password, _ := r.BasicAuth()
	c.basic.Store(&[2]string{user, password})
	if c.token != nil {
		c.token(w)
		return
	}
	claims := map[string]any{"nonce": r.PostForm.Get("code")}
	for name, value := range c.claims {
		if claims[name] = value; value == nil {
			delete(claims, name)
		}
	}
	text, _ := json.Marshal(claims)
	token := ""
	if c.sign != nil {
		token = c.sign(text)
	} else {
		token, _ = jws.Sign(c.key, jws.Header{Typ: "JWT", KeyID: c.key.Public().KeyID()}, text)
	}
	w.Header().Set("Content-Type", "application/json")
	json.NewEncoder(w).Encode(map[string]any{"access_token": "a", "token_type": "Bearer", "id_token": token})
}

// provider is the configuration for it.
func (c *company) provider() Provider {
	return Provider{Name: "company", Label: "the company", Issuer: c.URL, ClientID: "rp", ClientSecret: providerSecret}
}

// fixture is an issuer with the company as its one way to log in.
func (c *company) fixture(t *testing.T, change func(*Config)) *fixture {
	t.Helper()
	return newFixture(t, func(cfg *Config) {
		cfg.InsecureDevelopmentUser, cfg.Providers = "", []Provider{c.provider()}
		if change != nil {
			change(cfg)
		}
	})
}

var providerHref = regexp.MustCompile(`<a class="button" href="([^"]*)">Log in with the company</a>`)

// leave follows the page's link to the provider and returns the request that arrives there.
func (b *browser) leave(t *testing.T, login answer) url.Values {
	t.Helper()
	link := providerHref.FindStringSubmatch(login.body)
	if link == nil {
		t.Fatalf("no link to the provider in %s", login.body)
	}
	left := b.get(t, b.f.url+strings.ReplaceAll(link[1], "&amp;", "&"))
	u, err := url.Parse(left.location)
	if err != nil || left.status != http.StatusSeeOther {
		t.Fatalf("got %d to %q, %v", left.status, left.location, err)
	}
	return u.Query()
}

// back is a response of the company's that lets the user in.
func back(q url.Values) url.Values {
	return url.Values{"state": {q.Get("state")}, "code": {q.Get("nonce")}}
}

func (b *browser) comeBack(t *testing.T, response url.Values) answer {
	t.Helper()
	return b.get(t, b.f.url+"/login/provider/company/callback?"+response.Encode())
}

func TestProvider(t *testing.T) {
	c := newCompany(t)
	f := c.fixture(t, nil)
	b := f.browser(t)
	q := b.leave(t, b.authorize(t, nil))
	want := url.Values{
		"client_id": {"rp"}, "response_type": {"code"}, "scope": {"openid profile"}, "redirect_uri": {f.url + "/login/provider/company/callback"},
		"code_challenge_method": {"S256"}, "max_age": {"43200"},
		"state": q["state"], "nonce": q["nonce"], "code_challenge": q["code_challenge"],
	}
	if d := cmp.Diff(q, want); d != "" || len(q.Get("state")) != 43 || len(q.Get("nonce")) != 43 || len(q.Get("code_challenge")) != 43 {
		t.Fatalf("-got +want\n%s", d)
	}
	asked := b.comeBack(t, back(q))
	if !strings.Contains(asked.body, "Allow app to act for you?") {
		t.Fatalf("got %d %s", asked.status, asked.body)
	}
	checkCode(t, b.submit(t, asked, url.Values{"decision": {"allow"}}))
	sent := *c.seen.Load()
	if sent.Get("redirect_uri") != q.Get("redirect_uri") || len(sent.Get("code_verifier")) < 43 || *c.basic.Load() != [2]string{"rp", url.QueryEscape(providerSecret)} {
		t.Errorf("got token request %v by %v", sent, c.basic.Load())
	}
	user, err := f.store.UserByName(t.Context(), c.URL+"|u7")
	if err != nil || user.DisplayName != "Ada L." || user.ID != f.lastEvent(t, "login").Subject || user.ID == "u7" {
		t.Errorf("got user %+v, %v", user, err)
	}
	// Another browser's login of the same person is the same user.
	other := f.browser(t)
	other.comeBack(t, back(other.leave(t, other.authorize(t, nil))))
	if got := f.lastEvent(t, "login").Subject; got != user.ID {
		t.Errorf("got another user %q", got)
	}
}

// A public client authenticates by nothing, and one at a provider that takes no Basic by its form.
func TestProviderAuthentication(t *testing.T) {
	for _, tc := range []struct {
		name, secret string
		methods      []string
		want         url.Values
	}{
		{"public", "", nil, url.Values{"client_id": {"rp"}}},
		{"by the form", providerSecret, []string{"client_secret_post"}, url.Values{"client_id": {"rp"}, "client_secret": {providerSecret}}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c := newCompany(t)
			c.metadata["token_endpoint_auth_methods_supported"] = tc.methods
			f := c.fixture(t, func(cfg *Config) { cfg.Providers[0].ClientSecret = tc.secret })
			b := f.browser(t)
			b.comeBack(t, back(b.leave(t, b.authorize(t, nil))))
			got := *c.seen.Load()
			if got.Get("client_id") != "rp" || got.Get("client_secret") != tc.secret || c.basic.Load()[0] != "" {
				t.Errorf("got %v by %v", got, c.basic.Load())
			}
		})
	}
}

// What isn't a good ID token logs nobody in.
func TestProviderTokenRefused(t *testing.T) {
	claim := func(name string, value any) func(*company) { return func(c *company) { c.claims[name] = value } }
	answer := func(status int, body string) func(*company) {
		return func(c *company) {
			c.token = func(w http.ResponseWriter) {
				w.Header().Set("Content-Type", "application/json")
				w.WriteHeader(status)
				w.Write([]byte(body))
			}
		}
	}
	now := time.Now()
	for _, tc := range []struct {
		name   string
		change func(*company)
		part   string // "" where the user is let in
	}{
		{"as it should be", func(*company) {}, ""},
		{"another nonce", claim("nonce", "other"), "nonce"},
		{"no nonce", claim("nonce", nil), "nonce"},
		{"another issuer", claim("iss", "https://other.example"), "id_token"},
		{"another audience", claim("aud", "other"), "id_token"},
		{"very many audiences", claim("aud", slices.Repeat([]string{"other"}, 10_000)), "id_token"},
		{"two audiences", claim("aud", []string{"rp", "other"}), "azp"},
		{"two audiences, for us", func(c *company) { c.claims["aud"], c.claims["azp"] = []string{"rp", "other"}, "rp" }, ""},
		{"another authorized party", claim("azp", "other"), "azp"},
		{"expired", claim("exp", now.Unix()-1), "id_token"},
		{"of nobody", claim("sub", ""), "sub"},
		{"a long subject", claim("sub", strings.Repeat("x", 256)), "sub"},
		{"a subject in lines", claim("sub", "a\nb"), "sub"},
		{"the longest subject", claim("sub", strings.Repeat("x", 255)), ""},
		{"no time", claim("auth_time", nil), "auth_time"},
		{"a time ahead", claim("auth_time", now.Unix()+60), "auth_time"},
		{"a clock ahead", claim("auth_time", now.Unix()+20), ""},
		{"an old login", claim("auth_time", now.Unix()-43200-60), "auth_time"},
		{"amr that is none", claim("amr", "pwd"), ""},
		{"another key", func(c *company) {
			other, err := keys.Generate(keys.ES256)
			if err != nil {
				t.Fatal(err)
			}
			c.sign = func(text []byte) string {
				token, _ := jws.Sign(other, jws.Header{Typ: "JWT", KeyID: c.key.Public().KeyID()}, text)
				return token
			}
		}, "id_token"},
		{"unsigned", func(c *company) {
			c.sign = func(text []byte) string {
				return base64url.Encode([]byte(`{"alg":"none"}`)) + "." + base64url.Encode(text) + "."
			}
		}, "id_token"},
		{"by the client's secret", func(c *company) {
			c.sign = func(text []byte) string {
				signed := base64url.Encode([]byte(`{"alg":"HS256"}`)) + "." + base64url.Encode(text)
				mac := hmac.New(sha256.New, []byte(providerSecret))
				mac.Write([]byte(signed))
				return signed + "." + base64url.Encode(mac.Sum(nil))
			}
		}, "id_token"},
		{"a key that isn't published", func(c *company) {
			other, err := keys.Generate(keys.ES256)
			if err != nil {
				t.Fatal(err)
			}
			c.sign = func(text []byte) string {
				token, _ := jws.Sign(other, jws.Header{Typ: "JWT", KeyID: "unknown"}, text)
				return token
			}
		}, "id_token"},
		{"no ID token", answer(200, `{"access_token":"a","token_type":"Bearer"}`), "id_token"},
		{"an error", answer(400, `{"error":"invalid_grant","error_description":"`+strings.Repeat("x", 1000)+`"}`), "token endpoint"},
		{"a huge answer", answer(200, `{"access_token":"`+strings.Repeat("x", 300<<10)+`","token_type":"Bearer"}`), "provider company"},
		{"nonsense", answer(200, "hello"), "provider company"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c := newCompany(t)
			tc.change(c)
			f := c.fixture(t, nil)
			b := f.browser(t)
			p := b.comeBack(t, back(b.leave(t, b.authorize(t, nil))))
			refusal := f.lastEvent(t, "login").Refusal
			if tc.part == "" {
				if refusal != nil || !strings.Contains(p.body, "Allow app") {
					t.Fatalf("got %v: %s", refusal, p.body)
				}
				return
			}
			if refusal == nil || strings.TrimPrefix(refusal.Part, "company: ") != tc.part || b.session(t) != "" || p.status < 400 {
				t.Errorf("got %d, %v, want %s", p.status, refusal, tc.part)
			}
			if refusal != nil && len(refusal.Error()) > 500 {
				t.Errorf("a refusal of %d bytes", len(refusal.Error()))
			}
		})
	}
}

// An answer is good once, in the browser that asked, and from the provider that was asked.
func TestProviderAnswerRefused(t *testing.T) {
	set := func(name string, values ...string) func(url.Values) { return func(q url.Values) { q[name] = values } }
	for _, tc := range []struct {
		name      string
		change    func(url.Values)
		announced bool // that answers name the provider
		part      string
	}{
		{"as it should be", func(url.Values) {}, false, ""},
		{"with its name", set("iss", "URL"), true, ""},
		{"with its name unannounced", set("iss", "URL"), false, ""},
		{"of another provider", set("iss", "https://other.example"), false, "iss"},
		{"of nobody", func(url.Values) {}, true, "iss"},
		{"of two", set("iss", "URL", "URL"), false, "iss"},
		{"no state", set("state"), false, "state"},
		{"another state", set("state", newSecret()), false, "state"},
		{"two states", func(q url.Values) { q["state"] = append(q["state"], "x") }, false, "state"},
		{"no code", set("code"), false, "code"},
		{"two codes", func(q url.Values) { q["code"] = append(q["code"], "x") }, false, "code"},
		{"a long code", set("code", strings.Repeat("x", maxParameter+1)), false, "code"},
		{"a code and an error", set("error", "access_denied"), false, "code"},
		{"an error", func(q url.Values) { q["code"], q["error"] = nil, []string{"access_denied"} }, false, "authorization response"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c := newCompany(t)
			c.metadata["authorization_response_iss_parameter_supported"] = tc.announced
			f := c.fixture(t, nil)
			b := f.browser(t)
			response := back(b.leave(t, b.authorize(t, nil)))
			tc.change(response)
			for i, v := range response["iss"] {
				response["iss"][i] = strings.Replace(v, "URL", c.URL, 1)
			}
			checkAnswer(t, f, b, b.comeBack(t, response), tc.part)
			if tc.part != "" && c.asked.Load() != 0 {
				t.Error("the code was tried all the same")
			}
		})
	}
}

func checkAnswer(t *testing.T, f *fixture, b *browser, p answer, part string) {
	t.Helper()
	refusal := f.lastEvent(t, "login").Refusal
	if part == "" {
		if refusal != nil || !strings.Contains(p.body, "Allow app") {
			t.Fatalf("got %v: %s", refusal, p.body)
		}
		return
	}
	if refusal == nil || strings.TrimPrefix(refusal.Part, "company: ") != part || b.session(t) != "" || p.status != http.StatusForbidden {
		t.Errorf("got %d, %v, want %s", p.status, refusal, part)
	}
}

// Whoever gets a victim's browser to take an answer that was meant for the attacker's would log it in as the attacker.
func TestHazardProviderLoginForged(t *testing.T) {
	c := newCompany(t)
	f := c.fixture(t, func(cfg *Config) {
		other := c.provider()
		other.Name, other.Label = "other", "somebody else"
		cfg.Providers = append(cfg.Providers, other)
	})
	attacker, victim := f.browser(t), f.browser(t)
	response := back(attacker.leave(t, attacker.authorize(t, nil)))
	checkAnswer(t, f, victim, victim.comeBack(t, response), "cookie")
	victim.leave(t, victim.authorize(t, nil))
	checkAnswer(t, f, victim, victim.comeBack(t, response), "state")

	at := attacker.get(t, f.url+"/login/provider/other/callback?"+response.Encode())
	if refusal := f.lastEvent(t, "login").Refusal; refusal == nil || refusal.Part != "other: state" || at.status != http.StatusForbidden {
		t.Errorf("another provider's answer: got %d, %v", at.status, refusal)
	}
	if c.asked.Load() != 0 {
		t.Error("the code was tried")
	}
	checkAnswer(t, f, attacker, attacker.comeBack(t, response), "") // nothing was lost
}

func TestProviderAnswerOnce(t *testing.T) {
	c := newCompany(t)
	f := c.fixture(t, nil)
	b := f.browser(t)
	response := back(b.leave(t, b.authorize(t, nil)))
	var wg sync.WaitGroup
	var good atomic.Int64
	for range 20 {
		wg.Go(func() {
			r, err := http.NewRequestWithContext(t.Context(), "GET", f.url+"/login/provider/company/callback?"+response.Encode(), nil)
			if err != nil {
				t.Error(err)
				return
			}
			client := &http.Client{Jar: b.Jar, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
			resp, err := client.Do(r)
			if err != nil {
				t.Error(err)
				return
			}
			resp.Body.Close()
			if resp.StatusCode == http.StatusSeeOther {
				good.Add(1)
			}
		})
	}
	wg.Wait()
	if good.Load() != 1 || c.asked.Load() != 1 {
		t.Errorf("%d of 20 were let in, by %d tokens", good.Load(), c.asked.Load())
	}
}

// A client that wants a recent login gets one: the provider is asked for it, and must say when it was.
func TestProviderFreshness(t *testing.T) {
	for _, tc := range []struct {
		name   string
		ask    url.Values
		maxAge string
		told   time.Duration // before now
		shown  string
	}{
		{"recent", url.Values{"max_age": {"100"}}, "100", 60 * time.Second, "Allow app"},
		{"old", url.Values{"max_age": {"100"}}, "100", 200 * time.Second, "could not be logged in"},
		{"anew", url.Values{"prompt": {"login"}}, "0", time.Second, "Allow app"},
		{"not anew", url.Values{"prompt": {"login"}}, "0", 60 * time.Second, "could not be logged in"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c := newCompany(t)
			c.claims["auth_time"] = time.Now().Add(-tc.told).Unix()
			b := c.fixture(t, nil).browser(t)
			q := b.leave(t, b.authorize(t, tc.ask))
			if age := q.Get("max_age"); age != tc.maxAge && age != "10"+tc.maxAge[1:] {
				t.Errorf("got max_age %s, want %s", age, tc.maxAge)
			}
			if p := b.comeBack(t, back(q)); !strings.Contains(p.body, tc.shown) {
				t.Errorf("got %s", p.body)
			}
		})
	}
	t.Run("the link was changed", func(t *testing.T) {
		c := newCompany(t)
		f := c.fixture(t, nil)
		b := f.browser(t)
		login := b.authorize(t, url.Values{"max_age": {"10"}})
		login.body = strings.Replace(login.body, "max_age=10", "", 1)
		if p := b.comeBack(t, back(b.leave(t, login))); !strings.Contains(p.body, "Log in with the company") {
			t.Errorf("an old login was taken: %s", p.body)
		}
	})
	t.Run("assumed", func(t *testing.T) {
		c := newCompany(t)
		delete(c.claims, "auth_time")
		b := c.fixture(t, func(cfg *Config) { cfg.Providers[0].InsecureAssumeAuthTime = true }).browser(t)
		if p := b.comeBack(t, back(b.leave(t, b.authorize(t, nil)))); !strings.Contains(p.body, "Allow app") {
			t.Errorf("got %s", p.body)
		}
	})
}

// A provider that can't be reached, or says nonsense, keeps nobody from anything else.
func TestProviderUnreachable(t *testing.T) {
	for _, tc := range []struct {
		name   string
		change func(*company)
	}{
		{"gone", func(c *company) { c.Close() }},
		{"another issuer", func(c *company) { c.metadata["issuer"] = "https://other.example" }},
		{"no token endpoint", func(c *company) { delete(c.metadata, "token_endpoint") }},
		{"an endpoint in the clear", func(c *company) { c.metadata["authorization_endpoint"] = "http://op.example/authorize" }},
		{"keys in the clear", func(c *company) { c.metadata["jwks_uri"] = "http://op.example/jwks" }},
		{"a long error", func(c *company) {
			c.status = http.StatusInternalServerError
			c.metadata["x"] = strings.Repeat("x", 100<<10)
		}},
		{"huge metadata", func(c *company) { c.metadata["x"] = strings.Repeat("x", 300<<10) }},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c := newCompany(t)
			tc.change(c)
			f := c.fixture(t, func(cfg *Config) { cfg.InsecureDevelopmentUser = "dev" })
			b := f.browser(t)
			for range 2 {
				p := b.get(t, f.url+"/login/provider/company")
				refusal := f.lastEvent(t, "login").Refusal
				if refusal != nil && len(refusal.Error()) > 500 {
					t.Errorf("a refusal of %d bytes", len(refusal.Error()))
				}
				if p.status != http.StatusServiceUnavailable || refusal == nil || refusal.Reason != issuer.Unavailable || len(b.Jar.Cookies(mustURL(t, f.url))) != 0 {
					t.Errorf("got %d, %v", p.status, refusal)
				}
			}
			if p := b.submit(t, b.authorize(t, nil), nil); !strings.Contains(p.body, "Allow app") {
				t.Errorf("got %s", p.body)
			}
		})
	}
}

func mustURL(t *testing.T, raw string) *url.URL {
	t.Helper()
	u, err := url.Parse(raw)
	if err != nil {
		t.Fatal(err)
	}
	return u
}

func TestProviderFoundLater(t *testing.T) {
	c := newCompany(t)
	named := c.metadata["issuer"]
	c.metadata["issuer"] = "https://other.example"
	now := time.Now()
	p, err := newProvider(c.provider(), func() time.Time { return now })
	if err != nil {
		t.Fatal(err)
	}
	check := func(what string, want bool) {
		t.Helper()
		if found, err := p.discover(t.Context()); (found != nil) != want || (err == nil) != want {
			t.Fatalf("%s: got %v, %v", what, found, err)
		}
	}
	check("another issuer", false)
	c.metadata["issuer"] = named
	check("not asked again yet", false)
	now = now.Add(discoveryWait)
	check("asked again", true)
	c.metadata["issuer"] = "https://other.example"
	now = now.Add(discoveryKept)
	check("what was found stays", true)
}

func TestProviderConfigRefused(t *testing.T) {
	for _, tc := range []struct {
		name   string
		change func(*Provider)
	}{
		{"no name", func(p *Provider) { p.Name = "" }},
		{"a name that is a path", func(p *Provider) { p.Name = "a/b" }},
		{"a long name", func(p *Provider) { p.Name = strings.Repeat("a", 33) }},
		{"no issuer", func(p *Provider) { p.Issuer = "" }},
		{"an issuer in the clear", func(p *Provider) { p.Issuer = "http://op.example" }},
		{"no client id", func(p *Provider) { p.ClientID = "" }},
		{"a name twice", func(p *Provider) { p.Name = "taken" }},
	} {
		t.Run(tc.name, func(t *testing.T) {
			p := Provider{Name: "a", Issuer: "https://op.example", ClientID: "rp"}
			taken := p
			taken.Name = "taken"
			cfg := Config{Issuer: "https://as.example", Store: new(store.Store), Providers: []Provider{taken, p}}
			if _, err := New(cfg); err != nil {
				t.Fatal(err)
			}
			tc.change(&cfg.Providers[1])
			if _, err := New(cfg); err == nil {
				t.Error("accepted")
			}
		})
	}
}

// One issuer is the provider of another: a user of the first logs in at the second.
func TestProviderOfOurs(t *testing.T) {
	op := newFixture(t, nil)
	rp := newFixture(t, func(cfg *Config) {
		cfg.InsecureDevelopmentUser = ""
		cfg.Providers = []Provider{{Name: "company", Label: "the company", Issuer: op.url, ClientID: "rp", ClientSecret: providerSecret}}
	})
	hash, err := issuer.HashSecret(providerSecret)
	if err != nil {
		t.Fatal(err)
	}
	registration, err := issuer.Client{
		ID: "rp", AuthMethod: issuer.ClientSecretBasic, SecretHash: hash, Grants: []issuer.GrantType{issuer.CodeGrant}, SkipConsent: true,
		RedirectURIs: []string{rp.url + "/login/provider/company/callback"}, Scope: []string{"openid", "profile"}, Audience: []string{op.url},
		InsecureAllowUnbound: true,
	}.Registration()
	if err != nil {
		t.Fatal(err)
	}
	if err := op.store.CreateClient(t.Context(), time.Now(), store.Client{ID: "rp", Registration: registration}); err != nil {
		t.Fatal(err)
	}
	here, there := rp.browser(t), op.browser(t)
	q := here.leave(t, here.authorize(t, nil))
	done := there.submit(t, there.get(t, op.url+"/authorize?"+q.Encode()), nil)
	if done.status != http.StatusSeeOther || !strings.HasPrefix(done.location, rp.url) {
		t.Fatalf("got %d to %q: %s", done.status, done.location, done.body)
	}
	asked := here.get(t, done.location)
	checkCode(t, here.submit(t, asked, url.Values{"decision": {"allow"}}))
	subject := op.lastEvent(t, "login").Subject
	if _, err := rp.store.UserByName(t.Context(), op.url+"|"+subject); err != nil {
		t.Error(err)
	}
}
