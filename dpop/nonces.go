package dpop

import (
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"time"

	"github.com/holdfast-project/holdfast/internal/base64url"
)

// Nonces makes and checks nonces that hold their own time: any node with the secret accepts them, nothing is stored.
// Safe for concurrent use.
//
// A nonce is the second it was made in and a MAC over that. It can't be foreseen without the secret, and everybody who
// asks in one second gets the same: it says when a proof was made, not for whom. Proofs are told apart by their jti.
type Nonces struct {
	key    []byte
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
	n := &Nonces{key: key, window: cfg.Window, now: cfg.Now}
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
	var stamp [timeLen]byte
	binary.BigEndian.PutUint64(stamp[:], uint64(n.now().Unix()))
	var nonce [timeLen + macLen]byte
	copy(nonce[:], stamp[:])
	copy(nonce[timeLen:], n.mac(stamp))
	return base64url.Encode(nonce[:])
}

// Check implements NonceChecker. Its errors are *Error with NonceMismatch.
func (n *Nonces) Check(nonce string) error {
	if len(nonce) != nonceLen {
		return refuse(NonceMismatch, 10, "nonce")
	}
	var buf [timeLen + macLen]byte
	if _, err := base64url.Append(buf[:0], nonce); err != nil {
		return refuse(NonceMismatch, 10, "nonce")
	}
	stamp := [timeLen]byte(buf[:timeLen])
	if !hmac.Equal(buf[timeLen:], n.mac(stamp)) {
		return refuse(NonceMismatch, 10, "nonce")
	}
	now, made := n.now(), time.Unix(int64(binary.BigEndian.Uint64(stamp[:])), 0)
	if made.After(now.Add(fleetSkew)) || !now.Before(made.Add(n.window)) {
		return refuse(NonceMismatch, 10, "nonce")
	}
	return nil
}

func (n *Nonces) mac(stamp [timeLen]byte) []byte {
	h := hmac.New(sha256.New, n.key)
	h.Write(stamp[:])
	return h.Sum(nil)[:macLen]
}
