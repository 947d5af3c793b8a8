package popsession

import (
	"crypto/ecdh"
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
)

const (
	scheduleSalt  = "pop-session-v1"
	labelRequest  = "request"
	labelResponse = "response"
)

// agreement is one run of the key schedule. Both sides fill it in alike.
type agreement struct {
	binding      *Binding
	clientShare  []byte
	serverShare  []byte
	id           ID
	own          *ecdh.PrivateKey // the client's or the server's ephemeral key
	peer         *ecdh.PublicKey  // the other one's share
	refuseAs     Reason           // if the peer's share leads nowhere
	refuseAsPart string
}

// keys runs the schedule. The shared secret is all zero for points of small order of X25519, which crypto/ecdh refuses
// (RFC 7748, section 6.1).
func (a *agreement) keys() (Keys, error) {
	z, err := a.own.ECDH(a.peer)
	if err != nil {
		return Keys{}, refuse(a.refuseAs, a.refuseAsPart)
	}
	prk, err := extract(z)
	if err != nil {
		return Keys{}, err
	}
	ctx := a.context()
	var k secrets
	if err := expand(k.request[:], prk, labelRequest, ctx); err != nil {
		return Keys{}, err
	}
	if err := expand(k.response[:], prk, labelResponse, ctx); err != nil {
		return Keys{}, err
	}
	return newKeys(k), nil
}

// context names the session: all that both sides must see alike for their keys to be the same.
func (a *agreement) context() []byte {
	ctx := make([]byte, 0, 320)
	ctx = appendLen16(ctx, a.binding.Thumbprint[:])
	ctx = appendLen16(ctx, a.binding.TokenHash[:])
	ctx = appendLen16(ctx, []byte(a.binding.Audience))
	ctx = appendLen16(ctx, a.clientShare)
	ctx = appendLen16(ctx, a.serverShare)
	return appendLen16(ctx, a.id[:])
}

// appendLen16 appends b behind its length. Binding.check bounds the audience; all else has a fixed length.
func appendLen16(dst, b []byte) []byte {
	return append(binary.BigEndian.AppendUint16(dst, uint16(len(b))), b...)
}

func extract(z []byte) ([]byte, error) {
	prk, err := hkdf.Extract(sha256.New, z, []byte(scheduleSalt))
	if err != nil {
		return nil, fmt.Errorf("popsession: extracting: %w", err)
	}
	return prk, nil
}

func expand(dst, prk []byte, label string, ctx []byte) error {
	key, err := hkdf.Expand(sha256.New, prk, label+"\x00"+string(ctx), len(dst))
	if err != nil {
		return fmt.Errorf("popsession: expanding: %w", err)
	}
	copy(dst, key)
	return nil
}
