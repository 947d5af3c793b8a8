package config

import (
	"fmt"
	"reflect"
	"strings"
)

// field is a struct field as the configuration sees it.
type field struct {
	reflect.StructField
	key      string // the YAML key
	help     string
	dflt     string
	enum     []string
	required bool
	zero     bool // 0 means none, not a default
}

// fieldsOf lists the fields of a section: tags yaml (the key), help, default, enum, required and zero.
func fieldsOf(t reflect.Type) []field {
	var out []field
	for sf := range t.Fields() {
		key := sf.Tag.Get("yaml")
		if key == "" {
			continue
		}
		f := field{StructField: sf, key: key, help: sf.Tag.Get("help"), dflt: sf.Tag.Get("default")}
		f.required, f.zero = sf.Tag.Get("required") == "true", sf.Tag.Get("zero") == "true"
		if e := sf.Tag.Get("enum"); e != "" {
			f.enum = strings.Split(e, ",")
		}
		if f.isSecret() {
			f.key += "_file"
		}
		out = append(out, f)
	}
	return out
}

func (f field) isSecret() bool { return f.Type == reflect.TypeFor[Secret]() }

func (f field) isSection() bool { return f.Type.Kind() == reflect.Struct && !f.isSecret() }

func (f field) isListOfSections() bool {
	return f.Type.Kind() == reflect.Slice && f.Type.Elem().Kind() == reflect.Struct
}

func fieldByKey(t reflect.Type, key string) (field, bool) {
	for _, f := range fieldsOf(t) {
		if f.key == key {
			return f, true
		}
	}
	return field{}, false
}

func keysOf(t reflect.Type) []string {
	var out []string
	for _, f := range fieldsOf(t) {
		out = append(out, f.key)
	}
	return out
}

// setDefaults writes the default tags into v, sections inside it included.
func setDefaults(v reflect.Value) error {
	if v.Kind() != reflect.Struct {
		return nil
	}
	for _, f := range fieldsOf(v.Type()) {
		fv := v.FieldByIndex(f.Index)
		if f.isSection() {
			if err := setDefaults(fv); err != nil {
				return err
			}
		} else if f.dflt != "" {
			if err := setText(fv, f.dflt); err != nil {
				return fmt.Errorf("config: default of %s: %w", f.key, err)
			}
		}
	}
	return nil
}

// missing lists the paths of required fields that are empty, list entries included.
func missing(path string, v reflect.Value) []string {
	var out []string
	for _, f := range fieldsOf(v.Type()) {
		fv, p := v.FieldByIndex(f.Index), join(path, f.key)
		switch {
		case f.required && fv.IsZero():
			out = append(out, p)
		case f.isSection():
			out = append(out, missing(p, fv)...)
		case f.isListOfSections():
			for i := range fv.Len() {
				out = append(out, missing(fmt.Sprintf("%s[%d]", p, i), fv.Index(i))...)
			}
		}
	}
	return out
}
