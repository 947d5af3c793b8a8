package replay

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash/maphash"
	"time"

	"github.com/holdfast-project/holdfast/keys"
)

// WindowSize is how many counters of a session are told apart: the highest that was marked, and those right below it.
// Lower ones are refused, so that many requests of a session may overtake one another.
const WindowSize = 1024

// MaxCounter is the highest counter: 2^53 - 1, up to which stores that count in floating point are exact.
const MaxCounter = 1<<53 - 1

// ErrBehind is an ErrReplayed: the counter lies so far below the highest that nobody knows whether it was marked.
var ErrBehind = fmt.Errorf("%w: below the session's window", ErrReplayed)

var (
	errBadMark  = errors.New("replay: mark without an owner, or with a counter out of range")
	errMovedEnd = errors.New("replay: mark with a later end than its session has")
)

// Mark is one use of a session's counter.
type Mark struct {
	Owner   keys.Thumbprint // the key that the session began with; only its share of the room depends on it
	Session [16]byte        // a name that the servers chose, never the client
	Counter uint64          // 1 to MaxCounter
	Made    time.Time       // when the request says it was made, by our clock
	Until   time.Time       // the session's end, the same for all its marks
}

// Window marks each counter of a session once. It is safe for concurrent use.
type Window interface {
	// Mark returns nil once per (Session, Counter). It returns ErrReplayed, ErrBehind, ErrFull, ErrRestarted, ErrExpired
	// or ErrTooFar (wrapped or not), or an error of the store. A mark that is refused changes nothing.
	Mark(ctx context.Context, m Mark) error
}

const defaultSessions = 100_000

// Both are ErrFull; the log tells them apart.
var (
	errSessions     = fmt.Errorf("%w: as many sessions as it holds", ErrFull)
	errSessionShare = fmt.Errorf("%w: its share of sessions is used up", ErrFull)
)

// MemoryWindowsConfig says how much MemoryWindows may hold.
type MemoryWindowsConfig struct {
	// Sessions is the number of live sessions. If zero, 100,000; at most 2^30.
	Sessions int
	// Share is how many of them may belong to one key. If zero, a tenth of Sessions.
	Share int
	// Horizon is the longest time from now that a session's end may lie ahead; a later one is refused as an error. If
	// zero, 15 minutes: what a session may last, and room for clocks. Windows are held until the session's end and up to
	// a sixtieth of Horizon (at least 1 s) longer.
	Horizon time.Duration
	// Skew is how far ahead of Now a mark's Made may lie, as in MemoryConfig. If zero, 5 s; negative means none.
	Skew time.Duration
	// Now tells the time. If nil, time.Now. If it goes back, sessions that were forgotten by then stay refused.
	Now func() time.Time
	// InsecureAcceptOlder accepts requests made before the memory began: whoever recorded one before a restart can use it
	// again. For tests.
	InsecureAcceptOlder bool
}

// MemoryWindows is a Window in this process's memory, after RFC 4303, section 3.4.3. A session that has marked something
// costs about 200 bytes, and 40 more for its owner: 24 MB when the default of 100,000 is full. Nothing is held for
// sessions to come. Marks take constant time, and nothing is swept: windows are grouped by the period in which their
// sessions end, as in Memory.
//
// A restart loses the memory, so requests made up to [MemoryWindows.Begins] are refused with ErrRestarted. Their sessions
// go on.
type MemoryWindows struct {
	sessions, share int
	acceptOlder     bool
	life            lifetime
	seed            maphash.Seed
	secret          [16]byte      // keys the digests of owners
	live            wheel         // period → number of sessions that end in it
	shards          []windowShard // by the hash of the session
	owners          []shard       // digest of owner, period → number of its sessions that end in it
}

// NewMemoryWindows makes an empty memory.
func NewMemoryWindows(cfg MemoryWindowsConfig) (*MemoryWindows, error) {
	w := &MemoryWindows{
		sessions: cfg.Sessions, share: cfg.Share, acceptOlder: cfg.InsecureAcceptOlder, seed: maphash.MakeSeed(),
	}
	if w.sessions == 0 {
		w.sessions = defaultSessions
	}
	if w.share == 0 {
		w.share = max(1, w.sessions/10)
	}
	switch {
	case w.sessions < 0 || w.sessions > maxCapacity:
		return nil, fmt.Errorf("replay: Sessions is %d, want 1 to %d", w.sessions, maxCapacity)
	case w.share < 0 || w.share > w.sessions:
		return nil, fmt.Errorf("replay: Share is %d, want 1 to Sessions (%d)", w.share, w.sessions)
	case cfg.Horizon < 0:
		return nil, fmt.Errorf("replay: Horizon is %v, want more than 0", cfg.Horizon)
	}
	w.life.begin(cfg.Horizon, cfg.Skew, cfg.Now)
	rand.Read(w.secret[:]) // never fails
	n := max(minShards, (w.sessions+perShard-1)/perShard)
	w.shards, w.owners = make([]windowShard, n), make([]shard, n)
	return w, nil
}

// Mark implements Window. It never blocks, so ctx isn't looked at.
func (w *MemoryWindows) Mark(_ context.Context, m Mark) error {
	now := w.life.wallClock()
	if err := w.check(&m, now); err != nil {
		return err
	}
	w.life.reach(now)
	end := w.life.periodOf(m.Until)
	// Hashed, although servers choose the name at random: another issuer of tickets might not.
	hash := maphash.Bytes(w.seed, m.Session[:])
	s := &w.shards[scale(uint32(hash>>32), len(w.shards))]
	s.Lock()
	defer s.Unlock()

	// Read under the lock, as in Memory.Claim: what was dropped from this shard mustn't look new.
	current := w.life.current.Load()
	if end < current {
		return ErrExpired
	}
	if e := s.find(m.Session, uint32(hash), current); e != nil {
		if end > e.end {
			return errMovedEnd
		}
		return e.window.mark(m.Counter)
	}
	if err := w.reserve(m.Owner, end, current); err != nil {
		return err
	}
	// A fresh window takes any counter.
	return s.add(m.Session, uint32(hash), end, current).mark(m.Counter)
}

// Len returns the number of live sessions.
func (w *MemoryWindows) Len() int {
	w.life.reach(w.life.wallClock())
	return w.live.sum(w.life.current.Load())
}

// Begins returns the moment from which this memory knows everything: only requests made after it are accepted.
func (w *MemoryWindows) Begins() time.Time { return w.life.begins() }

// check refuses a mark for what it says, whatever is remembered.
func (w *MemoryWindows) check(m *Mark, now time.Time) error {
	switch {
	case m.Owner.IsZero() || m.Counter == 0 || m.Counter > MaxCounter:
		return errBadMark
	case !m.Until.After(now):
		return ErrExpired
	case m.Until.After(now.Add(w.life.horizon)):
		return ErrTooFar
	case w.acceptOlder:
		return nil
	case !m.Made.After(w.life.begins()):
		return ErrRestarted
	case m.Made.After(now.Add(w.life.skew)):
		return ErrTooFar
	}
	return nil
}

// reserve takes room for one session of owner that ends in period end.
func (w *MemoryWindows) reserve(owner keys.Thumbprint, end, current uint32) error {
	// Added first and looked at afterwards, so that marks at the same time can't exceed the bound together.
	if !w.live.add(end) {
		return ErrExpired
	}
	if w.live.sum(current) > w.sessions {
		w.live.remove(end)
		return errSessions
	}
	k := w.digest(owner)
	s := shardOf(w.owners, k)
	s.Lock()
	defer s.Unlock()
	if s.count(k, current) >= w.share {
		w.live.remove(end)
		return errSessionShare
	}
	s.add(k, end, current)
	return nil
}

// digest names an owner over a secret of this memory, so that nobody can choose keys that meet in one shard.
func (w *MemoryWindows) digest(owner keys.Thumbprint) key {
	var buf [len(w.secret) + len(owner)]byte
	copy(buf[copy(buf[:], w.secret[:]):], owner[:])
	sum := sha256.Sum256(buf[:])
	return key(sum[:])
}
