package store

import (
	"context"
	"database/sql"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write the golden dump of the newest version, if there is none yet")

// script writes a SQLite database as SQL.
func script(t *testing.T, s *Store) string {
	t.Helper()
	q := queries{s.dialect, s.readers}
	var text strings.Builder
	ok(t, q.list(t.Context(), func(rows *sql.Rows) error {
		var create string
		err := rows.Scan(&create)
		text.WriteString(create + ";\n")
		return err
	}, "SELECT sql FROM sqlite_schema WHERE sql IS NOT NULL ORDER BY rowid"))
	for _, table := range tables(t) {
		var columns []string
		ok(t, q.list(t.Context(), func(rows *sql.Rows) error {
			var name string
			err := rows.Scan(&name)
			columns = append(columns, name)
			return err
		}, "SELECT name FROM pragma_table_info($1) ORDER BY cid", table))
		row := "'INSERT INTO " + table + " (" + strings.Join(columns, ", ") + ") VALUES (' || quote(" +
			strings.Join(columns, ") || ', ' || quote(") + ") || ');'"
		ok(t, q.list(t.Context(), func(rows *sql.Rows) error {
			var insert string
			err := rows.Scan(&insert)
			text.WriteString(insert + "\n")
			return err
		}, "SELECT "+row+" FROM "+table+" ORDER BY rowid"))
	}
	return text.String()
}

func golden(version int) string { return filepath.Join("testdata", fmt.Sprintf("v%d.sql", version)) }

// TestUpgrade opens databases of every version that there was, with rows in every table, and compares what becomes of
// them with a new database.
func TestUpgrade(t *testing.T) {
	texts, err := migrations()
	ok(t, err)
	if *update {
		writeGolden(t, len(texts))
	}
	for version := 1; version <= len(texts); version++ {
		t.Run(fmt.Sprint("version ", version), func(t *testing.T) {
			onEach(t, func(t *testing.T, dsn string) { upgrade(t, dsn, version) })
		})
	}
}

func writeGolden(t *testing.T, version int) {
	s := open(t, sqliteDSN(t))
	populate(t, s)
	rotate(t, s, now, aRotation("r1", "r2"), Rotated)
	f, err := os.OpenFile(golden(version), os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o644) // one that was released stays
	ok(t, err)
	_, err = f.WriteString(script(t, s))
	ok(t, err)
	ok(t, f.Close())
}

func upgrade(t *testing.T, dsn string, version int) {
	text, err := os.ReadFile(golden(version))
	ok(t, err)
	raw, err := openDSN(dsn)
	ok(t, err)
	load := raw.migration(string(text))
	if raw.dialect == &postgresDialect {
		load = regexp.MustCompile(`X'([0-9A-F]*)'`).ReplaceAllString(load, `'\x$1'`)
	}
	_, err = raw.writers.ExecContext(t.Context(), load)
	ok(t, err)
	ok(t, raw.Close())

	s := open(t, dsn)
	fresh := open(t, freshDSN(t, s))
	if diff := cmp.Diff(schema(t, s), schema(t, fresh)); diff != "" {
		t.Errorf("the upgraded schema is another (-upgraded +new):\n%s", diff)
	}
	rows := counts(t, s)
	for _, table := range tables(t)[1:] {
		if want := strings.Count(string(text), "INSERT INTO "+table+" "); rows[table] != want || want == 0 {
			t.Errorf("%s: got %d rows, want %d and some", table, rows[table], want)
		}
	}
	rotate(t, s, now, aRotation("r2", "r3"), Rotated)
	checkFamilies(t, s)
}

// freshDSN is an empty database of the same kind.
func freshDSN(t *testing.T, s *Store) string {
	if s.dialect == &postgresDialect {
		return server.Database(t)
	}
	return sqliteDSN(t)
}

// schema lists tables, columns, constraints and indexes.
func schema(t *testing.T, s *Store) []string {
	t.Helper()
	text := "SELECT type || ' ' || name || ': ' || coalesce(sql, '') FROM sqlite_schema ORDER BY 1"
	if s.dialect == &postgresDialect {
		text = `SELECT format('column %s.%s: %s %s %s %s', table_name, column_name, data_type, collation_name, is_nullable, column_default)
				FROM information_schema.columns WHERE table_schema = 'public'
			UNION ALL SELECT 'index ' || indexdef FROM pg_indexes WHERE schemaname = 'public'
			UNION ALL SELECT format('constraint %s: %s', conrelid::regclass, pg_get_constraintdef(oid))
				FROM pg_constraint WHERE connamespace = 'public'::regnamespace ORDER BY 1`
	}
	var lines []string
	ok(t, queries{s.dialect, s.readers}.list(t.Context(), func(rows *sql.Rows) error {
		var line string
		err := rows.Scan(&line)
		lines = append(lines, line)
		return err
	}, text))
	if len(lines) < 30 {
		t.Fatalf("the schema has %d parts only", len(lines))
	}
	return lines
}

// TestOpenTogether has several nodes open one empty database at once.
func TestOpenTogether(t *testing.T) {
	onEach(t, func(t *testing.T, dsn string) {
		var wg sync.WaitGroup
		for range 8 {
			wg.Go(func() {
				s, err := Open(context.Background(), dsn)
				if err != nil {
					t.Error(err)
					return
				}
				if err := s.Close(); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		populate(t, open(t, dsn))
	})
}

func TestNewerRefused(t *testing.T) {
	onEach(t, func(t *testing.T, dsn string) {
		s := open(t, dsn)
		texts, err := migrations()
		ok(t, err)
		ok(t, s.migrate(t.Context(), append(texts, "CREATE TABLE next (id INTEGER NOT NULL) STRICT;")))
		refuses(t, s, Newer, func() error { _, err := Open(t.Context(), dsn); return err })
	})
}

// TestMigrationFails: what fails in the middle leaves the version before it, whole.
func TestMigrationFails(t *testing.T) {
	onEach(t, func(t *testing.T, dsn string) {
		s := open(t, dsn)
		populate(t, s)
		texts, err := migrations()
		ok(t, err)
		before := schema(t, s)
		refuses(t, s, Unavailable, func() error {
			return s.migrate(t.Context(), append(texts, "CREATE TABLE next (id INTEGER NOT NULL) STRICT;",
				"DROP TABLE clients; INSERT INTO nowhere (id) VALUES (1);"))
		})
		if diff := cmp.Diff(before, schema(t, s)); diff != "" {
			t.Errorf("the schema has changed (-before +after):\n%s", diff)
		}
		open(t, dsn)
	})
}
