package config

import (
	"reflect"
	"strings"

	"go.yaml.in/yaml/v3"
)

const envPrefix = "HOLDFAST_"

// envName returns the variable of a path: gateway.limits.body is HOLDFAST_GATEWAY_LIMITS_BODY.
func envName(path string) string {
	return envPrefix + strings.ToUpper(strings.ReplaceAll(path, ".", "_"))
}

// environment writes what the environment says over what the file said. Variables that name no field are left alone:
// schedulers add variables named after services, and holdfast-gateway would be one.
func (d *decoder) environment(path string, v reflect.Value, lookup func(string) (string, bool)) {
	for _, f := range fieldsOf(v.Type()) {
		p, fv := join(path, f.key), v.FieldByIndex(f.Index)
		if f.isSection() {
			d.environment(p, fv, lookup)
			continue
		}
		if f.isSecret() {
			name := envName(strings.TrimSuffix(p, "_file"))
			if text, ok := lookup(name); ok {
				fv.Set(reflect.ValueOf(Secret{value: text}))
				d.at[p] = place{name, 0}
			}
			fv = fv.FieldByName("File")
		}
		if text, ok := lookup(envName(p)); ok {
			d.variable(p, f, text, fv)
		}
	}
}

// variable sets one field from the text of its variable: lists and mappings as YAML, the others as they are.
func (d *decoder) variable(path string, f field, text string, v reflect.Value) {
	env := &decoder{source: envName(path)}
	d.at[path] = place{env.source, 0}
	if v.Kind() != reflect.Slice && v.Kind() != reflect.Map {
		if err := setText(v, text); err != nil {
			env.fail(path, &yaml.Node{}, "want %s: %v", typeName(v.Type()), err)
		} else {
			env.bounds(path, &yaml.Node{}, f, v)
		}
	} else if n, err := parse(strings.NewReader(text)); err != nil {
		env.fail(path, &yaml.Node{}, "%v", err)
	} else if n == nil {
		v.SetZero()
	} else {
		if env.value(path, n, v); len(env.errs) == 0 {
			env.bounds(path, n, f, v)
		}
	}
	d.errs = append(d.errs, env.errs...)
}
