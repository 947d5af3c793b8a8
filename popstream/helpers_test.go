package popstream

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"io"
	"testing"
)

var (
	testSecret    = []byte("0123456789abcdef0123456789abcdef")
	testSignature = bytes.Repeat([]byte{0x5a}, 32)
	testKey       = BodyKey(testSecret, testSignature)
)

// numbered returns n octets, no two neighbours of which are the same.
func numbered(n int) []byte {
	p := make([]byte, n)
	for i := range p {
		p[i] = byte(i*7 + i/256)
	}
	return p
}

func mac(key []byte, parts ...[]byte) []byte {
	h := hmac.New(sha256.New, key)
	for _, p := range parts {
		h.Write(p)
	}
	return h.Sum(nil)
}

// oracle frames chunks as the package comment describes it, sharing nothing with the package.
type oracle struct{ key []byte }

func newOracle(secret, signature []byte) oracle {
	return oracle{mac(secret, []byte("pop-stream-v1"), []byte{0}, signature)}
}

// frame is one chunk, with the length that it has.
func (o oracle) frame(seq int, payload []byte, last bool) []byte {
	length := binary.BigEndian.AppendUint32(nil, uint32(len(payload)))
	flag := []byte{0}
	if last {
		length[0] |= 0x80
		flag[0] = 1
	}
	tag := mac(o.key, binary.BigEndian.AppendUint64(nil, uint64(seq)), flag, payload)
	return bytes.Join([][]byte{length, payload, tag}, nil)
}

// frames cuts payload into chunks of the sizes, the last of which takes what is left.
func (o oracle) frames(payload []byte, sizes ...int) [][]byte {
	var out [][]byte
	for seq, size := range sizes {
		out = append(out, o.frame(seq, payload[:size], false))
		payload = payload[size:]
	}
	return append(out, o.frame(len(sizes), payload, true))
}

// full cuts payload into full chunks.
func (o oracle) full(payload []byte, chunk int) [][]byte {
	var sizes []int
	for left := len(payload); left > chunk; left -= chunk {
		sizes = append(sizes, chunk)
	}
	return o.frames(payload, sizes...)
}

func join(frames [][]byte) []byte { return bytes.Join(frames, nil) }

func open(framed []byte, k Key, chunk int) io.ReadCloser {
	return NewReader(io.NopCloser(bytes.NewReader(framed)), k, Params{Chunk: chunk})
}

// reasonOf is "" for nil, and the reason of an *Error.
func reasonOf(t testing.TB, err error) Reason {
	t.Helper()
	if err == nil {
		return ""
	}
	e, ok := errors.AsType[*Error](err)
	if !ok {
		t.Fatalf("got %T (%v), want *Error", err, err)
	}
	return e.Reason
}
