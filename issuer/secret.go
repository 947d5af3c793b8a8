package issuer

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"strings"

	"github.com/holdfast-project/holdfast/issuer/store"
)

// secretKind says what a random secret of ours is for, by how its text begins. Whoever finds one in a log knows then what
// to revoke, and none can be taken for another kind.
type secretKind string

const (
	kindCode    secretKind = "hfc_" // authorization code
	kindRefresh secretKind = "hfr_" // refresh token
	kindPushed  secretKind = "hfp_" // pushed authorization request: the end of its request_uri
	kindAsk     secretKind = "hfi_" // interaction: names it in URLs of pages
	kindBrowser secretKind = "hfb_" // cookie that tells browsers apart
	kindClient  secretKind = "hfs_" // secret of a client that registered itself
)

// secretSize is how many random octets a secret has.
const secretSize = 32

// newSecret returns the text of a fresh secret, in base64url after its kind. Only its hash is stored.
func newSecret(kind secretKind) string {
	var b [secretSize]byte
	rand.Read(b[:])
	return kind.text(b[:])
}

func (k secretKind) text(b []byte) string { return string(k) + base64.RawURLEncoding.EncodeToString(b) }

// parse returns a secret's octets, and whether text is one of this kind. Another spelling of the same octets is none.
func (k secretKind) parse(text string) ([]byte, bool) {
	encoded, ok := strings.CutPrefix(text, string(k))
	if !ok || base64.RawURLEncoding.DecodedLen(len(encoded)) != secretSize {
		return nil, false
	}
	b, err := base64.RawURLEncoding.Strict().DecodeString(encoded)
	return b, err == nil
}

// successor makes the refresh token that follows one: from that and the salt that was stored as it was used. So the
// same one can be given again if the answer was lost, by whoever still has the token, and by nobody who has the database.
func successor(token []byte, salt [32]byte) string {
	mac := hmac.New(sha256.New, token)
	mac.Write(salt[:])
	return kindRefresh.text(mac.Sum(nil))
}

func hashOf(secret string) store.Hash { return store.HashOf(secret) }
