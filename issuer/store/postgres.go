package store

import (
	"database/sql"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"
)

// Bounds of the pool, per process. The server's max_connections (100, if nobody changed it) is for all processes.
const (
	defaultConnections = 16
	maxConnections     = 1000
	maxIdleTime        = 5 * time.Minute
	maxLifetime        = time.Hour // so that connections move to servers that were added behind one name
)

var postgresDialect = dialect{
	statement: func(text string) string { return text },
	migration: postgresTypes.Replace,
	hasSchema: `SELECT count(*) FROM information_schema.tables
		WHERE table_schema = current_schema() AND table_name = 'schema_version'`,
	lockSchema: "SELECT pg_advisory_xact_lock(46533278)", // any number, as long as nobody else in this database takes it
	// Whatever the database's default is. The package comment says why this level is enough.
	options:  &sql.TxOptions{Isolation: sql.LevelReadCommitted},
	classify: classifyPostgres,
}

// postgresTypes turns SQLite's types into PostgreSQL's. Text is compared by its bytes, as SQLite does.
var postgresTypes = strings.NewReplacer("TEXT", `TEXT COLLATE "C"`, "INTEGER", "BIGINT", "BLOB", "BYTEA", ") STRICT;", ");")

// openPostgres opens a pool of connections. The driver prepares each statement once a connection.
func openPostgres(dsn string) (*Store, error) {
	dsn, limit, err := poolLimit(dsn)
	if err != nil {
		return nil, err
	}
	cfg, err := pgx.ParseConfig(dsn)
	if err != nil {
		return nil, fmt.Errorf("store: postgres: %w", err) // the driver leaves the password out
	}
	// A node that vanished without a word holds the lock of one grant until the server notices. PgBouncer has to be told to
	// ignore this parameter.
	if _, ok := cfg.RuntimeParams["idle_in_transaction_session_timeout"]; !ok {
		cfg.RuntimeParams["idle_in_transaction_session_timeout"] = strconv.FormatInt(maxTransaction.Milliseconds(), 10)
	}
	db := stdlib.OpenDB(*cfg)
	db.SetMaxOpenConns(limit)
	db.SetMaxIdleConns(limit)
	db.SetConnMaxIdleTime(maxIdleTime)
	db.SetConnMaxLifetime(maxLifetime)
	return &Store{dialect: &postgresDialect, writers: db, readers: db}, nil
}

// poolLimit takes pool_max_conns out of the DSN, which is read here and not by the server. The rest stays as it is
// written: libpq and HTML forms differ in what they take a plus sign for.
func poolLimit(dsn string) (rest string, limit int, err error) {
	rest, query, _ := strings.Cut(dsn, "?")
	limit = defaultConnections
	var kept []string
	for pair := range strings.SplitSeq(query, "&") {
		text, ours := strings.CutPrefix(pair, "pool_max_conns=")
		if !ours {
			kept = append(kept, pair)
			continue
		}
		limit, err = strconv.Atoi(text)
		if err != nil || limit < 1 || limit > maxConnections {
			return "", 0, fmt.Errorf("store: postgres: pool_max_conns is not 1 to %d", maxConnections)
		}
	}
	return rest + "?" + strings.Join(kept, "&"), limit, nil
}

func classifyPostgres(err error) class {
	e, ok := errors.AsType[*pgconn.PgError](err)
	if !ok {
		return otherFailure
	}
	switch e.Code {
	case "23505": // unique_violation
		return uniqueViolation
	case "23503", // foreign_key_violation
		"22021": // character_not_in_repertoire: text that no row can have, as a NUL
		return noSuchRow
	case "40001", "40P01": // serialization_failure, deadlock_detected
		return lostRace
	}
	return otherFailure
}
