package dpop

import (
	"fmt"
	"strings"
	"testing"

	"github.com/holdfast-project/holdfast/keys"
)

// Hazard 25: what is remembered of other people's keys is bounded.
func TestHazardKeyCacheBounded(t *testing.T) {
	key := generate(t, keys.Ed25519).Public()
	var c keyCache
	for i := range 3*maxCachedKeys + 1 {
		c.add(fmt.Sprint(i), key)
		if n := len(c.young) + len(c.old); n > 2*maxCachedKeys {
			t.Fatalf("%d keys after %d", n, i)
		}
	}
	long := strings.Repeat("a", maxCachedText+1)
	c.add(long, key)
	if _, ok := c.get(long); ok {
		t.Error("a long text was remembered")
	}
	if _, ok := c.get("0"); ok {
		t.Error("the first key is still there")
	}
	if _, ok := c.get(fmt.Sprint(3 * maxCachedKeys)); !ok {
		t.Error("the last key is gone")
	}
}

// A key in use survives any number of others.
func TestKeyCacheKeepsKeysInUse(t *testing.T) {
	mine, other := generate(t, keys.Ed25519).Public(), generate(t, keys.Ed25519).Public()
	var c keyCache
	c.add("mine", mine)
	for i := range 5 * maxCachedKeys {
		c.add(fmt.Sprint(i), other)
		if got, ok := c.get("mine"); !ok || got != mine {
			t.Fatalf("gone after %d others", i)
		}
	}
}

// Only keys whose signature held are remembered, and a remembered key is checked against the algorithm like a new one.
func TestVerifyRemembersGoodKeys(t *testing.T) {
	f, other := newFixture(t, keys.ES256), newFixture(t, keys.ES256)
	v := newVerifier(t, Config{})
	forged := f.with(t, f.header.with("jwk", other.header["jwk"]), f.claims)
	if _, err := v.Verify(forged); err == nil || len(v.keys.young) != 0 {
		t.Errorf("after a forged proof: %v, %d keys", err, len(v.keys.young))
	}
	if _, err := v.Verify(f.with(t, f.header, f.claims)); err != nil || len(v.keys.young) != 1 {
		t.Errorf("after a good proof: %v, %d keys", err, len(v.keys.young))
	}
	if _, err := v.Verify(f.with(t, f.header.with("alg", "ES384"), f.claims)); err == nil {
		t.Error("a remembered key was used with another algorithm")
	}
	if _, err := v.Verify(other.with(t, other.header.with("jwk", f.header["jwk"]), other.claims)); err == nil {
		t.Error("a forged proof with a remembered key was accepted")
	}
}
