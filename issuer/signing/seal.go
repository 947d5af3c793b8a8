package signing

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"strconv"

	"github.com/holdfast-project/holdfast/issuer/store"
	"github.com/holdfast-project/holdfast/keys"
)

const (
	minSecret   = 32
	sealPurpose = "holdfast issuer, sealing of signing keys, version 1"
)

// sealer seals private keys with the first of its keys, and opens with any. A sealed key is a random nonce of 12 octets
// and the AES-256-GCM of the private JWK, with what identifies authenticates. So few keys are sealed that nonces can't
// collide.
type sealer []cipher.AEAD

func newSealer(secrets [][]byte) (sealer, error) {
	if len(secrets) == 0 {
		return nil, errors.New("signing: config: Secrets is required")
	}
	var s sealer
	for _, secret := range secrets {
		if len(secret) < minSecret {
			return nil, fmt.Errorf("signing: config: a secret is shorter than %d bytes", minSecret)
		}
		derived, err := hkdf.Key(sha256.New, secret, nil, sealPurpose, 32)
		if err != nil {
			return nil, fmt.Errorf("signing: %w", err)
		}
		block, err := aes.NewCipher(derived)
		if err != nil {
			return nil, fmt.Errorf("signing: %w", err)
		}
		aead, err := cipher.NewGCM(block)
		if err != nil {
			return nil, fmt.Errorf("signing: %w", err)
		}
		s = append(s, aead)
	}
	return s, nil
}

// identifies is what a sealed key is authenticated with: which key it is and when it may sign.
func identifies(k store.SigningKey) []byte {
	out := strconv.AppendQuote(nil, k.KeyID)
	out = strconv.AppendQuote(out, k.Algorithm)
	for _, n := range [...]int64{k.Period, k.SignFrom.UnixMicro(), k.SignUntil.UnixMicro(), k.PublishUntil.UnixMicro()} {
		out = strconv.AppendInt(append(out, ' '), n, 10)
	}
	return out
}

func (s sealer) seal(signer *keys.Signer, k store.SigningKey) ([]byte, error) {
	jwk, err := signer.MarshalPrivateJWK()
	if err != nil {
		return nil, fmt.Errorf("signing: %w", err)
	}
	nonce := make([]byte, s[0].NonceSize())
	rand.Read(nonce)
	return s[0].Seal(nonce, nonce, jwk, identifies(k)), nil
}

// errSealed is a key that can't be opened: sealed under a secret that this node doesn't have, or changed.
var errSealed = errors.New("sealed under a secret that isn't configured, or changed in the database")

func (s sealer) open(k store.SigningKey) (*keys.Signer, error) {
	size := s[0].NonceSize()
	if len(k.Sealed) < size {
		return nil, fmt.Errorf("signing: key %s: %w", k.KeyID, errSealed)
	}
	for _, aead := range s {
		jwk, err := aead.Open(nil, k.Sealed[:size], k.Sealed[size:], identifies(k))
		if err != nil {
			continue
		}
		signer, err := keys.ParseSigner(jwk)
		if err != nil {
			return nil, fmt.Errorf("signing: key %s: %w", k.KeyID, err)
		}
		return signer, nil
	}
	return nil, fmt.Errorf("signing: key %s: %w", k.KeyID, errSealed)
}
