package popsession

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/holdfast-project/holdfast/internal/base64url"
	"github.com/holdfast-project/holdfast/internal/sfv"
)

// seedLines seeds a field of one or two lines: the shares of the vectors, whole and damaged.
func seedLines(f *testing.F, field func(scheduleCase) string) {
	f.Helper()
	seeds := 0
	for _, c := range readSchedule(f) {
		text := field(c)
		f.Add(text, "")
		f.Add(text, `new="member";a`)
		f.Add(text[:len(text)/2], text[len(text)/2:])
		seeds++
	}
	if seeds == 0 {
		f.Fatal("no seeds found")
	}
	f.Add("", "")
	f.Add("p256=::", "x25519=:AA==:")
}

func writeMember(tb testing.TB, members ...sfv.Member) string {
	tb.Helper()
	b, err := sfv.AppendDictionary(nil, members)
	if err != nil {
		tb.Fatal(err)
	}
	return string(b)
}

// FuzzParseOffer: an offer is refused with BadOffer, or can be answered, and the client's key fits.
func FuzzParseOffer(f *testing.F) {
	seedLines(f, func(c scheduleCase) string {
		return writeMember(f, sfv.Member{Key: string(c.Curve), Value: sfv.Bytes(c.ClientShare)})
	})
	fix := newFixture(f)
	f.Fuzz(func(t *testing.T, first, second string) {
		o, err := ParseOffer([]string{first, second})
		if err != nil {
			if e, ok := errors.AsType[*Error](err); !ok || e.Reason != BadOffer {
				t.Fatalf("got %v, want %s", err, BadOffer)
			}
			return
		}
		if len(o.Curves()) == 0 {
			t.Fatal("an offer of nothing")
		}
		var again []sfv.Member
		for i, share := range o.shares {
			if share != nil {
				again = append(again, sfv.Member{Key: string(curves[i]), Value: sfv.Bytes(share.Bytes())})
			}
		}
		if _, err := ParseOffer([]string{writeMember(t, again...)}); err != nil {
			t.Fatalf("what was read can't be read again: %v", err)
		}
		_, ticket, err := fix.Answer(o, grant())
		if e, ok := errors.AsType[*Error](err); err != nil && (!ok || e.Reason != BadOffer) {
			t.Fatalf("got %v, want an answer or %s", err, BadOffer)
		}
		if err == nil && len(ticket.Keys.RequestSecret()) != 32 {
			t.Fatal("an answer without keys")
		}
	})
}

// FuzzAccept: an answer is refused with BadAnswer and leaves the offer good, or gives a session within the bounds.
func FuzzAccept(f *testing.F) {
	seedLines(f, func(c scheduleCase) string {
		return writeMember(f, sfv.Member{Key: "ticket", Value: sfv.Bytes([]byte("ticket"))},
			sfv.Member{Key: "share", Value: sfv.Bytes(c.ServerShare), Params: sfv.Params{{Key: "curve", Value: sfv.String(string(c.Curve))}}},
			sfv.Member{Key: "id", Value: sfv.Bytes(c.Session)}, sfv.Member{Key: "expires", Value: sfv.Integer(300)})
	})
	f.Fuzz(func(t *testing.T, first, second string) {
		o, err := NewOffer(P256, X25519)
		if err != nil {
			t.Fatal(err)
		}
		s, err := o.Accept([]string{first, second}, binding(), epoch)
		if err != nil {
			if e, ok := errors.AsType[*Error](err); !ok || e.Reason != BadAnswer {
				t.Fatalf("got %v, want %s", err, BadAnswer)
			}
			if o.keys == nil {
				t.Fatal("a refused answer used the offer up")
			}
			return
		}
		if left := s.Expires().Sub(epoch); left < time.Second || left > MaxLifetime {
			t.Errorf("a session of %v", left)
		}
		if b, err := base64url.Decode(s.Ticket()); err != nil || len(b) == 0 || len(b) > maxSealed {
			t.Errorf("a ticket of %d octets (%v)", len(b), err)
		}
		if len(s.Keys().RequestSecret()) != 32 {
			t.Error("a session without keys")
		}
	})
}

// FuzzOpen: no text opens but the one that was sealed.
func FuzzOpen(f *testing.F) {
	fix := newFixture(f)
	// The same in every process that fuzzes.
	plain, err := fix.sealer().codec.encode(&Ticket{Grant: grant(), Keys: newKeys(secrets{}), Issued: epoch, Expires: epoch.Add(time.Minute)})
	if err != nil {
		f.Fatal(err)
	}
	honest := fix.sealContents(f, plain)
	f.Add(honest, audience)
	f.Add(honest[:50], "")
	f.Add(strings.Repeat(honest, 20), audience)
	f.Fuzz(func(t *testing.T, ticket, to string) {
		_, err := fix.Open(ticket, to)
		if opens := ticket == honest && to == audience; opens != (err == nil) {
			t.Fatalf("got %v, want opened %t", err, opens)
		}
		if e, ok := errors.AsType[*Error](err); err != nil && (!ok || e.Reason != UnknownTicket) {
			t.Fatalf("got %v, want %s", err, UnknownTicket)
		}
	})
}

// FuzzContents: whatever was sealed, opening it gives a whole ticket or UnknownTicket.
func FuzzContents(f *testing.F) {
	fix := newFixture(f)
	_, ticket := fix.session(f)
	plain, err := fix.sealer().codec.encode(ticket)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(plain)
	f.Add(slices.Concat([]byte{0xbf}, plain[1:], []byte{0xff}))
	f.Add([]byte{0xa1, 1, 0x5b, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff})
	f.Fuzz(func(t *testing.T, plain []byte) {
		got, err := fix.sealer().codec.decode(plain)
		if err != nil {
			if e, ok := errors.AsType[*Error](err); !ok || e.Reason != UnknownTicket {
				t.Fatalf("got %v, want %s", err, UnknownTicket)
			}
			return
		}
		if !got.whole() || got.Expires.Sub(got.Issued) > MaxLifetime {
			t.Fatal("a ticket that lacks something")
		}
	})
}

func FuzzAudience(f *testing.F) {
	for _, seed := range []string{"https://api.example/a?b#c", "HTTP://[::1]:80", "https://a.example:8443", "https://%41/", "x"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, url string) {
		a, err := Audience(url)
		if err != nil {
			if e, ok := errors.AsType[*Error](err); !ok || e.Reason != BadAudience {
				t.Fatalf("got %v, want %s", err, BadAudience)
			}
			return
		}
		if again, err := Audience(a + "/path?query"); err != nil || again != a {
			t.Errorf("%q: got %q and then %q (%v)", url, a, again, err)
		}
		if len(a) > 300 || strings.ToLower(a) != a {
			t.Errorf("got %q", a)
		}
	})
}

// FuzzParseCounter: one spelling for each number.
func FuzzParseCounter(f *testing.F) {
	for _, seed := range []string{"1", "9007199254740991", "01", "-1", ""} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, nonce string) {
		n, err := ParseCounter(nonce)
		if err == nil && (n == 0 || n > MaxCounter || nonce != decimal(n)) {
			t.Errorf("%q: got %d", nonce, n)
		}
	})
}

func decimal(n uint64) string {
	var digits []byte
	for ; n > 0; n /= 10 {
		digits = append(digits, '0'+byte(n%10))
	}
	slices.Reverse(digits)
	return string(digits)
}
