package issuer

import (
	"encoding/json"
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/holdfast-project/holdfast/dpop"
	"github.com/holdfast-project/holdfast/keys"
)

// homepage is a server with the document of a client.
type homepage struct {
	*httptest.Server
	id       string
	document map[string]any
	kind     string                    // its Content-Type
	answer   func(http.ResponseWriter) // in place of the document, if set
	asked    atomic.Int64
}

func newHomepage(t testing.TB) *homepage {
	t.Helper()
	h := &homepage{kind: "application/json"}
	h.Server = httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h.asked.Add(1)
		if r.URL.Path == "/moved" {
			http.Redirect(w, r, "/app", http.StatusFound)
			return
		}
		w.Header().Set("Content-Type", h.kind)
		if h.answer != nil {
			h.answer(w)
			return
		}
		json.NewEncoder(w).Encode(h.document)
	}))
	t.Cleanup(h.Close)
	h.id = h.URL + "/app"
	h.document = map[string]any{
		"client_id": h.id, "client_name": "Ada’s tool", "redirect_uris": []string{testRedirect}, "token_endpoint_auth_method": "none",
	}
	return h
}

// fixture is an issuer that takes such clients, and reaches this one.
func (h *homepage) fixture(t testing.TB, change func(*DynamicRegistration)) *fixture {
	t.Helper()
	return newRegistering(t, func(cfg *Config) {
		cfg.Registration.Documents, cfg.Registration.HTTP = true, h.Client()
		if change != nil {
			change(cfg.Registration)
		}
	})
}

// A client that nobody has registered goes the whole way, and its document is fetched once.
func TestClientDocument(t *testing.T) {
	for _, tc := range []struct {
		name   string
		change func(h *homepage)
		assert bool
	}{
		{"public", func(*homepage) {}, false},
		{"public by default", func(h *homepage) { delete(h.document, "token_endpoint_auth_method") }, false},
		{"of a type of its own", func(h *homepage) { h.kind = "application/app+json; charset=utf-8" }, false},
		{"by assertions", nil, true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			h := newHomepage(t)
			f := h.fixture(t, nil)
			if tc.assert {
				h.document["token_endpoint_auth_method"] = "private_key_jwt"
				h.document["jwks"] = map[string]any{"keys": []any{f.jwtKey.Public()}}
			} else {
				tc.change(h)
			}
			b := f.browser()
			b.logIn(t, "alice")
			asked := b.authorize(asking(h.id))
			host := strings.TrimPrefix(h.URL, "https://")
			if page := asked.Body.String(); !strings.Contains(page, "Ada’s tool asks") || !strings.Contains(page, "other than <strong>"+host+"</strong>") {
				t.Fatalf("got page %s", page)
			}
			code := response(t, b.decide(fillIn(asked, "allow"), nil), testRedirect).Get("code")
			q := request("")
			q.form = map[string][]string{
				"grant_type": {"authorization_code"}, "client_id": {h.id}, "code": {code}, "redirect_uri": {testRedirect}, "code_verifier": {testVerifier},
			}
			if tc.assert {
				q.form.Set("client_assertion_type", jwtBearer)
				q.form.Set("client_assertion", f.assertion(t, f.jwtKey, func(_, c map[string]any) { c["iss"], c["sub"] = h.id, h.id }))
			}
			f.addProof(t, q, func(*dpop.Params) {})
			checkGranted(t, f.send(t, q))
			if got := h.asked.Load(); got != 1 {
				t.Errorf("the document was fetched %d times", got)
			}
		})
	}
}

func TestClientDocumentRefused(t *testing.T) {
	set := func(name string, v any) func(h *homepage) {
		return func(h *homepage) {
			if h.document[name] = v; v == nil {
				delete(h.document, name)
			}
		}
	}
	for _, tc := range []struct {
		name   string
		change func(h *homepage)
	}{
		{"no client_id", set("client_id", nil)},
		{"another client_id", set("client_id", "https://other.example/app")},
		{"a client_id that is none", set("client_id", 7)},
		{"a secret", set("client_secret", "x")},
		{"the end of a secret", set("client_secret_expires_at", 0)},
		{"by a secret", set("token_endpoint_auth_method", "client_secret_basic")},
		{"by a secret in the form", set("token_endpoint_auth_method", "client_secret_post")},
		{"assertions without keys", set("token_endpoint_auth_method", "private_key_jwt")},
		{"keys elsewhere", set("jwks_uri", "https://app.example/jwks")},
		{"no redirect URI", set("redirect_uris", nil)},
		{"another redirect URI", set("redirect_uris", []string{testRedirect + "/other"})},
		{"a grant of its own", set("grant_types", []string{"authorization_code", "client_credentials"})},
		{"not there", func(h *homepage) { h.answer = func(w http.ResponseWriter) { w.WriteHeader(http.StatusNotFound) } }},
		{"no JSON", func(h *homepage) { h.answer = func(w http.ResponseWriter) { w.Write([]byte("hello")) } }},
		{"a page", func(h *homepage) { h.kind = "text/html" }},
		{"of no type", func(h *homepage) { h.kind = "" }},
		{"of nearly the type", func(h *homepage) { h.kind = "text/app+json" }},
		{"too long", func(h *homepage) { h.document["x"] = strings.Repeat("x", maxMetadata) }},
		{"huge", func(h *homepage) { h.document["x"] = strings.Repeat("x", 300<<10) }},
		{"moved", func(h *homepage) { h.id = h.URL + "/moved"; h.document["client_id"] = h.id }},
		{"a server that is none", func(h *homepage) { h.Close() }},
	} {
		t.Run(tc.name, func(t *testing.T) {
			h := newHomepage(t)
			f := h.fixture(t, nil)
			good := maps.Clone(h.document)
			tc.change(h)
			b := f.browser()
			b.logIn(t, "alice")
			if w := b.authorize(asking(h.id)); w.Code == http.StatusSeeOther || strings.Contains(w.Body.String(), "Allow") {
				t.Errorf("got %d to %q: %s", w.Code, w.Header().Get("Location"), w.Body)
			}
			if _, ok := good["client_id"]; !ok {
				t.Error("the document that was changed is the good one")
			}
		})
	}
}

// Without the flag a URL is a name like any other; and what isn't fetched can't be reached from here.
func TestClientDocumentsWhereTheyAreOn(t *testing.T) {
	path := "https://as.example" + wellKnown + "/tenant"
	h := newHomepage(t)
	off := h.fixture(t, func(r *DynamicRegistration) { r.Documents = false })
	if c, err := off.client(anybody(t.Context()), h.id); c != nil || err != nil || h.asked.Load() != 0 {
		t.Errorf("off: got %v, %v, fetched %d times", c, err, h.asked.Load())
	}
	if m := jsonObject(t, get(t, off, "GET", path).Body.Bytes()); m["client_id_metadata_document_supported"] != nil {
		t.Errorf("off: got %v", m)
	}
	only := h.fixture(t, func(r *DynamicRegistration) { r.InitialTokens = nil })
	m := jsonObject(t, get(t, only, "GET", path).Body.Bytes())
	if m["client_id_metadata_document_supported"] != true || m["registration_endpoint"] != nil {
		t.Errorf("documents only: got %v", m)
	}
	public := h.fixture(t, func(r *DynamicRegistration) { r.HTTP = nil })
	c, err := public.client(anybody(t.Context()), h.id)
	if c != nil || err == nil || asError(err).Reason != Unavailable || h.asked.Load() != 0 {
		t.Errorf("on this machine: got %v, %v, fetched %d times", c, err, h.asked.Load())
	}
	missing := h.fixture(t, nil)
	if c, err := missing.client(anybody(t.Context()), h.URL+"/moved"); c != nil || err != nil {
		t.Errorf("not there: got %v, %v", c, err)
	}
	if got := missing.events[len(missing.events)-1]; got.Endpoint != "client-document" || got.Refusal == nil {
		t.Errorf("got event %+v", got)
	}
}

// A document that can't be had at the moment doesn't make its client an unknown one: it is to try again, and to forget nothing.
func TestClientDocumentUnavailable(t *testing.T) {
	for _, tc := range []struct {
		name   string
		status int
		want   int
	}{
		{"failing", http.StatusInternalServerError, http.StatusServiceUnavailable},
		{"busy", http.StatusTooManyRequests, http.StatusServiceUnavailable},
		{"gone", http.StatusGone, http.StatusUnauthorized},
	} {
		t.Run(tc.name, func(t *testing.T) {
			h := newHomepage(t)
			h.answer = func(w http.ResponseWriter) { w.WriteHeader(tc.status) }
			f := h.fixture(t, nil)
			q := request("")
			q.form = map[string][]string{"grant_type": {"refresh_token"}, "client_id": {h.id}, "refresh_token": {"hfr_x"}}
			res := f.send(t, q)
			if res.status != tc.want || (res.header.Get("Retry-After") == "") != (tc.want == http.StatusUnauthorized) {
				t.Errorf("got %d %v, want %d", res.status, res.body, tc.want)
			}
		})
	}
}

// Nobody can have us fetch without end what isn't a document; those that are remembered cost nothing.
func TestClientDocumentFetches(t *testing.T) {
	h := newHomepage(t)
	now := testNow
	hash, err := HashSecret(testInitial)
	if err != nil {
		t.Fatal(err)
	}
	f := newAuthorizing(t, &now, func(cfg *Config) {
		cfg.FailureLimit = 2
		cfg.Registration = &DynamicRegistration{InitialTokens: []SecretHash{hash}, Documents: true, HTTP: h.Client(), Audience: []string{testResource}}
	})
	b := f.browser()
	for i, tc := range []struct {
		id      string
		status  int
		fetched int64 // until then
	}{
		{h.id, http.StatusSeeOther, 1},
		{h.id + "/other", http.StatusBadRequest, 2},
		{h.id + "/other", http.StatusBadRequest, 3},
		{h.id + "/other", http.StatusTooManyRequests, 3},
		{h.id + "/another", http.StatusTooManyRequests, 3},
		{h.id, http.StatusSeeOther, 3},
	} {
		if w := b.authorize(asking(tc.id)); w.Code != tc.status || h.asked.Load() != tc.fetched {
			t.Errorf("%d: got %d, fetched %d times; want %d, %d", i, w.Code, h.asked.Load(), tc.status, tc.fetched)
		}
	}
}

// A client that somebody has registered under a URL is that one, and not what the URL says.
func TestClientDocumentHidden(t *testing.T) {
	h := newHomepage(t)
	f := h.fixture(t, nil)
	f.register(t, h.id)
	c, err := f.client(anybody(t.Context()), h.id)
	if err != nil || c == nil || c.AuthMethod != ClientSecretBasic || h.asked.Load() != 0 {
		t.Errorf("got %+v, %v, fetched %d times", c, err, h.asked.Load())
	}
}

func TestDocumentURL(t *testing.T) {
	for text, want := range map[string]bool{
		"https://app.example/client": true, "https://app.example:8443/a/b.json": true, "https://app.example/a?b": true, "https://app.example/a/": true,
		"https://app.example": false, "https://app.example/": false, "http://app.example/client": false, "https:///client": false,
		"https://u@app.example/client": false, "https://app.example/client#x": false, "https://app.example/client#": false,
		"https://app.example/a/../b": false, "https://app.example/./b": false, "https://app.example/a/%2e%2E/b": false, "https://app.example/..": false,
		"https://APP.example/client": false, "HTTPS://app.example/client": false, "https:app.example/client": false, "https://app.example/a b": false,
	} {
		if got := checkDocumentURL(text) == nil; got != want {
			t.Errorf("%s: got %t", text, got)
		}
	}
}

// What a document says never makes more of a client than a public one, or one with keys, by the document's own URL.
func FuzzClientDocument(f *testing.F) {
	const id = "https://app.example/client"
	key := newKey(f, keys.ES256, "k1").Public()
	for _, more := range []map[string]any{
		{}, {"token_endpoint_auth_method": "private_key_jwt", "jwks": map[string]any{"keys": []any{key}}}, {"client_secret": "x"}, {"skip_consent": true},
		{"client_id": "https://other.example/"}, {"token_endpoint_auth_method": "client_secret_basic"},
	} {
		document := map[string]any{"client_id": id, "redirect_uris": []string{testRedirect}}
		maps.Copy(document, more)
		f.Add(string(mustJSON(f, document)))
	}
	d := newDocuments(&DynamicRegistration{Documents: true, Audience: []string{testResource}, Scope: []string{"read"}})
	f.Fuzz(func(t *testing.T, text string) {
		c, err := d.parseDocument(id, []byte(text))
		if err != nil {
			if asError(err).Reason == Failed {
				t.Fatalf("got error %v", err)
			}
			return
		}
		if c.ID != id || c.AuthMethod != NoAuth && c.AuthMethod != PrivateKeyJWT || c.SecretHash != (SecretHash{}) || !c.SelfRegistered || c.SkipConsent {
			t.Errorf("got client %+v", c)
		}
	})
}
