package gateway

import (
	"fmt"
	"net/http"
	"strings"

	"github.com/holdfast-project/holdfast"
)

// Names are compared folded: in lower case, with every byte that isn't a letter or digit as a hyphen. Servers that turn
// fields into variables (CGI and its descendants) make one name of X-User, X_User and X.User.

// dropped are fields that no client may send to an upstream, on any route.
var dropped = []string{
	"forwarded", "x-real-ip", "x-client-ip", "true-client-ip", "x-cluster-client-ip", "x-host", // who and where
	"client-cert", "client-cert-chain", "x-client-cert", "x-arr-clientcert", "remote-user", // as whom
	"x-http-method", "x-http-method-override", "x-method-override", // another method than was verified
	"proxy", // the variable HTTP_PROXY of CGI programs
}

var droppedPrefixes = []string{
	"x-forwarded-", "x-original-", "x-rewrite-", "x-envoy-", "x-remote-", "ssl-client-", "x-ssl-", "x-amzn-mtls-",
}

// proofs are fields that were checked here and end here.
var proofs = []string{"authorization", "dpop", "signature", "signature-input", "signature-key"}

var proofPrefixes = []string{"pop-"}

// connectionOptions are what Connection may name. A client that has others removed could take away fields that its
// proof covers, after they were verified.
var connectionOptions = map[string]bool{
	"close": true, "keep-alive": true, "upgrade": true, "te": true, "trailer": true, "transfer-encoding": true,
	"proxy-connection": true, "http2-settings": true,
}

// fieldRules say which of a client's fields end here.
type fieldRules struct {
	always, proofs                 map[string]bool // folded name → true
	alwaysPrefixes, proofsPrefixes []string        // folded
}

func newFieldRules(identityHeader, plainPrefix string) (fieldRules, error) {
	for _, name := range []string{identityHeader, plainPrefix} {
		if n := fold(name); n == "" || strings.ContainsFunc(name, func(c rune) bool { return c >= 0x80 || c != '-' && fold(string(c)) == "-" }) {
			return fieldRules{}, fmt.Errorf("gateway: config: %q isn't a field name of letters, digits and hyphens", name)
		}
	}
	f := fieldRules{
		always: make(map[string]bool), proofs: make(map[string]bool),
		alwaysPrefixes: append([]string{fold(plainPrefix)}, droppedPrefixes...), proofsPrefixes: proofPrefixes,
	}
	for _, n := range dropped {
		f.always[n] = true
	}
	for _, n := range proofs {
		f.proofs[n] = true
	}
	f.always[fold(identityHeader)] = true
	return f, nil
}

// clean removes what a client may not send on.
func (f *fieldRules) clean(h http.Header, proofsToo bool) {
	for name := range h {
		n := fold(name)
		if f.always[n] || hasPrefix(n, f.alwaysPrefixes) || proofsToo && (f.proofs[n] || hasPrefix(n, f.proofsPrefixes)) {
			delete(h, name)
		}
	}
}

func hasPrefix(s string, prefixes []string) bool {
	for _, p := range prefixes {
		if strings.HasPrefix(s, p) {
			return true
		}
	}
	return false
}

func fold(name string) string {
	return strings.Map(func(c rune) rune {
		switch {
		case 'a' <= c && c <= 'z', '0' <= c && c <= '9':
			return c
		case 'A' <= c && c <= 'Z':
			return c + 'a' - 'A'
		}
		return '-'
	}, name)
}

// checkConnection refuses connection options that aren't any (RFC 9110, section 7.6.1).
func checkConnection(h http.Header) *holdfast.Refusal {
	for _, line := range h["Connection"] {
		for option := range strings.SplitSeq(line, ",") {
			option = strings.ToLower(strings.TrimSpace(option))
			if option != "" && !connectionOptions[option] {
				return &holdfast.Refusal{Reason: ReasonConnection, Section: "RFC 9110, section 7.6.1", Part: "Connection",
					Expected: "connection options", Got: "another field", Status: http.StatusBadRequest}
			}
		}
	}
	return nil
}

// tell writes who called in plain fields.
func tell(h http.Header, prefix string, v *holdfast.Verdict) {
	set := func(name, value string) {
		if value != "" {
			h.Set(prefix+name, value)
		}
	}
	set("Subject", visible(v.Token.Subject))
	set("Client", visible(v.Token.ClientID))
	set("Issuer", visible(v.Token.Issuer))
	scopes := make([]string, len(v.Token.Scope))
	for i, s := range v.Token.Scope {
		scopes[i] = visible(s)
	}
	set("Scope", strings.Join(scopes, " "))
	set("Scheme", string(v.Scheme))
	if v.Scheme != holdfast.SchemeBearer {
		set("Key", v.Key.String())
	}
	set("Covered", strings.Join(v.Covered, " "))
	if v.BodyCovered {
		set("Body", "covered")
	}
}

// visible percent-encodes what isn't visible ASCII, and the percent sign, so that no value can end a field or be
// taken for another one.
func visible(s string) string {
	const hex = "0123456789ABCDEF"
	if !strings.ContainsFunc(s, func(c rune) bool { return c <= ' ' || c > '~' || c == '%' }) {
		return s
	}
	var b strings.Builder
	for i := range len(s) {
		if c := s[i]; c <= ' ' || c > '~' || c == '%' {
			b.WriteByte('%')
			b.WriteByte(hex[c>>4])
			b.WriteByte(hex[c&15])
			continue
		}
		b.WriteByte(s[i])
	}
	return b.String()
}
