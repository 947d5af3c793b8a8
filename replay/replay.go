// Package replay remembers what was seen, so that a proof works once.
package replay

import (
	"context"
	"errors"
	"time"

	"github.com/holdfast-project/holdfast/keys"
)

// The refusals of a Guard.
var (
	ErrReplayed  = errors.New("replay: seen before")
	ErrFull      = errors.New("replay: no room left for this key")
	ErrRestarted = errors.New("replay: made before this node's memory begins")
)

// Claim is one use of an id by the holder of a key.
type Claim struct {
	Owner keys.Thumbprint // the key that signed; ids of different owners never meet
	ID    string          // jti or nonce, from validated claims; any length (hashed when long)
	Made  time.Time       // when the proof says it was made
	Until time.Time       // until when the proof could be accepted again, skew included
}

// Guard claims an id once until a time. It is safe for concurrent use.
type Guard interface {
	// Claim returns nil once per (Owner, ID) until Until. It returns ErrReplayed, ErrFull or ErrRestarted (wrapped or
	// not), or an error of the store.
	Claim(ctx context.Context, c Claim) error
}

// MemoryConfig says how much a Memory guard may hold.
type MemoryConfig struct {
	// Capacity is the number of live ids. If zero, 1,000,000.
	Capacity int
	// Share is how many of them one key may hold. If zero, a tenth of Capacity.
	Share int
	// Horizon is the longest time from now that a claim's Until may lie ahead; a later one is refused as an error.
	// If zero, 10 minutes.
	Horizon time.Duration
	// Now tells the time. If nil, time.Now.
	Now func() time.Time
	// InsecureAcceptOlder accepts proofs made before the guard was: whoever recorded one before a restart can use it
	// again. For tests and single-shot verifiers.
	InsecureAcceptOlder bool
}

// Memory is a Guard in this process's memory.
type Memory struct{}

// NewMemory makes an empty guard.
func NewMemory(cfg MemoryConfig) (*Memory, error) { panic("stub") }

// Claim implements Guard.
func (m *Memory) Claim(ctx context.Context, c Claim) error { panic("stub") }

// Len returns the number of live ids.
func (m *Memory) Len() int { panic("stub") }
