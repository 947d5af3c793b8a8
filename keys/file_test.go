package keys

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
)

func TestFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "key.json")
	made, err := CreateFile(path, ES256)
	if err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode() != 0o600 {
		t.Errorf("got %v, %v, want mode 0600", info.Mode(), err)
	}
	read, err := OpenFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := read.Public().Thumbprint(), made.Public().Thumbprint(); got != want {
		t.Errorf("thumbprint: got %v, want %v", got, want)
	}
	if read.Public().KeyID() != made.Public().KeyID() || read.Algorithm() != ES256 {
		t.Errorf("got %s, %s", read.Public().KeyID(), read.Algorithm())
	}
	left, err := os.ReadDir(filepath.Dir(path))
	if err != nil || len(left) != 1 {
		t.Errorf("left in the directory: %v, %v", left, err)
	}
}

func TestCreateFileReplacesNothing(t *testing.T) {
	path := filepath.Join(t.TempDir(), "key.json")
	if err := os.WriteFile(path, []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := CreateFile(path, ES256); !errors.Is(err, fs.ErrExist) {
		t.Errorf("got %v, want %v", err, fs.ErrExist)
	}
	if got, err := os.ReadFile(path); string(got) != "precious" {
		t.Errorf("the file now has %q, %v", got, err)
	}
	if _, err := CreateFile(filepath.Join(path, "below"), ES256); err == nil {
		t.Error("a file was made below a file")
	}
	if _, err := CreateFile(path+"2", "none"); err == nil {
		t.Error("a file was made for none")
	}
}

func TestOpenFileRefuses(t *testing.T) {
	signer, err := Generate(ES256)
	if err != nil {
		t.Fatal(err)
	}
	jwk, err := signer.MarshalPrivateJWK()
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name string
		text []byte
		mode fs.FileMode
		want Reason // "" if it is read
	}{
		{"owner", jwk, 0o600, ""},
		{"owner, read only", jwk, 0o400, ""},
		{"longest", append(jwk, bytes.Repeat([]byte{'\n'}, maxFile-len(jwk))...), 0o600, ""},
		{"group reads", jwk, 0o640, Exposed},
		{"others read", jwk, 0o604, Exposed},
		{"group writes", jwk, 0o620, Exposed},
		{"too long", append(jwk, bytes.Repeat([]byte{'\n'}, maxFile-len(jwk)+1)...), 0o600, SizeRefused},
		{"empty", nil, 0o600, Malformed},
		{"public key", signer.Public().AppendJWK(nil), 0o600, Malformed},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "key.json")
			if err := errors.Join(os.WriteFile(path, tc.text, 0o600), os.Chmod(path, tc.mode)); err != nil {
				t.Fatal(err)
			}
			_, err := OpenFile(path)
			if tc.want == "" {
				if err != nil {
					t.Error(err)
				}
				return
			}
			if e, ok := errors.AsType[*Error](err); !ok || e.Reason != tc.want {
				t.Errorf("got %v, want %s", err, tc.want)
			}
		})
	}
	if _, err := OpenFile(t.TempDir()); err == nil {
		t.Error("a directory was read")
	}
	if _, err := OpenFile(filepath.Join(t.TempDir(), "absent")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("absent file: got %v", err)
	}
}
