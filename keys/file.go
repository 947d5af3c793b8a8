package keys

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
)

// maxFile bounds a key file: a private RSA JWK of 4096 bits takes about 3 KiB.
const maxFile = 64 << 10

// CreateFile makes a fresh key and writes it as a private JWK, mode 0600, atomically. An existing file is an error. The
// file system must have hard links.
func CreateFile(path string, alg Algorithm) (*Signer, error) {
	signer, err := Generate(alg)
	if err != nil {
		return nil, err
	}
	jwk, err := signer.MarshalPrivateJWK()
	if err != nil {
		return nil, err
	}
	if err := writeNew(path, append(jwk, '\n')); err != nil {
		return nil, fmt.Errorf("keys: writing a key file: %w", err)
	}
	return signer, nil
}

// writeNew writes a file that isn't there yet, so that either all of it appears under its name or nothing does.
func writeNew(path string, data []byte) (err error) {
	dir := filepath.Dir(path)
	f, err := os.CreateTemp(dir, ".key-*") // with mode 0600
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.Remove(f.Name())) }()
	_, err = f.Write(data)
	if err == nil {
		err = f.Sync()
	}
	if err := errors.Join(err, f.Close()); err != nil {
		return err
	}
	// Unlike a rename, a link never replaces a key that somebody else wrote meanwhile.
	if err := os.Link(f.Name(), path); err != nil {
		return err
	}
	return syncDir(dir)
}

// syncDir makes the new name last, where directories can be synced.
func syncDir(dir string) error {
	if runtime.GOOS == "windows" {
		return nil
	}
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// OpenFile reads a file that [CreateFile] wrote. It refuses one that others than its owner may read or write (by its mode
// bits, so not on Windows, where they say nothing), one that isn't a regular file, and one over 64 KiB.
func OpenFile(path string) (*Signer, error) {
	jwk, err := readPrivate(path)
	if err != nil {
		return nil, fmt.Errorf("keys: reading a key file: %w", err)
	}
	return ParseSigner(jwk)
}

func readPrivate(path string) (data []byte, err error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	// Of the open file, not of the path, which could be another file by now.
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, refuse(Malformed, "")
	}
	if runtime.GOOS != "windows" && info.Mode().Perm()&0o077 != 0 {
		return nil, refuse(Exposed, "")
	}
	data, err = io.ReadAll(io.LimitReader(f, maxFile+1))
	if err == nil && len(data) > maxFile {
		return nil, refuse(SizeRefused, "")
	}
	return data, err
}
