package store

import (
	"context"
	"database/sql"
	"errors"
)

// Reason says why the store didn't do what it was asked.
type Reason string

// The reasons.
const (
	NotFound    Reason = "not-found"   // there is no such row, or there is no longer
	Used        Reason = "used"        // a code, pushed request, invitation or single-use id was used before
	Revoked     Reason = "revoked"     // the grant was revoked
	Expired     Reason = "expired"     // it is past its time, by the caller's clock
	Conflict    Reason = "conflict"    // the id is taken, or the row was changed since the caller read it
	Disabled    Reason = "disabled"    // the user is disabled
	Last        Reason = "last"        // it is the last passkey of its user, who could not log in without it
	Invalid     Reason = "invalid"     // a value that the store doesn't take: absent, too long, not JSON, out of order
	Newer       Reason = "newer"       // the database was migrated by a newer version
	Exposed     Reason = "exposed"     // others than its owner may read or write the database file
	Unavailable Reason = "unavailable" // the database is away, busy or broken, or the context ended: see Err
)

// Error is why the store didn't do what it was asked. Except with Unavailable, nothing has changed then, unless the
// method says so; after Unavailable from a mutating method the change may have happened or not, whole.
//
// It holds no key, token or personal data. Errors of the context are kept: errors.Is finds context.Canceled and
// context.DeadlineExceeded.
type Error struct {
	Reason Reason
	What   string // the kind of thing it is about, as "grant"
	Part   string // the field, if Reason is Invalid
	Err    error  // the database's error, or the context's, if Reason is Unavailable; replay.ErrReplayed or ErrExpired for a claim
}

func (e *Error) Error() string {
	text := "store: " + e.What + ": " + string(e.Reason)
	if e.Part != "" {
		text += ": " + e.Part
	}
	if e.Err != nil {
		text += ": " + e.Err.Error()
	}
	return text
}

func (e *Error) Unwrap() error { return e.Err }

// refused is an Error without more to say.
func refused(reason Reason, what string) error { return &Error{Reason: reason, What: what} }

// translate turns what the database said about a thing into an Error.
func (d *dialect) translate(ctx context.Context, what string, err error) error {
	if err == nil {
		return nil
	}
	if _, ok := errors.AsType[*Error](err); ok {
		return err
	}
	if errors.Is(err, sql.ErrNoRows) {
		return refused(NotFound, what)
	}
	// Drivers report a call that was cut short in their own words.
	if ended := ctx.Err(); ended != nil {
		return &Error{Reason: Unavailable, What: what, Err: ended}
	}
	switch d.classify(err) {
	case uniqueViolation:
		return refused(Conflict, what)
	case noSuchRow:
		return refused(NotFound, what)
	}
	return &Error{Reason: Unavailable, What: what, Err: err}
}

// class is what an error of the database means to us.
type class int

const (
	otherFailure    class = iota
	uniqueViolation       // a row with this key exists
	noSuchRow             // the row that it names doesn't exist
	lostRace              // the database gave up this transaction in favour of another: do it again
)

// otherwise returns refusal if err is that there was no row.
func otherwise(err, refusal error) error {
	if errors.Is(err, sql.ErrNoRows) {
		return refusal
	}
	return err
}

func notFound(err error, what string) error { return otherwise(err, refused(NotFound, what)) }
