package holdfast_test

import (
	"crypto/tls"
	"net/http"
	"net/netip"
	"testing"

	"github.com/holdfast-project/holdfast"
)

func TestExternalURL(t *testing.T) {
	hosts := holdfast.External{Hosts: []string{"api.example", "[::1]:8080"}}
	trusting := holdfast.External{Hosts: []string{"api.example"}, TrustedPeers: []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}}
	type edit = func(*http.Request)
	host := func(h string) edit { return func(r *http.Request) { r.Host = h } }
	field := func(name, value string) edit { return func(r *http.Request) { r.Header.Add(name, value) } }
	secure := func(r *http.Request) { r.TLS = &tls.ConnectionState{} }
	peer := func(addr string) edit { return func(r *http.Request) { r.RemoteAddr = addr } }
	tests := []struct {
		name     string
		external holdfast.External
		target   string
		edits    []edit
		want     string // "" for a refusal
	}{
		{name: "fixed origin", external: holdfast.External{Origin: "https://api.example"}, target: "/a%2Fb?x=%zz", edits: []edit{host("evil.example")}, want: "https://api.example/a%2Fb?x=%zz"},
		{name: "fixed origin with a stripped prefix", external: holdfast.External{Origin: "https://api.example/v1/"}, target: "/a", want: "https://api.example/v1/a"},
		{name: "absolute form", external: holdfast.External{Origin: "https://api.example"}, target: "http://other.example/a?b", want: "https://api.example/a?b"},
		{name: "from the connection", external: hosts, target: "/a", edits: []edit{secure}, want: "https://api.example/a"},
		{name: "default port named", external: hosts, target: "/a", edits: []edit{secure, host("api.example:443")}, want: "https://api.example:443/a"},
		{name: "default port of the other scheme", external: hosts, target: "/a", edits: []edit{host("api.example:443")}},
		{name: "without TLS", external: hosts, target: "/a", want: "http://api.example/a"},
		{name: "other letters", external: hosts, target: "/a", edits: []edit{host("API.example")}, want: "http://API.example/a"},
		{name: "IPv6 with a port", external: hosts, target: "/a", edits: []edit{host("[::1]:8080")}, want: "http://[::1]:8080/a"},
		{name: "host that isn't ours", external: hosts, target: "/a", edits: []edit{host("evil.example")}},
		{name: "fields of an unlisted peer", external: trusting, target: "/a", edits: []edit{peer("203.0.113.9:1"), field("X-Forwarded-Proto", "https")}, want: "http://api.example/a"},
		{name: "fields of a trusted peer", external: trusting, target: "/a", edits: []edit{host("internal"), field("X-Forwarded-Proto", "https"), field("X-Forwarded-Host", "api.example")}, want: "https://api.example/a"},
		{name: "trusted peer over IPv4 in IPv6", external: trusting, target: "/a", edits: []edit{peer("[::ffff:192.0.2.1]:1"), field("X-Forwarded-Proto", "https")}, want: "https://api.example/a"},
		{name: "Forwarded of a trusted peer", external: trusting, target: "/a", edits: []edit{host("internal"), field("Forwarded", `for=198.51.100.1;proto=https;host="api.example"`)}, want: "https://api.example/a"},
		{name: "trusted peer names another host", external: trusting, target: "/a", edits: []edit{field("X-Forwarded-Host", "evil.example")}},
		{name: "two values", external: trusting, target: "/a", edits: []edit{field("X-Forwarded-Proto", "https"), field("X-Forwarded-Proto", "http")}},
		{name: "two values in one line", external: trusting, target: "/a", edits: []edit{field("X-Forwarded-Host", "api.example, evil.example")}},
		{name: "fields that disagree", external: trusting, target: "/a", edits: []edit{field("X-Forwarded-Proto", "https"), field("Forwarded", "proto=http")}},
		{name: "no scheme of ours", external: trusting, target: "/a", edits: []edit{field("X-Forwarded-Proto", "ftp")}},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			w := newWorld(t)
			w.config.External = tc.external
			r := request("GET", "/", "")
			r.RequestURI = tc.target
			for _, f := range tc.edits {
				f(r)
			}
			r.Header.Set("Authorization", "Bearer "+bearerToken)
			got, err := w.verifier(holdfast.Policy{Bearer: holdfast.InsecureBearerObserved}).Check(r)
			if tc.want == "" {
				refusal(t, err, holdfast.ReasonURL)
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if got.TargetURI != tc.want {
				t.Errorf("got %s, want %s", got.TargetURI, tc.want)
			}
		})
	}
}

func TestNewVerifierRefuses(t *testing.T) {
	tests := []struct {
		name string
		edit func(*holdfast.Config)
	}{
		{"no tokens", func(c *holdfast.Config) { c.Tokens = nil }},
		{"no guard", func(c *holdfast.Config) { c.Replay = nil }},
		{"no external URL", func(c *holdfast.Config) { c.External = holdfast.External{} }},
		{"origin and hosts", func(c *holdfast.Config) { c.External.Hosts = []string{"api.example"} }},
		{"origin and trusted peers", func(c *holdfast.Config) {
			c.External.TrustedPeers = []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}
		}},
		{"origin with a query", func(c *holdfast.Config) { c.External.Origin = "https://api.example/?x" }},
		{"origin without a host", func(c *holdfast.Config) { c.External.Origin = "https://" }},
		{"host with a path", func(c *holdfast.Config) { c.External = holdfast.External{Hosts: []string{"api.example/x"}} }},
		{"negative freshness", func(c *holdfast.Config) { c.Freshness = -1 }},
		{"bearer as a scheme", func(c *holdfast.Config) { c.Policy.Schemes = []holdfast.Scheme{holdfast.SchemeBearer} }},
		{"signatures of mTLS", func(c *holdfast.Config) {
			c.Policy.Schemes, c.Policy.RequireSignature = []holdfast.Scheme{holdfast.SchemeMTLS}, true
		}},
		{"metadata over http", func(c *holdfast.Config) { c.MetadataURL = "http://api.example/.well-known/oauth-protected-resource" }},
		{"status covered", func(c *holdfast.Config) { c.Policy.Cover = []string{"@status"} }},
		{"component of a response covered", func(c *holdfast.Config) { c.Policy.Cover = []string{`"x";req`} }},
		{"no component", func(c *holdfast.Config) { c.Policy.Cover = []string{"@nonsense"} }},
		{"negative limit", func(c *holdfast.Config) { c.Policy.BodyLimit = -1 }},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			w := newWorld(t)
			tc.edit(&w.config)
			if _, err := holdfast.NewVerifier(w.config); err == nil {
				t.Error("accepted")
			}
		})
	}
}
