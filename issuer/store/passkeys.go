package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"time"
)

// Passkey is a credential of a user (WebAuthn Level 3).
type Passkey struct {
	ID         []byte // credential id
	UserID     string
	Credential json.RawMessage // JSON object of the caller's: public key, transports, flags
	SignCount  int64           // 0 if the authenticator doesn't count
	Created    time.Time       // set by the store
	UsedAt     time.Time       // set by the store; zero: never
}

const passkeyColumns = "p.id, p.user_id, p.credential, p.sign_count, p.created, p.used"

func (p *Passkey) columns() []any {
	return []any{&p.ID, &p.UserID, scanJSON{&p.Credential}, &p.SignCount, scanMicros{&p.Created}, scanMicros{&p.UsedAt}}
}

func (p *Passkey) check(now time.Time) error {
	k := checks{what: "passkey"}
	k.blob("ID", p.ID, maxCredential)
	k.id("UserID", p.UserID)
	k.object("Credential", p.Credential)
	k.require(len(p.Credential) > 0, "Credential")
	k.require(p.SignCount >= 0 && p.SignCount < 1<<32, "SignCount")
	k.time("now", now)
	return k.err
}

// AddPasskey ends a ceremony and adds the passkey that came of it to a user who is logged in. Conflict: the ceremony has
// ended or expired, or the credential id is taken. NotFound: there is no such user. Disabled.
func (s *Store) AddPasskey(ctx context.Context, now time.Time, ceremony Interaction, p Passkey) error {
	if err := p.check(now); err != nil {
		return err
	}
	return s.update(ctx, "passkey", func(ctx context.Context, q queries) error {
		if err := q.holdEnabled(ctx, p.UserID); err != nil {
			return err
		}
		if err := q.end(ctx, now, ceremony); err != nil {
			return err
		}
		return q.insertPasskey(ctx, now, p)
	})
}

func (q queries) insertPasskey(ctx context.Context, now time.Time, p Passkey) error {
	_, err := q.exec(ctx, "INSERT INTO passkeys (id, user_id, credential, sign_count, created) VALUES ($1, $2, $3, $4, $5)",
		p.ID, p.UserID, string(p.Credential), p.SignCount, micros(now))
	return err
}

// Passkey returns a passkey and its user. NotFound; Disabled.
func (s *Store) Passkey(ctx context.Context, id []byte) (Passkey, User, error) {
	var p Passkey
	var u User
	err := s.view(ctx, "passkey", func(ctx context.Context, q queries) error {
		err := q.row(ctx, "SELECT "+passkeyColumns+", "+userColumns+` FROM passkeys p JOIN users u ON u.id = p.user_id
			WHERE p.id = $1`, id).Scan(append(p.columns(), u.columns()...)...)
		return enabled(err, u)
	})
	if err != nil {
		return Passkey{}, User{}, err
	}
	return p, u, nil
}

// enabled refuses a user who was read without an error and is disabled.
func enabled(err error, u User) error {
	if err == nil && u.Disabled {
		return refused(Disabled, "user")
	}
	return err
}

// Passkeys returns a user's passkeys, at most 1000, oldest first.
func (s *Store) Passkeys(ctx context.Context, userID string) ([]Passkey, error) {
	var list []Passkey
	err := s.view(ctx, "passkey", func(ctx context.Context, q queries) error {
		return q.list(ctx, func(rows *sql.Rows) error {
			var p Passkey
			err := rows.Scan(p.columns()...)
			list = append(list, p)
			return err
		}, "SELECT "+passkeyColumns+" FROM passkeys p WHERE p.user_id = $1 ORDER BY p.created, p.id LIMIT $2", userID, maxList)
	})
	return list, err
}

// PasskeyLogin is a login by a passkey.
type PasskeyLogin struct {
	Ceremony Interaction // as the caller read it
	Passkey  Passkey     // with the SignCount and Credential that it has from now on
	Was      int64       // the SignCount that the caller's decision stands on
	Session  Session     // what begins
}

// LogIn ends the ceremony, notes the use of the passkey and begins the session. Conflict: the ceremony has ended or
// expired, another login with the passkey was faster, the passkey is gone, or the cookie is taken. Disabled. Whether the
// count may stay or fall is the caller's to say (WebAuthn Level 3, section 6.1.1).
func (s *Store) LogIn(ctx context.Context, now time.Time, l PasskeyLogin) error {
	if err := l.Passkey.check(now); err != nil {
		return err
	}
	if err := l.Session.check(now); err != nil {
		return err
	}
	k := checks{what: "login"}
	if k.require(l.Session.UserID == l.Passkey.UserID, "UserID"); k.err != nil {
		return k.err
	}
	return s.update(ctx, "login", func(ctx context.Context, q queries) error {
		if err := q.holdEnabled(ctx, l.Passkey.UserID); err != nil {
			return err
		}
		if err := q.end(ctx, now, l.Ceremony); err != nil {
			return err
		}
		err := q.must(ctx, refused(Conflict, "passkey"), `UPDATE passkeys SET credential = $1, sign_count = $2, used = $3
			WHERE id = $4 AND user_id = $5 AND sign_count = $6`,
			string(l.Passkey.Credential), l.Passkey.SignCount, micros(now), l.Passkey.ID, l.Passkey.UserID, l.Was)
		if err != nil {
			return err
		}
		return q.insertSession(ctx, now, l.Session)
	})
}

// DeletePasskey deletes a passkey of a user. NotFound; Last, which it doesn't delete.
func (s *Store) DeletePasskey(ctx context.Context, userID string, id []byte) error {
	return s.update(ctx, "passkey", func(ctx context.Context, q queries) error {
		// Of two who delete the last two at once, one waits here.
		var name string
		if err := q.row(ctx, "SELECT name FROM users WHERE id = $1"+lockRow, userID).Scan(&name); err != nil {
			return err
		}
		err := q.must(ctx, refused(NotFound, "passkey"), "DELETE FROM passkeys WHERE id = $1 AND user_id = $2", id, userID)
		if err != nil {
			return err
		}
		var others bool
		err = q.row(ctx, "SELECT EXISTS (SELECT 1 FROM passkeys WHERE user_id = $1)", userID).Scan(&others)
		if err == nil && !others {
			return refused(Last, "passkey")
		}
		return err
	})
}

// Invitation lets its holder add a passkey to a user who can't log in, once.
type Invitation struct {
	Hash    Hash
	UserID  string
	Created time.Time // set by the store
	Expires time.Time
	UsedAt  time.Time // set by the store; zero: it is unused
}

// CreateInvitation stores an invitation. NotFound: there is no such user. Disabled.
func (s *Store) CreateInvitation(ctx context.Context, now time.Time, i Invitation) error {
	k := checks{what: "invitation"}
	k.hash("Hash", i.Hash)
	k.id("UserID", i.UserID)
	k.time("now", now)
	if k.after("Expires", i.Expires, now); k.err != nil {
		return k.err
	}
	return s.update(ctx, "invitation", func(ctx context.Context, q queries) error {
		if err := q.holdEnabled(ctx, i.UserID); err != nil {
			return err
		}
		_, err := q.exec(ctx, "INSERT INTO invitations (hash, user_id, created, expires) VALUES ($1, $2, $3, $4)",
			i.Hash[:], i.UserID, micros(now), micros(i.Expires))
		return err
	})
}

// Invitation returns an invitation without using it, and its user. NotFound, Used, Expired, Disabled.
func (s *Store) Invitation(ctx context.Context, now time.Time, hash Hash) (Invitation, User, error) {
	var i Invitation
	var u User
	err := s.view(ctx, "invitation", func(ctx context.Context, q queries) (err error) {
		i, u, err = q.invitation(ctx, now, hash, "")
		return err
	})
	if err != nil {
		return Invitation{}, User{}, err
	}
	return i, u, nil
}

func (q queries) invitation(ctx context.Context, now time.Time, hash Hash, lock string) (Invitation, User, error) {
	var i Invitation
	var u User
	err := q.row(ctx, "SELECT i.hash, i.user_id, i.created, i.expires, i.used, "+userColumns+` FROM invitations i
		JOIN users u ON u.id = i.user_id WHERE i.hash = $1`+lock, hash[:]).
		Scan(append([]any{scanHash{&i.Hash}, &i.UserID, scanMicros{&i.Created}, scanMicros{&i.Expires}, scanMicros{&i.UsedAt}},
			u.columns()...)...)
	if err != nil {
		return i, u, notFound(err, "invitation")
	}
	if err := usable("invitation", i.UsedAt, i.Expires, now); err != nil {
		return i, u, err
	}
	return i, u, enabled(nil, u)
}

// Enrol uses an invitation up, ends the ceremony and adds the passkey, whose UserID must be the invitation's. NotFound
// (also for another user's invitation), Used, Expired, Disabled; Conflict: the ceremony has ended or expired, or the
// credential id is taken.
func (s *Store) Enrol(ctx context.Context, now time.Time, invitation Hash, ceremony Interaction, p Passkey) error {
	if err := p.check(now); err != nil {
		return err
	}
	return s.update(ctx, "passkey", func(ctx context.Context, q queries) error {
		i, _, err := q.invitation(ctx, now, invitation, lockRow)
		if err != nil {
			return err
		}
		if i.UserID != p.UserID {
			return refused(NotFound, "invitation")
		}
		err = q.must(ctx, refused(Used, "invitation"), "UPDATE invitations SET used = $1 WHERE hash = $2 AND used IS NULL",
			micros(now), invitation[:])
		if err != nil {
			return err
		}
		if err := q.end(ctx, now, ceremony); err != nil {
			return err
		}
		return q.insertPasskey(ctx, now, p)
	})
}
