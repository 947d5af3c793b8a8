package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/holdfast-project/holdfast/internal/postgrestest"
)

var server *postgrestest.Server

func TestMain(m *testing.M) {
	if name := os.Getenv(childVariable); name != "" {
		os.Exit(child(name))
	}
	var err error
	if server, err = postgrestest.Start("fsync=off"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	code := m.Run()
	if err := server.Stop(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

// A backend makes empty databases; the DSN may be opened any number of times.
type backend struct {
	name string
	dsn  func(t testing.TB) string
}

var backends = []backend{
	{"SQLite", sqliteDSN},
	{"PostgreSQL", func(t testing.TB) string { return server.Database(t) }},
}

func sqliteDSN(t testing.TB) string { return "sqlite:" + filepath.Join(t.TempDir(), "issuer.db") }

// onEach runs a test on an empty database of each kind.
func onEach(t *testing.T, test func(t *testing.T, dsn string)) {
	t.Helper()
	for _, b := range backends {
		t.Run(b.name, func(t *testing.T) { test(t, b.dsn(t)) })
	}
}

func open(t testing.TB, dsn string) *Store {
	t.Helper()
	s, err := Open(t.Context(), dsn)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// tables are the names of all tables.
func tables(t testing.TB) []string {
	t.Helper()
	texts, err := migrations()
	if err != nil {
		t.Fatal(err)
	}
	names := []string{"schema_version"}
	for _, m := range regexp.MustCompile(`CREATE TABLE (\w+)`).FindAllStringSubmatch(strings.Join(texts, "\n"), -1) {
		names = append(names, m[1])
	}
	if len(names) < 10 {
		t.Fatalf("found tables %q only", names)
	}
	return names
}

// dump returns every row of every table, as text.
func dump(t testing.TB, s *Store) []string {
	t.Helper()
	var lines []string
	for _, table := range tables(t) {
		// The test's own context may have ended.
		err := queries{s.dialect, s.readers}.list(context.Background(), func(rows *sql.Rows) error {
			columns, err := rows.Columns()
			if err != nil {
				return err
			}
			values := make([]any, len(columns))
			dest := make([]any, len(columns))
			for i := range values {
				dest[i] = &values[i]
			}
			if err := rows.Scan(dest...); err != nil {
				return err
			}
			line := table + ":"
			for i, v := range values {
				if b, ok := v.([]byte); ok {
					v = fmt.Sprintf("%x", b)
				}
				line += fmt.Sprintf(" %s=%v", columns[i], v)
			}
			lines = append(lines, line)
			return nil
		}, "SELECT * FROM "+table)
		if err != nil {
			t.Fatalf("%s: %v", table, err)
		}
	}
	slices.Sort(lines)
	return lines
}

// refuses checks that call fails for a reason and changes nothing.
func refuses(t *testing.T, s *Store, want Reason, call func() error) {
	t.Helper()
	before := dump(t, s)
	if len(before) == 0 {
		t.Fatal("the database is empty: that nothing changes says nothing")
	}
	wantReason(t, call(), want)
	if diff := cmp.Diff(before, dump(t, s)); diff != "" {
		t.Errorf("refused, and yet the database has changed (-before +after):\n%s", diff)
	}
}

func wantReason(t testing.TB, err error, want Reason) {
	t.Helper()
	if got := reasonOf(err); got != want {
		t.Errorf("got %v, want %s", err, want)
	}
}

func reasonOf(err error) Reason {
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Reason
	}
	return ""
}

// ok stops the test at an error.
func ok(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// now is when everything happens; it has microseconds, which must survive.
var now = time.Date(2030, 1, 2, 3, 4, 5, 678901000, time.UTC)

func in(d time.Duration) time.Time { return now.Add(d) }
