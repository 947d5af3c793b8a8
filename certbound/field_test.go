package certbound

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"math/big"
	"strings"
	"testing"
	"time"
)

func newDER(t testing.TB) []byte {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	return der
}

func TestParseField(t *testing.T) {
	der := newDER(t)
	text := base64.StdEncoding.EncodeToString(der)
	cert, err := ParseField([]string{":" + text + ":"})
	if err != nil {
		t.Fatal(err)
	}
	if got, want := string(cert.Raw), string(der); got != want {
		t.Error("another certificate")
	}
	for _, tc := range []struct {
		name  string
		lines []string
	}{
		{"no line", nil},
		{"two lines", []string{":" + text + ":", ":" + text + ":"}},
		{"two items", []string{":" + text + ":, :" + text + ":"}},
		{"an empty line", []string{""}},
		{"an empty sequence", []string{"::"}},
		{"(null)", []string{"(null)"}},
		{"without colons", []string{text}},
		{"a string", []string{`"` + text + `"`}},
		{"PEM", []string{"-----BEGIN CERTIFICATE----- " + text + " -----END CERTIFICATE-----"}},
		{"percent-encoded PEM", []string{"-----BEGIN%20CERTIFICATE-----%0A" + text}},
		{"cut short", []string{":" + base64.StdEncoding.EncodeToString(der[:len(der)-1]) + ":"}},
		{"something behind it", []string{":" + base64.StdEncoding.EncodeToString(append(der[:len(der):len(der)], 0)) + ":"}},
		{"too long", []string{":" + strings.Repeat("A", maxField) + ":"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if _, err := ParseField(tc.lines); err == nil {
				t.Error("accepted")
			} else if e, ok := err.(*Error); !ok || e.Reason != Missing {
				t.Errorf("got %v", err)
			}
		})
	}
}

func FuzzParseField(f *testing.F) {
	f.Add(":" + base64.StdEncoding.EncodeToString(newDER(f)) + ":")
	for _, s := range []string{"", "::", "(null)", ":AAAA:", `"x"`} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, line string) {
		cert, err := ParseField([]string{line})
		if (cert == nil) == (err == nil) {
			t.Fatalf("got %v and %v", cert, err)
		}
	})
}
