package config

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// load loads a configuration from text and variables.
func load(t *testing.T, text string, env map[string]string) (*File, error) {
	t.Helper()
	name := ""
	if text != "" {
		t.Chdir(t.TempDir())
		name = "holdfast.yaml"
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return Load(name, func(k string) (string, bool) { v, ok := env[k]; return v, ok })
}

const accepted = `issuer:
  listen: 127.0.0.1:0
  url: https://issuer.example
  token_lifetime: 90s
  require_nonce: true
  replay:
    capacity: 50
  clients:
    - id: app
      auth: client_secret_basic
      scope: [orders:read]
gateway:
  routes:
    - path: /
      upstream: http://127.0.0.1:1
      schemes: [DPoP]
log:
  level: debug
`

func TestLoad(t *testing.T) {
	f, err := load(t, accepted, nil)
	if err != nil {
		t.Fatal(err)
	}
	got := f.Issuer
	want := Issuer{
		Listen: "127.0.0.1:0", URL: "https://issuer.example", TokenLifetime: 90 * time.Second, RequireNonce: true,
		TLS: TLS{ClientAuth: "none"}, RefreshLifetime: 720 * time.Hour, Login: Login{SessionLifetime: 12 * time.Hour}, PARLifetime: time.Minute, FailureLimit: 30,
		Database: "sqlite:holdfast-issuer.db", SigningKeys: SigningKeys{Period: 720 * time.Hour, Overlap: 24 * time.Hour},
		Replay:  Replay{Capacity: 50, Share: 100000},
		Clients: []Client{{ID: "app", Auth: "client_secret_basic", Scope: []string{"orders:read"}}},
	}
	if diff := cmp.Diff(got, want, cmp.AllowUnexported(Secret{})); diff != "" {
		t.Errorf("issuer (-got +want):\n%s", diff)
	}
	if got, want := f.Gateway.Routes[0].BodyLimit, int64(1<<20); got != want {
		t.Errorf("default inside a list: got %d, want %d", got, want)
	}
	if got, want := f.Log, (Log{Format: "text", Level: "debug"}); got != want {
		t.Errorf("log: got %+v, want %+v", got, want)
	}
}

// Each differs from the accepted file in one thing.
func TestLoadRefuses(t *testing.T) {
	for _, tc := range []struct {
		name, old, new, want string
	}{
		{"unknown key", "url:", "uri:", "holdfast.yaml:3: issuer.uri: unknown key; the keys here are listen, tls, url, database, secret_file, former_secret_file, signing_keys, require_nonce, token_lifetime, refresh_lifetime, login, par_lifetime, require_pushed_requests, failure_limit, replay, edges, outside, registration, clients"},
		{"unknown section", "log:", "logs:", "holdfast.yaml:17: logs: unknown key; the keys here are issuer, gateway, log, admin, trace"},
		{"unknown key in a list", "auth:", "method:", "holdfast.yaml:10: issuer.clients[0].method: unknown key; the keys here are id, auth, secret_file, secret_sha256, jwks_file, tls, grants, exchange, name, redirect_uris, require_pushed_requests, skip_consent, authorization_details, id_token_alg, scope, audience, binding, insecure_allow_unbound, introspect"},
		{"secret in the file", "auth:", "secret: hunter2\n      auth:", "holdfast.yaml:10: issuer.clients[0].secret: unknown key; the keys here are id, auth, secret_file, secret_sha256, jwks_file, tls, grants, exchange, name, redirect_uris, require_pushed_requests, skip_consent, authorization_details, id_token_alg, scope, audience, binding, insecure_allow_unbound, introspect"},
		{"key twice", "  url:", "  listen: x\n  url:", "holdfast.yaml:3: issuer.listen: key appears twice"},
		{"text for a number", "capacity: 50", "capacity: many", "holdfast.yaml:7: issuer.replay.capacity: want a whole number, got text"},
		{"fraction for a number", "capacity: 50", "capacity: 50.0", "holdfast.yaml:7: issuer.replay.capacity: want a whole number, got a number"},
		{"number for text", "id: app", "id: 7", "holdfast.yaml:9: issuer.clients[0].id: want text, got a number"},
		{"text for a boolean", "require_nonce: true", "require_nonce: 'true'", "holdfast.yaml:5: issuer.require_nonce: want true or false, got text"},
		{"number for a duration", "90s", "90", "holdfast.yaml:4: issuer.token_lifetime: want a duration such as 90s, got a number"},
		{"negative duration", "90s", "-90s", "holdfast.yaml:4: issuer.token_lifetime: want a duration such as 90s: not a duration that is positive"},
		{"no duration", "90s", "0s", "holdfast.yaml:4: issuer.token_lifetime: must be more than 0"},
		{"negative number", "capacity: 50", "capacity: -50", "holdfast.yaml:7: issuer.replay.capacity: want a whole number: not in decimal digits, or negative"},
		{"zero", "capacity: 50", "capacity: 0", "holdfast.yaml:7: issuer.replay.capacity: must be more than 0"},
		{"text for a list", "scope: [orders:read]", "scope: orders:read", "holdfast.yaml:11: issuer.clients[0].scope: want a list, got text"},
		{"list for a mapping", "  replay:\n    capacity: 50", "  replay: [50]", "holdfast.yaml:6: issuer.replay: want a mapping, got a list"},
		{"mapping for text", "url: https://issuer.example", "url: {a: b}", "holdfast.yaml:3: issuer.url: want text, got a mapping"},
		{"none of a few", "level: debug", "level: chatty", `holdfast.yaml:18: log.level: want one of debug, info, warn, error, got "chatty"`},
		{"none of a few in a list", "[DPoP]", "[DPoP, Bearer]", `holdfast.yaml:16: gateway.routes[0].schemes: want one of DPoP, HTTPSig, mTLS, got "Bearer"`},
		{"no value", "url: https://issuer.example", "url:", "holdfast.yaml:3: issuer.url: no value: leave the key out, or give it one"},
		{"anchor", "url: https://issuer.example", "url: &u https://issuer.example", "holdfast.yaml:3: issuer.url: anchors and aliases are not read here"},
		{"second document", "log:", "---\nlog:", "holdfast.yaml: yaml: more than one document"},
		{"not YAML", "log:", "log: }{", "holdfast.yaml: yaml: line 16: did not find expected node content"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if strings.Count(accepted, tc.old) != 1 && tc.old != "url:" {
				t.Fatalf("%q is %d times in the accepted file", tc.old, strings.Count(accepted, tc.old))
			}
			_, err := load(t, strings.Replace(accepted, tc.old, tc.new, 1), nil)
			if err == nil {
				t.Fatalf("got no error, want %q", tc.want)
			}
			if got := err.Error(); got != tc.want {
				t.Errorf("got  %q\nwant %q", got, tc.want)
			}
			if strings.Contains(err.Error(), "hunter2") {
				t.Error("the error repeats a secret")
			}
		})
	}
}

func TestLoadTellsAllAtOnce(t *testing.T) {
	_, err := load(t, "log:\n  colour: red\n  level: 7\n", nil)
	if err == nil {
		t.Fatal("got no error")
	}
	if got := len(strings.Split(err.Error(), "\n")); got != 2 {
		t.Errorf("got %d lines, want 2:\n%v", got, err)
	}
}

func TestLoadBounds(t *testing.T) {
	_, err := load(t, "#"+strings.Repeat("x", maxFile), nil)
	if err == nil || !strings.Contains(err.Error(), "longer than") {
		t.Errorf("got %v, want a file that is too long", err)
	}
}

func TestEnvironment(t *testing.T) {
	env := map[string]string{
		"HOLDFAST_ISSUER_URL":                "http://127.0.0.1:9: not YAML",
		"HOLDFAST_ISSUER_TOKEN_LIFETIME":     "3m",
		"HOLDFAST_ISSUER_REQUIRE_NONCE":      "false",
		"HOLDFAST_ISSUER_REPLAY_CAPACITY":    "9",
		"HOLDFAST_ISSUER_CLIENTS":            "[{id: other, auth: private_key_jwt}]",
		"HOLDFAST_ISSUER_SECRET":             "from the environment",
		"HOLDFAST_GATEWAY_PORT":              "tcp://10.0.0.1:80", // as schedulers set it for a service of this name
		"HOLDFAST_GATEWAY_TRUSTED_PEERS":     "[10.0.0.0/8]",
		"HOLDFAST_GATEWAY_NONCE_SECRET_FILE": "somewhere",
	}
	f, err := load(t, accepted, env)
	if err != nil {
		t.Fatal(err)
	}
	got := f.Issuer
	want := Issuer{
		Listen: "127.0.0.1:0", URL: "http://127.0.0.1:9: not YAML", TokenLifetime: 3 * time.Minute,
		TLS: TLS{ClientAuth: "none"}, RefreshLifetime: 720 * time.Hour, Login: Login{SessionLifetime: 12 * time.Hour}, PARLifetime: time.Minute, FailureLimit: 30,
		Secret: Secret{value: "from the environment"}, Database: "sqlite:holdfast-issuer.db",
		SigningKeys: SigningKeys{Period: 720 * time.Hour, Overlap: 24 * time.Hour},
		Replay:      Replay{Capacity: 9, Share: 100000},
		Clients:     []Client{{ID: "other", Auth: "private_key_jwt"}},
	}
	if diff := cmp.Diff(got, want, cmp.AllowUnexported(Secret{})); diff != "" {
		t.Errorf("issuer (-got +want):\n%s", diff)
	}
	if got, want := f.Gateway.TrustedPeers, []string{"10.0.0.0/8"}; !reflect.DeepEqual(got, want) {
		t.Errorf("trusted peers: got %v, want %v", got, want)
	}
	if got, want := f.Gateway.NonceSecret.File, "somewhere"; got != want {
		t.Errorf("secret file: got %q, want %q", got, want)
	}
}

func TestEnvironmentRefuses(t *testing.T) {
	for _, tc := range []struct {
		name, variable, value, want string
	}{
		{"boolean", "HOLDFAST_ISSUER_REQUIRE_NONCE", "perhaps", "HOLDFAST_ISSUER_REQUIRE_NONCE: issuer.require_nonce: want true or false: not true or false"},
		{"number", "HOLDFAST_GATEWAY_LIMITS_HEADER_BYTES", "64K", "HOLDFAST_GATEWAY_LIMITS_HEADER_BYTES: gateway.limits.header_bytes: want a whole number: not in decimal digits, or negative"},
		{"zero", "HOLDFAST_ADMIN_GRACE", "0s", "HOLDFAST_ADMIN_GRACE: admin.grace: must be more than 0"},
		{"none of a few", "HOLDFAST_LOG_LEVEL", "loud", `HOLDFAST_LOG_LEVEL: log.level: want one of debug, info, warn, error, got "loud"`},
		{"list", "HOLDFAST_GATEWAY_HOSTS", "api.example", "HOLDFAST_GATEWAY_HOSTS:1: gateway.hosts: want a list, got text"},
		{"unknown key in a list", "HOLDFAST_GATEWAY_ROUTES", "[{pat: /}]", "HOLDFAST_GATEWAY_ROUTES:1: gateway.routes[0].pat: unknown key; the keys here are host, path, methods, upstream, strip_prefix, schemes, scope, cover, cover_body, body, body_limit, bearer, require_signature, max_session_age, sign_responses, cover_response, replay, insecure_public"},
		{"not YAML", "HOLDFAST_GATEWAY_HOSTS", "[", "HOLDFAST_GATEWAY_HOSTS: gateway.hosts: yaml: line 1: did not find expected node content"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			_, err := load(t, accepted, map[string]string{tc.variable: tc.value})
			if err == nil || err.Error() != tc.want {
				t.Errorf("got  %v\nwant %s", err, tc.want)
			}
		})
	}
}

// Two fields of one name in the environment would be set together.
func TestVariablesAreUnique(t *testing.T) {
	seen := map[string]string{}
	var walk func(path string, typ reflect.Type)
	walk = func(path string, typ reflect.Type) {
		for _, f := range fieldsOf(typ) {
			p := join(path, f.key)
			if f.isSection() {
				walk(p, f.Type)
				continue
			}
			names := []string{envName(p)}
			if f.isSecret() {
				names = append(names, envName(strings.TrimSuffix(p, "_file")))
			}
			for _, n := range names {
				if other, ok := seen[n]; ok {
					t.Errorf("%s is %s and %s", n, other, p)
				}
				seen[n] = p
			}
		}
	}
	walk("", reflect.TypeFor[File]())
	if len(seen) < 40 {
		t.Errorf("found %d variables only", len(seen))
	}
}

func TestSecretHides(t *testing.T) {
	s := Secret{value: "hunter2"}
	if got := s.String() + s.GoString(); strings.Contains(got, "hunter2") {
		t.Errorf("got %q", got)
	}
}

func TestReadSecretFile(t *testing.T) {
	dir := t.TempDir()
	for _, tc := range []struct {
		name, content, want string
		fails               bool
	}{
		{"plain", "abc", "abc", false},
		{"line end", "abc\r\n", "abc", false},
		{"spaces stay", " a c \n", " a c ", false},
		{"empty", "\n", "", true},
		{"too long", strings.Repeat("x", maxSecret+1), "", true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			name := filepath.Join(dir, tc.name)
			if err := os.WriteFile(name, []byte(tc.content), 0o600); err != nil {
				t.Fatal(err)
			}
			got, err := ReadSecretFile(name)
			if string(got) != tc.want || (err != nil) != tc.fails {
				t.Errorf("got %q, %v, want %q, error %t", got, err, tc.want, tc.fails)
			}
		})
	}
}

func FuzzLoad(f *testing.F) {
	f.Add(accepted)
	f.Add("gateway: {issuers: [{url: x, introspection: {endpoint: y}}]}")
	f.Add("issuer:\n  clients: &a [*a]\n")
	dir := f.TempDir()
	f.Fuzz(func(t *testing.T, text string) {
		name := filepath.Join(dir, "fuzz.yaml")
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		file, err := Load(name, func(string) (string, bool) { return "", false })
		if (file == nil) == (err == nil) {
			t.Errorf("got %v, %v", file, err)
		}
	})
}
