package issuer

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/holdfast-project/holdfast/certbound"
	"github.com/holdfast-project/holdfast/keys"
)

const (
	testRegistration = `{"client_id":"app","token_endpoint_auth_method":"client_secret_basic",` +
		`"client_secret_sha256":"AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE","audience":["https://rs.example"]}`
	testThumbprint = "AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE"
)

// everyClient has one client with each member at least once.
func everyClient(t testing.TB) map[string]Client {
	t.Helper()
	hash, err := HashSecret(testSecret)
	if err != nil {
		t.Fatal(err)
	}
	key := newKey(t, keys.Ed25519, "k1").Public()
	audience := []string{testResource, "https://other.example"}
	return map[string]Client{
		"web": {ID: "web", Name: "Käse & <more>", AuthMethod: ClientSecretPost, SecretHash: hash, Grants: []GrantType{CodeGrant, RefreshGrant},
			RedirectURIs: []string{testRedirect}, Scope: []string{"read", "write"}, Audience: audience, Binding: DPoP,
			RequirePushedRequests: true, AuthorizationDetails: []string{"payment"}, IDTokenAlgorithm: keys.ES256, SkipConsent: true},
		"exchange": {ID: "exchange", AuthMethod: PrivateKeyJWT, Keys: []*keys.Public{key}, Grants: []GrantType{ExchangeGrant},
			Audience: audience, Introspect: []string{testResource}, Binding: HTTPSigRuntime,
			Exchange: Exchange{Impersonate: true, RequireActor: true, RequireSubjectKey: true, Outside: []string{testOutside}}},
		"signed": {ID: "signed", AuthMethod: HTTPSigAuth, Keys: []*keys.Public{key}, Grants: []GrantType{ClientCredentials},
			Audience: audience, Binding: HTTPSigPreregistered},
		"certificate": {ID: "certificate", AuthMethod: SelfSignedTLS, Grants: []GrantType{ClientCredentials}, Audience: audience,
			TLS: TLSIdentity{Certificates: []certbound.Thumbprint{{1}, {2}}}, Binding: MutualTLS},
		"unbound": {ID: "unbound", AuthMethod: TLSClientAuth, Grants: []GrantType{ClientCredentials}, Audience: audience,
			TLS: TLSIdentity{IP: netip.MustParseAddr("2001:db8::1")}, InsecureAllowUnbound: true},
		"subject": {ID: "subject", AuthMethod: TLSClientAuth, Introspect: audience, TLS: TLSIdentity{SubjectDN: "CN=a,O=b"}},
		"dns":     {ID: "dns", AuthMethod: TLSClientAuth, Introspect: audience, TLS: TLSIdentity{DNS: "a.example"}},
		"uri":     {ID: "uri", AuthMethod: TLSClientAuth, Introspect: audience, TLS: TLSIdentity{URI: "spiffe://a/b"}},
		"email":   {ID: "email", AuthMethod: TLSClientAuth, Introspect: audience, TLS: TLSIdentity{Email: "a@a.example"}},
	}
}

func TestRegistrationRoundTrip(t *testing.T) {
	samePublic := cmp.Comparer(func(a, b *keys.Public) bool {
		return a.KeyID() == b.KeyID() && a.Algorithm() == b.Algorithm() && a.Thumbprint() == b.Thumbprint()
	})
	for name, want := range everyClient(t) {
		t.Run(name, func(t *testing.T) {
			text, err := want.Registration()
			if err != nil {
				t.Fatal(err)
			}
			got, err := ParseClient(text)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(got, want, samePublic, cmp.Comparer(func(a, b netip.Addr) bool { return a == b })); diff != "" {
				t.Errorf("got (-), want (+):\n%s", diff)
			}
		})
	}
}

// Each differs in one thing from testRegistration, which is taken.
func TestParseClientRefuses(t *testing.T) {
	if _, err := ParseClient([]byte(testRegistration)); err != nil {
		t.Fatal(err)
	}
	add := func(members string) string { return strings.Replace(testRegistration, "{", "{"+members+",", 1) }
	for _, tc := range []struct{ name, text, want string }{
		{"no object", "[" + testRegistration + "]", "not a JSON object"},
		{"more after it", testRegistration + "{}", "trailing"},
		{"member twice", add(`"client_id":"app"`), "duplicate"},
		{"unknown member", add(`"client_uri":"https://a.example"`), `"client_uri": unknown member`},
		{"another case", add(`"Scope":"read"`), `"Scope": unknown member`},
		{"a secret", add(`"client_secret":"secret"`), `"client_secret": unknown member`},
		{"software statement", add(`"software_statement":"a.b.c"`), `"software_statement": unknown member`},
		{"keys by reference", add(`"jwks_uri":"https://a.example"`), `"jwks_uri": unknown member`},
		{"null", add(`"client_name":null`), `"client_name": strictjson: not a JSON string`},
		{"scope in an array", add(`"scope":["read"]`), `"scope": strictjson: not a JSON string`},
		{"text for a boolean", add(`"skip_consent":"true"`), `"skip_consent": strictjson: not a JSON boolean`},
		{"one redirect URI", add(`"redirect_uris":"https://a.example"`), `"redirect_uris": strictjson: not a JSON array`},
		{"key set", add(`"jwks":[]`), `"jwks": `},
		{"address", add(`"tls_client_auth_san_ip":"a"`), `"tls_client_auth_san_ip": not an address`},
		{"thumbprint", add(`"tls_certificate_thumbprints":["AQEB"]`), `"tls_certificate_thumbprints": not 32 bytes`},
		{"hash", strings.Replace(testRegistration, testThumbprint, "AQEB", 1), `"client_secret_sha256": not 32 bytes`},
		{"signature", add(`"signature_binding":"dpop"`), `"signature_binding": not httpsig`},
		{"bound twice", add(`"dpop_bound_access_tokens":true,"tls_client_certificate_bound_access_tokens":true`), "two ways"},
		{"too long", testRegistration + strings.Repeat(" ", maxRegistration), "longer than"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if _, err := ParseClient([]byte(tc.text)); err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("got error %v, want %q", err, tc.want)
			}
		})
	}
}

// What New refuses can't be stored.
func TestRegistrationRefuses(t *testing.T) {
	for _, tc := range []struct {
		name   string
		change func(*Client)
		want   string
	}{
		{"no id", func(c *Client) { c.ID = "" }, "needs an ID"},
		{"no way to authenticate", func(c *Client) { c.AuthMethod = "" }, "unknown AuthMethod"},
		{"no secret", func(c *Client) { c.SecretHash = SecretHash{} }, "needs a SecretHash"},
		{"scope with a space", func(c *Client) { c.Scope = []string{"a b"} }, "no scope token"},
		{"unknown grant type", func(c *Client) { c.Grants = []GrantType{"password"} }, "unknown grant type"},
		{"too long", func(c *Client) { c.Name = strings.Repeat("a", maxRegistration) }, "longer than"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c, err := ParseClient([]byte(testRegistration))
			if err != nil {
				t.Fatal(err)
			}
			if _, err := c.Registration(); err != nil {
				t.Fatal(err)
			}
			tc.change(&c)
			if _, err := c.Registration(); err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("got error %v, want %q", err, tc.want)
			}
		})
	}
}

// What may be stored is read back as the same client.
func FuzzParseClient(f *testing.F) {
	f.Add([]byte(testRegistration))
	seeds := everyClient(f)
	if len(seeds) == 0 {
		f.Fatal("no seed")
	}
	for _, c := range seeds {
		text, err := c.Registration()
		if err != nil {
			f.Fatal(err)
		}
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		c, err := ParseClient(text)
		if err != nil {
			return
		}
		want, err := c.Registration()
		if err != nil {
			return
		}
		again, err := ParseClient(want)
		if err != nil {
			t.Fatal(err)
		}
		got, err := again.Registration()
		if err != nil {
			t.Fatal(err)
		}
		if string(got) != string(want) {
			t.Errorf("got %s, want %s", got, want)
		}
	})
}
