// Package signing keeps the keys that an issuer signs with: made by themselves, sealed at rest, published before they are
// used, and replaced on a schedule that all nodes of a fleet share.
//
// [Open] loads the keys from the store, and makes what is missing; [Ring.Run] keeps them current. [Ring.Signer] gives the
// key to sign with, [Ring.Published] the key set.
//
// Time is cut into periods, counted from 1970. Each algorithm has one key a period. It is made, by whichever node comes
// first, [Config.Lead] before its period begins, signs during the period, and stays published for [Config.Overlap] after
// it. Only a first key, or one that replaces a withdrawn one, signs as soon as it is made: verifiers that keep key sets
// then meet a key id that they don't know, and must fetch the set again.
//
// A private key is stored under AES-256-GCM with a key that HKDF-SHA-256 derives from the secret of the fleet. Its key id,
// algorithm and period are authenticated with it, so that whoever can write to the database can't pass one key off as
// another; but can delete keys. What is not checked: that all nodes have the same configuration and about the same time.
package signing

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/holdfast-project/holdfast/issuer/store"
	"github.com/holdfast-project/holdfast/keys"
)

// Config configures a Ring. All nodes of a fleet must have the same, but for Logger.
type Config struct {
	// Store keeps the keys. Required.
	Store *store.Store
	// Secrets seal the private keys: the first seals, each opens. At least one, of at least 32 random bytes. To rotate,
	// put a new one first, and remove the old one when the last key that it sealed is no longer published.
	Secrets [][]byte
	// Algorithms to have keys for; the first is the default. If empty, ES256 and EdDSA.
	Algorithms []keys.Algorithm
	// Period is how long a key signs. If zero, 30 days; at least an hour.
	Period time.Duration
	// Lead is how long before its period a key is made and published. It must be longer than verifiers keep a key set. If
	// zero, a tenth of the Period, and at most a day.
	Lead time.Duration
	// Overlap is how long a key stays published after its period: at least as long as a token lives. If zero, a day.
	Overlap time.Duration
	// Logger is told of failures of Run. If nil, slog.Default.
	Logger *slog.Logger
	// Now tells the time. If nil, time.Now.
	Now func() time.Time
}

const (
	minPeriod = time.Hour
	// refreshEvery is how often Run looks: a node learns of a key that another has made within this.
	refreshEvery = time.Minute
)

func (c *Config) complete() error {
	if c.Store == nil {
		return errors.New("signing: config: Store is required")
	}
	if len(c.Algorithms) == 0 {
		c.Algorithms = []keys.Algorithm{keys.ES256, keys.EdDSA}
	}
	c.Algorithms = slices.Clone(c.Algorithms)
	for i, alg := range c.Algorithms {
		switch {
		case slices.Contains(c.Algorithms[:i], alg):
			return fmt.Errorf("signing: config: %s named twice", alg)
		case alg != keys.ES256 && alg != keys.EdDSA && alg != keys.Ed25519:
			return fmt.Errorf("signing: config: %s isn't ES256, EdDSA or Ed25519", alg)
		}
	}
	c.Period = cmp.Or(c.Period, 30*24*time.Hour)
	c.Lead = cmp.Or(c.Lead, min(c.Period/10, 24*time.Hour))
	c.Overlap = cmp.Or(c.Overlap, 24*time.Hour)
	if c.Period < minPeriod || c.Lead < 2*refreshEvery || c.Lead > c.Period || c.Overlap < 0 {
		return errors.New("signing: config: Period must be at least an hour, and Lead between two minutes and the Period")
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	return nil
}

// Ring holds the keys of one node. It is safe for concurrent use.
type Ring struct {
	cfg  Config
	seal sealer

	mu   sync.RWMutex // guards what follows
	ring []key        // by period, oldest first
}

// key is an opened one.
type key struct {
	signer                              *keys.Signer
	signFrom, signUntil, publishedUntil time.Time
}

// Open loads the keys and makes those that are missing. ctx bounds the opening only.
func Open(ctx context.Context, cfg Config) (*Ring, error) {
	if err := cfg.complete(); err != nil {
		return nil, err
	}
	s, err := newSealer(cfg.Secrets)
	if err != nil {
		return nil, err
	}
	r := &Ring{cfg: cfg, seal: s}
	return r, r.Refresh(ctx)
}

// Run keeps the keys current until ctx ends. A failure is logged and tried again: a node has the next key Lead before it
// needs it.
func (r *Ring) Run(ctx context.Context) {
	ticker := time.NewTicker(refreshEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			if err := r.Refresh(ctx); err != nil && ctx.Err() == nil {
				r.cfg.Logger.WarnContext(ctx, "signing keys weren't refreshed", "err", err)
			}
		}
	}
}

// Refresh makes the keys that are due and takes over what other nodes have made or withdrawn. After an error the keys are
// as before.
func (r *Ring) Refresh(ctx context.Context) error {
	now := r.cfg.Now()
	stored, err := r.cfg.Store.SigningKeys(ctx)
	if err != nil {
		return fmt.Errorf("signing: reading the keys: %w", err)
	}
	for _, alg := range r.cfg.Algorithms {
		for _, period := range r.due(now) {
			if slices.ContainsFunc(stored, func(k store.SigningKey) bool { return k.Algorithm == string(alg) && k.Period == period }) {
				continue
			}
			made, err := r.make(ctx, now, alg, period)
			if err != nil {
				return err
			}
			stored = append(stored, made)
		}
	}
	ring := make([]key, 0, len(stored))
	for _, k := range stored {
		if !now.Before(k.PublishUntil) {
			continue
		}
		signer, err := r.seal.open(k)
		if err != nil {
			return err
		}
		ring = append(ring, key{signer: signer, signFrom: k.SignFrom, signUntil: k.SignUntil, publishedUntil: k.PublishUntil})
	}
	slices.SortStableFunc(ring, func(a, b key) int { return a.signFrom.Compare(b.signFrom) })
	r.mu.Lock()
	defer r.mu.Unlock()
	r.ring = ring
	return nil
}

// due lists the periods that must have a key by now.
func (r *Ring) due(now time.Time) []int64 {
	current := r.periodOf(now)
	if next := r.periodOf(now.Add(r.cfg.Lead)); next != current {
		return []int64{current, next}
	}
	return []int64{current}
}

func (r *Ring) periodOf(t time.Time) int64 { return t.UnixMicro() / r.cfg.Period.Microseconds() }

// make makes the key of a period, unless another node was faster: then it returns that one's.
func (r *Ring) make(ctx context.Context, now time.Time, alg keys.Algorithm, period int64) (store.SigningKey, error) {
	signer, err := keys.Generate(alg)
	if err != nil {
		return store.SigningKey{}, fmt.Errorf("signing: %w", err)
	}
	public, err := signer.Public().MarshalJSON()
	if err != nil {
		return store.SigningKey{}, fmt.Errorf("signing: %w", err)
	}
	begins := time.UnixMicro(period * r.cfg.Period.Microseconds()).UTC()
	k := store.SigningKey{
		KeyID: signer.Public().KeyID(), Algorithm: string(alg), Period: period, Public: public,
		PublishFrom: begins.Add(-r.cfg.Lead), SignFrom: begins, SignUntil: begins.Add(r.cfg.Period),
		PublishUntil: begins.Add(r.cfg.Period + r.cfg.Overlap),
	}
	if k.Sealed, err = r.seal.seal(signer, k); err != nil {
		return store.SigningKey{}, err
	}
	stored, err := r.cfg.Store.AddSigningKey(ctx, now, k)
	if err != nil {
		return store.SigningKey{}, fmt.Errorf("signing: storing a key: %w", err)
	}
	return stored, nil
}

// Algorithms returns what the ring has keys for, the default first.
func (r *Ring) Algorithms() []keys.Algorithm { return slices.Clone(r.cfg.Algorithms) }

// Overlap returns how long a key stays published after its period: no token may live longer.
func (r *Ring) Overlap() time.Duration { return r.cfg.Overlap }

// ErrNoKey is returned where no key may sign now: for another algorithm than those configured, or because the store was
// away for longer than Lead.
var ErrNoKey = errors.New("signing: no key for this algorithm may sign now")

// Signer returns the key to sign with now; for the empty algorithm, the default's.
func (r *Ring) Signer(alg keys.Algorithm) (*keys.Signer, error) {
	alg = cmp.Or(alg, r.cfg.Algorithms[0])
	now := r.cfg.Now()
	r.mu.RLock()
	defer r.mu.RUnlock()
	for _, k := range r.ring {
		if k.signer.Algorithm() == alg && !now.Before(k.signFrom) && now.Before(k.signUntil) {
			return k.signer, nil
		}
	}
	return nil, ErrNoKey
}

// Published returns the public keys of the key set: those that sign, signed or will sign.
func (r *Ring) Published() []*keys.Public {
	now := r.cfg.Now()
	r.mu.RLock()
	defer r.mu.RUnlock()
	out := make([]*keys.Public, 0, len(r.ring))
	for _, k := range r.ring {
		if now.Before(k.publishedUntil) {
			out = append(out, k.signer.Public())
		}
	}
	return out
}

// Public returns the published key with a key id, or nil.
func (r *Ring) Public(kid string) *keys.Public {
	for _, k := range r.Published() {
		if k.KeyID() == kid {
			return k
		}
	}
	return nil
}
