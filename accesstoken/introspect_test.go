package accesstoken

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/holdfast-project/holdfast/keys"
)

const opaque = "2YotnFZFEjr1zCsicMWpAA"

// introspect asks a server that gives one answer.
func introspect(t *testing.T, answer http.HandlerFunc, change func(*IntrospectionConfig)) (*Token, error) {
	t.Helper()
	server := httptest.NewServer(answer)
	t.Cleanup(server.Close)
	cfg := IntrospectionConfig{
		Issuer: testIssuer, Endpoint: server.URL + "/introspect", Audience: testAudience,
		ClientID: "api", Secret: "secret", Now: func() time.Time { return testNow },
	}
	if change != nil {
		change(&cfg)
	}
	v, err := NewIntrospector(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return v.Verify(t.Context(), opaque)
}

func reply(body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, body) }
}

func goodAnswer() object { return goodClaims().with(object{"active": true, "token_type": "DPoP"}) }

func TestIntrospect(t *testing.T) {
	body := goodAnswer().with(object{"cnf": object{"jkt": rfc9449Thumbprint}}).json(t)
	got, err := introspect(t, reply(body), nil)
	if err != nil {
		t.Fatal(err)
	}
	want := &Token{
		Issuer: testIssuer, Subject: "alice", ClientID: "app", ID: "t-1",
		Audience: []string{testAudience}, Scope: []string{"read", "write"},
		IssuedAt: testNow, Expires: testNow.Add(300 * time.Second),
		Confirmation: Confirmation{Binding: BoundJKT, Thumbprint: decode32(t, rfc9449Thumbprint)},
		Hash:         hashToken(opaque), Claims: []byte(body),
	}
	if diff := cmp.Diff(got, want, cmp.AllowUnexported(keys.Public{})); diff != "" {
		t.Errorf("token (-got +want):\n%s", diff)
	}
}

func TestIntrospectRequest(t *testing.T) {
	var got *http.Request
	var form url.Values
	_, err := introspect(t, func(w http.ResponseWriter, r *http.Request) {
		got = r
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		form, err = url.ParseQuery(string(body))
		if err != nil {
			t.Error(err)
		}
		_, _ = io.WriteString(w, goodAnswer().json(t))
	}, func(c *IntrospectionConfig) { c.ClientID, c.Secret = "api:1", "s€c ret%&" })
	if err != nil {
		t.Fatal(err)
	}
	if got.Method != http.MethodPost || got.URL.Path != "/introspect" {
		t.Errorf("got %s %s", got.Method, got.URL)
	}
	for name, want := range map[string]string{"Content-Type": "application/x-www-form-urlencoded", "Accept": "application/json"} {
		if value := got.Header.Get(name); value != want {
			t.Errorf("%s: got %q, want %q", name, value, want)
		}
	}
	wantForm := url.Values{"token": {opaque}, "token_type_hint": {"access_token"}}
	if diff := cmp.Diff(form, wantForm); diff != "" {
		t.Errorf("form (-got +want):\n%s", diff)
	}
	// RFC 6749, section 2.3.1: form-encoded before they become a user and a password.
	if user, password, _ := got.BasicAuth(); user != "api%3A1" || password != "s%E2%82%ACc+ret%25%26" {
		t.Errorf("got credentials %q, %q", user, password)
	}
}

func TestIntrospectAnswer(t *testing.T) {
	now := testNow.Unix()
	tests := []struct {
		name   string
		change object
		want   Reason
	}{
		{"good", nil, ""},
		{"only what is needed", object{"iss": absent, "sub": absent, "client_id": absent, "jti": absent, "iat": absent, "scope": absent}, ""},
		{"token_type of no meaning", object{"token_type": 7}, ""},
		{"inactive", object{"active": false}, Inactive},
		{"active absent", object{"active": absent}, Unavailable},
		{"active a string", object{"active": "true"}, Unavailable},
		{"active a number", object{"active": 1}, Unavailable},
		{"active null", object{"active": nil}, Unavailable},
		{"iss other", object{"iss": "https://other.example"}, IssuerMismatch},
		{"iss a number", object{"iss": 1}, Unavailable},
		{"aud absent", object{"aud": absent}, AudienceMismatch},
		{"aud other", object{"aud": "other"}, AudienceMismatch},
		{"aud list", object{"aud": []string{"other", testAudience}}, ""},
		{"exp absent", object{"exp": absent}, Unavailable},
		{"exp past", object{"exp": now - 5}, Expired},
		{"exp a string", object{"exp": "1900000000"}, Unavailable},
		{"nbf ahead", object{"nbf": now + 6}, NotYetValid},
		{"iat ahead", object{"iat": now + 6}, NotYetValid},
		{"scope a list", object{"scope": []string{"read"}}, Unavailable},
		{"cnf null", object{"cnf": nil}, BadConfirmation},
		{"cnf empty", object{"cnf": object{}}, BadConfirmation},
		{"cnf of two", object{"cnf": object{"jkt": rfc9449Thumbprint, "x5t#S256": rfc8705Thumbprint}}, BadConfirmation},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			got, err := introspect(t, reply(goodAnswer().with(tc.change).json(t)), nil)
			if tc.want != "" {
				checkReason(t, err, tc.want)
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if got.Issuer != testIssuer {
				t.Errorf("got issuer %q, want %q", got.Issuer, testIssuer)
			}
		})
	}
}

// What is no answer of RFC 7662 is the issuer's failure, never the client's, and never a token.
func TestIntrospectFailure(t *testing.T) {
	good := goodAnswer().json(t)
	withStatus := func(code int) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Location", "/elsewhere")
			w.WriteHeader(code)
			_, _ = io.WriteString(w, good)
		}
	}
	tests := map[string]http.HandlerFunc{
		"empty":        reply(""),
		"HTML":         reply("<html>"),
		"a list":       reply("[" + good + "]"),
		"two answers":  reply(good + good),
		"active twice": reply(good[:len(good)-1] + `,"active":true}`),
		"too long":     reply(good[:len(good)-1] + strings.Repeat(" ", maxAnswer) + "}"),
		"no answer":    func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
		"cut off": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "1000")
			_, _ = io.WriteString(w, good)
		},
		"stuck too long": func(_ http.ResponseWriter, r *http.Request) {
			_, _ = io.Copy(io.Discard, r.Body) // only then does the server notice that the client left
			<-r.Context().Done()
		},
	}
	for _, code := range []int{201, 302, 307, 400, 401, 403, 404, 500, 503} {
		tests[fmt.Sprint("status ", code)] = withStatus(code)
	}
	for name, answer := range tests {
		t.Run(name, func(t *testing.T) {
			_, err := introspect(t, answer, func(c *IntrospectionConfig) {
				if strings.HasPrefix(name, "stuck") {
					c.Client = &http.Client{Timeout: 50 * time.Millisecond}
				}
			})
			checkReason(t, err, Unavailable)
			checkDiscretion(t, err, opaque)
			if errors.Unwrap(err) == nil {
				t.Errorf("%v doesn't say what failed", err)
			}
		})
	}
}

func TestIntrospectRefusesUnasked(t *testing.T) {
	asked := false
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { asked = true }))
	t.Cleanup(server.Close)
	v, err := NewIntrospector(IntrospectionConfig{
		Issuer: testIssuer, Endpoint: server.URL, Audience: testAudience, ClientID: "api", Secret: "secret",
	})
	if err != nil {
		t.Fatal(err)
	}
	for name, token := range map[string]string{"empty": "", "too long": strings.Repeat("x", maxToken+1)} {
		t.Run(name, func(t *testing.T) {
			_, err := v.Verify(t.Context(), token)
			checkReason(t, err, Malformed)
		})
	}
	if asked {
		t.Error("the issuer was asked")
	}
}

func TestNewIntrospectorRefuses(t *testing.T) {
	good := IntrospectionConfig{
		Issuer: testIssuer, Endpoint: testIssuer + "/introspect", Audience: testAudience, ClientID: "api", Secret: "secret",
	}
	if _, err := NewIntrospector(good); err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(*IntrospectionConfig){
		"no issuer":     func(c *IntrospectionConfig) { c.Issuer = "" },
		"no endpoint":   func(c *IntrospectionConfig) { c.Endpoint = "" },
		"no audience":   func(c *IntrospectionConfig) { c.Audience = "" },
		"no client id":  func(c *IntrospectionConfig) { c.ClientID = "" },
		"no secret":     func(c *IntrospectionConfig) { c.Secret = "" },
		"endpoint http": func(c *IntrospectionConfig) { c.Endpoint = "http://issuer.example/introspect" },
	} {
		t.Run(name, func(t *testing.T) {
			cfg := good
			change(&cfg)
			if _, err := NewIntrospector(cfg); err == nil {
				t.Error("accepted")
			}
		})
	}
}

// An accepted answer says to encoding/json, too, that the token is active, for us, and not expired.
func FuzzIntrospectionAnswer(f *testing.F) {
	v, err := NewIntrospector(IntrospectionConfig{
		Issuer: testIssuer, Endpoint: testIssuer, Audience: testAudience, ClientID: "api", Secret: "secret",
		Skew: -1, Now: func() time.Time { return testNow },
	})
	if err != nil {
		f.Fatal(err)
	}
	for _, change := range []object{
		nil, {"active": false}, {"aud": []string{testAudience}}, {"cnf": object{"jkt": rfc9449Thumbprint}}, {"cnf": nil}, {"exp": 1},
	} {
		f.Add([]byte(goodAnswer().with(change).json(f)))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		token, refusal := v.(*introspector).read(body, Hash{})
		if (token == nil) == (refusal == nil) {
			t.Fatalf("%s: got %v and %v", body, token, refusal)
		}
		if token == nil {
			return
		}
		var answer map[string]any
		if err := json.Unmarshal(body, &answer); err != nil {
			t.Fatalf("accepted %s: %v", body, err)
		}
		if answer["active"] != true || !token.Expires.After(testNow) {
			t.Fatalf("accepted %s", body)
		}
		if _, bound := answer["cnf"]; bound != (token.Confirmation.Binding != Unbound) {
			t.Fatalf("%s: got binding %q", body, token.Confirmation.Binding)
		}
	})
}
