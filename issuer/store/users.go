package store

import (
	"context"
	"database/sql"
	"time"
)

// User is somebody who can log in.
type User struct {
	ID          string // the subject of grants
	Name        string // what the user logs in by; unique
	DisplayName string
	Disabled    bool      // nothing begins for the user then: no login, no grant, no passkey
	Version     int64     // set by the store: 1, and one more with every change
	Created     time.Time // set by the store
	Changed     time.Time // set by the store
}

const userColumns = "u.id, u.name, u.display_name, u.disabled, u.version, u.created, u.changed"

func (u *User) columns() []any {
	return []any{&u.ID, &u.Name, &u.DisplayName, &u.Disabled, &u.Version, scanMicros{&u.Created}, scanMicros{&u.Changed}}
}

func (u *User) check(now time.Time) error {
	k := checks{what: "user"}
	k.id("ID", u.ID)
	k.id("Name", u.Name)
	k.text("DisplayName", u.DisplayName)
	k.time("now", now)
	return k.err
}

// truth is how a truth is stored.
func truth(b bool) int64 {
	if b {
		return 1
	}
	return 0
}

// CreateUser stores a user. Conflict: the id or the name is taken.
func (s *Store) CreateUser(ctx context.Context, now time.Time, u User) error {
	if err := u.check(now); err != nil {
		return err
	}
	return s.update(ctx, "user", func(ctx context.Context, q queries) error {
		_, err := q.exec(ctx, "INSERT INTO users (id, name, display_name, disabled, version, created, changed) VALUES ($1, $2, $3, $4, 1, $5, $5)",
			u.ID, u.Name, u.DisplayName, truth(u.Disabled), micros(now))
		return err
	})
}

// User returns a user, disabled ones too, or NotFound.
func (s *Store) User(ctx context.Context, id string) (User, error) {
	return s.user(ctx, "u.id = $1", id)
}

// UserByName returns the user with this name, by its exact bytes, or NotFound.
func (s *Store) UserByName(ctx context.Context, name string) (User, error) {
	return s.user(ctx, "u.name = $1", name)
}

func (s *Store) user(ctx context.Context, condition, arg string) (User, error) {
	var u User
	err := s.view(ctx, "user", func(ctx context.Context, q queries) error {
		return q.row(ctx, "SELECT "+userColumns+" FROM users u WHERE "+condition, arg).Scan(u.columns()...)
	})
	return u, err
}

// Users returns up to limit (at most 1000) users whose id is greater than after, in the order of their ids' bytes.
func (s *Store) Users(ctx context.Context, after string, limit int) ([]User, error) {
	k := checks{what: "user"}
	k.text("after", after)
	if k.limit(limit); k.err != nil {
		return nil, k.err
	}
	var list []User
	err := s.view(ctx, "user", func(ctx context.Context, q queries) error {
		return q.list(ctx, func(rows *sql.Rows) error {
			var u User
			err := rows.Scan(u.columns()...)
			list = append(list, u)
			return err
		}, "SELECT "+userColumns+" FROM users u WHERE u.id > $1 ORDER BY u.id LIMIT $2", after, limit)
	})
	return list, err
}

// RevokedForDisabling is the RevokedWhy of the grants of a user who was disabled.
const RevokedForDisabling = "user disabled"

// UpdateUser replaces a user's names and Disabled if its Version is still u.Version. Conflict: it was changed or deleted
// since u was read, or the name is taken.
//
// Disabling ends the user's login sessions, takes back invitations that are unused and revokes all grants, for good: what
// enabling gives back are the user's passkeys and consents.
func (s *Store) UpdateUser(ctx context.Context, now time.Time, u User) error {
	if err := u.check(now); err != nil {
		return err
	}
	return s.update(ctx, "user", func(ctx context.Context, q queries) error {
		err := q.must(ctx, refused(Conflict, "user"), `UPDATE users SET name = $1, display_name = $2, disabled = $3,
			version = version + 1, changed = $4 WHERE id = $5 AND version = $6`,
			u.Name, u.DisplayName, truth(u.Disabled), micros(now), u.ID, u.Version)
		if err != nil || !u.Disabled {
			return err
		}
		return q.endAll(ctx, now, u.ID)
	})
}

// endAll ends what goes on for a user who is disabled. The user's row is locked, so that none of it begins meanwhile: see
// holdEnabled.
func (q queries) endAll(ctx context.Context, now time.Time, userID string) error {
	for _, table := range []string{"sessions", "invitations"} {
		if _, err := q.exec(ctx, "DELETE FROM "+table+" WHERE user_id = $1", userID); err != nil {
			return err
		}
	}
	_, err := q.exec(ctx, `UPDATE grants SET revoked = $1, revoked_why = $2 WHERE id IN (SELECT g.id FROM grants g
		WHERE g.subject = $3 AND g.revoked IS NULL AND g.expires > $1 ORDER BY g.id`+lockRow+")",
		micros(now), RevokedForDisabling, userID)
	return err
}

// holdEnabled refuses a user who is disabled, and lets nobody disable one who isn't until the transaction ends. Who isn't
// a user here, as a subject of another issuer, can't be disabled.
func (q queries) holdEnabled(ctx context.Context, userID string) error {
	var u User
	err := q.row(ctx, "SELECT disabled FROM users WHERE id = $1"+holdRow, userID).Scan(&u.Disabled)
	return otherwise(enabled(err, u), nil)
}

// DeleteUser deletes a user with its passkeys, login sessions, invitations and consents, if its Version is still version;
// otherwise Conflict. Its grants are not revoked by this: see [Store.RevokeGrants].
func (s *Store) DeleteUser(ctx context.Context, id string, version int64) error {
	return s.update(ctx, "user", func(ctx context.Context, q queries) error {
		return q.must(ctx, refused(Conflict, "user"), "DELETE FROM users WHERE id = $1 AND version = $2", id, version)
	})
}
