package signing

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/holdfast-project/holdfast/issuer/store"
	"github.com/holdfast-project/holdfast/keys"
)

var secret = bytes.Repeat([]byte{7}, 32)

// clock is a time that a test sets.
type clock struct{ now time.Time }

func (c *clock) Now() time.Time { return c.now }

// midPeriod is in the middle of a period of an hour.
var midPeriod = time.Date(2026, 3, 4, 5, 30, 0, 0, time.UTC)

func openStore(t *testing.T, dsn string) *store.Store {
	t.Helper()
	s, err := store.Open(t.Context(), dsn)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func config(s *store.Store, c *clock) Config {
	return Config{Store: s, Secrets: [][]byte{secret}, Period: time.Hour, Lead: 10 * time.Minute, Overlap: 20 * time.Minute, Now: c.Now}
}

func openRing(t *testing.T, cfg Config) *Ring {
	t.Helper()
	r, err := Open(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func signerID(t *testing.T, r *Ring, alg keys.Algorithm) string {
	t.Helper()
	s, err := r.Signer(alg)
	if err != nil {
		t.Fatal(err)
	}
	return s.Public().KeyID()
}

func TestSchedule(t *testing.T) {
	c := &clock{midPeriod}
	r := openRing(t, config(openStore(t, "sqlite::memory:"), c))
	first := signerID(t, r, "")
	for _, step := range []struct {
		name      string
		after     time.Duration // the middle of the first period
		published int           // keys, of two algorithms
		same      bool          // the first key still signs
	}{
		{"at the start", 0, 2, true},
		{"before the lead", 19 * time.Minute, 2, true},
		{"the next is published", 20 * time.Minute, 4, true},
		{"the last moment", 30*time.Minute - time.Microsecond, 4, true},
		{"the next signs", 30 * time.Minute, 4, false},
		{"the first is still published", 50*time.Minute - time.Microsecond, 4, false},
		{"the first is withdrawn", 50 * time.Minute, 2, false},
	} {
		c.now = midPeriod.Add(step.after)
		if err := r.Refresh(t.Context()); err != nil {
			t.Fatalf("%s: %v", step.name, err)
		}
		if got := len(r.Published()); got != step.published {
			t.Errorf("%s: %d keys published, want %d", step.name, got, step.published)
		}
		if got := signerID(t, r, "") == first; got != step.same {
			t.Errorf("%s: the first key signs: %v, want %v", step.name, got, step.same)
		}
		if r.Public(signerID(t, r, keys.EdDSA)) == nil {
			t.Errorf("%s: the key that signs isn't published", step.name)
		}
	}
}

// A node that can't reach the store signs with the next key in time, as it had it before.
func TestNextKeyIsThereBefore(t *testing.T) {
	c := &clock{midPeriod.Add(25 * time.Minute)}
	r := openRing(t, config(openStore(t, "sqlite::memory:"), c))
	before := signerID(t, r, keys.ES256)
	c.now = midPeriod.Add(35 * time.Minute)
	if after := signerID(t, r, keys.ES256); after == before {
		t.Error("the old key signs after its period")
	}
	c.now = midPeriod.Add(95 * time.Minute)
	if _, err := r.Signer(keys.ES256); !errors.Is(err, ErrNoKey) {
		t.Errorf("got %v, want ErrNoKey", err)
	}
}

func TestNodesAgree(t *testing.T) {
	c := &clock{midPeriod.Add(25 * time.Minute)}
	dsn := "sqlite:" + t.TempDir() + "/issuer.db"
	const nodes = 8
	rings := make([]*Ring, nodes)
	var wg sync.WaitGroup
	for i := range nodes {
		s := openStore(t, dsn)
		wg.Go(func() {
			r, err := Open(t.Context(), config(s, c))
			if err != nil {
				t.Error(err)
				return
			}
			rings[i] = r
		})
	}
	wg.Wait()
	if t.Failed() {
		t.FailNow()
	}
	for _, at := range []time.Duration{25 * time.Minute, 40 * time.Minute} {
		c.now = midPeriod.Add(at)
		for _, alg := range rings[0].Algorithms() {
			want := signerID(t, rings[0], alg)
			for i, r := range rings {
				if got := signerID(t, r, alg); got != want {
					t.Errorf("%v: node %d signs %s with %s, node 0 with %s", at, i, alg, got, want)
				}
			}
		}
	}
}

func TestRestartKeepsKeys(t *testing.T) {
	c := &clock{midPeriod}
	s := openStore(t, "sqlite::memory:")
	want := signerID(t, openRing(t, config(s, c)), "")
	if got := signerID(t, openRing(t, config(s, c)), ""); got != want {
		t.Errorf("another key signs after a restart")
	}
}

func TestSecretsRotate(t *testing.T) {
	c := &clock{midPeriod}
	s := openStore(t, "sqlite::memory:")
	cfg := config(s, c)
	want := signerID(t, openRing(t, cfg), "")
	other := bytes.Repeat([]byte{8}, 32)

	cfg.Secrets = [][]byte{other, secret}
	if got := signerID(t, openRing(t, cfg), ""); got != want {
		t.Errorf("another key signs with a new secret in front")
	}
	cfg.Secrets = [][]byte{other}
	if _, err := Open(t.Context(), cfg); !errors.Is(err, errSealed) {
		t.Errorf("without the old secret: got %v, want errSealed", err)
	}
}

func TestSealedKeysAreOpenedAsTheyWere(t *testing.T) {
	seal, err := newSealer([][]byte{secret})
	if err != nil {
		t.Fatal(err)
	}
	signer, err := keys.Generate(keys.ES256)
	if err != nil {
		t.Fatal(err)
	}
	good := store.SigningKey{
		KeyID: signer.Public().KeyID(), Algorithm: "ES256", Period: 9,
		SignFrom: midPeriod, SignUntil: midPeriod.Add(time.Hour), PublishUntil: midPeriod.Add(2 * time.Hour),
	}
	if good.Sealed, err = seal.seal(signer, good); err != nil {
		t.Fatal(err)
	}
	if opened, err := seal.open(good); err != nil || opened.Public().KeyID() != good.KeyID {
		t.Fatalf("the sealed key: %v", err)
	}
	for _, tc := range []struct {
		name   string
		change func(*store.SigningKey)
	}{
		{"another id", func(k *store.SigningKey) { k.KeyID += "x" }},
		{"another algorithm", func(k *store.SigningKey) { k.Algorithm = "EdDSA" }},
		{"another period", func(k *store.SigningKey) { k.Period++ }},
		{"signs earlier", func(k *store.SigningKey) { k.SignFrom = k.SignFrom.Add(-time.Hour) }},
		{"signs longer", func(k *store.SigningKey) { k.SignUntil = k.SignUntil.Add(time.Hour) }},
		{"published longer", func(k *store.SigningKey) { k.PublishUntil = k.PublishUntil.Add(time.Hour) }},
		{"an octet of the nonce", func(k *store.SigningKey) { k.Sealed[0] ^= 1 }},
		{"an octet of the key", func(k *store.SigningKey) { k.Sealed[20] ^= 1 }},
		{"cut short", func(k *store.SigningKey) { k.Sealed = k.Sealed[:5] }},
		{"empty", func(k *store.SigningKey) { k.Sealed = nil }},
	} {
		t.Run(tc.name, func(t *testing.T) {
			k := good
			k.Sealed = bytes.Clone(good.Sealed)
			tc.change(&k)
			if _, err := seal.open(k); !errors.Is(err, errSealed) {
				t.Errorf("got %v, want errSealed", err)
			}
		})
	}
}

func TestWithdrawnKeyIsReplaced(t *testing.T) {
	c := &clock{midPeriod}
	s := openStore(t, "sqlite::memory:")
	r := openRing(t, config(s, c))
	before := signerID(t, r, "")
	if err := s.DeleteSigningKey(t.Context(), before); err != nil {
		t.Fatal(err)
	}
	if err := r.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	if after := signerID(t, r, ""); after == before || r.Public(before) != nil {
		t.Error("a withdrawn key is still used")
	}
}

// After an error, a node goes on with what it had.
func TestRefreshFails(t *testing.T) {
	c := &clock{midPeriod}
	r := openRing(t, config(openStore(t, "sqlite::memory:"), c))
	want := signerID(t, r, "")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := r.Refresh(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want context.Canceled", err)
	}
	if got := signerID(t, r, ""); got != want {
		t.Error("another key signs")
	}
}

func TestNothingIsTold(t *testing.T) {
	c := &clock{midPeriod}
	s := openStore(t, "sqlite::memory:")
	openRing(t, config(s, c))
	stored, err := s.SigningKeys(t.Context())
	if err != nil || len(stored) != 2 {
		t.Fatalf("%d keys, %v", len(stored), err)
	}
	for _, k := range stored {
		if text := fmt.Sprintf("%s %s", k.Sealed, k.Public); bytes.Contains([]byte(text), []byte(`"d"`)) {
			t.Errorf("key %s is stored in the clear", k.KeyID)
		}
	}
}

func TestConfigRefused(t *testing.T) {
	s := openStore(t, "sqlite::memory:")
	good := config(s, &clock{midPeriod})
	if _, err := Open(t.Context(), good); err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		name   string
		change func(*Config)
	}{
		{"no store", func(c *Config) { c.Store = nil }},
		{"no secret", func(c *Config) { c.Secrets = nil }},
		{"a short secret", func(c *Config) { c.Secrets = [][]byte{secret, secret[:31]} }},
		{"an algorithm twice", func(c *Config) { c.Algorithms = []keys.Algorithm{keys.ES256, keys.ES256} }},
		{"an algorithm that isn't for tokens", func(c *Config) { c.Algorithms = []keys.Algorithm{keys.PS256} }},
		{"a short period", func(c *Config) { c.Period = time.Minute }},
		{"a short lead", func(c *Config) { c.Lead = time.Minute }},
		{"a lead longer than the period", func(c *Config) { c.Lead = 2 * time.Hour }},
		{"a negative overlap", func(c *Config) { c.Overlap = -1 }},
	} {
		t.Run(tc.name, func(t *testing.T) {
			cfg := good
			tc.change(&cfg)
			if _, err := Open(t.Context(), cfg); err == nil {
				t.Error("accepted")
			}
		})
	}
}
