package config

import (
	"crypto/tls"
	"encoding/pem"
	"fmt"
	"net/http/httptest"
	"os"
	"strings"
	"testing"

	"github.com/holdfast-project/holdfast/gateway"
)

// What is published follows from the configuration.
func TestGatewayResource(t *testing.T) {
	for _, tc := range []struct {
		name, old, new, want string // want: identifier, issuers, number of other keys; or "none"
	}{
		{"of the origin", "", "", "https://api.example [https://issuer.example] 0"},
		{"of an origin with a slash", "https://api.example\n  audience", "https://api.example/v1/\n  audience", "https://api.example/v1 [https://issuer.example] 0"},
		{"named", "  trusted_peers", "  resource: https://api.example/v1\n  trusted_peers", "https://api.example/v1 [https://issuer.example] 0"},
		{"with a next key", "  trusted_peers", "  resource_key_file: issuer.jwk\n  resource_keys_also_file: jwks.json\n  trusted_peers", "https://api.example [https://issuer.example] 1"},
		{"of an origin without TLS", "external_origin: https", "external_origin: http", "none"},
		{"of hosts", "external_origin: https://api.example", "hosts: [api.example]", "none"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			cfg, err := buildGateway(loadStaged(t, strings.Replace(gatewayText, tc.old, tc.new, 1)))
			if err != nil {
				t.Fatal(err)
			}
			g, err := gateway.New(cfg)
			if err != nil {
				t.Fatal(err)
			}
			g.Close()
			got := "none"
			if r := cfg.Resource; r != nil {
				got = fmt.Sprintf("%s %v %d", r.Identifier, r.AuthorizationServers, len(r.Others))
			}
			if got != tc.want {
				t.Errorf("got %s, want %s", got, tc.want)
			}
		})
	}
}

// Routes take mTLS by themselves only where clients are asked for certificates.
func TestGatewaySchemes(t *testing.T) {
	for auth, want := range map[string]string{"none": "[DPoP HTTPSig]", "any": "[]"} {
		t.Run(auth, func(t *testing.T) {
			text := strings.Replace(gatewayText, "  trusted_peers", "  tls: {cert_file: a, key_file: b, client_auth: "+auth+"}\n  trusted_peers", 1)
			cfg, err := buildGateway(loadStaged(t, text))
			if err != nil {
				t.Fatal(err)
			}
			if got := fmt.Sprint(cfg.Routes[0].Policy.Schemes); got != want {
				t.Errorf("got %s, want %s", got, want)
			}
		})
	}
}

func TestTLS(t *testing.T) {
	t.Chdir(t.TempDir())
	server := httptest.NewTLSServer(nil)
	server.Close()
	authority := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
	if err := os.WriteFile("ca.pem", authority, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		name string
		in   TLS
		want tls.ClientAuthType
		cas  bool
	}{
		{"none", TLS{CertFile: "a", ClientAuth: "none"}, tls.NoClientCert, false},
		{"any", TLS{CertFile: "a", ClientAuth: "any"}, tls.RequestClientCert, false},
		{"verified", TLS{CertFile: "a", ClientAuth: "verified", ClientCAFile: "ca.pem"}, tls.VerifyClientCertIfGiven, true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got, err := tc.in.Config()
			if err != nil {
				t.Fatal(err)
			}
			if got.ClientAuth != tc.want || (got.ClientCAs != nil) != tc.cas {
				t.Errorf("got %s, authorities %t; want %s, %t", got.ClientAuth, got.ClientCAs != nil, tc.want, tc.cas)
			}
		})
	}
	if got, err := (TLS{ClientAuth: "none"}).Config(); got != nil || err != nil {
		t.Errorf("got %v, %v; want none without TLS", got, err)
	}
	if _, err := (TLS{CertFile: "a", ClientAuth: "verified", ClientCAFile: "absent"}).Config(); err == nil {
		t.Error("authorities that aren't there were taken")
	}
}
