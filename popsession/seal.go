package popsession

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	"github.com/holdfast-project/holdfast/internal/base64url"
)

// A sealed ticket is
//
//	version (1 octet) | len8 secret id | epoch (4 octets) | nonce (12 octets) | AES-256-GCM of the contents
//
// with all before the ciphertext, and then the audience, as additional data. The key is the epoch's:
//
//	HKDF(SHA-256, secret, no salt, "pop-session ticket v1" 00 epoch, 32)
//
// The epoch is the hour since 1970. A key therefore seals for one hour, and random nonces may meet with a chance of less
// than 2^-32 while the fleet makes no more than 2^32 tickets in it (SP 800-38D, section 8.3).
const (
	ticketVersion = 1
	ticketPurpose = "pop-session ticket v1\x00"
	epochLength   = time.Hour
	nonceLen      = 12
	tagLen        = 16

	// maxSealed bounds a ticket. Servers commonly take 8 KiB of header fields, and Base64 adds a third.
	maxSealed = 4 << 10

	minSecretKey = 32
	maxSecretID  = 16
	maxHeader    = 2 + maxSecretID + 4 + nonceLen
	maxSecrets   = 16
)

// sealer seals and opens tickets under the fleet's secrets.
type sealer struct {
	secrets []*fleetSecret // by notBefore
	codec   codec
}

// fleetSecret is one secret with the keys of the epochs at hand.
type fleetSecret struct {
	id        string
	key       []byte
	notBefore time.Time
	// Only three epochs are accepted at a time, and each has a place of its own, so neither a hostile ticket nor time
	// makes this grow. Deriving a key takes 2 µs, so losing one to another node's late epoch costs nothing.
	epochs [4]atomic.Pointer[epochKey] // epoch mod 4 → its key
}

type epochKey struct {
	epoch uint32
	aead  cipher.AEAD
}

func newSealer(secrets []Secret, now time.Time) (*sealer, error) {
	if len(secrets) == 0 || len(secrets) > maxSecrets {
		return nil, fmt.Errorf("popsession: %d secrets, want 1 to %d", len(secrets), maxSecrets)
	}
	s := new(sealer)
	for _, secret := range secrets {
		if err := s.add(secret); err != nil {
			return nil, err
		}
	}
	slices.SortFunc(s.secrets, func(a, b *fleetSecret) int { return a.notBefore.Compare(b.notBefore) })
	if s.secrets[0].notBefore.After(now) {
		return nil, errors.New("popsession: no secret is in force yet")
	}
	var err error
	s.codec, err = newCodec()
	return s, err
}

func (s *sealer) add(secret Secret) error {
	if !printable(secret.ID) || len(secret.ID) > maxSecretID {
		return fmt.Errorf("popsession: a secret's ID must be 1 to %d printable ASCII characters", maxSecretID)
	}
	if len(secret.Key) < minSecretKey {
		return fmt.Errorf("popsession: secret %s has less than %d bytes", secret.ID, minSecretKey)
	}
	for _, other := range s.secrets {
		if other.id == secret.ID || other.notBefore.Equal(secret.NotBefore) {
			return fmt.Errorf("popsession: secrets %s and %s have one ID, or one NotBefore", other.id, secret.ID)
		}
	}
	s.secrets = append(s.secrets, &fleetSecret{
		id: secret.ID, key: slices.Clone(secret.Key), notBefore: secret.NotBefore,
	})
	return nil
}

func printable(s string) bool {
	for _, c := range []byte(s) {
		if c <= ' ' || c > '~' {
			return false
		}
	}
	return s != ""
}

// seal seals t under the secret in force when it was issued.
func (s *sealer) seal(t *Ticket) ([]byte, error) {
	secret := s.inForce(t.Issued)
	epoch := epochOf(t.Issued)
	aead, err := secret.aead(epoch)
	if err != nil {
		return nil, err
	}
	plain, err := s.codec.encode(t)
	if err != nil {
		return nil, err
	}
	sealed := make([]byte, 0, 2+len(secret.id)+4+nonceLen+len(plain)+tagLen)
	if cap(sealed) > maxSealed {
		return nil, refuse(TooLarge, "")
	}
	sealed = append(sealed, ticketVersion, byte(len(secret.id)))
	sealed = append(sealed, secret.id...)
	sealed = binary.BigEndian.AppendUint32(sealed, epoch)
	header := len(sealed) + nonceLen
	rand.Read(sealed[header-nonceLen : header]) // never fails
	sealed = sealed[:header]
	return aead.Seal(sealed, sealed[header-nonceLen:], plain, appendAdditional(nil, sealed, t.Audience)), nil
}

// inForce returns the last secret that begins at now or before. If the clock went back behind all, it is the first.
func (s *sealer) inForce(now time.Time) *fleetSecret {
	n, found := slices.BinarySearchFunc(s.secrets, now, func(f *fleetSecret, t time.Time) int {
		return f.notBefore.Compare(t)
	})
	if !found {
		n--
	}
	return s.secrets[max(n, 0)]
}

// open returns the contents of a ticket. Parts in its errors are for the log: to the peer all are one.
func (s *sealer) open(ticket, audience string, now time.Time) ([]byte, error) {
	if base64url.DecodedLen(len(ticket)) > maxSealed {
		return nil, refuse(UnknownTicket, "length")
	}
	// With room for the additional data.
	buf := make([]byte, 0, base64url.DecodedLen(len(ticket))+maxHeader+len(audience))
	sealed, err := base64url.Append(buf, ticket)
	if err != nil {
		return nil, refuse(UnknownTicket, "encoding")
	}
	if len(sealed) < 2 || sealed[0] != ticketVersion {
		return nil, refuse(UnknownTicket, "version")
	}
	idEnd := 2 + int(sealed[1])
	header := idEnd + 4 + nonceLen
	if len(sealed) < header+tagLen {
		return nil, refuse(UnknownTicket, "length")
	}
	secret := s.byID(sealed[2:idEnd])
	if secret == nil {
		return nil, refuse(UnknownTicket, "secret")
	}
	epoch := binary.BigEndian.Uint32(sealed[idEnd:])
	// In 64 bits, so that nothing wraps around at either end.
	if d := int64(epoch) - int64(epochOf(now)); d < -1 || d > 1 {
		return nil, refuse(UnknownTicket, "epoch")
	}
	aead, err := secret.aead(epoch)
	if err != nil {
		return nil, err
	}
	ciphertext := sealed[header:]
	ad := appendAdditional(sealed[len(sealed):], sealed[:header], audience)
	plain, err := aead.Open(ciphertext[:0], sealed[header-nonceLen:header], ciphertext, ad)
	if err != nil {
		return nil, refuse(UnknownTicket, "seal")
	}
	return plain, nil
}

func (s *sealer) byID(id []byte) *fleetSecret {
	for _, secret := range s.secrets {
		if secret.id == string(id) {
			return secret
		}
	}
	return nil
}

// appendAdditional appends the additional data. The header tells its own length, so no two pairs give the same octets.
func appendAdditional(dst, header []byte, audience string) []byte {
	return append(append(dst, header...), audience...)
}

func epochOf(t time.Time) uint32 { return uint32(t.Unix() / int64(epochLength/time.Second)) }

// aead returns the AEAD of an epoch.
func (f *fleetSecret) aead(epoch uint32) (cipher.AEAD, error) {
	place := &f.epochs[epoch%uint32(len(f.epochs))]
	if k := place.Load(); k != nil && k.epoch == epoch {
		return k.aead, nil
	}
	info := binary.BigEndian.AppendUint32([]byte(ticketPurpose), epoch)
	key, err := hkdf.Key(sha256.New, f.key, nil, string(info), 32)
	if err != nil {
		return nil, fmt.Errorf("popsession: deriving an epoch's key: %w", err)
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, fmt.Errorf("popsession: %w", err)
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		return nil, fmt.Errorf("popsession: %w", err)
	}
	place.Store(&epochKey{epoch, aead})
	return aead, nil
}
