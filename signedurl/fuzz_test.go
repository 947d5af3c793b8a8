package signedurl

import (
	"encoding/base64"
	"net/url"
	"strings"
	"testing"
)

// FuzzParse: what parses has one spelling, and what verifies was signed.
func FuzzParse(f *testing.F) {
	genuine := make(map[string]bool)
	for _, v := range readVectors(f) {
		if len(v.Target) > maxLength {
			continue // slow to mutate
		}
		f.Add(v.Target, v.Method)
		if v.Expect == "accept" {
			genuine[v.Method+" "+v.Target] = true
		}
	}
	f.Fuzz(func(t *testing.T, target, method string) {
		u, signed, err := Parse(target)
		if !signed {
			if u != nil || err != nil {
				t.Fatalf("unsigned, with %v, %v", u, err)
			}
			return
		}
		if _, again, _ := Parse(Redact(target)); err == nil && !again {
			t.Errorf("redacted to %s, where no parameter is seen", Redact(target))
		}
		if err != nil {
			if r := reasonOf(t, err); r != Malformed && r != TooLong {
				t.Errorf("got %v", err)
			}
			return
		}
		d := draft{url: u.Clean(), ticket: u.Ticket(), input: draftInput(u.Created().Unix(), u.Expires().Unix(), u.Nonce())}
		if again := d.url + d.query() + "&pop-sig=" + base64.RawURLEncoding.EncodeToString(u.signature); again != target {
			t.Errorf("got %s, want %s", again, target)
		}
		if _, again, _ := Parse(u.Clean()); again {
			t.Errorf("still signed: %s", u.Clean())
		}
		if err := u.Verify(method, testSecret, at(u.Created().Unix())); err == nil && !genuine[method+" "+target] {
			t.Errorf("accepted %s", target)
		} else if err != nil {
			reasonOf(t, err)
		}
	})
}

// FuzzSign: what is signed is sent as it is written, comes back as it was, and holds.
func FuzzSign(f *testing.F) {
	for _, v := range readVectors(f) {
		if v.Made != nil {
			f.Add(v.Made.URL)
		}
	}
	f.Add("https://[::1]:8443/a/%2e%2e/b?c=d'")
	f.Fuzz(func(t *testing.T, raw string) {
		signed, err := Sign(raw, testParams())
		if err != nil {
			reasonOf(t, err)
			return
		}
		raw, _, _ = strings.Cut(raw, "#")
		sent, err := url.Parse(signed)
		if err != nil {
			t.Fatalf("net/url: %v", err)
		}
		_, target, _ := strings.Cut(signed, "://"+sent.Host)
		if strings.HasPrefix(target, "?") {
			target = "/" + target
		}
		if sent.RequestURI() != target {
			t.Errorf("net/http would send %s, want %s", sent.RequestURI(), target)
		}
		scheme := strings.Replace(sent.Scheme, "ws", "http", 1)
		got := scheme + "://" + sent.Host + target
		if verdict := verdict(t, got, "GET", testSecret, testNow); verdict != "accept" {
			t.Errorf("got %s for %s", verdict, got)
		}
		u, _, err := Parse(signed)
		if err != nil || u.Clean() != raw {
			t.Errorf("got %v, %v, want %s", u, err, raw)
		}
	})
}

// FuzzRedact: nothing is left of a value, and nothing else changes.
func FuzzRedact(f *testing.F) {
	for _, v := range readVectors(f) {
		if len(v.Target) <= maxLength {
			f.Add(v.Target)
		}
	}
	f.Fuzz(func(t *testing.T, target string) {
		once := Redact(target)
		if twice := Redact(once); twice != once {
			t.Errorf("%s redacts to %s", once, twice)
		}
		// A reader of forms finds no value of ours that was there before.
		_, query, _ := strings.Cut(once, "?")
		for param := range strings.SplitSeq(query, "&") {
			name, value, _ := strings.Cut(param, "=")
			name, err := url.QueryUnescape(name)
			if err == nil && strings.HasPrefix(strings.ToLower(name), "pop-") && !strings.ContainsAny(name, "?;#") && value != "" && value != "redacted" {
				t.Errorf("%s still holds %s", once, value)
			}
		}
		if !strings.Contains(once, "=redacted") && once != target {
			t.Errorf("got %s, want %s", once, target)
		}
	})
}
