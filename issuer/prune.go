package issuer

import (
	"context"
	"time"
)

const (
	// pruneEvery is how often we look for what is over. An id of a client assertion, the most frequent of it, is a row for
	// some ten minutes in any case.
	pruneEvery = time.Minute
	// pruneBatch is how many rows of each kind go in one transaction, for which other requests that write must wait.
	pruneBatch = 500
)

// Run deletes what has been over for a while from the store, each minute until ctx ends. Any number of servers on one
// database may run it; without any, the database grows. The observer is told of failures, and it is tried again.
func (s *Server) Run(ctx context.Context) {
	ticker := time.NewTicker(pruneEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			if err := s.prune(ctx); err != nil && ctx.Err() == nil {
				s.observe(ctx, Event{Endpoint: "pruning", Refusal: storeRefusal(err, Failed, "store")})
			}
		}
	}
}

// prune deletes batch after batch, so that requests get their turn in between.
func (s *Server) prune(ctx context.Context) error {
	for {
		n, err := s.store.Prune(ctx, s.now(), pruneBatch)
		if err != nil || n == 0 {
			return err
		}
	}
}
