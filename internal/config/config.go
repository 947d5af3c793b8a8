// Package config reads holdfast's configuration: one strict YAML file, with every field also an environment variable.
//
// [Load] reads both and returns a [File]; its methods turn a section into the configuration of the package that it is
// for. An unknown key, a wrong type and a missing value are errors that name line and path, all of them at once.
// Secrets come from files or the environment. What the values mean together (algorithms, URLs, limits) is checked by
// the packages that use them.
//
// Limits: a file of 1 MiB, one document, no anchors.
package config

import (
	"errors"
	"fmt"
	"io"
	"os"
	"reflect"
	"strings"
)

// maxFile bounds the file: a thousand clients take a tenth of it.
const maxFile = 1 << 20

// File is the whole configuration. A program reads the sections that it needs; all are checked for form.
type File struct {
	Issuer  Issuer  `yaml:"issuer" help:"The authorization server, for holdfast issuer."`
	Gateway Gateway `yaml:"gateway" help:"The reverse proxy, for holdfast gateway."`
	Log     Log     `yaml:"log" help:"The log, on standard error."`
	Admin   Admin   `yaml:"admin" help:"How the program is watched and stopped. Its listener authenticates nobody but who revokes: keep it off the public network."`
	Trace   Trace   `yaml:"trace" help:"Traces, by OpenTelemetry."`

	at map[string]place
}

// Error is one mistake in the configuration.
type Error struct {
	Place   string // file and line, or the environment variable; "" for what is nowhere
	Path    string // such as gateway.routes[0].path
	Problem string
	Err     error // what refused, if it was another package
}

func (e *Error) Error() string {
	parts := []string{}
	for _, s := range []string{e.Place, e.Path, e.Problem} {
		if s != "" {
			parts = append(parts, s)
		}
	}
	return strings.Join(parts, ": ")
}

// Unwrap returns Err.
func (e *Error) Unwrap() error { return e.Err }

// Load reads the file called name, or none if name is "", and then the environment by lookup (os.LookupEnv). Errors are
// *Error, several of them joined.
func Load(name string, lookup func(string) (string, bool)) (*File, error) {
	f := &File{at: map[string]place{}}
	root := reflect.ValueOf(f).Elem()
	if err := setDefaults(root); err != nil {
		return nil, err
	}
	d := &decoder{source: name, at: f.at}
	if name != "" {
		if err := d.file(name, root); err != nil {
			return nil, err
		}
	}
	d.environment("", root, lookup)
	if len(d.errs) > 0 {
		return nil, errors.Join(d.errs...)
	}
	return f, nil
}

func (d *decoder) file(name string, root reflect.Value) error {
	r, err := os.Open(name)
	if err != nil {
		return &Error{Problem: err.Error(), Err: err}
	}
	defer r.Close()
	text, err := io.ReadAll(io.LimitReader(r, maxFile+1))
	if err != nil {
		return &Error{Place: name, Problem: err.Error(), Err: err}
	}
	if len(text) > maxFile {
		return &Error{Place: name, Problem: fmt.Sprintf("longer than %d bytes", maxFile)}
	}
	n, err := parse(strings.NewReader(string(text)))
	if err != nil {
		return &Error{Place: name, Problem: err.Error(), Err: err}
	}
	if n != nil {
		d.value("", n, root)
	}
	return nil
}

// A builder collects the mistakes of a section while it is turned into a package's configuration.
type builder struct {
	file *File
	errs []error
}

func (b *builder) fail(path, format string, args ...any) {
	err := fmt.Errorf(format, args...)
	e := &Error{Path: path, Problem: err.Error(), Err: errors.Unwrap(err)}
	if p, ok := b.file.at[path]; ok {
		e.Place = p.String()
	}
	b.errs = append(b.errs, e)
}

// required fails for the required fields of a section that are empty.
func (b *builder) required(path string, section any) error {
	for _, p := range missing(path, reflect.ValueOf(section)) {
		b.fail(p, "required%s", inEnvironment(p))
	}
	return b.err()
}

// inEnvironment names the variable that a value may be in as well. Entries of lists have none.
func inEnvironment(path string) string {
	if strings.Contains(path, "[") {
		return ""
	}
	return " (or in the environment: " + envName(strings.TrimSuffix(path, "_file")) + ")"
}

// secret reads a secret, whose absence is an error.
func (b *builder) secret(path string, s Secret) []byte {
	if !s.set() {
		b.fail(path, "required%s", inEnvironment(path))
		return nil
	}
	v, err := s.read()
	if err != nil {
		b.fail(path, "%w", err)
	}
	return v
}

func (b *builder) err() error { return errors.Join(b.errs...) }
