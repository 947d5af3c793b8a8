// Package popstream authenticates a body chunk by chunk, for bodies that nobody can hash before they are sent: streams,
// large uploads, answers that grow.
//
// The sender announces it in the field [Header], which the signature of the message covers, and frames the body with
// [NewWriter], [NewFramer] or [NewSizedFramer]. The recipient reads it through [NewReader], which hands out no byte whose
// tag doesn't hold, and ends in io.EOF only where the sender ended the stream. Each chunk is
//
//	length (4 octets, big endian; the top bit says that it is the last) | payload | tag (32 octets)
//	tag    = HMAC-SHA-256(K_body, seq (8 octets, big endian; from 0) | last (1 octet: 0 or 1) | payload)
//	K_body = HMAC-SHA-256(K, "pop-stream-v1" 00 | signature)
//
// with K a key that both sides have and the octets of the message's signature, so that each message has a key of its own
// ([BodyKey]). Length counts the payload, from 1 to the announced chunk size. Only the last chunk may be empty.
//
// What is checked: each octet of the payload, the place of each chunk in this message, that none is missing at the end
// and that nothing follows. What is not checked: that the field is authentic. That is for the signature, which must cover
// it: one that doesn't vouches for no body.
//
// Limits: chunks of at most 1 MiB. A stream needs about one chunk of memory, however long it is, and a recipient no more
// than twice what has come.
package popstream

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"io"
	"math"
	"strconv"

	"github.com/holdfast-project/holdfast/internal/sfv"
)

// Header is the field that announces a framed body, PoP-Stream, as net/http writes its name.
const Header = "Pop-Stream"

// The sizes of a chunk's payload.
const (
	DefaultChunk = 64 << 10
	MaxChunk     = 1 << 20
)

// Params are what the field [Header] says.
type Params struct {
	// Chunk is the size of the largest chunk, at most MaxChunk. If zero, DefaultChunk.
	Chunk int
}

// ParseParams reads the lines of the field: `v=1, chunk=65536`, in any order. Both members are required, others and
// parameters refused: they could be about a framing that isn't this one. Errors are *Error: BadField.
func ParseParams(lines []string) (Params, error) {
	dict, err := sfv.ParseDictionary(lines...)
	if err != nil {
		return Params{}, badField(err.Error())
	}
	if key, ok := dict.Repeated(); ok {
		return Params{}, badField("member " + key + " given twice")
	}
	var version, chunk int64
	for i := range dict {
		m := &dict[i]
		switch {
		case m.Value.Kind() != sfv.KindInteger || len(m.Params) > 0:
			return Params{}, badField("member " + m.Key + " isn't a bare Integer")
		case m.Key == "v":
			version = m.Value.Int64()
		case m.Key == "chunk":
			chunk = m.Value.Int64()
		default:
			return Params{}, badField("member " + m.Key + " is unknown")
		}
	}
	if version != 1 {
		return Params{}, badField("v isn't 1")
	}
	if chunk < 1 || chunk > MaxChunk {
		return Params{}, badField("chunk isn't a number from 1 to " + strconv.Itoa(MaxChunk))
	}
	return Params{Chunk: int(chunk)}, nil
}

// Field returns the field value in its canonical form, such as `v=1, chunk=65536`.
func (p Params) Field() string { return "v=1, chunk=" + strconv.Itoa(p.chunk()) }

func (p Params) chunk() int {
	if p.Chunk == 0 {
		return DefaultChunk
	}
	return p.Chunk
}

// check refuses parameters that no peer would accept, and a key that isn't one.
func (p Params) check(k Key) error {
	if chunk := p.chunk(); chunk < 1 || chunk > MaxChunk {
		return fmt.Errorf("popstream: chunks of %d bytes", chunk)
	}
	if !k.set {
		return errNoKey
	}
	return nil
}

// The lengths around a payload.
const (
	headSize = 4
	tagSize  = sha256.Size
	overhead = headSize + tagSize

	lastBit = 1 << 31
)

// FramedLength returns the length of n octets framed in full chunks, as [NewSizedFramer] and a [Writer] that is never
// flushed frame them, for Content-Length. A chunk of zero is DefaultChunk. The result is -1, which is net/http's word for
// unknown, where n is negative or chunk not a size, or the length doesn't fit.
func FramedLength(n int64, chunk int) int64 {
	size := int64(Params{Chunk: chunk}.chunk())
	if n < 0 || size < 1 || size > MaxChunk {
		return -1
	}
	chunks := int64(1) // an empty body is one empty chunk
	if n > 0 {
		chunks += (n - 1) / size
	}
	if chunks > (math.MaxInt64-n)/overhead {
		return -1
	}
	return n + chunks*overhead
}

// Key authenticates the chunks of one body. It prints as [redacted]. The zero Key opens and frames nothing.
type Key struct {
	secret [sha256.Size]byte
	set    bool
}

// minSecret is the shortest session key: 128 bits, as for a message signature.
const minSecret = 16

const label = "pop-stream-v1\x00"

// BodyKey derives the key of one body: from the key that its message was signed with, or from that of answers for an
// answer, and from the octets of the message's signature. It returns the zero Key for a session key of less than 16
// octets and for an empty signature.
//
// A signature base starts with a double quote (RFC 9421, section 2.5) and this input with a p, so that a session key can
// serve both.
func BodyKey(sessionKey, signature []byte) Key {
	if len(sessionKey) < minSecret || len(signature) == 0 {
		return Key{}
	}
	h := hmac.New(sha256.New, sessionKey)
	h.Write([]byte(label))
	h.Write(signature)
	k := Key{set: true}
	h.Sum(k.secret[:0])
	return k
}

// Format writes [redacted], whatever the verb.
func (Key) Format(w fmt.State, _ rune) { io.WriteString(w, "[redacted]") }

var errNoKey = errors.New("popstream: no key: the session key was too short, or there was no signature")

// tagger makes the tags of one body, in their order. Its state keeps the keyed blocks hashed: 0.2 µs a chunk.
type tagger struct {
	hash.Hash
	seq  uint64
	head [9]byte // seq and last
	sum  [tagSize]byte
}

func newTagger(k Key) tagger { return tagger{Hash: hmac.New(sha256.New, k.secret[:])} }

// tag returns the tag of chunk number seq, which is valid until the next call. Counting on is for the caller.
func (t *tagger) tag(payload []byte, last bool) []byte {
	binary.BigEndian.PutUint64(t.head[:], t.seq)
	t.head[8] = 0
	if last {
		t.head[8] = 1
	}
	t.Reset()
	t.Write(t.head[:])
	t.Write(payload)
	return t.Sum(t.sum[:0])
}

// seal makes a frame of headSize octets and the payload behind them: it sets the length, appends the tag and counts on.
func (t *tagger) seal(frame []byte, last bool) []byte {
	payload := frame[headSize:]
	length := uint32(len(payload))
	if last {
		length |= lastBit
	}
	binary.BigEndian.PutUint32(frame, length)
	frame = append(frame, t.tag(payload, last)...)
	t.seq++
	return frame
}
