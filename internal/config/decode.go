package config

import (
	"errors"
	"fmt"
	"io"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
)

// place is where a value came from: a line of the file, or an environment variable.
type place struct {
	source string
	line   int
}

func (p place) String() string {
	if p.line == 0 {
		return p.source
	}
	return p.source + ":" + strconv.Itoa(p.line)
}

// A decoder fills structs from YAML nodes. It is stricter than the yaml package: unknown and repeated keys, aliases,
// tags and nulls are errors, and each error names its line and path. It collects all of them.
type decoder struct {
	source string
	at     map[string]place // path → where its value was set last
	errs   []error
}

func (d *decoder) fail(path string, n *yaml.Node, format string, args ...any) {
	d.errs = append(d.errs, &Error{Place: place{d.source, n.Line}.String(), Path: path, Problem: fmt.Sprintf(format, args...)})
}

// parse reads exactly one YAML document. An empty one gives nil.
func parse(r io.Reader) (*yaml.Node, error) {
	dec := yaml.NewDecoder(r)
	var doc, more yaml.Node
	if err := dec.Decode(&doc); errors.Is(err, io.EOF) {
		return nil, nil
	} else if err != nil {
		return nil, err
	}
	if err := dec.Decode(&more); !errors.Is(err, io.EOF) {
		return nil, errors.New("yaml: more than one document")
	}
	return doc.Content[0], nil
}

// value sets v, whose zero value or default it replaces, from n.
func (d *decoder) value(path string, n *yaml.Node, v reflect.Value) {
	if n.Kind == yaml.AliasNode || n.Anchor != "" {
		d.fail(path, n, "anchors and aliases are not read here")
		return
	}
	if n.ShortTag() == "!!null" {
		d.fail(path, n, "no value: leave the key out, or give it one")
		return
	}
	if d.at != nil {
		d.at[path] = place{d.source, n.Line}
	}
	switch {
	case v.Kind() == reflect.Struct:
		d.mapping(path, n, v)
	case v.Kind() == reflect.Slice:
		d.sequence(path, n, v)
	case v.Kind() == reflect.Map:
		d.table(path, n, v)
	default:
		d.scalar(path, n, v)
	}
}

func (d *decoder) mapping(path string, n *yaml.Node, v reflect.Value) {
	if !d.is(path, n, yaml.MappingNode, "a mapping") {
		return
	}
	seen := map[string]bool{}
	for i := 0; i < len(n.Content); i += 2 {
		key, val := n.Content[i], n.Content[i+1]
		keyPath := join(path, key.Value)
		f, ok := fieldByKey(v.Type(), key.Value)
		switch {
		case seen[key.Value]:
			d.fail(keyPath, key, "key appears twice")
		case !ok:
			d.fail(keyPath, key, "unknown key; the keys here are %s", strings.Join(keysOf(v.Type()), ", "))
		case f.isSecret():
			d.value(keyPath, val, v.FieldByIndex(f.Index).FieldByName("File"))
		default:
			before := len(d.errs)
			d.value(keyPath, val, v.FieldByIndex(f.Index))
			if len(d.errs) == before {
				d.bounds(keyPath, val, f, v.FieldByIndex(f.Index))
			}
		}
		seen[key.Value] = true
	}
}

func (d *decoder) sequence(path string, n *yaml.Node, v reflect.Value) {
	if !d.is(path, n, yaml.SequenceNode, "a list") {
		return
	}
	out := reflect.MakeSlice(v.Type(), len(n.Content), len(n.Content))
	for i, item := range n.Content {
		itemPath := fmt.Sprintf("%s[%d]", path, i)
		if err := setDefaults(out.Index(i)); err != nil {
			d.fail(itemPath, item, "%v", err)
		}
		d.value(itemPath, item, out.Index(i))
	}
	v.Set(out)
}

func (d *decoder) table(path string, n *yaml.Node, v reflect.Value) {
	if !d.is(path, n, yaml.MappingNode, "a mapping") {
		return
	}
	out := reflect.MakeMap(v.Type())
	for i := 0; i < len(n.Content); i += 2 {
		key, val := n.Content[i], n.Content[i+1]
		if out.MapIndex(reflect.ValueOf(key.Value)).IsValid() {
			d.fail(join(path, key.Value), key, "key appears twice")
			continue
		}
		elem := reflect.New(v.Type().Elem()).Elem()
		d.value(join(path, key.Value), val, elem)
		out.SetMapIndex(reflect.ValueOf(key.Value), elem)
	}
	v.Set(out)
}

func (d *decoder) scalar(path string, n *yaml.Node, v reflect.Value) {
	want := typeName(v.Type())
	if !d.is(path, n, yaml.ScalarNode, want) {
		return
	}
	// The yaml package would turn 1.0 into an int and 12 into a string; the tag says what was written.
	wantTag := map[reflect.Kind]string{reflect.Bool: "!!bool", reflect.Int: "!!int", reflect.Int64: "!!int", reflect.String: "!!str"}[v.Kind()]
	if v.Type() == reflect.TypeFor[time.Duration]() {
		wantTag = "!!str"
	}
	tag := n.ShortTag()
	if tag == "!!timestamp" {
		tag = "!!str" // no field is one; those of a time read its text
	}
	if tag != wantTag {
		d.fail(path, n, "want %s, got %s", want, describe(n))
		return
	}
	if err := setText(v, n.Value); err != nil {
		d.fail(path, n, "want %s: %v", want, err)
	}
}

// bounds checks a field of few values, or a list of such, and that a number isn't zero where the packages that use it
// would take that for their default.
func (d *decoder) bounds(path string, n *yaml.Node, f field, v reflect.Value) {
	if v.CanInt() && v.IsZero() && !f.zero {
		d.fail(path, n, "must be more than 0")
	}
	if f.enum == nil {
		return
	}
	values := []string{}
	if v.Kind() == reflect.Slice {
		for i := range v.Len() {
			values = append(values, v.Index(i).String())
		}
	} else {
		values = append(values, v.String())
	}
	for _, s := range values {
		if !slices.Contains(f.enum, s) {
			d.fail(path, n, "want one of %s, got %q", strings.Join(f.enum, ", "), s)
		}
	}
}

func (d *decoder) is(path string, n *yaml.Node, kind yaml.Kind, want string) bool {
	if n.Kind != kind {
		d.fail(path, n, "want %s, got %s", want, describe(n))
	}
	return n.Kind == kind
}

// describe names what was written without repeating it: it could be a secret in the wrong place.
func describe(n *yaml.Node) string {
	switch n.Kind {
	case yaml.MappingNode:
		return "a mapping"
	case yaml.SequenceNode:
		return "a list"
	}
	switch n.ShortTag() {
	case "!!str":
		return "text"
	case "!!int", "!!float":
		return "a number"
	case "!!bool":
		return "true or false"
	}
	return n.ShortTag()
}

func typeName(t reflect.Type) string {
	switch {
	case t == reflect.TypeFor[time.Duration]():
		return "a duration such as 90s"
	case t == reflect.TypeFor[Secret]():
		return "a secret"
	}
	switch t.Kind() {
	case reflect.Bool:
		return "true or false"
	case reflect.Int, reflect.Int64:
		return "a whole number"
	case reflect.Slice:
		if t.Elem().Kind() == reflect.Struct {
			return "a list of mappings"
		}
		return "a list"
	case reflect.Map:
		return "a mapping"
	}
	return "text"
}

// setText sets a scalar from its text.
func setText(v reflect.Value, s string) error {
	switch {
	case v.Type() == reflect.TypeFor[time.Duration]():
		dur, err := time.ParseDuration(s)
		if err != nil || dur < 0 {
			return errors.New("not a duration that is positive")
		}
		v.SetInt(int64(dur))
	case v.Kind() == reflect.Bool:
		b, err := strconv.ParseBool(s)
		if err != nil {
			return errors.New("not true or false")
		}
		v.SetBool(b)
	case v.CanInt():
		i, err := strconv.ParseInt(s, 10, 64)
		if err != nil || i < 0 {
			return errors.New("not in decimal digits, or negative")
		}
		v.SetInt(i)
	case v.Kind() == reflect.String:
		v.SetString(s)
	default:
		return fmt.Errorf("config: no text form of %s", v.Type())
	}
	return nil
}

func join(path, key string) string {
	if path == "" {
		return key
	}
	return path + "." + key
}
