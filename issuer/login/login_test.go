package login

import (
	"bytes"
	"context"
	"html"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/holdfast-project/holdfast/issuer"
	"github.com/holdfast-project/holdfast/issuer/signing"
	"github.com/holdfast-project/holdfast/issuer/store"
	"github.com/holdfast-project/holdfast/replay"
)

const testRedirect = "https://app.example/callback"

// fixture is an issuer on loopback, with a login.
type fixture struct {
	url   string
	store *store.Store

	mu     sync.Mutex // guards events
	events []issuer.Event
}

// newFixture makes one; change edits the login's configuration.
func newFixture(t *testing.T, change func(*Config)) *fixture {
	t.Helper()
	f := &fixture{}
	var handler http.Handler
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { handler.ServeHTTP(w, r) }))
	t.Cleanup(server.Close)
	f.url = strings.Replace(server.URL, "127.0.0.1", "localhost", 1) // passkeys are for names
	var err error
	if f.store, err = store.Open(t.Context(), "sqlite::memory:"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.store.Close() })
	observe := func(_ context.Context, e issuer.Event) {
		f.mu.Lock()
		defer f.mu.Unlock()
		f.events = append(f.events, e)
	}
	cfg := Config{Issuer: f.url, Store: f.store, InsecureDevelopmentUser: "dev", Observer: observe}
	if change != nil {
		change(&cfg)
	}
	l, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	secret := bytes.Repeat([]byte("s"), 32)
	ring, err := signing.Open(t.Context(), signing.Config{Store: f.store, Secrets: [][]byte{secret}})
	if err != nil {
		t.Fatal(err)
	}
	guard, err := replay.NewMemory(replay.MemoryConfig{InsecureAcceptOlder: true})
	if err != nil {
		t.Fatal(err)
	}
	s, err := issuer.New(issuer.Config{
		Issuer: f.url, Store: f.store, Keys: ring, Secret: secret, Replay: guard, Login: l, Observer: observe,
		Clients: []issuer.Client{{
			ID: "app", AuthMethod: issuer.NoAuth, Grants: []issuer.GrantType{issuer.CodeGrant}, RedirectURIs: []string{testRedirect},
			Scope: []string{"read"}, Audience: []string{"https://rs.example"},
		}},
	})
	if err != nil {
		t.Fatal(err)
	}
	handler = s.Handler()
	return f
}

func (f *fixture) lastEvent(t *testing.T, endpoint string) issuer.Event {
	t.Helper()
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, e := range slices.Backward(f.events) {
		if e.Endpoint == endpoint {
			return e
		}
	}
	t.Fatalf("no event of %s", endpoint)
	return issuer.Event{}
}

// browser keeps cookies and follows redirects as far as this server's own.
type browser struct {
	*http.Client
	f *fixture
}

func (f *fixture) browser(t *testing.T) *browser {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	return &browser{&http.Client{Jar: jar, CheckRedirect: func(r *http.Request, _ []*http.Request) error {
		if !strings.HasPrefix(r.URL.String(), f.url) {
			return http.ErrUseLastResponse
		}
		return nil
	}}, f}
}

// answer is an answer that was read.
type answer struct {
	status   int
	at       string // the URL that was arrived at
	location string // where it leads from there
	body     string
}

func (b *browser) do(t *testing.T, method, target string, fields url.Values) answer {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, target, strings.NewReader(fields.Encode()))
	if err != nil {
		t.Fatal(err)
	}
	if method == "POST" {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.Header.Set("Origin", b.f.url)
	}
	resp, err := b.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer{resp.StatusCode, resp.Request.URL.String(), resp.Header.Get("Location"), string(body)}
}

func (b *browser) get(t *testing.T, target string) answer { return b.do(t, "GET", target, nil) }

var (
	hiddenField = regexp.MustCompile(`<input type="hidden" name="([a-z]+)" value="([^"]*)">`)
	formAction  = regexp.MustCompile(`<form method="post" action="([^"]*)">`)
)

// submit sends the page's first form.
func (b *browser) submit(t *testing.T, p answer, more url.Values) answer {
	t.Helper()
	action := formAction.FindStringSubmatch(p.body)
	if action == nil {
		t.Fatalf("no form in %s", p.body)
	}
	fields := url.Values{}
	for _, m := range hiddenField.FindAllStringSubmatch(p.body, -1) {
		fields.Set(m[1], html.UnescapeString(m[2]))
	}
	for name, values := range more {
		fields[name] = values
	}
	return b.do(t, "POST", b.f.url+html.UnescapeString(action[1]), fields)
}

// authorize visits the authorization endpoint as the app would have it.
func (b *browser) authorize(t *testing.T, more url.Values) answer {
	t.Helper()
	q := url.Values{
		"response_type": {"code"}, "client_id": {"app"}, "redirect_uri": {testRedirect}, "state": {"s"},
		"code_challenge": {"E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"}, "code_challenge_method": {"S256"},
	}
	for name, values := range more {
		q[name] = values
	}
	return b.get(t, b.f.url+"/authorize?"+q.Encode())
}

// session is the browser's session cookie.
func (b *browser) session(t *testing.T) string {
	t.Helper()
	u, err := url.Parse(b.f.url)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range b.Jar.Cookies(u) {
		if c.Name == sessionCookie {
			return c.Value
		}
	}
	return ""
}

func checkCode(t *testing.T, p answer) {
	t.Helper()
	if p.status != http.StatusSeeOther || !strings.HasPrefix(p.location, testRedirect+"?code=hfc_") {
		t.Fatalf("got %d to %q, want a code", p.status, p.location)
	}
}

func TestDevelopmentUser(t *testing.T) {
	f := newFixture(t, nil)
	b := f.browser(t)
	login := b.authorize(t, nil)
	if !strings.Contains(login.body, "Log in as dev") {
		t.Fatalf("got page %s", login.body)
	}
	asked := b.submit(t, login, nil)
	if !strings.Contains(asked.body, "Allow app to act for you?") {
		t.Fatalf("got page %s", asked.body)
	}
	checkCode(t, b.submit(t, asked, url.Values{"decision": {"allow"}}))
	subject := f.lastEvent(t, "authorization").Subject
	if subject == "" || subject == "dev" || subject != f.lastEvent(t, "login").Subject || subject != f.lastEvent(t, "consent").Subject {
		t.Errorf("got subject %q", subject)
	}
	checkCode(t, b.authorize(t, nil)) // consent is stored

	account := b.get(t, f.url+"/login/")
	if out := b.submit(t, account, nil); !strings.Contains(out.body, "Log in") {
		t.Errorf("got page %s", out.body)
	}
	if got := f.lastEvent(t, "logout").Subject; got != subject {
		t.Errorf("%q logged out, want %q", got, subject)
	}
	if again := b.authorize(t, nil); !strings.Contains(again.body, "Log in as dev") {
		t.Errorf("after logging out got %s", again.body)
	}
}

// A login always has a fresh cookie, and the one before it is worth nothing: whoever had planted it gains nothing.
func TestHazardSessionFixation(t *testing.T) {
	f := newFixture(t, nil)
	attacker := f.browser(t)
	attacker.submit(t, attacker.authorize(t, nil), nil)
	planted := attacker.session(t)

	victim := f.browser(t)
	u, err := url.Parse(f.url)
	if err != nil {
		t.Fatal(err)
	}
	victim.Jar.SetCookies(u, []*http.Cookie{{Name: sessionCookie, Value: planted, Path: "/"}})
	victim.submit(t, victim.authorize(t, url.Values{"prompt": {"login"}}), nil)
	if victim.session(t) == planted {
		t.Error("the login kept the planted cookie")
	}
	if w := attacker.authorize(t, url.Values{"prompt": {"none"}}); !strings.Contains(w.location, "error=login_required") {
		t.Errorf("the planted session is still good: %s", w.location)
	}
}

// Another site can neither log a browser in nor out (login CSRF), nor choose where it goes.
func TestHazardLoginForged(t *testing.T) {
	f := newFixture(t, nil)
	for _, path := range []string{"development", "logout"} {
		t.Run(path, func(t *testing.T) {
			r, err := http.NewRequestWithContext(t.Context(), "POST", f.url+"/login/"+path, nil)
			if err != nil {
				t.Fatal(err)
			}
			r.Header.Set("Origin", "https://evil.example")
			resp, err := f.browser(t).Do(r)
			if err != nil {
				t.Fatal(err)
			}
			resp.Body.Close()
			if resp.StatusCode != http.StatusForbidden || len(resp.Cookies()) != 0 {
				t.Errorf("got %d with cookies %v", resp.StatusCode, resp.Cookies())
			}
			if got := f.lastEvent(t, "login").Refusal; got == nil || got.Reason != issuer.CrossSite {
				t.Errorf("got refusal %v", got)
			}
		})
	}
	for _, back := range []string{"https://evil.example/", "//evil.example/", "/consent?interaction=a&b=c", "/consent?interaction=", "/consent", "/consent?interaction=a/../..", `/consent?interaction=\`} {
		t.Run(back, func(t *testing.T) {
			b := f.browser(t)
			if p := b.do(t, "POST", f.url+"/login/development", url.Values{"back": {back}}); p.at != f.url+"/login/" || p.location != "" {
				t.Errorf("got to %s and %q", p.at, p.location)
			}
		})
	}
}

func TestLoginGetsOnly(t *testing.T) {
	f := newFixture(t, nil)
	for _, path := range []string{"development", "logout", "elsewhere", "%2e"} {
		if p := f.browser(t).get(t, f.url+"/login/"+path); p.status != http.StatusNotFound {
			t.Errorf("GET %s: got %d", path, p.status)
		}
	}
}

func TestDisabledUser(t *testing.T) {
	f := newFixture(t, nil)
	b := f.browser(t)
	b.submit(t, b.authorize(t, nil), nil)
	user, err := f.store.UserByName(t.Context(), "dev")
	if err != nil {
		t.Fatal(err)
	}
	user.Disabled = true
	if err := f.store.UpdateUser(t.Context(), user.Created, user); err != nil {
		t.Fatal(err)
	}
	login := b.authorize(t, nil)
	if !strings.Contains(login.body, "Log in as dev") {
		t.Error("the session is still good")
	}
	if p := b.submit(t, login, nil); p.status != http.StatusForbidden {
		t.Errorf("logging in again got %d", p.status)
	}
}

func TestConfigRefused(t *testing.T) {
	good := func() Config {
		return Config{Issuer: "https://as.example", Store: new(store.Store), InsecureDevelopmentUser: "dev"}
	}
	if _, err := New(good()); err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		name   string
		change func(*Config)
	}{
		{"no issuer", func(c *Config) { c.Issuer = "" }},
		{"no store", func(c *Config) { c.Store = nil }},
		{"no way to log in", func(c *Config) { c.InsecureDevelopmentUser = "" }},
		{"short sessions", func(c *Config) { c.SessionLifetime = 1 }},
		{"a domain for no passkeys", func(c *Config) { c.PasskeyDomain = "as.example" }},
	} {
		t.Run(tc.name, func(t *testing.T) {
			cfg := good()
			tc.change(&cfg)
			if _, err := New(cfg); err == nil {
				t.Error("accepted")
			}
		})
	}
}
