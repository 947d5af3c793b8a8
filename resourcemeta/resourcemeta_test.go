package resourcemeta

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/holdfast-project/holdfast/internal/fetch"
	"github.com/holdfast-project/holdfast/keys"
)

const resource = "https://api.example/v1"

// full is the metadata with every member that is read.
const full = `{"resource":"https://api.example/v1","resource_name":"Orders","authorization_servers":["https://as.example"],
"jwks_uri":"https://api.example/keys","scopes_supported":["read","write"],"bearer_methods_supported":["header"],
"resource_signing_alg_values_supported":["ES256"],"dpop_signing_alg_values_supported":["ES256","Ed25519"],
"dpop_bound_access_tokens_required":true,"tls_client_certificate_bound_access_tokens":true,"pop_sessions_supported":true,
"resource_documentation":"https://docs.example","resource_name#fr":"Commandes"}`

func TestParse(t *testing.T) {
	got, err := Parse([]byte(full), resource)
	if err != nil {
		t.Fatal(err)
	}
	want := &Metadata{
		Resource: resource, Name: "Orders", AuthorizationServers: []string{"https://as.example"},
		JWKSURI: "https://api.example/keys", Scopes: []string{"read", "write"}, BearerMethods: []string{"header"},
		SigningAlgorithms: []keys.Algorithm{keys.ES256}, DPoPAlgorithms: []keys.Algorithm{keys.ES256, keys.Ed25519},
		DPoPRequired: true, CertificateBound: true, Sessions: true,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("metadata (-want +got)\n%s", diff)
	}
}

// Each differs from accepted metadata in one thing.
func TestParseRefused(t *testing.T) {
	edit := func(from, to string) string {
		if !strings.Contains(full, from) {
			t.Fatalf("%s isn't there", from)
		}
		return strings.Replace(full, from, to, 1)
	}
	for _, tc := range []struct {
		name, document string
		want           Reason
		part           string
	}{
		{"of another resource", edit(`/v1"`, `/v2"`), ResourceMismatch, "resource"},
		{"without its path", edit(`/v1"`, `"`), ResourceMismatch, "resource"},
		{"with a slash at the end", edit(`/v1"`, `/v1/"`), ResourceMismatch, "resource"},
		{"in other letters", edit(`api.example/v1`, `API.example/v1`), ResourceMismatch, "resource"},
		{"no resource", edit(`"resource":`, `"resource_":`), ResourceMismatch, "resource"},
		{"resource twice", edit(`{`, `{"resource":"https://api.example/v1",`), Malformed, "document"},
		{"jwks_uri twice", edit(`{`, `{"jwks_uri":"https://api.example/keys",`), Malformed, "document"},
		{"an unknown member twice", edit(`{`, `{"x":1,"x":2,`), Malformed, "document"},
		{"jwks_uri over http", edit(`"https://api.example/keys"`, `"http://api.example/keys"`), Malformed, "jwks_uri"},
		{"jwks_uri relative", edit(`"https://api.example/keys"`, `"/keys"`), Malformed, "jwks_uri"},
		{"jwks_uri a number", edit(`"https://api.example/keys"`, `7`), Malformed, "jwks_uri"},
		{"an issuer over http", edit(`"https://as.example"`, `"http://as.example"`), Malformed, "authorization_servers"},
		{"an issuer with a query", edit(`"https://as.example"`, `"https://as.example?x"`), Malformed, "authorization_servers"},
		{"one issuer, not a list", edit(`["https://as.example"]`, `"https://as.example"`), Malformed, "authorization_servers"},
		{"a scope that is no text", edit(`["read"`, `[1`), Malformed, "scopes_supported"},
		{"a flag that is text", edit(`"pop_sessions_supported":true`, `"pop_sessions_supported":"true"`), Malformed, "pop_sessions_supported"},
		{"signatures by none", edit(`_supported":["ES256"]`, `_supported":["none"]`), Malformed, "algorithms"},
		{"proofs by none", edit(`"Ed25519"]`, `"none"]`), Malformed, "algorithms"},
		{"a list", "[" + full + "]", Malformed, "document"},
		{"two documents", full + full, Malformed, "document"},
		{"too long", full + strings.Repeat(" ", fetch.MaxDocument), Malformed, "document"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got, err := Parse([]byte(tc.document), resource)
			e, ok := errors.AsType[*Error](err)
			if !ok || e.Reason != tc.want || e.Part != tc.part {
				t.Errorf("got %v, want %s at %s", err, tc.want, tc.part)
			}
			if got != nil {
				t.Error("metadata came with the error")
			}
		})
	}
}

func TestURL(t *testing.T) {
	for _, tc := range []struct {
		resource, want string // "" for refused
	}{
		{"https://api.example", "https://api.example" + WellKnown},
		{"https://api.example/", "https://api.example" + WellKnown},
		{"https://api.example:8443/v1", "https://api.example:8443" + WellKnown + "/v1"},
		{"https://api.example/v1/", "https://api.example" + WellKnown + "/v1/"},
		{"https://api.example/a%2Fb", "https://api.example" + WellKnown + "/a%2Fb"},
		{"https://api.example/v1?x=y", "https://api.example" + WellKnown + "/v1?x=y"},
		{"https://api.example/?x=y", "https://api.example" + WellKnown + "?x=y"},
		{"http://127.0.0.1:80", "http://127.0.0.1:80" + WellKnown},
		{"http://api.example", ""},
		{"HTTPS://api.example", ""},
		{"https://api.example/#a", ""},
		{"https://user@api.example", ""},
		{"api.example", ""},
		{"urn:example:api", ""},
		{"", ""},
	} {
		t.Run(tc.resource, func(t *testing.T) {
			got, err := URL(tc.resource)
			if got != tc.want || (err == nil) != (tc.want != "") {
				t.Errorf("got %q, %v; want %q", got, err, tc.want)
			}
			if e, ok := errors.AsType[*Error](err); err != nil && (!ok || e.Reason != BadIdentifier) {
				t.Errorf("got %v, want %s", err, BadIdentifier)
			}
		})
	}
}

func newKey(t testing.TB, alg keys.Algorithm) *keys.Public {
	t.Helper()
	signer, err := keys.Generate(alg)
	if err != nil {
		t.Fatal(err)
	}
	return signer.Public()
}

// serve publishes m and set on a server of its own, whose URL takes the place of {url} in m.
func serve(t *testing.T, path string, set ...*keys.Public) (server *httptest.Server, identifier string, mux *http.ServeMux) {
	t.Helper()
	mux = http.NewServeMux()
	server = httptest.NewServer(mux)
	t.Cleanup(server.Close)
	identifier = server.URL + path
	handlers, err := Handlers(Metadata{Resource: identifier, BearerMethods: []string{"header"}}, set)
	if err != nil {
		t.Fatal(err)
	}
	for at, h := range handlers {
		mux.Handle(at, h)
	}
	return server, identifier, mux
}

// What is served is what is fetched.
func TestFetch(t *testing.T) {
	for _, path := range []string{"", "/", "/v1", "/v1/"} {
		t.Run(path, func(t *testing.T) {
			current, next := newKey(t, keys.ES256), newKey(t, keys.Ed25519)
			server, identifier, _ := serve(t, path, current, next)
			m, set, err := Fetch(t.Context(), nil, identifier)
			if err != nil {
				t.Fatal(err)
			}
			want := &Metadata{
				Resource: identifier, JWKSURI: server.URL + KeysPath, BearerMethods: []string{"header"},
				SigningAlgorithms: []keys.Algorithm{current.Algorithm(), next.Algorithm()},
			}
			if diff := cmp.Diff(want, m); diff != "" {
				t.Errorf("metadata (-want +got)\n%s", diff)
			}
			if len(set) != 2 || set[0].Thumbprint() != current.Thumbprint() || set[1].Thumbprint() != next.Thumbprint() {
				t.Errorf("got %d keys, want the two that were published", len(set))
			}
		})
	}
}

func TestFetchRefused(t *testing.T) {
	rsa, err := keys.NewPublic(newKey(t, keys.PS256).Key(), "", "")
	if err != nil {
		t.Fatal(err)
	}
	text := func(body string) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			_, _ = w.Write([]byte(strings.ReplaceAll(body, "{url}", "http://"+r.Host))) // the client may have gone
		}
	}
	set, err := json.Marshal(map[string]any{"keys": []any{rsa}})
	if err != nil {
		t.Fatal(err)
	}
	// Not by the path: a redirect within the origin would be another document as well.
	redirect := http.RedirectHandler(WellKnown, http.StatusFound)
	const good = `{"resource":"{url}","jwks_uri":"{url}/keys"}`
	for _, tc := range []struct {
		name           string
		metadata, keys http.Handler
		want           Reason
	}{
		{"no metadata", http.NotFoundHandler(), text("{}"), Unavailable},
		{"metadata elsewhere", redirect, text("{}"), Unavailable},
		{"metadata of another", text(`{"resource":"https://api.example","jwks_uri":"{url}/keys"}`), text("{}"), ResourceMismatch},
		{"no jwks_uri", text(`{"resource":"{url}"}`), text("{}"), NoKeys},
		{"no key set", text(good), http.NotFoundHandler(), Unavailable},
		{"key set elsewhere", text(good), redirect, Unavailable},
		{"not a key set", text(good), text("{}"), Malformed},
		{"empty key set", text(good), text(`{"keys":[]}`), NoKeys},
		{"a key that names no algorithm", text(good), text(string(set)), NoKeys},
	} {
		t.Run(tc.name, func(t *testing.T) {
			mux := http.NewServeMux()
			mux.Handle(WellKnown, tc.metadata)
			mux.Handle("/keys", tc.keys)
			server := httptest.NewServer(mux)
			t.Cleanup(server.Close)
			m, set, err := Fetch(t.Context(), nil, server.URL)
			e, ok := errors.AsType[*Error](err)
			if !ok || e.Reason != tc.want || m != nil || set != nil {
				t.Errorf("got %v, %d keys, %v; want %s alone", m, len(set), err, tc.want)
			}
		})
	}
}

func TestHandlersAnswer(t *testing.T) {
	server, _, _ := serve(t, "/v1", newKey(t, keys.ES256))
	for _, path := range []string{WellKnown, WellKnown + "/v1", KeysPath} {
		for method, want := range map[string]int{"GET": 200, "HEAD": 200, "POST": 405} {
			t.Run(method+path, func(t *testing.T) {
				r, err := http.NewRequestWithContext(t.Context(), method, server.URL+path, nil)
				if err != nil {
					t.Fatal(err)
				}
				res, err := http.DefaultClient.Do(r)
				if err != nil {
					t.Fatal(err)
				}
				res.Body.Close()
				if res.StatusCode != want || want == 405 && res.Header.Get("Allow") != "GET, HEAD" ||
					want == 200 && res.Header.Get("Cache-Control") != "public, max-age=300" {
					t.Errorf("got %d, %v; want %d", res.StatusCode, res.Header, want)
				}
			})
		}
	}
}

func TestHandlersRefused(t *testing.T) {
	for name, m := range map[string]Metadata{
		"no resource":         {},
		"resource over http":  {Resource: "http://api.example"},
		"a query":             {Resource: "https://api.example/?x"},
		"an issuer over http": {Resource: resource, AuthorizationServers: []string{"http://as.example"}},
		"keys over http":      {Resource: resource, JWKSURI: "http://api.example/keys"},
	} {
		t.Run(name, func(t *testing.T) {
			if h, err := Handlers(m, nil); err == nil {
				t.Errorf("got %d handlers", len(h))
			}
		})
	}
}

// What Parse accepts is of the resource asked for, names no untrusted place, and is written as it was read.
func FuzzParse(f *testing.F) {
	seeds := []string{full, `{}`, `{"resource":"https://api.example/v1"}`, `{"resource":"https:\/\/api.example\/v1"}`,
		`{"resource":"https://api.example/v1","jwks_uri":"http://localhost/"}`, `{"resource":"https://api.example/v1","bearer_methods_supported":[]}`}
	accepted := 0
	for _, seed := range seeds {
		f.Add([]byte(seed))
		if _, err := Parse([]byte(seed), resource); err == nil {
			accepted++
		}
	}
	if accepted == 0 {
		f.Fatal("no seed is accepted")
	}
	f.Fuzz(func(t *testing.T, document []byte) {
		m, err := Parse(document, resource)
		if err != nil {
			if _, ok := errors.AsType[*Error](err); !ok || m != nil {
				t.Fatalf("got %v, %v", m, err)
			}
			return
		}
		if m.Resource != resource {
			t.Fatalf("metadata of %q", m.Resource)
		}
		if _, err := fetch.Endpoint(m.JWKSURI); m.JWKSURI != "" && err != nil {
			t.Fatalf("keys at %q", m.JWKSURI)
		}
		text, err := m.document()
		if err != nil {
			t.Fatalf("written, it isn't read again: %v", err)
		}
		again, err := Parse(text, resource)
		if diff := cmp.Diff(m, again, cmpEmpty); err != nil || diff != "" {
			t.Fatalf("%v, %s", err, diff)
		}
	})
}

// cmpEmpty takes an empty list for none: the RFC has empty ones left out.
var cmpEmpty = cmpopts.EquateEmpty()
