package signedurl

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

func testParams() Params {
	return Params{Ticket: testTicket, Secret: testSecret, Now: at(testNow)}
}

func TestSign(t *testing.T) {
	signed, err := Sign(testURL+"#part", testParams())
	if err != nil {
		t.Fatal(err)
	}
	u, ok, err := Parse(signed)
	if !ok || err != nil {
		t.Fatal(ok, err)
	}
	if err := u.Verify("GET", testSecret, at(testNow)); err != nil {
		t.Error(err)
	}
	if u.Clean() != testURL || u.Ticket() != testTicket {
		t.Errorf("got %s and %s, want %s and %s", u.Clean(), u.Ticket(), testURL, testTicket)
	}
	if !u.Created().Equal(time.Unix(testNow, 0)) || !u.Expires().Equal(time.Unix(testNow+30, 0)) {
		t.Errorf("got %v to %v, want 30 s from %v", u.Created(), u.Expires(), at(testNow)())
	}
	again, err := Sign(testURL, testParams())
	if err != nil || again == signed {
		t.Errorf("signed again: got %v, and the same: %t", err, again == signed)
	}
}

// TestUntil: at Until the URL is refused, so the nonce may be forgotten then, and not a moment before.
func TestUntil(t *testing.T) {
	u, _, err := Parse(newDraft().signed())
	if err != nil {
		t.Fatal(err)
	}
	verify := func(now time.Time) error { return u.Verify("GET", testSecret, func() time.Time { return now }) }
	if err := verify(u.Until().Add(-1)); err != nil {
		t.Errorf("just before: %v", err)
	}
	if err := verify(u.Until()); err == nil || reasonOf(t, err) != Expired {
		t.Errorf("then: got %v, want %s", err, Expired)
	}
}

// TestSignRefusesTargets has a row for each form that wouldn't be sent as it is written.
func TestSignRefusesTargets(t *testing.T) {
	short, err := Sign("https://app.example/a?", testParams())
	if err != nil {
		t.Fatal(err)
	}
	room := maxLength - len(short)
	for _, tc := range []struct {
		name, url string
		want      Reason // "" for accepted
	}{
		{"usual", "https://app.example/a?b", ""},
		{"plain HTTP", "http://app.example/a?b", ""},
		{"WebSocket", "wss://app.example/a?b", ""},
		{"plain WebSocket", "ws://app.example/a?b", ""},
		{"port", "https://app.example:8443/a?b", ""},
		{"default port of the other scheme", "https://app.example:80/a?b", ""},
		{"IPv6", "https://[::1]:8443/a?b", ""},
		{"no path", "https://app.example", ""},
		{"no path, but a query", "https://app.example?b", ""},
		{"apostrophe in the path", "https://app.example/it's", ""},
		{"brackets in the query", "https://app.example/a?b[]=c", ""},
		{"dots in a name", "https://app.example/.a/..b/c../...", ""},
		{"a question mark in the query", "https://app.example/a?b?c", ""},
		{"fragment", "https://app.example/a?b#c", ""},
		{"empty", "", BadTarget},
		{"relative", "/a?b", BadTarget},
		{"no host", "https:///a?b", BadTarget},
		{"other scheme", "ftp://app.example/a?b", BadTarget},
		{"scheme in capitals", "HTTPS://app.example/a?b", BadTarget},
		{"host in capitals", "https://App.example/a?b", BadTarget},
		{"user", "https://me@app.example/a?b", BadTarget},
		{"no user", "https://@app.example/a?b", BadTarget},
		{"default port", "https://app.example:443/a?b", BadTarget},
		{"default port of plain HTTP", "http://app.example:80/a?b", BadTarget},
		{"default port of a WebSocket", "wss://app.example:443/a?b", BadTarget},
		{"empty port", "https://app.example:/a?b", BadTarget},
		{"port with a zero", "https://app.example:08443/a?b", BadTarget},
		{"port that isn't one", "https://app.example:http/a?b", BadTarget},
		{"encoded host", "https://app%2eexample/a?b", BadTarget},
		{"not ASCII in the host", "https://äpp.example/a?b", BadTarget},
		{"not ASCII in the path", "https://app.example/ä?b", BadTarget},
		{"not ASCII in the query", "https://app.example/a?ä", BadTarget},
		{"space in the path", "https://app.example/a b", BadTarget},
		{"space in the query", "https://app.example/a?b c", BadTarget},
		{"line feed", "https://app.example/a\nb", BadTarget},
		{"backslash", `https://app.example\a`, BadTarget},
		{"quote in the query", `https://app.example/a?"`, BadTarget},
		{"apostrophe in the query", "https://app.example/a?it's", BadTarget},
		{"brace in the path", "https://app.example/{a}", BadTarget},
		{"lone percent sign", "https://app.example/a?100%", BadTarget},
		{"percent sign that encodes nothing", "https://app.example/a%zz", BadTarget},
		{"this segment", "https://app.example/./a", BadTarget},
		{"segment above", "https://app.example/a/../b", BadTarget},
		{"segment above at the end", "https://app.example/a/..", BadTarget},
		{"encoded segment above", "https://app.example/a/%2e%2E/b", BadTarget},
		{"half encoded segment above", "https://app.example/a/.%2e/b", BadTarget},
		{"signed", "https://app.example/a?pop-ticket=x&pop-input=y&pop-sig=z", BadTarget},
		{"one of the names", "https://app.example/a?pop-sig=z", BadTarget},
		{"one of the names, encoded", "https://app.example/a?b&p%6Fp-sig", BadTarget},
		{"longest", "https://app.example/a?" + strings.Repeat("b", room), ""},
		{"too long", "https://app.example/a?" + strings.Repeat("b", room+1), TooLong},
	} {
		t.Run(tc.name, func(t *testing.T) {
			signed, err := Sign(tc.url, testParams())
			if tc.want == "" {
				if err != nil {
					t.Fatal(err)
				}
				if got := verdict(t, Handshake(signed), "GET", testSecret, testNow); got != "accept" {
					t.Errorf("got %s", got)
				}
				return
			}
			if err == nil || signed != "" {
				t.Fatalf("signed %d octets", len(signed))
			}
			if got := reasonOf(t, err); got != tc.want {
				t.Errorf("got %v, want %s", err, tc.want)
			}
		})
	}
}

// TestSignRefusesParams has a row for each rule, which differs from the first one in one thing.
func TestSignRefusesParams(t *testing.T) {
	for _, tc := range []struct {
		name   string
		change func(*Params)
		ok     bool
	}{
		{"usual", func(*Params) {}, true},
		{"GET", func(p *Params) { p.Method = "GET" }, true},
		{"HEAD", func(p *Params) { p.Method = "HEAD" }, true},
		{"POST", func(p *Params) { p.Method = "POST" }, false},
		{"no ticket", func(p *Params) { p.Ticket = "" }, false},
		{"ticket in other base64", func(p *Params) { p.Ticket = "a+b/" }, false},
		{"no secret", func(p *Params) { p.Secret = nil }, false},
		{"short secret", func(p *Params) { p.Secret = testSecret[:15] }, false},
		{"longest lifetime", func(p *Params) { p.Lifetime = time.Minute }, true},
		{"too long a lifetime", func(p *Params) { p.Lifetime = 61 * time.Second }, false},
		{"negative lifetime", func(p *Params) { p.Lifetime = -time.Second }, false},
		{"part of a second", func(p *Params) { p.Lifetime = 1500 * time.Millisecond }, false},
		{"the real time", func(p *Params) { p.Now = nil }, true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			p := testParams()
			tc.change(&p)
			if signed, err := Sign(testURL, p); (err == nil) != tc.ok || (signed != "") != tc.ok {
				t.Errorf("got %q, %v, want accepted %t", signed, err, tc.ok)
			}
		})
	}
}

func TestVerifyRefusesShortSecret(t *testing.T) {
	u, _, err := Parse(newDraft().signed())
	if err != nil {
		t.Fatal(err)
	}
	for _, secret := range [][]byte{nil, {}, testSecret[:15]} {
		if err := u.Verify("GET", secret, at(testNow)); err == nil {
			t.Errorf("accepted with a secret of %d octets", len(secret))
		}
	}
	if err := new(URL).Verify("GET", testSecret, at(testNow)); err == nil {
		t.Error("the zero URL is accepted")
	}
}

// TestEveryOctetCounts changes each octet of a signed URL in every way, and removes, doubles and cuts.
func TestEveryOctetCounts(t *testing.T) {
	signed := newDraft().signed()
	check := func(what string, at int, changed string) {
		t.Helper()
		if changed == signed {
			return
		}
		if got := verdict(t, changed, "GET", testSecret, testNow); got == "accept" {
			t.Errorf("%s at %d: accepted %s", what, at, changed)
		}
	}
	for i := range len(signed) {
		for c := range 256 {
			check("changed", i, signed[:i]+string([]byte{byte(c)})+signed[i+1:])
		}
		check("removed", i, signed[:i]+signed[i+1:])
		check("doubled", i, signed[:i+1]+signed[i:])
		check("encoded", i, fmt.Sprintf("%s%%%02X%s", signed[:i], signed[i], signed[i+1:]))
		check("cut", i, signed[:i])
		check("swapped", i, signed[i:]+signed[:i])
	}
}

// TestNothingIsTold: neither errors nor what is printed by accident hold a ticket, nonce, signature or key.
func TestNothingIsTold(t *testing.T) {
	hidden := []string{testTicket, testNonce, "%40target-uri"}
	check := func(name, text string) {
		t.Helper()
		for _, h := range hidden {
			if strings.Contains(text, h) {
				t.Errorf("%s: %s holds %s", name, text, h)
			}
		}
	}
	for _, v := range readVectors(t) {
		u, _, err := Parse(v.Target)
		if u != nil && err == nil {
			check(v.ID, fmt.Sprintf("%v %+v %#v %s %q", u, u, u, *u, *u))
			err = u.Verify(v.Method, v.secret(t), at(v.Now))
		}
		check(v.ID, fmt.Sprint(err))
	}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%x"} {
		if got := fmt.Sprintf(verb, testParams()); got != "[redacted]" {
			t.Errorf("%s of the parameters: got %s", verb, got)
		}
	}
}
