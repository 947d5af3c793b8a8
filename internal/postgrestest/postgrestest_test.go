//go:build unix

package postgrestest

import (
	"errors"
	"io/fs"
	"os"
	"testing"

	"github.com/jackc/pgx/v5"
)

func TestServer(t *testing.T) {
	s, err := Start("fsync=off")
	if err != nil {
		t.Fatal(err)
	}
	t.Run("databases are apart", func(t *testing.T) {
		for range 2 {
			conn, err := pgx.Connect(t.Context(), s.Database(t))
			if err != nil {
				t.Fatal(err)
			}
			if _, err := conn.Exec(t.Context(), "CREATE TABLE thing (id int)"); err != nil {
				t.Error(err)
			}
			if err := conn.Close(t.Context()); err != nil {
				t.Error(err)
			}
		}
	})
	if err := s.Stop(); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(s.dir); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("after Stop, got %v for the directory, want that it is gone", err)
	}
}

func TestStartFails(t *testing.T) {
	s, err := Start("no_such_setting=on")
	if err == nil {
		s.Stop()
		t.Fatal("got a server with a setting that doesn't exist")
	}
}

// A test process that dies closes what the guardian reads.
func TestGuardian(t *testing.T) {
	s, err := Start("fsync=off")
	if err != nil {
		t.Fatal(err)
	}
	if err := s.guardian.Close(); err != nil {
		t.Fatal(err)
	}
	<-s.done
}
