package popsession

import (
	"crypto/ecdh"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/holdfast-project/holdfast/internal/base64url"
	"github.com/holdfast-project/holdfast/internal/sfv"
	"github.com/holdfast-project/holdfast/keys"
)

func TestSession(t *testing.T) {
	for _, curve := range curves {
		t.Run(string(curve), func(t *testing.T) {
			f := newFixture(t)
			o, field, ours := f.answer(t, grant(), curve)
			s, err := o.Accept([]string{field}, binding(), epoch)
			if err != nil {
				t.Fatal(err)
			}
			theirs, err := f.Open(s.Ticket(), audience)
			if err != nil {
				t.Fatal(err)
			}
			if s.ID() != ours.ID || s.ID() != theirs.ID {
				t.Errorf("got ids %x, %x and %x, want one", s.ID(), ours.ID, theirs.ID)
			}
			if !sameKeys(s.Keys(), ours.Keys) || !sameKeys(s.Keys(), theirs.Keys) {
				t.Error("the two sides have other keys")
			}
			if want := epoch.Add(5 * time.Minute); !s.Expires().Equal(want) || !theirs.Expires.Equal(want) {
				t.Errorf("expires at %v and %v, want %v", s.Expires(), theirs.Expires, want)
			}
		})
	}
}

// TestForeignAnswer: an answer that was made for another token, key or resource gives keys that the server doesn't have.
func TestForeignAnswer(t *testing.T) {
	for _, tc := range []struct {
		name   string
		change func(*Binding)
	}{
		{"thumbprint", func(b *Binding) { b.Thumbprint[0] ^= 1 }},
		{"token", func(b *Binding) { b.TokenHash[0] ^= 1 }},
		{"audience", func(b *Binding) { b.Audience = "https://other.example" }},
	} {
		t.Run(tc.name, func(t *testing.T) {
			f := newFixture(t)
			o, field, ticket := f.answer(t, grant())
			b := binding()
			tc.change(&b)
			s, err := o.Accept([]string{field}, b, epoch)
			if err != nil {
				t.Fatal(err)
			}
			if sameKeys(s.Keys(), ticket.Keys) {
				t.Error("the keys are the same")
			}
		})
	}
}

// TestSwappedShare: an edge that puts its own share into the answer gets keys with the client that the fleet's ticket
// doesn't hold.
func TestSwappedShare(t *testing.T) {
	f := newFixture(t)
	o, field, ticket := f.answer(t, grant())
	edge, _ := offer(t)
	swapped := field[:strings.Index(field, "share=")] + "share=" + strings.TrimPrefix(edge.Field(), "p256=") +
		field[strings.Index(field, ";curve"):]
	s, err := o.Accept([]string{swapped}, binding(), epoch)
	if err != nil {
		t.Fatal(err)
	}
	if sameKeys(s.Keys(), ticket.Keys) {
		t.Error("the keys are the same")
	}
}

func TestOfferIsUsedOnce(t *testing.T) {
	f := newFixture(t)
	o, offered := offer(t)
	var fields []string
	for range 2 {
		field, _, err := f.Answer(offered, grant())
		if err != nil {
			t.Fatal(err)
		}
		fields = append(fields, field)
	}
	// What is refused doesn't use it up.
	_, err := o.Accept([]string{"?0"}, binding(), epoch)
	wantReason(t, err, BadAnswer, "")
	if _, err := o.Accept(fields[:1], binding(), epoch); err != nil {
		t.Fatal(err)
	}
	_, err = o.Accept(fields[1:], binding(), epoch)
	wantReason(t, err, UsedOffer, "")
}

func TestOneOfManyAccepts(t *testing.T) {
	f := newFixture(t)
	o, field, _ := f.answer(t, grant())
	var wg sync.WaitGroup
	accepted := make(chan *Session, 32)
	for range cap(accepted) {
		wg.Go(func() {
			if s, err := o.Accept([]string{field}, binding(), epoch); err == nil {
				accepted <- s
			}
		})
	}
	wg.Wait()
	if got := len(accepted); got != 1 {
		t.Errorf("got %d sessions, want 1", got)
	}
}

func TestNewOffer(t *testing.T) {
	both, err := NewOffer(X25519, P256)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(both.Field(), "x25519=:") || !strings.Contains(both.Field(), ":, p256=:B") {
		t.Errorf("got %q", both.Field())
	}
	one, _ := offer(t)
	other, _ := offer(t)
	if one.Field() == other.Field() {
		t.Error("two offers have one key")
	}
	for _, curves := range [][]Curve{{"p384"}, {""}, {P256, P256}} {
		if _, err := NewOffer(curves...); err == nil {
			t.Errorf("%q: accepted", curves)
		}
	}
}

// answerWith returns the members of an honest answer, changed.
func answerWith(tb testing.TB, change func(sfv.Dictionary) sfv.Dictionary) (o *Offer, field string) {
	tb.Helper()
	o, field, _ = newFixture(tb).answer(tb, grant())
	dict, err := sfv.ParseDictionary(field)
	if err != nil {
		tb.Fatal(err)
	}
	b, err := sfv.AppendDictionary(nil, change(dict))
	if err != nil {
		tb.Fatal(err)
	}
	return o, string(b)
}

func without(key string) func(sfv.Dictionary) sfv.Dictionary {
	return func(d sfv.Dictionary) sfv.Dictionary {
		return slices.DeleteFunc(d, func(m sfv.Member) bool { return m.Key == key })
	}
}

func with(key string, v sfv.Value) func(sfv.Dictionary) sfv.Dictionary {
	return func(d sfv.Dictionary) sfv.Dictionary {
		d.Get(key).Value = v
		return d
	}
}

func withCurve(v sfv.Value) func(sfv.Dictionary) sfv.Dictionary {
	return func(d sfv.Dictionary) sfv.Dictionary {
		d.Get("share").Params = sfv.Params{{Key: "curve", Value: v}}
		return d
	}
}

func TestAcceptRefuses(t *testing.T) {
	compressed := append([]byte{2}, make([]byte, 32)...)
	offCurve := append([]byte{4}, make([]byte, 64)...)
	for _, tc := range []struct {
		name   string
		change func(sfv.Dictionary) sfv.Dictionary
		part   string
	}{
		{"no ticket", without("ticket"), "ticket"},
		{"empty ticket", with("ticket", sfv.Bytes(nil)), "ticket"},
		{"ticket as a string", with("ticket", sfv.String("dA")), "ticket"},
		{"ticket of 4,097 octets", with("ticket", sfv.Bytes(make([]byte, maxSealed+1))), "ticket"},
		{"no share", without("share"), "share"},
		{"share compressed", with("share", sfv.Bytes(compressed)), "share"},
		{"share off the curve", with("share", sfv.Bytes(offCurve)), "share"},
		{"share at infinity", with("share", sfv.Bytes([]byte{0})), "share"},
		{"no curve", func(d sfv.Dictionary) sfv.Dictionary { d.Get("share").Params = nil; return d }, "curve"},
		{"curve as a token", withCurve(sfv.Token("p256")), "curve"},
		{"unknown curve", withCurve(sfv.String("p384")), "curve"},
		{"no id", without("id"), "id"},
		{"id of 15 octets", with("id", sfv.Bytes(make([]byte, 15))), "id"},
		{"id of 17 octets", with("id", sfv.Bytes(make([]byte, 17))), "id"},
		{"no expires", without("expires"), "expires"},
		{"expires at once", with("expires", sfv.Integer(0)), "expires"},
		{"expired", with("expires", sfv.Integer(-300)), "expires"},
		{"expires after more than 10 minutes", with("expires", sfv.Integer(601)), "expires"},
		{"expires as a decimal", with("expires", sfv.Decimal(300_000)), "expires"},
		{"expires as a date", with("expires", sfv.Date(300)), "expires"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			o, field := answerWith(t, tc.change)
			_, err := o.Accept([]string{field}, binding(), epoch)
			wantReason(t, err, BadAnswer, tc.part)
		})
	}
}

func TestAcceptRefusesFields(t *testing.T) {
	o, field, _ := newFixture(t).answer(t, grant())
	for _, tc := range []struct {
		name  string
		lines []string
		part  string
	}{
		{"no field", nil, "ticket"},
		{"no dictionary", []string{field, "="}, ""},
		{"too long", []string{field, "x=" + strings.Repeat("1", maxAnswer)}, ""},
		{"repeated member", []string{field, "expires=300"}, "repeated member"},
		{"repeated parameter", []string{field + ";a=1;a=2"}, "repeated parameter"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			_, err := o.Accept(tc.lines, binding(), epoch)
			wantReason(t, err, BadAnswer, tc.part)
		})
	}
	// What this version doesn't know is for others.
	if _, err := o.Accept([]string{field, `new="member";with=parameters`}, binding(), epoch); err != nil {
		t.Errorf("unknown member: %v", err)
	}
}

func TestAcceptRefusesOtherCurve(t *testing.T) {
	_, field, _ := newFixture(t).answer(t, grant(), X25519)
	o, _ := offer(t, P256)
	_, err := o.Accept([]string{field}, binding(), epoch)
	wantReason(t, err, BadAnswer, "curve")
}

// TestAcceptRefusesSmallOrder: with such a share the secret would be known to everybody (RFC 7748, section 6.1).
func TestAcceptRefusesSmallOrder(t *testing.T) {
	f := newFixture(t)
	o, field, _ := f.answer(t, grant(), X25519)
	zero := base64.StdEncoding.EncodeToString(make([]byte, 32))
	bad := field[:strings.Index(field, "share=:")] + "share=:" + zero + ":" + field[strings.Index(field, ";curve"):]
	_, err := o.Accept([]string{bad}, binding(), epoch)
	wantReason(t, err, BadAnswer, "share")

	if _, err := ecdh.X25519().NewPublicKey(make([]byte, 32)); err != nil {
		t.Fatal(err)
	}
	offered, err := ParseOffer([]string{"x25519=:" + zero + ":"})
	if err != nil {
		t.Fatal(err)
	}
	_, _, err = f.Answer(offered, grant())
	wantReason(t, err, BadOffer, "x25519")
}

func TestBindingRefused(t *testing.T) {
	for _, tc := range []struct {
		name, part string
		change     func(*Binding)
	}{
		{"no thumbprint", "thumbprint", func(b *Binding) { b.Thumbprint = keys.Thumbprint{} }},
		{"no token hash", "token hash", func(b *Binding) { b.TokenHash = [32]byte{} }},
		{"no audience", "audience", func(b *Binding) { b.Audience = "" }},
		{"audience in capitals", "audience", func(b *Binding) { b.Audience = "https://API.example" }},
		{"audience with a default port", "audience", func(b *Binding) { b.Audience = "https://api.example:443" }},
		{"audience with a path", "audience", func(b *Binding) { b.Audience = "https://api.example/" }},
	} {
		t.Run(tc.name, func(t *testing.T) {
			f := newFixture(t)
			o, field, _ := f.answer(t, grant())
			b := binding()
			tc.change(&b)
			_, err := o.Accept([]string{field}, b, epoch)
			wantReason(t, err, Incomplete, tc.part)

			_, offered := offer(t)
			g := grant()
			tc.change(&g.Binding)
			_, _, err = f.Answer(offered, g)
			wantReason(t, err, Incomplete, tc.part)
		})
	}
}

func TestAudience(t *testing.T) {
	for _, tc := range []struct{ url, want string }{
		{"https://api.example/a/b?c=d", "https://api.example"},
		{"https://api.example", "https://api.example"},
		{"HTTPS://API.Example:443/", "https://api.example"},
		{"http://api.example:80?x", "http://api.example"},
		{"https://api.example:80/", "https://api.example:80"},
		{"https://api.example:8443#x", "https://api.example:8443"},
		{"http://[2001:DB8:0::1]:8080/x", "http://[2001:db8::1]:8080"},
		{"https://api.example/%zz", "https://api.example"}, // paths are not its business
		{"https://api.example./", "https://api.example."},  // another name
	} {
		got, err := Audience(tc.url)
		if err != nil || got != tc.want {
			t.Errorf("%s: got %q and %v, want %q", tc.url, got, err, tc.want)
		}
	}
	for _, url := range []string{
		"", "api.example", "ftp://api.example/", "https://", "https:///x", "https://user@api.example/", "https://api.example:x/",
		"https://api.example:65536/", "https://a b/", `https://api.example\evil/`, "https://127.1/",
		"https://" + strings.Repeat("a", 300) + "/",
	} {
		_, err := Audience(url)
		if err == nil {
			t.Errorf("%q: accepted", url)
			continue
		}
		wantReason(t, err, BadAudience, "")
	}
}

func TestCounter(t *testing.T) {
	s, _ := newFixture(t).session(t)
	var mu sync.Mutex
	seen := map[uint64]bool{} // counter → given out; guarded by mu
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 500 {
				n, err := s.NextCounter()
				mu.Lock()
				if err != nil || seen[n] {
					t.Errorf("got %d and %v, want a new one", n, err)
				}
				seen[n] = true
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	for n := uint64(1); n <= 8*500; n++ {
		if !seen[n] {
			t.Fatalf("%d was left out", n)
		}
	}
}

func TestCounterExhausted(t *testing.T) {
	s, _ := newFixture(t).session(t)
	s.counter.Store(MaxCounter - 1)
	if n, err := s.NextCounter(); n != MaxCounter || err != nil {
		t.Errorf("got %d and %v, want %d", n, err, uint64(MaxCounter))
	}
	for range 3 {
		_, err := s.NextCounter()
		wantReason(t, err, Exhausted, "")
	}
	if got := s.counter.Load(); got != MaxCounter {
		t.Errorf("the counter went on to %d", got)
	}
}

func TestParseCounter(t *testing.T) {
	for _, tc := range []struct {
		nonce string
		want  uint64 // 0: refused
	}{
		{"1", 1}, {"10", 10}, {"9007199254740991", MaxCounter},
		{"", 0}, {"0", 0}, {"01", 0}, {"+1", 0}, {"-1", 0}, {" 1", 0}, {"1 ", 0}, {"1_0", 0}, {"0x1", 0}, {"1.0", 0}, {"1e3", 0},
		{"9007199254740992", 0}, {"18446744073709551617", 0}, {"١", 0}, {strings.Repeat("1", 10_000), 0},
	} {
		got, err := ParseCounter(tc.nonce)
		if got != tc.want || (err == nil) != (tc.want != 0) {
			t.Errorf("%.30q: got %d and %v, want %d", tc.nonce, got, err, tc.want)
		}
		if err != nil {
			wantReason(t, err, BadCounter, "")
		}
	}
}

// holder is how a program might keep what is secret: in fields that fmt can't call methods of.
type holder struct {
	keys    Keys
	session *Session
	offer   *Offer
	ticket  Ticket
}

func TestRedaction(t *testing.T) {
	f := newFixture(t)
	s, ticket := f.session(t)
	o, _ := offer(t)
	sec := secret("s1", 0xAB, time.Time{})
	cfg := ServerConfig{Secrets: []Secret{sec}}
	secrets := map[string][]byte{
		"K_req": s.Keys().RequestSecret(), "K_res": s.Keys().ResponseSecret(), "secret": sec.Key, "ephemeral": o.keys[P256].Bytes(),
	}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%x", "%d", "%q"} {
		for name, v := range map[string]any{
			"Keys": s.Keys(), "*Keys": &ticket.Keys, "Session": s, "Offer": o, "Ticket": *ticket, "*Ticket": ticket, "Secret": sec,
			"*Secret": &sec, "ServerConfig": cfg, "Secrets": cfg.Secrets, "Server": f.Server,
			"holder": holder{s.Keys(), s, o, *ticket}, "*holder": &holder{s.Keys(), s, o, *ticket},
		} {
			text := strings.ToLower(fmt.Sprintf(verb, v))
			for what, b := range secrets {
				for _, form := range []string{
					fmt.Sprintf("%x", b), fmt.Sprint(b), fmt.Sprintf("%#v", b), base64.StdEncoding.EncodeToString(b),
					base64url.Encode(b), string(b),
				} {
					form = strings.Trim(strings.ToLower(form), "[]{}")
					if strings.Contains(text, form) {
						t.Errorf("%s of %s shows %s", verb, name, what)
					}
				}
			}
		}
	}
	if got := fmt.Sprint(s.Keys(), s, o, sec); strings.Count(got, redacted) != 4 {
		t.Errorf("got %q", got)
	}
}

func TestZeroKeys(t *testing.T) {
	if k := (Keys{}); k.RequestSecret() != nil || k.ResponseSecret() != nil || fmt.Sprint(k) != redacted {
		t.Error("the zero Keys have keys")
	}
}

// TestErrorsUnwrap: the log can tell what was wrong with a field.
func TestErrorsUnwrap(t *testing.T) {
	_, err := ParseOffer([]string{"="})
	if e, ok := errors.AsType[*sfv.Error](err); !ok || e.Problem == "" {
		t.Errorf("got %v, want the parser's error inside", err)
	}
}
