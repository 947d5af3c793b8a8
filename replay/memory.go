package replay

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"sync"
	"sync/atomic"
	"time"

	"github.com/holdfast-project/holdfast/keys"
)

const (
	defaultCapacity = 1_000_000
	maxCapacity     = 1 << 30
	defaultHorizon  = 10 * time.Minute
	defaultSkew     = 5 * time.Second

	// perShard is how many ids a shard holds on average when the guard is full. It bounds what one claim may have to
	// move when its shard needs room: a few hundred entries, some microseconds.
	perShard = 256
	// minShards keeps concurrent claims apart in a small guard, too.
	minShards = 64
)

// Both are ErrFull; the log tells them apart.
var (
	errCapacity = fmt.Errorf("%w: the guard is at its capacity", ErrFull)
	errShare    = fmt.Errorf("%w: its share is used up", ErrFull)
)

var errIncomplete = errors.New("replay: claim without an owner or an id")

// MemoryConfig says how much a Memory guard may hold.
type MemoryConfig struct {
	// Capacity is the number of live ids. If zero, 1,000,000; at most 2^30.
	Capacity int
	// Share is how many of them one key may hold. If zero, a tenth of Capacity.
	Share int
	// Horizon is the longest time from now that a claim's Until may lie ahead; a later one is refused as an error.
	// If zero, 10 minutes. Ids are held until Until and up to a sixtieth of Horizon (at least 1 s) longer.
	Horizon time.Duration
	// Skew is how far ahead of Now a claim's Made may lie, as the proof's verifier grants it; a later one is refused as
	// an error. A proof dated ahead by a fast clock may have been used before this guard was, so those made within Skew
	// after its start are refused like older ones. If zero, 5 s; negative means none.
	Skew time.Duration
	// Now tells the time. If nil, time.Now. If it goes back, what was forgotten by then stays refused as too old.
	Now func() time.Time
	// InsecureAcceptOlder accepts proofs made before the guard was: whoever recorded one before a restart can use it
	// again. For tests and single-shot verifiers.
	InsecureAcceptOlder bool
}

// Memory is a Guard in this process's memory. A live id costs about 40 bytes, and as much again for its owner if that
// has no other; nothing is held for ids to come. Claims take constant time, and nothing is swept: entries are grouped
// by the period in which they end, and when a period is over, its entries no longer count, all at once.
//
// A restart loses the memory, so claims made up to [Memory.Begins] are refused with ErrRestarted. As proofs carry whole
// seconds, clients are refused for Skew and up to a second more after a start, until a fresh proof bears a later second.
type Memory struct {
	capacity, share int
	horizon, skew   time.Duration
	now             func() time.Time
	acceptOlder     bool

	start  time.Time     // when the memory begins; period 1 starts here
	period time.Duration // the length of a period
	secret [16]byte      // keys the digests, so that nobody can choose ids that meet in one shard

	current atomic.Uint32 // the latest period that was reached; it never goes back
	live    wheel         // period -> number of ids that end in it
	ids     []shard       // digest of owner and id -> the period in which it ends
	owners  []shard       // digest of owner, period -> number of its ids that end in it
}

// shard is a table with its lock. Whoever locks two takes that of ids first.
type shard struct {
	sync.Mutex
	table
}

// NewMemory makes an empty guard.
func NewMemory(cfg MemoryConfig) (*Memory, error) {
	m := &Memory{
		capacity: cfg.Capacity, share: cfg.Share, horizon: cfg.Horizon, skew: cfg.Skew,
		now: cfg.Now, acceptOlder: cfg.InsecureAcceptOlder,
	}
	if m.capacity == 0 {
		m.capacity = defaultCapacity
	}
	if m.share == 0 {
		m.share = max(1, m.capacity/10)
	}
	if m.horizon == 0 {
		m.horizon = defaultHorizon
	}
	if m.skew == 0 {
		m.skew = defaultSkew
	}
	m.skew = max(m.skew, 0)
	if m.now == nil {
		m.now = time.Now
	}
	switch {
	case m.capacity < 0 || m.capacity > maxCapacity:
		return nil, fmt.Errorf("replay: Capacity is %d, want 1 to %d", m.capacity, maxCapacity)
	case m.share < 0 || m.share > m.capacity:
		return nil, fmt.Errorf("replay: Share is %d, want 1 to Capacity (%d)", m.share, m.capacity)
	case m.horizon < 0:
		return nil, fmt.Errorf("replay: Horizon is %v, want more than 0", m.horizon)
	}
	m.start = m.wallClock()
	m.period = max(time.Second, (m.horizon+periodsAhead-1)/periodsAhead)
	m.current.Store(1)
	rand.Read(m.secret[:]) // never fails
	shards := max(minShards, (m.capacity+perShard-1)/perShard)
	m.ids, m.owners = make([]shard, shards), make([]shard, shards)
	return m, nil
}

// Claim implements Guard. It never blocks, so ctx isn't looked at.
func (m *Memory) Claim(_ context.Context, c Claim) error {
	now := m.wallClock()
	if err := m.check(c, now); err != nil {
		return err
	}
	m.reach(now)
	end := m.periodOf(c.Until)
	id := m.digest(c.Owner, c.ID)
	s := shardOf(m.ids, id)
	s.Lock()
	defer s.Unlock()

	// Read under the lock: whoever dropped ids from this shard before had reached that period already, and a claim that
	// waited for the lock since before must not take a dropped id for a new one.
	current := m.current.Load()
	if end < current {
		return ErrExpired
	}
	if s.count(id, current) > 0 {
		return ErrReplayed
	}
	if err := m.reserve(c.Owner, end, current); err != nil {
		return err
	}
	s.add(id, end, current)
	return nil
}

// Len returns the number of live ids.
func (m *Memory) Len() int {
	m.reach(m.wallClock())
	return m.live.sum(m.current.Load())
}

// Begins returns the moment from which this guard knows everything: only proofs that were made after it are accepted.
// A node that is kept from traffic for a second more refuses no honest client.
func (m *Memory) Begins() time.Time {
	return m.start.Add(m.skew)
}

// check refuses a claim for what it says, whatever is remembered.
func (m *Memory) check(c Claim, now time.Time) error {
	switch {
	case c.ID == "" || c.Owner == keys.Thumbprint{}:
		return errIncomplete
	case !c.Until.After(now):
		return ErrExpired
	case c.Until.After(now.Add(m.horizon)):
		return ErrTooFar
	case m.acceptOlder:
		return nil
	// Made is cut to whole seconds by most schemes, so in the second of the start it may lie before or after: refused.
	case !c.Made.After(m.Begins()):
		return ErrRestarted
	// With such a Made the check above would prove nothing.
	case c.Made.After(now.Add(m.skew)):
		return ErrTooFar
	}
	return nil
}

// reserve takes room for one id of owner that ends in period end.
func (m *Memory) reserve(owner keys.Thumbprint, end, current uint32) error {
	// Added first and looked at afterwards, so that claims at the same time can't exceed the capacity together.
	if !m.live.add(end) {
		return ErrExpired
	}
	if m.live.sum(current) > m.capacity {
		m.live.remove(end)
		return errCapacity
	}
	key := m.digest(owner, "")
	s := shardOf(m.owners, key)
	s.Lock()
	defer s.Unlock()
	if s.count(key, current) >= m.share {
		m.live.remove(end)
		return errShare
	}
	s.add(key, end, current)
	return nil
}

// wallClock returns the time without its monotonic part: verifiers compare proofs with the wall clock.
func (m *Memory) wallClock() time.Time {
	return m.now().Round(0)
}

// periodOf returns the number of the period in which t lies. The first is 1; 0 marks what is empty.
func (m *Memory) periodOf(t time.Time) uint32 {
	n := t.Sub(m.start) / m.period
	return uint32(min(max(n, 0), math.MaxUint32-periodsAhead-1)) + 1
}

// reach moves the current period on to that of now, and never back.
func (m *Memory) reach(now time.Time) {
	p := m.periodOf(now)
	for old := m.current.Load(); old < p; old = m.current.Load() {
		if m.current.CompareAndSwap(old, p) {
			return
		}
	}
}

// digest names an owner's id, or with an empty id the owner. It is SHA-256, so no two claims meet by chance or intent,
// over a secret of this guard, so nobody can tell in which shard an id will lie. The result is cut to 128 bits: to be
// taken for another's id one would have to hit it, not find any two that meet.
func (m *Memory) digest(owner keys.Thumbprint, id string) key {
	var buf [192]byte
	b := append(append(buf[:0], m.secret[:]...), owner[:]...)
	if len(id) > len(buf)-len(b) {
		return digestLong(b, id)
	}
	sum := sha256.Sum256(append(b, id...))
	return key(sum[:])
}

// digestLong doesn't copy id as a whole: a peer may have chosen its length.
func digestLong(prefix []byte, id string) key {
	h := sha256.New()
	buf := append(make([]byte, 0, 1024), prefix...)
	for len(id) > 0 {
		n := min(len(id), cap(buf)-len(buf))
		h.Write(append(buf, id[:n]...))
		buf, id = buf[:0], id[n:]
	}
	return key(h.Sum(buf[:0]))
}

// shardOf chooses by the first 32 bits of k; its table places it by others.
func shardOf(shards []shard, k key) *shard {
	return &shards[scale(binary.LittleEndian.Uint32(k[:4]), len(shards))]
}
