package store

import (
	"context"
	"database/sql"
	"strings"
	"time"
)

// dialect is what differs between the two databases. Statements are written once, as PostgreSQL reads them.
type dialect struct {
	// statement rewrites a statement.
	statement func(text string) string
	// migration rewrites the text of a migration, which is written as SQLite reads it.
	migration func(text string) string
	// hasSchema counts the tables that are named schema_version.
	hasSchema string
	// lockSchema makes others who migrate wait until the transaction ends; "" if every transaction does.
	lockSchema string
	// options of every transaction that writes.
	options *sql.TxOptions
	// classify says what an error of the driver means to us.
	classify func(error) class
}

// maxTransaction bounds a call whose context has no end, and a commit, which its context doesn't.
const maxTransaction = 30 * time.Second

// maxAttempts is how often a transaction is begun that the database gives up in favour of another.
const maxAttempts = 4

// The clauses of PostgreSQL that lock rows.
const (
	lockRow    = " FOR NO KEY UPDATE"      // others wait until the transaction ends, then read the row anew
	holdRow    = " FOR SHARE"              // the row stays as it is until the transaction ends
	skipLocked = " FOR UPDATE SKIP LOCKED" // rows that others hold are left for later
)

// querier is *sql.DB or *sql.Tx.
type querier interface {
	ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error)
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}

// queries runs statements, in a transaction or outside of one.
type queries struct {
	*dialect
	on querier
}

func (q queries) row(ctx context.Context, text string, args ...any) *sql.Row {
	return q.on.QueryRowContext(ctx, q.statement(text), args...)
}

// exec runs a statement and returns how many rows it changed.
func (q queries) exec(ctx context.Context, text string, args ...any) (int64, error) {
	result, err := q.on.ExecContext(ctx, q.statement(text), args...)
	if err != nil {
		return 0, err
	}
	return result.RowsAffected()
}

// must runs a conditional change of one row, and returns otherwise if its condition didn't hold.
func (q queries) must(ctx context.Context, otherwise error, text string, args ...any) error {
	n, err := q.exec(ctx, text, args...)
	if err == nil && n != 1 {
		return otherwise
	}
	return err
}

// list calls scan for each row.
func (q queries) list(ctx context.Context, scan func(*sql.Rows) error, text string, args ...any) error {
	rows, err := q.on.QueryContext(ctx, q.statement(text), args...)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		if err := scan(rows); err != nil {
			return err
		}
	}
	return rows.Err()
}

// view runs one query outside of a transaction: it sees one snapshot of everything that was committed.
func (s *Store) view(ctx context.Context, what string, fn func(context.Context, queries) error) error {
	limited, cancel := context.WithTimeout(ctx, maxTransaction)
	defer cancel()
	return s.translate(ctx, what, fn(limited, queries{s.dialect, s.readers}))
}

// update runs fn in a transaction and commits it if fn returns nil. fn may run more than once.
//
// ctx bounds how long we wait, for a connection, a lock or an answer; it doesn't cut the commit short, whose outcome
// nobody would know then.
func (s *Store) update(ctx context.Context, what string, fn func(context.Context, queries) error) error {
	for attempt := 1; ; attempt++ {
		err := s.attempt(ctx, maxTransaction, fn)
		if s.classify(err) != lostRace || attempt == maxAttempts {
			return s.translate(ctx, what, err)
		}
	}
}

// attempt is one try of update. limit bounds what leads to the commit, and then the commit.
func (s *Store) attempt(ctx context.Context, limit time.Duration, fn func(context.Context, queries) error) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	conn, err := s.writers.Conn(ctx)
	if err != nil {
		return err
	}
	defer conn.Close()
	// The transaction's own context ends with ctx while it waits to begin, and no longer once it has begun.
	own, abandon := context.WithCancel(context.WithoutCancel(ctx))
	defer abandon()
	waiting := context.AfterFunc(ctx, abandon)
	tx, err := conn.BeginTx(own, s.options)
	if err != nil {
		return err
	}
	if !waiting() {
		_ = tx.Rollback()
		return ctx.Err()
	}
	if err := fn(ctx, queries{s.dialect, tx}); err != nil {
		_ = tx.Rollback() // the first error says more; a connection that can't roll back is closed by its driver
		return err
	}
	defer time.AfterFunc(limit, abandon).Stop()
	return tx.Commit()
}

// numbered turns PostgreSQL's $1 into SQLite's ?1.
func numbered(text string) string { return strings.ReplaceAll(text, "$", "?") }
