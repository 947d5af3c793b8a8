package dpop

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/holdfast-project/holdfast/internal/base64url"
	"github.com/holdfast-project/holdfast/internal/htu"
	"github.com/holdfast-project/holdfast/internal/jws"
	"github.com/holdfast-project/holdfast/internal/strictjson"
	"github.com/holdfast-project/holdfast/keys"
)

// Params says what a proof is for.
type Params struct {
	Method    string         // htm, as on the wire
	TargetURI string         // absolute; its query and fragment are left out of htu
	Token     string         // the access token, for ath; "" at the token endpoint
	Nonce     string         // the server's last nonce, or ""
	Now       time.Time      // iat; if zero, time.Now
	ID        string         // jti; if "", 128 random bits
	Claims    map[string]any // further claims, which may not be one of RFC 9449's
}

// Sign makes a proof: a compact JWS with the public key in its header (RFC 9449, section 4.2).
func Sign(signer *keys.Signer, p Params) (string, error) {
	if signer.Public() == nil {
		return "", errors.New("dpop: no signer")
	}
	payload, err := p.claims()
	if err != nil {
		return "", fmt.Errorf("dpop: making a proof: %w", err)
	}
	var jwk [192]byte
	proof, err := jws.Sign(signer, jws.Header{
		Typ: typ,
		JWK: string(signer.Public().AppendJWK(jwk[:0])),
	}, payload)
	if err != nil {
		return "", fmt.Errorf("dpop: making a proof: %w", err)
	}
	return proof, nil
}

// claims returns the payload.
func (p Params) claims() ([]byte, error) {
	target, err := p.target()
	if err != nil {
		return nil, err
	}
	if p.Method == "" {
		return nil, errors.New("no method")
	}
	id, err := p.id()
	if err != nil {
		return nil, err
	}
	now := p.Now
	if now.IsZero() {
		now = time.Now()
	}
	b := make([]byte, 0, 256+len(target))
	b = append(b, `{"jti":`...)
	b = strictjson.AppendString(b, id)
	b = append(b, `,"htm":`...)
	b = strictjson.AppendString(b, p.Method)
	b = append(b, `,"htu":`...)
	b = strictjson.AppendString(b, target)
	b = append(b, `,"iat":`...)
	b = strconv.AppendInt(b, now.Unix(), 10)
	if p.Token != "" {
		sum := sha256.Sum256([]byte(p.Token))
		b = append(b, `,"ath":"`...)
		b = base64url.AppendEncode(b, sum[:])
		b = append(b, '"')
	}
	if p.Nonce != "" {
		b = append(b, `,"nonce":`...)
		b = strictjson.AppendString(b, p.Nonce)
	}
	return p.appendFurther(b)
}

// target returns htu. Its path stays as the request line has it, for verifiers that compare letter by letter; an empty
// one is "/" there.
func (p Params) target() (string, error) {
	target := htu.Bare(p.TargetURI)
	u, err := htu.Parse(target)
	if err != nil {
		return "", err
	}
	if u.Path == "/" && !strings.HasSuffix(target, "/") && strings.Count(target, "/") == 2 {
		target += "/"
	}
	return target, nil
}

// id returns the jti: 128 random bits, where RFC 9449, section 4.2 wants 96.
func (p Params) id() (string, error) {
	if len(p.ID) > maxID {
		return "", fmt.Errorf("an ID of %d bytes", len(p.ID))
	}
	if p.ID != "" {
		return p.ID, nil
	}
	var random [16]byte
	rand.Read(random[:]) // never fails
	return base64url.Encode(random[:]), nil
}

// appendFurther adds p.Claims and closes the object.
func (p Params) appendFurther(b []byte) ([]byte, error) {
	for _, name := range slices.Sorted(maps.Keys(p.Claims)) {
		switch name {
		case "jti", "htm", "htu", "iat", "ath", "nonce":
			return nil, fmt.Errorf("the claim %q among the further claims", name)
		}
		value, err := json.Marshal(p.Claims[name])
		if err != nil {
			return nil, fmt.Errorf("the claim %q: %w", name, err)
		}
		b = append(b, ',')
		b = strictjson.AppendString(b, name)
		b = append(b, ':')
		b = append(b, value...)
	}
	return append(b, '}'), nil
}
