package popsession

import (
	"encoding/base64"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/holdfast-project/holdfast/internal/sfv"
)

func TestNewServerRefuses(t *testing.T) {
	good := secret("s1", 1, time.Time{})
	many := make([]Secret, maxSecrets+1)
	for i := range many {
		many[i] = secret(fmt.Sprint(i), 1, epoch.Add(-time.Duration(i)*time.Hour))
	}
	for _, tc := range []struct {
		name string
		cfg  ServerConfig
	}{
		{"no secret", ServerConfig{}},
		{"too many secrets", ServerConfig{Secrets: many}},
		{"secret without id", ServerConfig{Secrets: []Secret{{Key: good.Key}}}},
		{"id of 17 characters", ServerConfig{Secrets: []Secret{{ID: strings.Repeat("a", 17), Key: good.Key}}}},
		{"id with a space", ServerConfig{Secrets: []Secret{{ID: "a b", Key: good.Key}}}},
		{"id beyond ASCII", ServerConfig{Secrets: []Secret{{ID: "é", Key: good.Key}}}},
		{"key of 31 bytes", ServerConfig{Secrets: []Secret{{ID: "s1", Key: good.Key[:31]}}}},
		{"one id twice", ServerConfig{Secrets: []Secret{good, secret("s1", 2, epoch)}}},
		{"which is newer?", ServerConfig{Secrets: []Secret{good, secret("s2", 2, time.Time{})}}},
		{"none in force", ServerConfig{Secrets: []Secret{secret("s1", 1, epoch.Add(time.Second))}}},
		{"lifetime over 10 minutes", ServerConfig{Secrets: []Secret{good}, Lifetime: MaxLifetime + 1}},
		{"lifetime under a second", ServerConfig{Secrets: []Secret{good}, Lifetime: time.Second - 1}},
		{"negative lifetime", ServerConfig{Secrets: []Secret{good}, Lifetime: -time.Minute}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			tc.cfg.Now = func() time.Time { return epoch }
			_, err := NewServer(tc.cfg)
			if err == nil {
				t.Fatal("accepted")
			}
			if strings.Contains(err.Error(), string(good.Key[:8])) {
				t.Error("the error shows a secret")
			}
		})
	}
	if _, err := NewServer(ServerConfig{Secrets: []Secret{good}}); err != nil {
		t.Errorf("defaults: %v", err)
	}
}

func TestParseOffer(t *testing.T) {
	p256, _ := offer(t, P256)
	x25519, _ := offer(t, X25519)
	for _, tc := range []struct {
		name  string
		lines []string
		want  []Curve
	}{
		{"p256", []string{p256.Field()}, []Curve{P256}},
		{"x25519", []string{x25519.Field()}, []Curve{X25519}},
		{"both in one line", []string{x25519.Field() + ", " + p256.Field()}, []Curve{P256, X25519}},
		{"both in two lines", []string{p256.Field(), x25519.Field()}, []Curve{P256, X25519}},
		{"beside an unknown curve", []string{"mlkem768=:AAAA:;v=1", p256.Field()}, []Curve{P256}},
		{"with an unknown parameter", []string{p256.Field() + ";new"}, []Curve{P256}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			o, err := ParseOffer(tc.lines)
			if err != nil {
				t.Fatal(err)
			}
			if got := o.Curves(); !slices.Equal(got, tc.want) {
				t.Errorf("got %q, want %q", got, tc.want)
			}
		})
	}
}

func TestParseOfferRefuses(t *testing.T) {
	good, _ := offer(t)
	field := good.Field()
	point, err := base64.StdEncoding.DecodeString(strings.Trim(strings.TrimPrefix(field, "p256="), ":"))
	if err != nil {
		t.Fatal(err)
	}
	p256 := func(b []byte) string { return "p256=:" + base64.StdEncoding.EncodeToString(b) + ":" }
	off := slices.Clone(point)
	off[64] ^= 1
	hybrid := slices.Clone(point)
	hybrid[0] = 6 | point[64]&1
	x25519, _ := offer(t, X25519)
	for _, tc := range []struct {
		name  string
		lines []string
		part  string
	}{
		{"no field", nil, "curve"},
		{"no dictionary", []string{"p256=:" + field}, ""},
		{"only unknown curves", []string{"p384=:AAAA:"}, "curve"},
		{"curve in capitals", []string{"P256=:AAAA:"}, ""},
		{"no value", []string{"p256"}, "p256"},
		{"a string", []string{`p256="AAAA"`}, "p256"},
		{"an inner list", []string{"p256=(:AAAA:)"}, "p256"},
		{"empty", []string{"p256=::"}, "p256"},
		{"64 octets", []string{p256(point[:64])}, "p256"},
		{"66 octets", []string{p256(append(slices.Clone(point), 0))}, "p256"},
		{"off the curve", []string{p256(off)}, "p256"},
		{"compressed", []string{p256(append([]byte{2 | point[64]&1}, point[1:33]...))}, "p256"},
		{"hybrid", []string{p256(hybrid)}, "p256"},
		{"infinity", []string{p256(make([]byte, 65))}, "p256"},
		{"x25519 of 31 octets", []string{"x25519=:" + base64.StdEncoding.EncodeToString(make([]byte, 31)) + ":"}, "x25519"},
		{"one good, one bad", []string{x25519.Field(), p256(off)}, "p256"},
		{"repeated", []string{field, field}, "repeated member"},
		{"repeated unknown member", []string{field, "a, a"}, "repeated member"},
		{"repeated parameter", []string{field + ";a;a"}, "repeated parameter"},
		{"too long", []string{field, "a=" + strings.Repeat("1", maxOffer)}, ""},
		{"too many lines", append(slices.Repeat([]string{""}, maxOffer), field), ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			_, err := ParseOffer(tc.lines)
			wantReason(t, err, BadOffer, tc.part)
		})
	}
}

func TestAnswerField(t *testing.T) {
	f := newFixture(t)
	_, field, ticket := f.answer(t, grant(), X25519, P256)
	dict, err := sfv.ParseDictionary(field)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, m := range dict {
		names = append(names, m.Key)
	}
	if want := []string{"ticket", "share", "id", "expires"}; !slices.Equal(names, want) {
		t.Errorf("got members %q, want %q", names, want)
	}
	curve, _ := dict.Get("share").Params.Get("curve")
	if curve != sfv.String("p256") || len(bytesOf(dict.Get("share"))) != 65 {
		t.Errorf("got curve %v, want P-256 where both are offered", curve)
	}
	if got := bytesOf(dict.Get("id")); ID(got) != ticket.ID {
		t.Errorf("got id %x, want %x", got, ticket.ID)
	}
	if got := integerOf(dict.Get("expires")); got != 300 {
		t.Errorf("expires in %d s, want 300", got)
	}
	_, second, other := f.answer(t, grant())
	if ticket.ID == other.ID || field == second || sameKeys(ticket.Keys, other.Keys) {
		t.Error("two sessions are alike")
	}
}

func TestAnswerRefusesGrants(t *testing.T) {
	for _, tc := range []struct {
		name   string
		change func(*Grant)
		want   Reason
		part   string
	}{
		{"no confirmation", func(g *Grant) { g.Confirmation = "" }, Incomplete, "confirmation"},
		{"no scheme", func(g *Grant) { g.Scheme = "" }, Incomplete, "scheme"},
		{"no time of proof", func(g *Grant) { g.ProvedAt = time.Time{} }, Incomplete, "time of proof"},
		{"no end", func(g *Grant) { g.Until = time.Time{} }, Incomplete, "end"},
		{"a subject that isn't UTF-8", func(g *Grant) { g.Subject = "\xff" }, Incomplete, "text"},
		{"a scope that isn't UTF-8", func(g *Grant) { g.Scope = []string{"a", "\xff"} }, Incomplete, "text"},
		{"an audience that isn't UTF-8", func(g *Grant) { g.TokenAudience = []string{"\xff"} }, Incomplete, "text"},
		{"over", func(g *Grant) { g.Until = epoch }, Expired, ""},
		{"over in less than a second", func(g *Grant) { g.Until = epoch.Add(time.Second - time.Millisecond) }, Expired, ""},
		{"token over", func(g *Grant) { g.TokenExpires = epoch.Add(-time.Hour) }, Expired, ""},
		{"too large", func(g *Grant) { g.Subject = strings.Repeat("a", maxSealed) }, TooLarge, ""},
		{"too many scopes", func(g *Grant) { g.Scope = slices.Repeat([]string{""}, maxSealed) }, TooLarge, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			f := newFixture(t)
			_, offered := offer(t)
			g := grant()
			tc.change(&g)
			field, ticket, err := f.Answer(offered, g)
			wantReason(t, err, tc.want, tc.part)
			if field != "" || ticket != nil {
				t.Error("an answer was given all the same")
			}
		})
	}
}

func TestAnswerRefusesZeroOffer(t *testing.T) {
	_, _, err := newFixture(t).Answer(Offered{}, grant())
	wantReason(t, err, BadOffer, "")
}

// TestLargestGrant: what Answer takes, Open opens.
func TestLargestGrant(t *testing.T) {
	f := newFixture(t)
	_, offered := offer(t)
	for _, grow := range []struct {
		name string
		by   func(*Grant, int)
	}{
		{"long subject", func(g *Grant, n int) { g.Subject = strings.Repeat("a", n) }},
		{"many scopes", func(g *Grant, n int) { g.Scope = slices.Repeat([]string{""}, n) }},
	} {
		t.Run(grow.name, func(t *testing.T) {
			largest := 0
			for n := 3000; n < maxSealed; n++ {
				g := grant()
				grow.by(&g, n)
				ticket := &Ticket{Grant: g, Keys: newKeys(secrets{}), Issued: epoch, Expires: epoch.Add(time.Minute)}
				if _, err := f.sealer().seal(ticket); err != nil {
					wantReason(t, err, TooLarge, "")
					break
				}
				largest = n
			}
			g := grant()
			grow.by(&g, largest)
			field, _, err := f.Answer(offered, g)
			if err != nil {
				t.Fatal(err)
			}
			dict, err := sfv.ParseDictionary(field)
			if err != nil {
				t.Fatal(err)
			}
			sealed := bytesOf(dict.Get("ticket"))
			if len(sealed) != maxSealed {
				t.Errorf("sealed in %d octets, want %d", len(sealed), maxSealed)
			}
			if _, err := f.Open(base64.RawURLEncoding.EncodeToString(sealed), audience); err != nil {
				t.Error(err)
			}
			if len(field) > maxAnswer {
				t.Errorf("the answer has %d octets, and clients take %d", len(field), maxAnswer)
			}
		})
	}
}

func TestLifetime(t *testing.T) {
	for _, tc := range []struct {
		name   string
		now    time.Duration // after epoch
		change func(*Grant)
		want   time.Duration
	}{
		{"the server's", 0, func(*Grant) {}, 5 * time.Minute},
		{"the server's, between seconds", 1234567 * time.Nanosecond, func(*Grant) {}, 5 * time.Minute},
		{"the token's", 0, func(g *Grant) { g.TokenExpires = epoch.Add(time.Minute) }, time.Minute},
		{"the certificate's", 0, func(g *Grant) { g.Until = epoch.Add(2 * time.Minute) }, 2 * time.Minute},
		{"the token's, between seconds", 400 * time.Millisecond, func(g *Grant) { g.Until = epoch.Add(time.Minute) }, 59 * time.Second},
		{"a token that doesn't say", 0, func(g *Grant) { g.TokenExpires = time.Time{} }, 5 * time.Minute},
	} {
		t.Run(tc.name, func(t *testing.T) {
			f := newFixture(t)
			f.now = epoch.Add(tc.now)
			g := grant()
			tc.change(&g)
			o, field, ticket := f.answer(t, g)
			if got := ticket.Expires.Sub(f.now.Truncate(time.Millisecond)); got != tc.want {
				t.Errorf("got %v, want %v", got, tc.want)
			}
			s, err := o.Accept([]string{field}, binding(), f.now)
			if err != nil {
				t.Fatal(err)
			}
			if got := s.Expires().Sub(f.now); got != tc.want {
				t.Errorf("the client has %v, want %v", got, tc.want)
			}
			if ticket.Expires.After(g.Until) || !g.TokenExpires.IsZero() && ticket.Expires.After(g.TokenExpires) {
				t.Error("the session outlives its token")
			}
		})
	}
}

// TestTicketHoldsGrant: what is opened is what was answered, member by member.
func TestTicketHoldsGrant(t *testing.T) {
	odd := grant()
	odd.ProvedAt = odd.ProvedAt.Add(123456789)
	odd.ClockOffset = -1234567 * time.Microsecond
	for _, tc := range []struct {
		name string
		g    Grant
	}{
		{"full", grant()},
		{"finer times", odd},
		{"bare", Grant{Binding: binding(), Confirmation: "jwk", Scheme: "HTTPSig", ProvedAt: epoch, Until: epoch.Add(time.Hour)}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			f := newFixture(t)
			o, field, want := f.answer(t, tc.g)
			s, err := o.Accept([]string{field}, tc.g.Binding, epoch)
			if err != nil {
				t.Fatal(err)
			}
			got, err := f.Open(s.Ticket(), audience)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(got, want, cmp.Comparer(sameKeys)); diff != "" {
				t.Errorf("got -, want +:\n%s", diff)
			}
			if diff := cmp.Diff(got.Grant, tc.g.rounded()); diff != "" {
				t.Errorf("got -, want +:\n%s", diff)
			}
		})
	}
}

// TestAnswerKeepsNothing: the caller's slices stay the caller's.
func TestAnswerKeepsNothing(t *testing.T) {
	g := grant()
	_, _, ticket := newFixture(t).answer(t, g)
	g.Scope[0], g.TokenAudience[0] = "changed", "changed"
	if ticket.Scope[0] == "changed" || ticket.TokenAudience[0] == "changed" {
		t.Error("the ticket changed with the caller's grant")
	}
}
