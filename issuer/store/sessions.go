package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"time"
)

// Session is a user's login in one browser.
type Session struct {
	Cookie         Hash
	UserID         string
	Authentication json.RawMessage // JSON object of the caller's: how the user authenticated
	AuthTime       time.Time       // when
	Created        time.Time       // set by the store
	Expires        time.Time
}

func (e *Session) check(now time.Time) error {
	k := checks{what: "session"}
	k.hash("Cookie", e.Cookie)
	k.id("UserID", e.UserID)
	k.object("Authentication", e.Authentication)
	k.time("AuthTime", e.AuthTime)
	k.time("now", now)
	k.after("Expires", e.Expires, now)
	return k.err
}

// CreateSession stores a session. Conflict: the cookie is taken. NotFound: there is no such user. Disabled.
func (s *Store) CreateSession(ctx context.Context, now time.Time, e Session) error {
	if err := e.check(now); err != nil {
		return err
	}
	return s.update(ctx, "session", func(ctx context.Context, q queries) error {
		if err := q.holdEnabled(ctx, e.UserID); err != nil {
			return err
		}
		return q.insertSession(ctx, now, e)
	})
}

func (q queries) insertSession(ctx context.Context, now time.Time, e Session) error {
	_, err := q.exec(ctx, `INSERT INTO sessions (cookie, user_id, authentication, auth_time, created, expires)
		VALUES ($1, $2, $3, $4, $5, $6)`,
		e.Cookie[:], e.UserID, string(e.Authentication), micros(e.AuthTime), micros(now), micros(e.Expires))
	return err
}

// Session returns the session of a cookie, and its user. NotFound, Expired, Disabled.
func (s *Store) Session(ctx context.Context, now time.Time, cookie Hash) (Session, User, error) {
	var e Session
	var u User
	err := s.view(ctx, "session", func(ctx context.Context, q queries) error {
		err := q.row(ctx, "SELECT s.cookie, s.user_id, s.authentication, s.auth_time, s.created, s.expires, "+userColumns+
			" FROM sessions s JOIN users u ON u.id = s.user_id WHERE s.cookie = $1", cookie[:]).
			Scan(append([]any{scanHash{&e.Cookie}, &e.UserID, scanJSON{&e.Authentication}, scanMicros{&e.AuthTime},
				scanMicros{&e.Created}, scanMicros{&e.Expires}}, u.columns()...)...)
		if err != nil {
			return err
		}
		if !now.Before(e.Expires) {
			return refused(Expired, "session")
		}
		return enabled(nil, u)
	})
	if err != nil {
		return Session{}, User{}, err
	}
	return e, u, nil
}

// DeleteSession ends a session, for logging out. One that isn't there is no error.
func (s *Store) DeleteSession(ctx context.Context, cookie Hash) error {
	return s.update(ctx, "session", func(ctx context.Context, q queries) error {
		_, err := q.exec(ctx, "DELETE FROM sessions WHERE cookie = $1", cookie[:])
		return err
	})
}

// Consent is what a user has let a client have without being asked again.
type Consent struct {
	UserID   string
	ClientID string
	Scope    []string
	Details  json.RawMessage // JSON object of the caller's, or nil
	Granted  time.Time       // set by the store
	Until    time.Time
}

const consentColumns = "user_id, client_id, scope, details, granted, until"

func (c *Consent) columns() []any {
	return []any{&c.UserID, &c.ClientID, scanStrings{&c.Scope}, scanJSON{&c.Details}, scanMicros{&c.Granted},
		scanMicros{&c.Until}}
}

// PutConsent stores a consent, in place of what the user had let this client have before. NotFound: there is no such user.
func (s *Store) PutConsent(ctx context.Context, now time.Time, c Consent) error {
	k := checks{what: "consent"}
	k.id("UserID", c.UserID)
	k.id("ClientID", c.ClientID)
	k.strings("Scope", c.Scope)
	k.object("Details", c.Details)
	k.time("now", now)
	if k.after("Until", c.Until, now); k.err != nil {
		return k.err
	}
	scope, err := encodeStrings(c.Scope)
	if err != nil {
		return err
	}
	return s.update(ctx, "consent", func(ctx context.Context, q queries) error {
		_, err := q.exec(ctx, "INSERT INTO consents ("+consentColumns+`) VALUES ($1, $2, $3, $4, $5, $6)
			ON CONFLICT (user_id, client_id) DO UPDATE SET scope = excluded.scope, details = excluded.details,
			granted = excluded.granted, until = excluded.until`,
			c.UserID, c.ClientID, scope, string(c.Details), micros(now), micros(c.Until))
		return err
	})
}

// Consent returns what a user has let a client have. NotFound, Expired.
func (s *Store) Consent(ctx context.Context, now time.Time, userID, clientID string) (Consent, error) {
	var c Consent
	err := s.view(ctx, "consent", func(ctx context.Context, q queries) error {
		err := q.row(ctx, "SELECT "+consentColumns+" FROM consents WHERE user_id = $1 AND client_id = $2", userID, clientID).
			Scan(c.columns()...)
		if err == nil && !now.Before(c.Until) {
			return refused(Expired, "consent")
		}
		return err
	})
	if err != nil {
		return Consent{}, err
	}
	return c, nil
}

// Consents returns the consents of a user, at most 1000, by client id; expired ones too, until they are pruned.
func (s *Store) Consents(ctx context.Context, userID string) ([]Consent, error) {
	var list []Consent
	err := s.view(ctx, "consent", func(ctx context.Context, q queries) error {
		return q.list(ctx, func(rows *sql.Rows) error {
			var c Consent
			err := rows.Scan(c.columns()...)
			list = append(list, c)
			return err
		}, "SELECT "+consentColumns+" FROM consents WHERE user_id = $1 ORDER BY client_id LIMIT $2", userID, maxList)
	})
	return list, err
}

// DeleteConsent takes a consent back. One that isn't there is no error. Grants that came of it are not revoked by this:
// see [Store.RevokeGrants].
func (s *Store) DeleteConsent(ctx context.Context, userID, clientID string) error {
	return s.update(ctx, "consent", func(ctx context.Context, q queries) error {
		_, err := q.exec(ctx, "DELETE FROM consents WHERE user_id = $1 AND client_id = $2", userID, clientID)
		return err
	})
}
