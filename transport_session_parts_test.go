package holdfast

import (
	"fmt"
	"testing"
	"time"
)

func TestTransportSessionsBounded(t *testing.T) {
	var s originState
	now := time.Unix(1_800_000_000, 0)
	for i := range 3 * transportMaxPaths {
		s.proveEach(fmt.Sprint("/", i))
		if _, offer := s.session(sessionWish{token: "kept", path: "/"}, now); (offer != nil) != (i == 0) {
			t.Fatalf("after %d others a token in use was forgotten", i)
		}
		s.session(sessionWish{token: fmt.Sprint(i), path: "/"}, now)
	}
	if got := len(s.sessions.paths); got != transportMaxPaths {
		t.Errorf("got %d paths, want %d", got, transportMaxPaths)
	}
	if got := len(s.sessions.slots); got != transportMaxSlots {
		t.Errorf("got %d tokens, want %d", got, transportMaxSlots)
	}
}

// What was dropped or ended may have been replaced meanwhile: that stays.
func TestTransportSessionsReplaced(t *testing.T) {
	var s originState
	now := time.Unix(1_800_000_000, 0)
	w := sessionWish{token: "t", path: "/"}
	_, first := s.session(w, now)
	now = now.Add(transportOfferWait + 1)
	_, second := s.session(w, now)
	if first == nil || second == nil || first == second {
		t.Fatalf("got offers %p and %p", first, second)
	}
	s.withdraw(first)
	if _, third := s.session(w, now); third != nil {
		t.Error("a late end of the first offer ended the second")
	}
	old := &transportSession{ends: now.Add(time.Minute), renew: now.Add(time.Minute)}
	kept := &transportSession{ends: now.Add(time.Minute), renew: now.Add(time.Minute)}
	s.settle(second, old, now)
	s.settle(first, kept, now)
	s.drop("t", old)
	if got, offer := s.session(w, now); got != kept || offer != nil {
		t.Error("the old session's end ended the new one")
	}
	if got, offer := s.session(sessionWish{token: "t", path: "/", prove: true}, now); got != nil || offer != nil {
		t.Error("a call that a session refused was put into another, or offered while there is one")
	}
}
