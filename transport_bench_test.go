package holdfast_test

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"net/http"
	"testing"
	"time"

	"github.com/holdfast-project/holdfast"
	"github.com/holdfast-project/holdfast/httpsig"
	"github.com/holdfast-project/holdfast/keys"
	"github.com/holdfast-project/holdfast/popsession"
)

// BenchmarkTransport measures what a Transport adds to a request; "sign" is the bare signature in the same run.
func BenchmarkTransport(b *testing.B) {
	for _, alg := range []keys.Algorithm{keys.ES256, keys.Ed25519} {
		key, err := keys.Generate(alg)
		if err != nil {
			b.Fatal(err)
		}
		b.Run("sign/"+string(alg), func(b *testing.B) {
			b.ReportAllocs()
			message := make([]byte, 400)
			for b.Loop() {
				if _, err := key.Sign(message); err != nil {
					b.Fatal(err)
				}
			}
		})
		for name, tr := range map[string]*holdfast.Transport{
			"DPoP":       {Source: tokenSource("DPoP")},
			"HTTPSig":    {Source: tokenSource("httpsig")},
			"DPoP+cover": {Source: tokenSource("DPoP"), Cover: []string{"content-type"}},
		} {
			b.Run(name+"/"+string(alg), func(b *testing.B) {
				tr.Signer = key
				ok := &http.Response{StatusCode: http.StatusOK, Header: http.Header{}, Body: http.NoBody}
				tr.Base = roundTrips(func(*http.Request) (*http.Response, error) { return ok, nil })
				r := wireRequest(b, http.MethodGet, "https://api.example/accounts/17?expand=owner", "")
				r.Header.Set("Accept", "application/json")
				b.ReportAllocs()
				for b.Loop() {
					if _, err := tr.RoundTrip(r); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}

// BenchmarkTransportSession measures what a Transport adds to a request in a session; "Sign" is the signature alone, "HMAC"
// the bare MAC over the same signature base in the same run.
func BenchmarkTransportSession(b *testing.B) {
	key := wireKey(b)
	server, err := popsession.NewServer(popsession.ServerConfig{
		Secrets: []popsession.Secret{{ID: "s", Key: bytes.Repeat([]byte("s"), 32)}}, Lifetime: popsession.MaxLifetime,
	})
	if err != nil {
		b.Fatal(err)
	}
	ok := &http.Response{StatusCode: http.StatusOK, Header: http.Header{}, Body: http.NoBody}
	var base []byte
	var sent *http.Request
	tr := &holdfast.Transport{Source: tokenSource("DPoP"), Signer: key, Trace: func(a *holdfast.Attempt) { base, sent = a.Base, a.Request }}
	tr.Base = roundTrips(func(r *http.Request) (*http.Response, error) {
		if r.Header["Pop-Session-Offer"] == nil {
			return ok, nil
		}
		offer, err := popsession.ParseOffer(r.Header["Pop-Session-Offer"])
		if err != nil {
			return nil, err
		}
		field, _, err := server.Answer(offer, popsession.Grant{
			Binding: popsession.Binding{Thumbprint: key.Public().Thumbprint(), TokenHash: sha256.Sum256([]byte(wireToken)), Audience: "https://api.example"},
			Issuer:  "https://as.example", Subject: "alice", Confirmation: "jkt", Scheme: "DPoP", Algorithm: "ES256", ProvedAt: time.Now(),
			Until: time.Now().Add(time.Hour),
		})
		return &http.Response{StatusCode: http.StatusOK, Header: http.Header{"Pop-Session": {field}}, Body: http.NoBody}, err
	})
	r := wireRequest(b, http.MethodGet, "https://api.example/accounts/17?expand=owner", "")
	r.Header.Set("Accept", "application/json")
	for range 2 {
		if _, err := tr.RoundTrip(r); err != nil {
			b.Fatal(err)
		}
	}
	if !bytes.Contains(base, []byte(holdfast.TagSession)) {
		b.Fatalf("no session began: %s", base)
	}
	tr.Trace = nil
	b.Run("HMAC", func(b *testing.B) {
		b.ReportAllocs()
		mac := hmac.New(sha256.New, bytes.Repeat([]byte("k"), 32))
		for b.Loop() {
			mac.Reset()
			mac.Write(base)
			mac.Sum(nil)
		}
	})
	b.Run("Sign", func(b *testing.B) {
		signer, err := httpsig.NewSigner(httpsig.SignerConfig{
			Secret: bytes.Repeat([]byte("k"), 32), Tag: holdfast.TagSession, Nonce: func() string { return "1" },
			Components: httpsig.Components("@method", "@target-uri", "authorization"),
		})
		if err != nil {
			b.Fatal(err)
		}
		m := httpsig.RequestMessage(sent, "https://api.example/accounts/17?expand=owner")
		m.Header = m.Header.Clone()
		m.Header.Del("Signature")
		m.Header.Del("Signature-Input")
		b.ReportAllocs()
		for b.Loop() {
			if _, err := signer.Sign(m); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("RoundTrip", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := tr.RoundTrip(r); err != nil {
				b.Fatal(err)
			}
		}
	})
}
