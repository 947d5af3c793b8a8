package store

import (
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"modernc.org/sqlite"
)

// busyTimeout is how long a connection waits for another process's transaction; less if the context ends sooner.
const busyTimeout = 10 * time.Second

// maxReaders bounds the connections that read a file.
const maxReaders = 8

var sqliteDialect = dialect{
	statement: func(text string) string { return numbered(withoutRowLocks.Replace(text)) },
	migration: func(text string) string { return text },
	hasSchema: "SELECT count(*) FROM sqlite_schema WHERE type = 'table' AND name = 'schema_version'",
	classify:  classifySQLite,
}

// withoutRowLocks leaves the clauses out that lock rows: a transaction that writes has the whole database to itself.
var withoutRowLocks = strings.NewReplacer(lockRow, "", holdRow, "", skipLocked, "")

// openSQLite opens a file, or an empty database in memory.
func openSQLite(name string) (*Store, error) {
	file, query, _ := strings.Cut(name, "?")
	synchronous, err := parseSynchronous(query)
	if err != nil {
		return nil, err
	}
	s := &Store{dialect: &sqliteDialect}
	if file == ":memory:" {
		s.writers, err = openPool(":memory:?_txlock=immediate&_foreign_keys=1", 1)
		s.readers = s.writers // the database is the connection's own
		return s, err
	}
	if file == "" {
		return nil, errors.New("store: sqlite: needs a file")
	}
	if err := createFile(file); err != nil {
		return nil, err
	}
	dsn, err := fileURI(file)
	if err != nil {
		return nil, err
	}
	dsn += fmt.Sprintf("?_busy_timeout=%d&_foreign_keys=1&_defensive=1", busyTimeout.Milliseconds())
	if s.writers, err = openPool(dsn+"&_txlock=immediate&_journal_mode=WAL&_synchronous="+synchronous, 1); err != nil {
		return nil, err
	}
	if s.readers, err = openPool(dsn+"&_query_only=1", min(2*runtime.GOMAXPROCS(0), maxReaders)); err != nil {
		s.writers.Close()
	}
	return s, err
}

// openPool opens a pool that keeps its connections: one that is idle costs a file descriptor, a new one reads the schema.
func openPool(dsn string, limit int) (*sql.DB, error) {
	connector, err := sqlite.NewConnector(dsn)
	if err != nil {
		return nil, fmt.Errorf("store: sqlite: %w", err)
	}
	db := sql.OpenDB(connector)
	db.SetMaxOpenConns(limit)
	db.SetMaxIdleConns(limit)
	return db, nil
}

// parseSynchronous reads what may follow the file's name: synchronous=normal, which survives the death of the process,
// but after a power cut may have lost the last transactions; without it, full.
func parseSynchronous(query string) (string, error) {
	switch query {
	case "", "synchronous=full":
		return "FULL", nil
	case "synchronous=normal":
		return "NORMAL", nil
	}
	return "", errors.New("store: sqlite: only synchronous=full or synchronous=normal may follow the file's name")
}

// createFile makes the file if it isn't there, and refuses one that others may read or write: SQLite gives the files
// beside it the same mode.
func createFile(file string) error {
	info, err := os.Stat(file)
	if errors.Is(err, fs.ErrNotExist) {
		if err := linkEmpty(file); err != nil {
			return fmt.Errorf("store: sqlite: %w", err)
		}
		info, err = os.Stat(file)
	}
	if err != nil {
		return fmt.Errorf("store: sqlite: %w", err)
	}
	if !info.Mode().IsRegular() {
		return fmt.Errorf("store: sqlite: %s is no regular file", file)
	}
	if runtime.GOOS != "windows" && info.Mode().Perm()&0o077 != 0 {
		return &Error{Reason: Exposed, What: "database file"}
	}
	return nil
}

// linkEmpty makes an empty file that only we may read, unless another was faster. It has this name only after we have
// closed it: a process that closes a file drops all its locks on that file, those of SQLite's connections too.
func linkEmpty(file string) error {
	empty, err := os.CreateTemp(filepath.Dir(file), ".new-*")
	if err != nil {
		return err
	}
	defer os.Remove(empty.Name())
	if err := empty.Close(); err != nil {
		return err
	}
	if err := os.Link(empty.Name(), file); !errors.Is(err, fs.ErrExist) {
		return err
	}
	return nil
}

// fileURI names a file in a way that no character of its name is read as anything else.
func fileURI(file string) (string, error) {
	abs, err := filepath.Abs(file)
	if err != nil {
		return "", fmt.Errorf("store: sqlite: %w", err)
	}
	return (&url.URL{Scheme: "file", Path: filepath.ToSlash(abs)}).String(), nil
}

// Extended result codes of SQLite, whose names the driver keeps in a package of some megabytes.
const (
	sqliteForeignKey = 787
	sqlitePrimaryKey = 1555
	sqliteUnique     = 2067
)

func classifySQLite(err error) class {
	e, ok := errors.AsType[*sqlite.Error](err)
	if !ok {
		return otherFailure
	}
	switch e.Code() {
	case sqlitePrimaryKey, sqliteUnique:
		return uniqueViolation
	case sqliteForeignKey:
		return noSuchRow
	}
	return otherFailure
}
