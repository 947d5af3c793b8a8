package dpop

import (
	"strings"
	"sync"

	"github.com/holdfast-project/holdfast/keys"
)

// keyCache remembers parsed JWKs, since a client sends the same one with each proof. Parsing is a pure function of the
// text, so a remembered key is as good as a fresh one. It saves 1.5 µs and 12 allocations of a verification that takes
// 1.10 times the bare ES256 without it and 1.07 times with it.
type keyCache struct {
	mu sync.RWMutex
	// JWK text as sent → its key, guarded by mu. When young is full it becomes old, and what was old is forgotten.
	young, old map[string]*keys.Public
}

// The bounds of a keyCache: at most about 4 MiB together, even if every sender wants to fill it.
const (
	maxCachedKeys = 1024 // in each generation
	maxCachedText = 1024 // bytes; an RSA-4096 JWK has 720
)

// get returns the key of a JWK that was added before. A key that was nearly forgotten is kept on.
func (c *keyCache) get(text string) (*keys.Public, bool) {
	c.mu.RLock()
	key, young := c.young[text]
	if !young {
		key = c.old[text]
	}
	c.mu.RUnlock()
	if key != nil && !young {
		c.add(text, key)
	}
	return key, key != nil
}

// add is for keys whose signature held: filling the cache then costs the sender a signature each.
func (c *keyCache) add(text string, key *keys.Public) {
	if len(text) > maxCachedText {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.young == nil || len(c.young) >= maxCachedKeys {
		c.old, c.young = c.young, make(map[string]*keys.Public)
	}
	c.young[strings.Clone(text)] = key
}
