package dpop

import (
	"errors"
	"testing"
	"time"

	"github.com/holdfast-project/holdfast/internal/jws"
	"github.com/holdfast-project/holdfast/keys"
)

// Whatever the field says, Verify gives a proof of a key or a typed error.
func FuzzVerify(f *testing.F) {
	for _, c := range cases(f) {
		for _, field := range c.values("DPoP") {
			f.Add(field)
		}
	}
	v, err := NewVerifier(Config{Now: func() time.Time { return now }})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, field string) {
		p, err := v.Verify(Request{Fields: []string{field}, Method: "GET", TargetURI: "https://rs.example/api/items"})
		if _, ok := errors.AsType[*Error](err); err != nil && !ok {
			t.Fatalf("untyped error %v", err)
		}
		if err == nil && (p.Thumbprint().IsZero() || p.ID() == "" || len(p.ID()) > maxID || !p.Expires().After(now)) {
			t.Fatalf("a proof without key, id or end: %+v", p)
		}
	})
}

// The same, behind a signature that holds: so that header and claims are reached.
func FuzzVerifySigned(f *testing.F) {
	for _, c := range cases(f) {
		for _, field := range c.values("DPoP") {
			if c, err := jws.Parse(field, 8192); err == nil {
				f.Add([]byte(c.Payload))
			}
		}
	}
	x := newFixture(f, keys.Ed25519)
	v := newVerifier(f, Config{})
	header := x.header.text(f)
	f.Fuzz(func(t *testing.T, payload []byte) {
		r := x.request
		r.Fields = []string{x.proof(t, header, payload)}
		p, err := v.Verify(r)
		e, ok := errors.AsType[*Error](err)
		if err != nil && (!ok || e.Reason == BadSignature || e.Reason == KeyRefused) {
			t.Fatalf("%q: got %v", payload, err)
		}
		if err == nil && (p.ID() == "" || p.IssuedAt().After(now.Add(5*time.Second)) || !p.Expires().After(now)) {
			t.Fatalf("%q: got %+v", payload, p)
		}
	})
}
