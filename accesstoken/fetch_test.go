package accesstoken

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/holdfast-project/holdfast/internal/fetch"
	"github.com/holdfast-project/holdfast/keys"
)

func TestMetadataURLs(t *testing.T) {
	tests := []struct {
		issuer string
		want   []string
	}{
		{"https://a.example", []string{
			"https://a.example/.well-known/oauth-authorization-server",
			"https://a.example/.well-known/openid-configuration",
		}},
		{"https://a.example/", []string{
			"https://a.example/.well-known/oauth-authorization-server",
			"https://a.example/.well-known/openid-configuration",
		}},
		{"https://a.example:8443/t/1", []string{
			"https://a.example:8443/.well-known/oauth-authorization-server/t/1",
			"https://a.example:8443/t/1/.well-known/openid-configuration",
		}},
		{"https://a.example/t%2F1/", []string{
			"https://a.example/.well-known/oauth-authorization-server/t%2F1",
			"https://a.example/t%2F1/.well-known/openid-configuration",
		}},
	}
	for _, tc := range tests {
		t.Run(tc.issuer, func(t *testing.T) {
			got, err := metadataURLs(tc.issuer)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(got, tc.want); diff != "" {
				t.Errorf("URLs (-got +want):\n%s", diff)
			}
		})
	}
}

func TestFetchKeys(t *testing.T) {
	const metadata = `{"issuer":"{url}","jwks_uri":"{url}/jwks"}`
	const oauth, oidc = "/.well-known/oauth-authorization-server", "/.well-known/openid-configuration"
	type answers = map[string]func(http.ResponseWriter, string)
	redirect := func(to string) func(http.ResponseWriter, string) {
		return func(w http.ResponseWriter, url string) {
			w.Header().Set("Location", url+to)
			w.WriteHeader(http.StatusFound)
		}
	}
	status := func(code int) func(http.ResponseWriter, string) {
		return func(w http.ResponseWriter, _ string) { w.WriteHeader(code) }
	}
	tests := []struct {
		name    string
		answers answers // beside /jwks
		path    string  // of the issuer
		want    string  // a part of the error, or "" if the key is found
	}{
		{"OAuth metadata", answers{oauth: text(metadata)}, "", ""},
		{"OpenID metadata", answers{oidc: text(metadata)}, "", ""},
		{"issuer with a path", answers{oauth + "/t1": text(`{"issuer":"{url}/t1","jwks_uri":"{url}/jwks"}`)}, "/t1", ""},
		{"OpenID issuer with a path", answers{"/t1" + oidc: text(`{"issuer":"{url}/t1","jwks_uri":"{url}/jwks"}`)}, "/t1", ""},
		{"other members", answers{oauth: text(`{"a":[{}],"issuer":"{url}","jwks_uri":"{url}/jwks","b":null}`)}, "", ""},
		{"no metadata", nil, "", "404"},
		{"error instead of OAuth metadata", answers{oauth: status(500), oidc: text(metadata)}, "", "500"},
		{"redirect", answers{oauth: redirect(oidc), oidc: text(metadata)}, "", "302"},
		{"key set redirects", answers{oauth: text(metadata), "/jwks": redirect("/elsewhere")}, "", "302"},
		{"other issuer", answers{oauth: text(`{"issuer":"https://a.example","jwks_uri":"{url}/jwks"}`)}, "", "of issuer"},
		{"issuer with a slash", answers{oauth: text(`{"issuer":"{url}/","jwks_uri":"{url}/jwks"}`)}, "", "of issuer"},
		{"issuer without its path", answers{oauth + "/t1": text(metadata)}, "/t1", "of issuer"},
		{"no issuer", answers{oauth: text(`{"jwks_uri":"{url}/jwks"}`)}, "", "of issuer"},
		{"no jwks_uri", answers{oauth: text(`{"issuer":"{url}"}`)}, "", "jwks_uri"},
		{"jwks_uri a number", answers{oauth: text(`{"issuer":"{url}","jwks_uri":1}`)}, "", "string"},
		{"jwks_uri over http", answers{oauth: text(`{"issuer":"{url}","jwks_uri":"http://a.example/jwks"}`)}, "", "loopback"},
		{"jwks_uri twice", answers{oauth: text(`{"issuer":"{url}","jwks_uri":"{url}/jwks","jwks_uri":"{url}/jwks"}`)}, "", "duplicate"},
		{"metadata is HTML", answers{oauth: text(`<html>`)}, "", "syntax"},
		{"key set is HTML", answers{oauth: text(metadata), "/jwks": text(`<html>`)}, "", "key set"},
		{"no key set", answers{oauth: text(metadata), "/jwks": status(404)}, "", "404"},
		{"empty key set answer", answers{oauth: text(metadata), "/jwks": status(200)}, "", "key set"},
		{"key set too long", answers{oauth: text(metadata), "/jwks": text(`{"keys":[` + strings.Repeat(" ", fetch.MaxDocument) + `]}`)}, "", "more than"},
		{"metadata too long", answers{oauth: text(strings.Repeat(" ", fetch.MaxDocument) + metadata)}, "", "more than"},
	}
	key := publish(t, newSigner(t, keys.ES256), "k1", "")
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			as := newAuthorizationServer(t, key)
			for path, answer := range tc.answers {
				as.answer(path, answer)
			}
			j := openJWKS(t, JWKSConfig{Issuer: as.URL + tc.path})
			got, err := j.Key(t.Context(), "k1")
			if tc.want != "" {
				checkReason(t, err, Unavailable)
				if !strings.Contains(err.Error(), tc.want) {
					t.Errorf("got %v, want it to say %q", err, tc.want)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if got.Thumbprint() != key.Thumbprint() {
				t.Error("got another key")
			}
		})
	}
}

// An issuer that never answers costs no more than the timeout.
func TestFetchTimesOut(t *testing.T) {
	s := newJWKSSuite(t)
	s.hang(t)
	j := openJWKS(t, JWKSConfig{URL: s.as.URL + "/jwks", Client: &http.Client{Timeout: 50 * time.Millisecond}})
	err := j.Ready(t.Context())
	checkReason(t, err, Unavailable)
}

// Metadata that is accepted names the issuer that was asked, and a place that may be trusted.
func FuzzMetadata(f *testing.F) {
	const good = `{"issuer":"https://issuer.example","jwks_uri":"https://issuer.example/jwks"}`
	for _, seed := range []string{
		good, `{}`, `[` + good + `]`, strings.Replace(good, "https", "http", 2), strings.Replace(good, `"issuer"`, `"Issuer"`, 1),
		`{"issuer":"https:\/\/issuer.example","jwks_uri":"http://localhost/"}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		uri, err := parseMetadata(body, testIssuer)
		if err != nil {
			if uri != "" {
				t.Fatalf("%s: got %q beside %v", body, uri, err)
			}
			return
		}
		var says map[string]any
		if err := json.Unmarshal(body, &says); err != nil || says["issuer"] != testIssuer || says["jwks_uri"] != uri {
			t.Fatalf("accepted %s with %q: %v", body, uri, err)
		}
		if _, err := fetch.Endpoint(uri); err != nil {
			t.Fatalf("accepted %s with %q", body, uri)
		}
	})
}
