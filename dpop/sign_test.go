package dpop

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/holdfast-project/holdfast/internal/jws"
	"github.com/holdfast-project/holdfast/keys"
)

// payload returns the claims of a proof, with numbers as they are written.
func payload(t testing.TB, proof string) map[string]any {
	t.Helper()
	c, err := jws.Parse(proof, 1<<16)
	if err != nil {
		t.Fatal(err)
	}
	var claims map[string]any
	dec := json.NewDecoder(strings.NewReader(c.Payload))
	dec.UseNumber()
	if err := dec.Decode(&claims); err != nil {
		t.Fatal(err)
	}
	return claims
}

func TestSign(t *testing.T) {
	signer := generate(t, keys.ES256)
	tests := []struct {
		name   string
		params Params
		want   map[string]any
	}{
		{"smallest", Params{Method: "POST", TargetURI: "https://as.example/token"}, map[string]any{
			"htm": "POST", "htu": "https://as.example/token",
		}},
		{"everything", Params{
			Method: "GET", TargetURI: target, Token: token, Nonce: `n"\`,
			Claims: map[string]any{"pso": "a", "b": []int{1}},
		}, map[string]any{
			"htm": "GET", "htu": "https://rs.example/api/items", "nonce": `n"\`,
			"ath": "fUHyO2r2Z3DZ53EsNrWBb0xWXoaNy59IiKCAqksmQEo", "pso": "a", "b": []any{json.Number("1")},
		}},
		{"fragment", Params{Method: "GET", TargetURI: "https://rs.example/a#b?c"}, map[string]any{
			"htm": "GET", "htu": "https://rs.example/a",
		}},
		{"empty path before a query", Params{Method: "GET", TargetURI: "https://rs.example?a/b"}, map[string]any{
			"htm": "GET", "htu": "https://rs.example/",
		}},
		{"path as it is", Params{Method: "GET", TargetURI: "https://rs.example/%7Ea/../b//"}, map[string]any{
			"htm": "GET", "htu": "https://rs.example/%7Ea/../b//",
		}},
		{"custom method", Params{Method: "M-SEARCH", TargetURI: "http://[::1]:8080/"}, map[string]any{
			"htm": "M-SEARCH", "htu": "http://[::1]:8080/",
		}},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			tc.params.Now, tc.params.ID = now, "id"
			proof, err := Sign(signer, tc.params)
			if err != nil {
				t.Fatal(err)
			}
			tc.want["jti"], tc.want["iat"] = "id", json.Number("1700000000")
			if diff := cmp.Diff(payload(t, proof), tc.want); diff != "" {
				t.Errorf("claims (-got +want):\n%s", diff)
			}
			_, err = newVerifier(t, Config{}).Verify(Request{
				Fields: []string{proof}, Method: tc.params.Method, TargetURI: tc.params.TargetURI,
				Token: tc.params.Token, Thumbprint: signer.Public().Thumbprint(),
			})
			if err != nil {
				t.Errorf("own proof: %v", err)
			}
		})
	}
}

func TestSignDefaults(t *testing.T) {
	signer := generate(t, keys.Ed25519)
	seen := map[any]bool{}
	for range 100 {
		before := time.Now().Truncate(time.Second)
		proof, err := Sign(signer, Params{Method: "GET", TargetURI: target})
		if err != nil {
			t.Fatal(err)
		}
		claims := payload(t, proof)
		if id, _ := claims["jti"].(string); len(id) != 22 || seen[id] { // 128 bits
			t.Fatalf("got jti %q", id)
		}
		seen[claims["jti"]] = true
		seconds, err := claims["iat"].(json.Number).Int64()
		if iat := time.Unix(seconds, 0); err != nil || iat.Before(before) || iat.After(time.Now()) {
			t.Fatalf("got iat %v, %v", iat, err)
		}
	}
}

func TestSignRefuses(t *testing.T) {
	signer := generate(t, keys.ES256)
	tests := []struct {
		name   string
		signer *keys.Signer
		params Params
	}{
		{"no signer", nil, Params{Method: "GET", TargetURI: target}},
		{"zero signer", &keys.Signer{}, Params{Method: "GET", TargetURI: target}},
		{"no method", signer, Params{TargetURI: target}},
		{"no target", signer, Params{Method: "GET"}},
		{"relative target", signer, Params{Method: "GET", TargetURI: "/api/items"}},
		{"target with a password", signer, Params{Method: "GET", TargetURI: "https://u:p@rs.example/"}},
		{"ID longer than verifiers take", signer, Params{Method: "GET", TargetURI: target, ID: strings.Repeat("a", 257)}},
		{"claim that isn't JSON", signer, Params{Method: "GET", TargetURI: target, Claims: map[string]any{"c": make(chan int)}}},
	}
	for _, name := range []string{"jti", "htm", "htu", "iat", "ath", "nonce"} {
		tests = append(tests, struct {
			name   string
			signer *keys.Signer
			params Params
		}{"further claim " + name, signer, Params{Method: "GET", TargetURI: target, Claims: map[string]any{name: "x"}}})
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			if proof, err := Sign(tc.signer, tc.params); err == nil {
				t.Errorf("got %s, want an error", proof)
			}
		})
	}
}

// Hazard 14: with a query in the URL, behind an offloader, with and without the default port, an honest proof is
// accepted; and nothing of the caller's is written to.
func TestHazardHonestURLs(t *testing.T) {
	signer := generate(t, keys.ES256)
	claims := map[string]any{"a": 1}
	for _, tc := range []struct{ client, server string }{
		{"https://rs.example/a?b=c&d", "https://rs.example/a?b=c&d"},
		{"https://rs.example/a?b=c", "https://rs.example/a"},
		{"https://rs.example:443/a", "https://rs.example/a"},
		{"https://rs.example/a", "https://rs.example:443/a"},
		{"https://RS.example", "https://rs.example/"},
		{"https://rs.example/a|b", "https://rs.example/a|b"},
		{"https://rs.example/a%2fb", "https://rs.example/a%2Fb"},
	} {
		before := strings.Clone(tc.client)
		proof, err := Sign(signer, Params{Method: "GET", TargetURI: tc.client, Now: now, Claims: claims})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := newVerifier(t, Config{}).Verify(Request{Fields: []string{proof}, Method: "GET", TargetURI: tc.server}); err != nil {
			t.Errorf("%s at %s: %v", tc.client, tc.server, err)
		}
		if tc.client != before || len(claims) != 1 {
			t.Error("the caller's values were written to")
		}
	}
}
