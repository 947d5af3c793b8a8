package issuer

import (
	"errors"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strings"
)

// maxForm bounds a request body: an assertion and a proof take a few KiB each.
const maxForm = 64 << 10

// form is the body of a request to an endpoint.
type form struct {
	body   []byte            // as received, for its digest
	values map[string]string // parameter → value; parameters without a value are left out
}

// get returns a parameter's value, or "".
func (f form) get(name string) string { return f.values[name] }

// readForm reads the parameters of r (RFC 6749, section 3.2).
func readForm(w http.ResponseWriter, r *http.Request) (form, error) {
	const section = "RFC 6749, section 3.2"
	if r.Method != http.MethodPost {
		return form{}, &Error{Reason: MethodRefused, Section: section, Expected: http.MethodPost}
	}
	// Secrets in a URL end up in logs, and nothing that we serve takes a query.
	if r.URL.RawQuery != "" {
		return form{}, &Error{Reason: FormRefused, Section: section, Part: "query"}
	}
	if !isForm(r.Header) {
		return form{}, &Error{Reason: FormRefused, Section: section, Part: "Content-Type"}
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxForm))
	if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return form{}, &Error{Reason: FormTooLarge, Expected: "at most 64 KiB"}
	}
	if err != nil {
		return form{}, &Error{Reason: FormRefused, Section: section, Part: "body", Err: err}
	}
	values, err := parseForm(string(body))
	return form{body, values}, err
}

// isForm tells whether the fields announce a form as it is, not coded in a further way.
func isForm(h http.Header) bool {
	types := h.Values("Content-Type")
	if len(types) != 1 || len(h.Values("Content-Encoding")) != 0 {
		return false
	}
	name, params, err := mime.ParseMediaType(types[0])
	charset, ok := params["charset"]
	return err == nil && name == "application/x-www-form-urlencoded" && (!ok || strings.EqualFold(charset, "utf-8"))
}

// parseForm reads parameters, each at most once (RFC 6749, section 3.2). One without a value counts as absent, as the
// RFC has it, but is still there to be repeated.
func parseForm(body string) (map[string]string, error) {
	const section = "RFC 6749, section 3.2"
	query, err := url.ParseQuery(body)
	if err != nil {
		// The error quotes the body, which may hold a secret.
		return nil, &Error{Reason: FormRefused, Section: section, Part: "body"}
	}
	values := make(map[string]string, len(query))
	several := false
	for name, all := range query {
		if len(all) != 1 && name == "resource" {
			several = true
			continue
		}
		if len(all) != 1 {
			return nil, &Error{Reason: FormRefused, Section: section, Part: "repeated parameter"}
		}
		if all[0] != "" {
			values[name] = all[0]
		}
	}
	// The one parameter that may be repeated: not malformed, but more than a token of ours is for.
	if several {
		return nil, &Error{Reason: TargetRefused, Section: "RFC 8707, section 2", Part: "resource", Expected: "one"}
	}
	return values, nil
}
