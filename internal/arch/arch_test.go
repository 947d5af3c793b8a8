package arch

import (
	"bytes"
	"encoding/json"
	"errors"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/holdfast-project/holdfast"

// Groups of packages, by path below the module. Each may import what its rule names and nothing else of this module.
var (
	foundation = []string{"internal/base64url", "internal/strictjson", "internal/sfv", "internal/htu", "internal/fetch"}
	specs      = []string{"httpsig", "contentdigest", "dpop", "accesstoken", "replay",
		"popsession", "popstream", "signedurl", "certbound", "resourcemeta", "revocation"}
	below    = slices.Concat(foundation, []string{"keys", "internal/jws"}, specs) // what every adapter may use
	adapters = []string{".", "issuer", "issuer/store", "issuer/signing", "issuer/login", "gateway", "internal/telemetry"}
)

// rule is what a package may import.
type rule struct {
	ours   []string // packages of this module
	others []string // prefixes of other modules' packages; nil means the standard library only
	free   bool     // any other module: programs and adapters answer for theirs in docs/dependencies.md
}

// rules maps a package to its rule. A package that isn't here has no place in the picture, and fails.
var rules = func() map[string]rule {
	m := map[string]rule{
		"internal/base64url":  {},
		"internal/strictjson": {},
		"internal/sfv":        {},
		"internal/htu":        {},
		"internal/fetch":      {},
		"internal/page":       {},
		"keys":                {ours: foundation, others: []string{"golang.org/x/crypto/"}},
		"internal/jws":        {ours: append([]string{"keys"}, foundation...)},
		".":                   {ours: below, others: []string{"golang.org/x/oauth2"}},
		// The issuer is no resource server: it needs the standards, not the front doors.
		"issuer":               {ours: append([]string{"issuer/store", "issuer/signing", "internal/page"}, below...), free: true},
		"issuer/login":         {ours: []string{"issuer", "issuer/store", "internal/page", "internal/fetch", "internal/strictjson", "internal/base64url"}, free: true},
		"issuer/signing":       {ours: []string{"issuer/store", "keys"}},
		"internal/telemetry":   {ours: append([]string{"."}, below...), free: true},
		"gateway":              {ours: append([]string{".", "internal/telemetry"}, below...), free: true},
		"holdfasttest":         {ours: slices.Concat(below, adapters), free: true},
		"internal/explain":     {ours: append([]string{"."}, below...), free: true},
		"internal/config":      {ours: slices.Concat(below, adapters), free: true},
		"internal/demo":        {ours: slices.Concat(below, adapters, []string{"holdfasttest", "internal/config"}), free: true},
		"internal/bench":       {ours: append([]string{".", "gateway", "internal/telemetry"}, below...)},
		"internal/benchplot":   {ours: []string{"internal/bench"}, others: []string{"github.com/go-analyze/charts"}},
		"internal/conformance": {ours: slices.Concat(below, adapters, []string{"holdfasttest"}), free: true},
		"internal/arch":        {},
		"test/attacker":        {}, // knows what attackers know: no code of ours
		"test/acceptance":      {}, // its tests import what they like; what is tested are processes
		"internal/model":       {},
		"examples/client":      {ours: append([]string{"."}, below...), others: []string{"golang.org/x/oauth2"}},
		"examples/server":      {ours: append([]string{"."}, below...)},
		"cmd/holdfast": {free: true, ours: slices.Concat(below, adapters, []string{
			"internal/config", "internal/explain", "internal/demo", "internal/conformance", "internal/bench", "internal/benchplot"})},
	}
	for _, p := range specs {
		m[p] = rule{ours: slices.Concat(foundation, []string{"keys", "internal/jws"}), others: []string{"golang.org/x/crypto/"}}
	}
	m["issuer/store"] = rule{ours: []string{"replay", "internal/strictjson"},
		others: []string{"modernc.org/sqlite", "github.com/jackc/pgx/v5"}}
	m["internal/postgrestest"] = rule{others: []string{"github.com/jackc/pgx/v5"}}
	// Session tickets are CBOR.
	m["signedurl"] = rule{ours: append([]string{"keys", "httpsig"}, foundation...)} // a message signature in a URL
	m["popsession"] = rule{ours: slices.Concat(foundation, []string{"keys"}), others: []string{"github.com/fxamacker/cbor/v2"}}
	return m
}()

// listed is what `go list -json` says of a package.
type listed struct {
	ImportPath string
	Dir        string
	Imports    []string
	GoFiles    []string
}

func (p listed) short() string {
	if p.ImportPath == module {
		return "."
	}
	return strings.TrimPrefix(p.ImportPath, module+"/")
}

func list(t *testing.T) []listed {
	t.Helper()
	cmd := exec.Command("go", "list", "-json=ImportPath,Dir,Imports,GoFiles", module+"/...")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v\n%s", err, stderr.Bytes())
	}
	var pkgs []listed
	for dec := json.NewDecoder(bytes.NewReader(out)); ; {
		var p listed
		if err := dec.Decode(&p); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		pkgs = append(pkgs, p)
	}
	if len(pkgs) < len(specs) {
		t.Fatalf("go list found %d packages: the walk sees nothing", len(pkgs))
	}
	return pkgs
}

func TestArrows(t *testing.T) {
	for _, p := range list(t) {
		r, ok := rules[p.short()]
		if !ok {
			t.Errorf("%s has no rule in internal/arch: say what it may import", p.short())
			continue
		}
		for _, imp := range p.Imports {
			if !r.allows(imp) {
				t.Errorf("%s must not import %s", p.short(), imp)
			}
		}
	}
}

func (r rule) allows(imp string) bool {
	if imp == module {
		return slices.Contains(r.ours, ".")
	}
	if ours, ok := strings.CutPrefix(imp, module+"/"); ok {
		return slices.Contains(r.ours, ours)
	}
	first, _, _ := strings.Cut(imp, "/")
	if !strings.Contains(first, ".") || r.free {
		return imp != "unsafe"
	}
	return slices.ContainsFunc(r.others, func(prefix string) bool { return strings.HasPrefix(imp, prefix) })
}

// The walk itself must be able to fail.
func TestRuleRefuses(t *testing.T) {
	for _, tc := range []struct {
		name, pkg, imp string
		want           bool
	}{
		{"spec to standard library", "dpop", "crypto/sha256", true},
		{"spec to keys", "dpop", module + "/keys", true},
		{"spec to spec", "dpop", module + "/httpsig", false},
		{"spec to the front doors", "dpop", module, false},
		{"spec to another module", "dpop", "golang.org/x/oauth2", false},
		{"front doors to oauth2", ".", "golang.org/x/oauth2", true},
		{"issuer to the front doors", "issuer", module, false},
		{"issuer to gateway", "issuer", module + "/gateway", false},
		{"gateway to the front doors", "gateway", module, true},
		{"command to gateway", "cmd/holdfast", module + "/gateway", true},
		{"unsafe", "cmd/holdfast", "unsafe", false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if got := rules[tc.pkg].allows(tc.imp); got != tc.want {
				t.Errorf("%s imports %s: got allowed %t, want %t", tc.pkg, tc.imp, got, tc.want)
			}
		})
	}
}

// The bounds on what a reader must hold in mind.
const (
	maxLines    = 600
	maxExported = 40
)

func TestSize(t *testing.T) {
	for _, p := range list(t) {
		if slices.Contains([]string{"util", "utils", "common", "types", "helpers", "misc"}, path.Base(p.ImportPath)) {
			t.Errorf("%s: a package is named for what it provides", p.short())
		}
		exported := 0
		for _, name := range p.GoFiles {
			file := filepath.Join(p.Dir, name)
			src, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if n := bytes.Count(src, []byte("\n")); n > maxLines {
				t.Errorf("%s/%s has %d lines, more than %d", p.short(), name, n, maxLines)
			}
			exported += exportedNames(t, file, src)
		}
		t.Logf("%-22s %2d exported names", p.short(), exported)
		if exported > maxExported {
			t.Errorf("%s exports %d names, more than %d", p.short(), exported, maxExported)
		}
	}
}

// exportedNames counts types, functions and variables at the top level. Constants aren't counted (a closed list of
// reasons is one thing to a reader), nor are methods, which are found by their type.
func exportedNames(t *testing.T, file string, src []byte) int {
	t.Helper()
	f, err := parser.ParseFile(token.NewFileSet(), file, src, parser.SkipObjectResolution)
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, decl := range f.Decls {
		switch d := decl.(type) {
		case *ast.FuncDecl:
			if d.Recv == nil && d.Name.IsExported() {
				n++
			}
		case *ast.GenDecl:
			if d.Tok == token.TYPE || d.Tok == token.VAR {
				n += exportedSpecs(d.Specs)
			}
		}
	}
	return n
}

func exportedSpecs(specs []ast.Spec) int {
	n := 0
	for _, spec := range specs {
		switch s := spec.(type) {
		case *ast.TypeSpec:
			if s.Name.IsExported() {
				n++
			}
		case *ast.ValueSpec:
			for _, name := range s.Names {
				if name.IsExported() {
					n++
				}
			}
		}
	}
	return n
}
