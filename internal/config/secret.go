package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
)

// maxSecret bounds a secret's file: far above any key, far below what a wrong path could name.
const maxSecret = 64 << 10

// Secret comes from a file or an environment variable, never from the configuration itself. It prints as [redacted].
type Secret struct {
	File  string
	value string // from the environment
}

// String hides the secret.
func (Secret) String() string { return "[redacted]" }

// GoString hides it from %#v.
func (Secret) GoString() string { return "[redacted]" }

// set tells whether there is one to read.
func (s Secret) set() bool { return s.value != "" || s.File != "" }

// read returns the secret. The environment wins over the file.
func (s Secret) read() ([]byte, error) {
	if s.value != "" {
		return []byte(s.value), nil
	}
	return ReadSecretFile(s.File)
}

// ReadSecretFile reads a secret: the whole file without line ends at its end. An empty one is an error.
func ReadSecretFile(name string) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxSecret+1))
	if err != nil {
		return nil, err
	}
	if len(b) > maxSecret {
		return nil, fmt.Errorf("%s: longer than %d bytes", name, maxSecret)
	}
	if b = bytes.TrimRight(b, "\r\n"); len(b) == 0 {
		return nil, errors.New(name + ": empty")
	}
	return b, nil
}
