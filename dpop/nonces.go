package dpop

import (
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/binary"
	"fmt"
	"hash"
	"sync"
	"time"

	"github.com/holdfast-project/holdfast/internal/base64url"
)

// Nonces makes and checks nonces that hold their own time: any node with the secret accepts them, nothing is stored.
// Safe for concurrent use.
//
// A nonce is the second it was made in and a MAC over that. It can't be foreseen without the secret, and everybody who
// asks in one second gets the same: it says when a proof was made, not for whom. Proofs are told apart by their jti.
type Nonces struct {
	macs   sync.Pool // of hash.Hash: making one anew costs 1 µs and five allocations
	window time.Duration
	now    func() time.Time
}

// NoncesConfig configures Nonces.
type NoncesConfig struct {
	Secret []byte           // at least 32 bytes, shared by the fleet
	Scope  string           // what the nonces are for; nonces of another scope are refused
	Window time.Duration    // how long one is good. If zero, 5 minutes
	Now    func() time.Time // tells the time. If nil, time.Now
}

const (
	minSecret = 32
	timeLen   = 8
	macLen    = 16 // enough: guesses are made online, one request each
	nonceLen  = (timeLen + macLen) * 4 / 3
	// fleetSkew is how far the clock of the node that made a nonce may be ahead of ours. Nobody else can make one.
	fleetSkew = 5 * time.Second
)

// NewNonces derives the MAC key from the secret and scope.
func NewNonces(cfg NoncesConfig) (*Nonces, error) {
	if len(cfg.Secret) < minSecret {
		return nil, fmt.Errorf("dpop: a nonce secret of less than %d bytes", minSecret)
	}
	if cfg.Window < 0 || cfg.Window > maxWindow {
		return nil, fmt.Errorf("dpop: Window must be between 0 and %v", maxWindow)
	}
	key, err := hkdf.Key(sha256.New, cfg.Secret, nil, "holdfast dpop nonce v1 "+cfg.Scope, sha256.Size)
	if err != nil {
		return nil, fmt.Errorf("dpop: deriving the nonce key: %w", err)
	}
	n := &Nonces{window: cfg.Window, now: cfg.Now}
	n.macs.New = func() any { return hmac.New(sha256.New, key) }
	if n.window == 0 {
		n.window = 5 * time.Minute
	}
	if n.now == nil {
		n.now = time.Now
	}
	return n, nil
}

// Issue returns a nonce of NQCHARs (RFC 9449, section 8.1): 32 characters of base64url.
func (n *Nonces) Issue() string {
	var nonce [timeLen + macLen]byte
	n.seal(&nonce, uint64(n.now().Unix()))
	return base64url.Encode(nonce[:])
}

// Check implements NonceChecker. Its errors are *Error with NonceMismatch.
func (n *Nonces) Check(nonce string) error {
	if len(nonce) != nonceLen {
		return refuse(NonceMismatch, 10, "nonce")
	}
	var buf, want [timeLen + macLen]byte
	if _, err := base64url.Append(buf[:0], nonce); err != nil {
		return refuse(NonceMismatch, 10, "nonce")
	}
	seconds := binary.BigEndian.Uint64(buf[:])
	n.seal(&want, seconds)
	if subtle.ConstantTimeCompare(buf[:], want[:]) != 1 {
		return refuse(NonceMismatch, 10, "nonce")
	}
	now, made := n.now(), time.Unix(int64(seconds), 0)
	if made.After(now.Add(fleetSkew)) || !now.Before(made.Add(n.window)) {
		return refuse(NonceMismatch, 10, "nonce")
	}
	return nil
}

// seal writes the nonce of a second.
func (n *Nonces) seal(nonce *[timeLen + macLen]byte, seconds uint64) {
	binary.BigEndian.PutUint64(nonce[:], seconds)
	h := n.macs.Get().(hash.Hash)
	h.Reset()
	h.Write(nonce[:timeLen])
	var sum [sha256.Size]byte
	copy(nonce[timeLen:], h.Sum(sum[:0]))
	n.macs.Put(h)
}
