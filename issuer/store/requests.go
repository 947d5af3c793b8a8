package store

import (
	"context"
	"encoding/json"
	"time"

	"github.com/holdfast-project/holdfast/replay"
)

// PushedRequest is a pushed authorization request (RFC 9126).
type PushedRequest struct {
	Handle     Hash            // of the request_uri
	ClientID   string          // who pushed it, authenticated
	Parameters json.RawMessage // JSON object of the caller's
	Binding    json.RawMessage // JSON object of the caller's, as the thumbprint of the proof's key (RFC 9449, section 10.1)
	Created    time.Time       // set by the store
	Expires    time.Time
	UsedAt     time.Time // set by the store; zero: an authorization may still complete with it
}

const pushedColumns = "handle, client_id, parameters, binding, created, expires, used"

func (p *PushedRequest) columns() []any {
	return []any{scanHash{&p.Handle}, &p.ClientID, scanJSON{&p.Parameters}, scanJSON{&p.Binding},
		scanMicros{&p.Created}, scanMicros{&p.Expires}, scanMicros{&p.UsedAt}}
}

// PushRequest stores a pushed request and uses the claims up.
func (s *Store) PushRequest(ctx context.Context, now time.Time, p PushedRequest, claims ...replay.Claim) error {
	k := checks{what: "pushed request"}
	k.hash("Handle", p.Handle)
	k.id("ClientID", p.ClientID)
	k.object("Parameters", p.Parameters)
	k.object("Binding", p.Binding)
	k.time("now", now)
	if k.after("Expires", p.Expires, now); k.err != nil {
		return k.err
	}
	if err := checkClaims(now, claims); err != nil {
		return err
	}
	return s.update(ctx, "pushed request", func(ctx context.Context, q queries) error {
		if err := q.claim(ctx, claims); err != nil {
			return err
		}
		_, err := q.exec(ctx, "INSERT INTO pushed_requests ("+pushedColumns+") VALUES ($1, $2, $3, $4, $5, $6, NULL)",
			p.Handle[:], p.ClientID, string(p.Parameters), string(p.Binding), micros(now), micros(p.Expires))
		return err
	})
}

// PushedRequest returns a pushed request without using it up: visiting it any number of times is no use (RFC 9126,
// section 4). NotFound, Used, Expired. The caller compares the client.
func (s *Store) PushedRequest(ctx context.Context, now time.Time, handle Hash) (PushedRequest, error) {
	var p PushedRequest
	err := s.view(ctx, "pushed request", func(ctx context.Context, q queries) error {
		err := q.row(ctx, "SELECT "+pushedColumns+" FROM pushed_requests WHERE handle = $1", handle[:]).Scan(p.columns()...)
		if err != nil {
			return err
		}
		return usable("pushed request", p.UsedAt, p.Expires, now)
	})
	if err != nil {
		return PushedRequest{}, err
	}
	return p, nil
}

// usable refuses what was used or is past its time.
func usable(what string, used, expires, now time.Time) error {
	if !used.IsZero() {
		return refused(Used, what)
	}
	if !now.Before(expires) {
		return refused(Expired, what)
	}
	return nil
}

// usePushed uses a pushed request up.
func (q queries) usePushed(ctx context.Context, now time.Time, handle Hash) error {
	return q.must(ctx, refused(Used, "pushed request"),
		"UPDATE pushed_requests SET used = $1 WHERE handle = $2 AND used IS NULL", micros(now), handle[:])
}

// Interaction is what one browser is in the middle of: an authorization request on its way through the pages of login and
// consent, or a ceremony with a passkey. Its issuer tells which by what ID is the hash of.
type Interaction struct {
	ID            Hash            // of what the pages' URLs name it by, or of the ceremony's challenge
	Cookie        Hash            // of the browser's cookie that goes with it
	PushedRequest Hash            // the request's handle, if it was pushed: used up when the interaction ends
	Request       json.RawMessage // JSON object of the caller's; doesn't change
	State         json.RawMessage // JSON object of the caller's
	Version       int64           // set by the store: 1, and one more with every change
	Created       time.Time       // set by the store
	Expires       time.Time
	EndedAt       time.Time // set by the store; zero: it goes on
}

const interactionColumns = "id, cookie, pushed_request, request, state, version, created, expires, ended"

func (i *Interaction) columns() []any {
	return []any{scanHash{&i.ID}, scanHash{&i.Cookie}, scanHash{&i.PushedRequest}, scanJSON{&i.Request}, scanJSON{&i.State},
		&i.Version, scanMicros{&i.Created}, scanMicros{&i.Expires}, scanMicros{&i.EndedAt}}
}

// CreateInteraction begins an interaction. If its request was pushed, that must still be usable: NotFound, Used, Expired.
// One pushed request can begin several, of which one completes.
func (s *Store) CreateInteraction(ctx context.Context, now time.Time, i Interaction) error {
	k := checks{what: "interaction"}
	k.hash("ID", i.ID)
	k.hash("Cookie", i.Cookie)
	k.object("Request", i.Request)
	k.object("State", i.State)
	k.time("now", now)
	if k.after("Expires", i.Expires, now); k.err != nil {
		return k.err
	}
	return s.update(ctx, "interaction", func(ctx context.Context, q queries) error {
		if i.PushedRequest != (Hash{}) {
			if err := q.pushedUsable(ctx, now, i.PushedRequest); err != nil {
				return err
			}
		}
		_, err := q.exec(ctx, "INSERT INTO interactions ("+interactionColumns+") VALUES ($1, $2, $3, $4, $5, 1, $6, $7, NULL)",
			i.ID[:], i.Cookie[:], optionalHash(i.PushedRequest), string(i.Request), string(i.State), micros(now), micros(i.Expires))
		return err
	})
}

// pushedUsable locks a pushed request and refuses one that was used or is past its time.
func (q queries) pushedUsable(ctx context.Context, now time.Time, handle Hash) error {
	var used, expires time.Time
	err := q.row(ctx, "SELECT used, expires FROM pushed_requests WHERE handle = $1"+lockRow, handle[:]).
		Scan(scanMicros{&used}, scanMicros{&expires})
	if err != nil {
		return notFound(err, "pushed request")
	}
	return usable("pushed request", used, expires, now)
}

// Interaction returns an interaction that goes on in the browser with this cookie. NotFound (also for another browser's),
// Used if it has ended, Expired.
func (s *Store) Interaction(ctx context.Context, now time.Time, id, cookie Hash) (Interaction, error) {
	var i Interaction
	err := s.view(ctx, "interaction", func(ctx context.Context, q queries) error {
		err := q.row(ctx, "SELECT "+interactionColumns+" FROM interactions WHERE id = $1 AND cookie = $2",
			id[:], cookie[:]).Scan(i.columns()...)
		if err != nil {
			return err
		}
		return usable("interaction", i.EndedAt, i.Expires, now)
	})
	if err != nil {
		return Interaction{}, err
	}
	return i, nil
}

// UpdateInteraction replaces State if the interaction goes on and its Version is still i.Version: so of two tabs that
// show the same page, the second is told. Conflict otherwise.
func (s *Store) UpdateInteraction(ctx context.Context, now time.Time, i Interaction) error {
	k := checks{what: "interaction"}
	k.object("State", i.State)
	if k.time("now", now); k.err != nil {
		return k.err
	}
	return s.update(ctx, "interaction", func(ctx context.Context, q queries) error {
		return q.must(ctx, refused(Conflict, "interaction"), `UPDATE interactions SET state = $1, version = version + 1
			WHERE id = $2 AND cookie = $3 AND version = $4 AND ended IS NULL AND expires > $5`,
			string(i.State), i.ID[:], i.Cookie[:], i.Version, micros(now))
	})
}

// EndInteraction ends an interaction without a grant: the user refused, or something failed that the client is told. Its
// pushed request is used up with it. Conflict as for [Store.UpdateInteraction]; Used if another interaction has completed
// with the same pushed request.
func (s *Store) EndInteraction(ctx context.Context, now time.Time, i Interaction) error {
	k := checks{what: "interaction"}
	if k.time("now", now); k.err != nil {
		return k.err
	}
	return s.update(ctx, "interaction", func(ctx context.Context, q queries) error { return q.end(ctx, now, i) })
}

// end ends an interaction and uses up its pushed request, as it is stored and not as the caller remembers it. That one's
// expiry doesn't matter any more: it was visited in time (RFC 9126, section 4).
func (q queries) end(ctx context.Context, now time.Time, i Interaction) error {
	var pushed Hash
	err := q.row(ctx, `UPDATE interactions SET ended = $1, version = version + 1
		WHERE id = $2 AND cookie = $3 AND version = $4 AND ended IS NULL AND expires > $1 RETURNING pushed_request`,
		micros(now), i.ID[:], i.Cookie[:], i.Version).Scan(scanHash{&pushed})
	if err != nil {
		return otherwise(err, refused(Conflict, "interaction"))
	}
	if pushed == (Hash{}) {
		return nil
	}
	return q.usePushed(ctx, now, pushed)
}
