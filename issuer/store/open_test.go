package store

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

func TestDSN(t *testing.T) {
	dir := t.TempDir()
	for _, tc := range []struct{ name, dsn, want string }{
		{"nothing", "", "neither"},
		{"another database", "mysql://root:hunter2@localhost/x", "neither"},
		{"no file", "sqlite:", "needs a file"},
		{"unknown parameter", "sqlite:" + dir + "/a.db?cache=shared", "synchronous"},
		{"synchronous off", "sqlite:" + dir + "/a.db?synchronous=off", "synchronous"},
		{"no directory", "sqlite:" + dir + "/nowhere/a.db", "no such file"},
		{"a directory", "sqlite:" + dir, "regular file"},
		{"not a URL", "postgres://u:hunter2@[::1/x", "cannot parse"},
		{"no connections", "postgres://u:hunter2@localhost/x?pool_max_conns=0", "pool_max_conns"},
		{"too many connections", "postgres://u:hunter2@localhost/x?pool_max_conns=1001", "pool_max_conns"},
		{"a wrong parameter", "postgres://u:hunter2@localhost/x?sslmode=maybe", "sslmode"},
		{"nobody listens", "postgres://u:hunter2@127.0.0.1:1/x", "schema: unavailable"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s, err := Open(t.Context(), tc.dsn)
			if err == nil {
				s.Close()
				t.Fatal("got a Store")
			}
			if !strings.Contains(err.Error(), tc.want) || strings.Contains(err.Error(), "hunter2") {
				t.Errorf("got %v, want something about %q, and no password", err, tc.want)
			}
		})
	}
}

func TestSQLiteFile(t *testing.T) {
	file := filepath.Join(t.TempDir(), "a file's name: 100% #1 ünïcode.db")
	s := open(t, "sqlite:"+file)
	populate(t, s)
	for _, suffix := range []string{"", "-wal", "-shm"} {
		info, err := os.Stat(file + suffix)
		ok(t, err)
		if got := info.Mode().Perm(); got != 0o600 {
			t.Errorf("%q has mode %o, want 600", suffix, got)
		}
	}
	for _, mode := range []os.FileMode{0o640, 0o604, 0o620} {
		ok(t, os.Chmod(file, mode))
		_, err := Open(t.Context(), "sqlite:"+file)
		wantReason(t, err, Exposed)
	}
	ok(t, os.Chmod(file, 0o600))
	open(t, "sqlite:"+file)
}

func TestSQLiteSettings(t *testing.T) {
	const full, normal = "2", "1"
	for query, synchronous := range map[string]string{"": full, "?synchronous=full": full, "?synchronous=normal": normal} {
		t.Run(query, func(t *testing.T) {
			s := open(t, sqliteDSN(t)+query)
			for pragma, want := range map[string]string{"synchronous": synchronous, "journal_mode": "wal", "foreign_keys": "1", "busy_timeout": "10000"} {
				var got string
				ok(t, s.writers.QueryRowContext(t.Context(), "PRAGMA "+pragma).Scan(&got))
				if got != want {
					t.Errorf("%s: got %s, want %s", pragma, got, want)
				}
			}
			if _, err := s.readers.ExecContext(t.Context(), "DELETE FROM users"); err == nil {
				t.Error("a reader's connection can write")
			}
		})
	}
}

// Two databases in memory have nothing to do with each other, and one lives through a call that was cut short.
func TestMemory(t *testing.T) {
	a, b := open(t, "sqlite::memory:"), open(t, "sqlite::memory:")
	populate(t, a)
	populate(t, b)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	var n int
	err := a.view(ctx, "test", func(ctx context.Context, q queries) error {
		return q.row(ctx, `WITH RECURSIVE c (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c) SELECT max(n) FROM c`).Scan(&n)
	})
	wantReason(t, err, Unavailable)
	if _, err := a.Client(t.Context(), "client"); err != nil {
		t.Errorf("after an interrupted query: %v", err)
	}
}

// TestPostgreSQLDefaults: what the database's own defaults say about transactions doesn't matter.
func TestPostgreSQLDefaults(t *testing.T) {
	dsn := server.Database(t) + "&pool_max_conns=3&options=" + "-c%20default_transaction_isolation%3Dserializable"
	s := open(t, dsn)
	if got := s.writers.Stats().MaxOpenConnections; got != 3 {
		t.Errorf("got at most %d connections, want 3", got)
	}
	ok(t, s.update(t.Context(), "test", func(ctx context.Context, q queries) error {
		for setting, want := range map[string]string{
			"transaction_isolation": "read committed", "idle_in_transaction_session_timeout": "30s",
		} {
			var got string
			if err := q.row(t.Context(), "SELECT current_setting($1)", setting).Scan(&got); err != nil {
				return err
			}
			if got != want {
				t.Errorf("%s: got %q, want %q", setting, got, want)
			}
		}
		return nil
	}))
}

// TestPostgreSQLRole: a role that can't change the schema can run the issuer once somebody else has migrated.
func TestPostgreSQLRole(t *testing.T) {
	dsn := server.Database(t)
	owner := open(t, dsn)
	const role = "holdfast_runs"
	for _, statement := range []string{
		"CREATE ROLE " + role + " LOGIN",
		"GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO " + role,
	} {
		_, err := owner.writers.ExecContext(t.Context(), statement)
		ok(t, err)
	}
	t.Cleanup(func() {
		if _, err := owner.writers.ExecContext(context.Background(), "DROP OWNED BY "+role+"; DROP ROLE "+role); err != nil {
			t.Error(err)
		}
	})
	limited := strings.Replace(dsn, "holdfast@", role+"@", 1)
	if limited == dsn {
		t.Fatalf("no role to replace in %s", dsn)
	}
	s := open(t, limited)
	if _, err := s.writers.ExecContext(t.Context(), "CREATE TABLE next (id int)"); err == nil {
		t.Fatal("the role can change the schema: that it can open the database says nothing")
	}
	populate(t, s)
	rotate(t, s, now, aRotation("r1", "r2"), Rotated)
}

// TestDeadlock: a transaction that PostgreSQL gives up in favour of another runs again.
func TestDeadlock(t *testing.T) {
	s := open(t, server.Database(t))
	tokens := []string{"t0", "t1"}
	for _, token := range tokens {
		first := aToken(token)
		ok(t, s.CreateGrant(t.Context(), now, aGrant("grant of "+token), &first))
	}
	var both, done sync.WaitGroup
	both.Add(2)
	var mu sync.Mutex // guards attempts
	attempts := 0
	for i := range tokens {
		done.Go(func() {
			first := true
			err := s.update(t.Context(), "test", func(ctx context.Context, q queries) error {
				mu.Lock()
				attempts++
				mu.Unlock()
				if _, err := q.lockFamily(t.Context(), HashOf(tokens[i])); err != nil {
					return err
				}
				if first { // each holds one and wants the other's
					first = false
					both.Done()
					both.Wait()
				}
				_, err := q.lockFamily(t.Context(), HashOf(tokens[1-i]))
				return err
			})
			if err != nil {
				t.Error(err)
			}
		})
	}
	done.Wait()
	if attempts < 3 {
		t.Errorf("two transactions took %d attempts: there was no deadlock", attempts)
	}
}

// TestConnectionsLost: after the server has dropped all connections, as it does when it restarts, calls fail as
// Unavailable no more often than there were connections, and then succeed.
func TestConnectionsLost(t *testing.T) {
	dsn := server.Database(t)
	s := open(t, dsn)
	populate(t, s)
	_, err := open(t, dsn).writers.ExecContext(t.Context(), `SELECT pg_terminate_backend(pid) FROM pg_stat_activity
		WHERE datname = current_database() AND pid <> pg_backend_pid()`)
	ok(t, err)
	for range defaultConnections + 1 {
		if err = s.UseOnce(t.Context(), now, aClaim("new")); err == nil {
			return
		}
		wantReason(t, err, Unavailable)
	}
	t.Errorf("got %v, still", err)
}

// An error says what is wrong, and nothing of what was stored.
func TestErrorText(t *testing.T) {
	for _, tc := range []struct {
		err  error
		want string
	}{
		{refused(NotFound, "grant"), "store: grant: not-found"},
		{&Error{Reason: Invalid, What: "code", Part: "Nonce"}, "store: code: invalid: Nonce"},
		{&Error{Reason: Unavailable, What: "grant", Err: context.Canceled}, "store: grant: unavailable: context canceled"},
	} {
		if got := tc.err.Error(); got != tc.want {
			t.Errorf("got %q, want %q", got, tc.want)
		}
	}
	onEach(t, func(t *testing.T, dsn string) {
		s := open(t, dsn)
		populate(t, s)
		c := aClient("client")
		c.Registration = []byte(`{"secret":"hunter2"}`)
		if got := fmt.Sprint(s.CreateClient(t.Context(), now, c)); got != "store: client: conflict" {
			t.Errorf("got %q", got)
		}
	})
}
