// Package store keeps what an OAuth authorization server must not forget: clients, requests on their way through login,
// grants and their codes and tokens, signing keys, users. In SQLite by default, in PostgreSQL for fleets; one schema,
// one API.
//
// [Open] opens a database and brings its schema up to date. Each method that changes something is one transaction and
// checks everything before it changes anything: a refusal, which is an [Error], leaves all as it was.
//
// # What holds
//
// Of any number of concurrent uses of one code, pushed request, invitation, single-use id or refresh token, in one
// process or in many, exactly one is told that it was the first. A token of a revoked grant is refused by every call
// that begins after the revocation has returned, on every node.
//
// What a method has returned without an error has been committed. On SQLite it survives the death of the process and,
// unless the DSN says synchronous=normal, a power cut; on PostgreSQL, whatever synchronous_commit and the replicas
// promise. A method that returned Unavailable, or never returned, has done all that it says, or nothing. That is why a
// lost rotation can be repeated: see [Store.Rotate].
//
// A file belongs on a local disk. To copy it, use SQLite's own backup, in another process: a process that opens and
// closes the file itself drops the locks that keep others from writing at the same time.
//
// The store reads no clock. The caller's now decides what is expired, and is what is stored; one database may serve
// nodes whose clocks differ. Which use comes first never depends on clocks, only on the database. Expiries and the times
// in [Rotation] are as sharp as the clocks agree. Nothing is pruned before it has been expired for [PruneMargin], so that
// a node whose clock is behind by less finds used what another has seen used.
//
// # Why read committed is enough
//
// On PostgreSQL, every transaction that uses, extends or revokes a grant first locks the grant's row. In read committed
// each later statement sees what was committed before it began, so what is read under that lock is the newest state of
// the whole family of tokens, and stays so until the commit. What has no grant is consumed by one UPDATE or DELETE whose
// WHERE is the condition: the database lets a second one wait for the first and then checks the condition again. On
// SQLite a transaction that writes has the database to itself from its beginning (BEGIN IMMEDIATE).
//
// # What is not checked
//
// Secrets are stored as [Hash] only; that they are random is the caller's affair. Private keys arrive sealed. JSON columns
// belong to the caller: each must be one JSON object (or array where it says so) without duplicate members, of at most
// 64 KiB, and is returned as it came. Whether a client exists is checked nowhere, as clients may also stand in a
// configuration; users must exist. One database belongs to one issuer identifier.
//
// # Who can change it, and what they gain
//
// Whoever can write to the database can register clients and passkeys and thereby be anybody. Whoever can only read it
// learns who has granted what to whom, and no secret that opens anything, except by guessing weak ones.
package store

import (
	"context"
	"database/sql"
	"errors"
	"strings"
)

// Store is an open database. It is safe for concurrent use.
type Store struct {
	*dialect
	writers *sql.DB // SQLite: one connection
	readers *sql.DB
}

// Open opens a database and migrates it, while others who open it wait:
//
//	sqlite:FILE                 a file, made with mode 0600; a mode that lets others in is refused as Exposed. No question
//	                            mark in its name
//	sqlite:FILE?synchronous=normal
//	                            the same, and a power cut may take the last transactions with it
//	sqlite::memory:             an empty database of this Store's own, which goes with it
//	postgres://…                see pgx for the parameters; pool_max_conns is 16 if not given
//
// A database that a newer version has migrated is refused as Newer. ctx bounds the opening only.
func Open(ctx context.Context, dsn string) (*Store, error) {
	s, err := openDSN(dsn)
	if err != nil {
		return nil, err
	}
	texts, err := migrations()
	if err == nil {
		err = s.migrate(ctx, texts)
	}
	if err != nil {
		s.Close()
		return nil, err
	}
	return s, nil
}

func openDSN(dsn string) (*Store, error) {
	if name, ok := strings.CutPrefix(dsn, "sqlite:"); ok {
		return openSQLite(name)
	}
	if strings.HasPrefix(dsn, "postgres://") || strings.HasPrefix(dsn, "postgresql://") {
		return openPostgres(dsn)
	}
	return nil, errors.New("store: the DSN begins with neither sqlite: nor postgres://") // it may hold a password
}

// Close waits for calls that are under way and closes the connections.
func (s *Store) Close() error {
	err := s.readers.Close()
	if s.writers != s.readers {
		err = errors.Join(err, s.writers.Close())
	}
	return err
}

// Ping tells whether the database answers, for a readiness probe. It doesn't tell whether it can be written to: a full
// disk shows with the first change.
func (s *Store) Ping(ctx context.Context) error {
	return s.view(ctx, "database", func(ctx context.Context, q queries) error {
		var one int
		return q.row(ctx, "SELECT 1").Scan(&one)
	})
}
