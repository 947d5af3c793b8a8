package dpop

import (
	"bytes"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"
)

// clock is a time that a test sets.
type clock struct{ at time.Time }

func (c *clock) now() time.Time { return c.at }

func newNonces(t testing.TB, scope string, c *clock) *Nonces {
	t.Helper()
	n, err := NewNonces(NoncesConfig{Secret: bytes.Repeat([]byte{7}, 32), Scope: scope, Now: c.now})
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func TestNonces(t *testing.T) {
	issuer, checker := &clock{now}, &clock{now}
	nonce := newNonces(t, "rs", issuer).Issue()
	// RFC 9449, section 8.1: NQCHAR.
	if len(nonce) != 32 || strings.ContainsFunc(nonce, func(r rune) bool { return r < 0x21 || r > 0x7e || r == '"' || r == '\\' }) {
		t.Errorf("got %q", nonce)
	}
	another := newNonces(t, "rs", checker)
	for after, want := range map[time.Duration]bool{
		0:                           true,
		time.Minute:                 true,
		5*time.Minute - 1:           true,
		5 * time.Minute:             false,
		24 * time.Hour:              false,
		-5 * time.Second:            true,
		-5*time.Second - 1:          false,
		-24 * time.Hour:             false,
		-100 * 365 * 24 * time.Hour: false,
	} {
		checker.at = now.Add(after)
		if err := another.Check(nonce); (err == nil) != want {
			t.Errorf("after %v, on another node: got %v, want accepted %v", after, err, want)
		}
	}
}

func TestNoncesRefuse(t *testing.T) {
	c := &clock{now}
	n := newNonces(t, "rs", c)
	good := n.Issue()
	if err := n.Check(good); err != nil {
		t.Fatal(err)
	}
	other, err := NewNonces(NoncesConfig{Secret: bytes.Repeat([]byte{8}, 32), Scope: "rs", Now: c.now})
	if err != nil {
		t.Fatal(err)
	}
	for name, nonce := range map[string]string{
		"empty":           "",
		"other secret":    other.Issue(),
		"other scope":     newNonces(t, "as", c).Issue(),
		"other time":      "AAAAAGVT8QA" + good[11:],
		"MAC changed":     good[:31] + map[bool]string{true: "A", false: "B"}[good[31] != 'A'],
		"MAC cut off":     good[:28],
		"longer":          good + "AAAA",
		"padded":          good[:31] + "=",
		"standard base64": strings.Repeat("+", 32),
		"line feeds":      good[:30] + "\r\n",
		"the RFC's":       "eyJ7S_zG.eyJH0-Z.HX4w-7v",
		"zeros":           strings.Repeat("A", 32),
	} {
		err := n.Check(nonce)
		if e, ok := errors.AsType[*Error](err); !ok || e.Reason != NonceMismatch || nonce != "" && strings.Contains(e.Error(), nonce) {
			t.Errorf("%s: got %v, want %s", name, err, NonceMismatch)
		}
	}
}

func TestNewNoncesRefuses(t *testing.T) {
	secret := make([]byte, 32)
	for name, cfg := range map[string]NoncesConfig{
		"no secret":       {},
		"short secret":    {Secret: secret[:31]},
		"negative window": {Secret: secret, Window: -1},
		"window of years": {Secret: secret, Window: 10000 * time.Hour},
	} {
		if _, err := NewNonces(cfg); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

// The MACs come from a pool: goroutines must not share one.
func TestNoncesConcurrently(t *testing.T) {
	n := newNonces(t, "rs", &clock{now})
	want := n.Issue()
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 200 {
				if got := n.Issue(); got != want || n.Check(got) != nil {
					t.Errorf("got %s, want %s", got, want)
				}
			}
		})
	}
	wg.Wait()
}

func FuzzNoncesCheck(f *testing.F) {
	n, err := NewNonces(NoncesConfig{Secret: make([]byte, 32), Now: func() time.Time { return now }})
	if err != nil {
		f.Fatal(err)
	}
	good := n.Issue()
	f.Add(good)
	f.Add("eyJ7S_zG.eyJH0-Z.HX4w-7v")
	f.Add(strings.Repeat("\n", 32))
	f.Fuzz(func(t *testing.T, nonce string) {
		err := n.Check(nonce)
		if err == nil && nonce != good {
			t.Fatalf("accepted %q", nonce)
		}
		if _, ok := errors.AsType[*Error](err); err != nil && !ok {
			t.Fatalf("untyped error %v", err)
		}
	})
}
