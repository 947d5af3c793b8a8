package config

import (
	"fmt"
	"reflect"
	"strings"
)

const referenceHead = `# Configuration

<!-- Written by: go test ./internal/config -update -->

One YAML file, named by ` + "`--config`" + ` or ` + "`HOLDFAST_CONFIG`" + `. It is read strictly: an unknown key, a key that appears twice, a
value of the wrong type, an empty value and an anchor are errors, each with its line and path, all of them at once. Every
field is also an environment variable, which wins over the file; lists and mappings are YAML text there. With all that is
required in the environment, no file is needed.

Secrets are never written into the file. A secret ` + "`x`" + ` is read from the file that ` + "`x_file`" + ` names (line ends at its end
don't count), or from its own environment variable, which wins. ` + "`holdfast key secret FILE`" + ` makes one.

Durations are written as ` + "`90s`, `5m`, `1h30m`" + `. Relative paths are relative to the working directory. Sections that a
command doesn't use are checked for form only. What starts with ` + "`insecure_`" + ` weakens a check; its meaning says who then gets in.
`

// Reference returns the reference of all sections, in Markdown.
func Reference() string {
	var b strings.Builder
	b.WriteString(referenceHead)
	for _, f := range fieldsOf(reflect.TypeFor[File]()) {
		writeSection(&b, f.key, f.help, f.Type, true)
	}
	return b.String()
}

// writeSection writes one table, with nested sections as rows of it and lists of sections as tables after it. Fields
// of list entries have no variable of their own.
func writeSection(b *strings.Builder, path, help string, t reflect.Type, env bool) {
	fmt.Fprintf(b, "\n## `%s`\n\n%s\n\n", path, help)
	if env {
		b.WriteString("| key | environment | value | default | meaning |\n| --- | --- | --- | --- | --- |\n")
	} else {
		b.WriteString("| key | value | default | meaning |\n| --- | --- | --- | --- |\n")
	}
	var lists []list
	writeRows(b, path, path, t, env, &lists)
	for _, l := range lists {
		writeSection(b, l.path+"[]", l.help, l.entry, false)
	}
}

// list is a list of sections, which gets a table of its own.
type list struct {
	path, help string
	entry      reflect.Type
}

func writeRows(b *strings.Builder, section, path string, t reflect.Type, env bool, lists *[]list) {
	for _, f := range fieldsOf(t) {
		p := join(path, f.key)
		if f.isSection() {
			writeRows(b, section, p, f.Type, env, lists)
			continue
		}
		if f.isListOfSections() {
			*lists = append(*lists, list{p, f.help, f.Type.Elem()})
		}
		cells := []string{"`" + strings.TrimPrefix(p, section+".") + "`"}
		if env {
			cells = append(cells, variablesOf(p, f))
		}
		cells = append(cells, valueOf(f), code(f.dflt), meaningOf(f))
		fmt.Fprintf(b, "| %s |\n", strings.Join(cells, " | "))
	}
}

func variablesOf(path string, f field) string {
	name := code(envName(path))
	if f.isSecret() {
		name += ", or the secret itself in " + code(envName(strings.TrimSuffix(path, "_file")))
	}
	return name
}

func valueOf(f field) string {
	switch {
	case f.isSecret():
		return "file name"
	case f.enum != nil && f.Type.Kind() == reflect.Slice:
		return "list of " + strings.Join(codes(f.enum), ", ")
	case f.enum != nil:
		return "one of " + strings.Join(codes(f.enum), ", ")
	case f.Type.Kind() == reflect.Slice && f.Type.Elem().Kind() == reflect.String:
		return "list of text"
	case f.Type.Kind() == reflect.Bool:
		return "`true` or `false`"
	}
	return strings.TrimPrefix(strings.TrimPrefix(typeName(f.Type), "a "), "an ")
}

func meaningOf(f field) string {
	if f.required {
		return "Required. " + f.help
	}
	return f.help
}

func codes(list []string) []string {
	var out []string
	for _, s := range list {
		if s != "" {
			out = append(out, code(s))
		}
	}
	return out
}

func code(s string) string {
	if s == "" {
		return ""
	}
	return "`" + s + "`"
}
