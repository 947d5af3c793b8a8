// Package replay remembers which proofs were used, so that each works once (RFC 9449, section 11.1; RFC 9421,
// section 7.2.2).
//
// [NewMemory] gives a [Guard] in this process's memory. Call Claim last, after everything else about a proof holds:
// then a forger can't fill the memory, and a request that fails for another reason burns nothing.
//
// An id is remembered together with the key that signed it, so no client can burn or probe the ids of another. What
// is remembered is never dropped before its time: a full guard refuses, and one key can't use up the room of all. What
// a node can't know, it refuses too: a proof from before its memory began may have been used then ([ErrRestarted]).
//
// What is not checked: signatures and how old a proof may be. That is the verifier's; it says in [Claim] until when it
// would accept the proof again.
package replay

import (
	"context"
	"errors"
	"time"

	"github.com/holdfast-project/holdfast/keys"
)

// The refusals of a Guard. In the first four cases a proof made now, with a new id, may be accepted.
var (
	ErrReplayed  = errors.New("replay: seen before")
	ErrFull      = errors.New("replay: no room left for this key")
	ErrRestarted = errors.New("replay: made before this node's memory begins")
	ErrExpired   = errors.New("replay: too old to be used")

	// ErrTooFar means that the verifier grants more time than the guard is configured for. Nothing was remembered.
	ErrTooFar = errors.New("replay: reaches further ahead than this guard remembers")
)

// Claim is one use of an id by the holder of a key.
type Claim struct {
	Owner keys.Thumbprint // the key that signed; ids of different owners never meet
	ID    string          // jti or nonce, from validated claims; any length: only a digest is kept
	Made  time.Time       // when the proof says it was made
	Until time.Time       // until when the proof could be accepted again, skew included
}

// Guard claims an id once until a time. It is safe for concurrent use.
type Guard interface {
	// Claim returns nil once per (Owner, ID) until Until. It returns ErrReplayed, ErrFull, ErrRestarted, ErrExpired or
	// ErrTooFar (wrapped or not), or an error of the store. A claim that is refused changes nothing.
	Claim(ctx context.Context, c Claim) error
}
