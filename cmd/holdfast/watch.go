package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"

	"github.com/holdfast-project/holdfast"
	"github.com/holdfast-project/holdfast/internal/explain"
	"github.com/holdfast-project/holdfast/signedurl"
)

// watcher shows what a Transport does. What it prints can't be replayed: credentials, proofs and signatures are named by
// the start of their hash. A nil watcher shows nothing.
type watcher struct {
	w io.Writer
}

// trace is a Transport's Trace.
func (o *watcher) trace(what string) func(*holdfast.Attempt) {
	if o == nil {
		return nil
	}
	n := 0
	return func(a *holdfast.Attempt) {
		n++
		head := fmt.Sprintf("* %s, attempt %d", what, n)
		if a.Because != "" {
			head += ", because: " + a.Because
		}
		fmt.Fprintln(o.w, head)
		hide := secretsOf(a.Request.Header)
		switch {
		case len(a.Base) == 0:
		case a.Scheme == holdfast.SchemeDPoP:
			o.block("DPoP proof claims", indentJSON(a.Base), hide)
		default:
			o.block("signature base", string(a.Base), hide)
		}
		if len(a.Beside) > 0 {
			o.block("signature base beside the proof", string(a.Beside), hide)
		}
	}
}

func (o *watcher) block(name, text string, hide []hidden) {
	fmt.Fprintf(o.w, "* %s:\n", name)
	for line := range strings.Lines(text) {
		fmt.Fprintf(o.w, "|   %s\n", replace(strings.TrimSuffix(line, "\n"), hide))
	}
}

// around shows the requests and answers of next.
func (o *watcher) around(next http.RoundTripper, what string) http.RoundTripper {
	if o == nil {
		return next
	}
	return roundTripper(func(r *http.Request) (*http.Response, error) {
		fmt.Fprintf(o.w, "> %s %s HTTP/1.1\n> Host: %s\n", r.Method, signedurl.Redact(r.URL.RequestURI()), r.Host)
		o.header(">", r.Header, secretsOf(r.Header))
		resp, err := next.RoundTrip(r)
		if err != nil {
			fmt.Fprintf(o.w, "* %s failed\n", what)
			return nil, err
		}
		fmt.Fprintf(o.w, "< %s %s\n", resp.Proto, resp.Status)
		o.header("<", resp.Header, secretsOf(resp.Header))
		return resp, nil
	})
}

type roundTripper func(*http.Request) (*http.Response, error)

// RoundTrip implements http.RoundTripper.
func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func (o *watcher) header(mark string, h http.Header, hide []hidden) {
	for _, name := range slices.Sorted(maps.Keys(h)) {
		for _, v := range h[name] {
			fmt.Fprintf(o.w, "%s %s: %s\n", mark, name, replace(v, hide))
		}
	}
}

// hidden is a text that isn't shown, and what is shown instead.
type hidden struct {
	text, instead string
}

// secretsOf lists what must not be shown of a header: whoever has it could send the request once more.
func secretsOf(h http.Header) []hidden {
	var out []hidden
	hide := func(kind, text string) {
		if text == "" {
			return
		}
		sum := sha256.Sum256([]byte(text))
		out = append(out, hidden{text, fmt.Sprintf("[%s sha256:%s…]", kind, hex.EncodeToString(sum[:4]))})
	}
	for _, v := range h["Authorization"] {
		scheme, rest, _ := strings.Cut(v, " ")
		if strings.EqualFold(scheme, "Basic") {
			out = append(out, hidden{rest, "[secret]"}) // a person's password could be found from its hash
		} else {
			hide("token", rest)
		}
	}
	for _, v := range h["Dpop"] {
		hide("proof", v)
	}
	for _, v := range h["Signature"] {
		_, value, _ := strings.Cut(v, "=")
		hide("signature", value)
	}
	for _, name := range []string{"Cookie", "Set-Cookie", "Proxy-Authorization"} {
		for _, v := range h[name] {
			out = append(out, hidden{v, "[hidden]"})
		}
	}
	return out
}

func replace(s string, hide []hidden) string {
	for _, h := range hide {
		s = strings.ReplaceAll(s, h.text, h.instead)
	}
	if strings.Contains(s, "?") { // a URL may be signed
		s = signedurl.Redact(s)
	}
	return explain.Visible(s)
}

func indentJSON(b []byte) string {
	var buf bytes.Buffer
	if json.Indent(&buf, b, "", "  ") != nil {
		return string(b)
	}
	return buf.String()
}
