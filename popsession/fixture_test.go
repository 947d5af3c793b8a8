package popsession

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/holdfast-project/holdfast/keys"
)

var epoch = time.Unix(1_800_000_000, 0) // the beginning of an hour

const audience = "https://api.example"

func binding() Binding {
	return Binding{
		Thumbprint: keys.Thumbprint(sha256.Sum256([]byte("a key"))),
		TokenHash:  sha256.Sum256([]byte("an access token")),
		Audience:   audience,
	}
}

func grant() Grant {
	return Grant{
		Binding: binding(),
		Issuer:  "https://issuer.example", Subject: "user-4711", ClientID: "client-1", TokenID: "tok-1",
		TokenAudience: []string{"https://api.example"}, Scope: []string{"read", "write"},
		TokenExpires: epoch.Add(time.Hour), Confirmation: "jkt", Scheme: "DPoP", Algorithm: "ES256",
		ProvedAt: epoch.Add(-time.Second), ClockOffset: -1500 * time.Millisecond, Until: epoch.Add(time.Hour),
	}
}

func secret(id string, fill byte, notBefore time.Time) Secret {
	return Secret{ID: id, Key: bytes.Repeat([]byte{fill}, 32), NotBefore: notBefore}
}

// fixture is a server with a clock of its own.
type fixture struct {
	*Server
	now time.Time
}

func newFixture(tb testing.TB, secrets ...Secret) *fixture {
	tb.Helper()
	f := &fixture{now: epoch}
	if len(secrets) == 0 {
		secrets = []Secret{secret("s1", 1, time.Time{})}
	}
	s, err := NewServer(ServerConfig{Secrets: secrets, Now: func() time.Time { return f.now }})
	if err != nil {
		tb.Fatal(err)
	}
	f.Server = s
	return f
}

// offer returns an offer, and what the server reads of it.
func offer(tb testing.TB, curves ...Curve) (*Offer, Offered) {
	tb.Helper()
	o, err := NewOffer(curves...)
	if err != nil {
		tb.Fatal(err)
	}
	offered, err := ParseOffer([]string{o.Field()})
	if err != nil {
		tb.Fatal(err)
	}
	return o, offered
}

// answer makes a session of grant g up to the field of the answer.
func (f *fixture) answer(tb testing.TB, g Grant, curves ...Curve) (*Offer, string, *Ticket) {
	tb.Helper()
	o, offered := offer(tb, curves...)
	field, t, err := f.Answer(offered, g)
	if err != nil {
		tb.Fatal(err)
	}
	return o, field, t
}

// session makes both halves of a session.
func (f *fixture) session(tb testing.TB) (*Session, *Ticket) {
	tb.Helper()
	o, field, t := f.answer(tb, grant())
	s, err := o.Accept([]string{field}, binding(), f.now)
	if err != nil {
		tb.Fatal(err)
	}
	return s, t
}

// wantReason checks that err is an Error with the reason, and names the part.
func wantReason(tb testing.TB, err error, want Reason, part string) {
	tb.Helper()
	e, ok := errors.AsType[*Error](err)
	if !ok {
		tb.Fatalf("got error %v, want %s", err, want)
	}
	if e.Reason != want || e.Part != part {
		tb.Errorf("got reason %s at %q, want %s at %q", e.Reason, e.Part, want, part)
	}
	if !strings.HasPrefix(e.Error(), "popsession: "+string(want)) {
		tb.Errorf("got text %q", e.Error())
	}
}

func sameKeys(a, b Keys) bool {
	return bytes.Equal(a.RequestSecret(), b.RequestSecret()) && bytes.Equal(a.ResponseSecret(), b.ResponseSecret())
}
