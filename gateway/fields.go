package gateway

import (
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/holdfast-project/holdfast"
)

// Servers that turn fields into variables (CGI and its descendants) make one name of X-User, X_User and X.User. So a
// field whose name has other bytes than letters, digits and hyphens ends here, as it does at nginx: it could stand in for
// one that a proof covers, or for one of the gateway's own. Names below are canonical (http.CanonicalHeaderKey).

// dropped are fields that no client may send to an upstream, on any route.
var dropped = []string{
	"Forwarded", "X-Real-Ip", "X-Client-Ip", "True-Client-Ip", "X-Cluster-Client-Ip", "X-Host", // who and where
	"Client-Cert", "Client-Cert-Chain", "X-Client-Cert", "X-Arr-Clientcert", "Remote-User", // as whom
	"X-Http-Method", "X-Http-Method-Override", "X-Method-Override", // another method than was verified
	"Proxy", // the variable HTTP_PROXY of CGI programs
}

var droppedPrefixes = []string{
	"X-Forwarded-", "X-Original-", "X-Rewrite-", "X-Envoy-", "X-Remote-", "Ssl-Client-", "X-Ssl-", "X-Amzn-Mtls-",
}

// proofs are fields that were checked here and end here.
var proofs = []string{"Authorization", "Dpop", "Signature", "Signature-Input", "Signature-Key"}

var proofPrefixes = []string{"Pop-"}

// connectionOptions are what Connection may name. A client that has others removed could take away fields that its
// proof covers, after they were verified.
var connectionOptions = map[string]bool{
	"close": true, "keep-alive": true, "upgrade": true, "te": true, "trailer": true, "transfer-encoding": true,
	"proxy-connection": true, "http2-settings": true,
}

// fieldRules say which of a client's fields end here.
type fieldRules struct {
	names         map[string]ending // canonical name → where it ends
	prefixes      []string          // canonical, of names that always end here
	proofPrefixes []string          // canonical, of names that end here on routes with a proof
	first         [256]bool         // octet → some prefix begins with it; most names then need no look at the prefixes
}

// ending says on which routes a field ends here.
type ending int

const (
	passesOn       ending = iota
	endsAlways            // on all
	endsWhenProved        // on those with a proof
)

func newFieldRules(identityHeader, plainPrefix string) (fieldRules, error) {
	for _, name := range []string{identityHeader, plainPrefix} {
		if !plainName(name) {
			return fieldRules{}, fmt.Errorf("gateway: config: %q isn't a field name of letters, digits and hyphens", name)
		}
	}
	f := fieldRules{
		names:    make(map[string]ending),
		prefixes: append([]string{http.CanonicalHeaderKey(plainPrefix)}, droppedPrefixes...), proofPrefixes: proofPrefixes,
	}
	for _, n := range proofs {
		f.names[n] = endsWhenProved
	}
	for _, n := range append([]string{http.CanonicalHeaderKey(identityHeader)}, dropped...) {
		f.names[n] = endsAlways
	}
	for _, p := range slices.Concat(f.prefixes, f.proofPrefixes) {
		f.first[p[0]] = true
	}
	return f, nil
}

// clean removes what a client may not send on.
func (f *fieldRules) clean(h http.Header, proved bool) {
	for name := range h {
		if f.ends(name, proved) {
			delete(h, name)
		}
	}
}

// ends tells whether a field of this name ends here. It runs for each field of each request: about 30 ns.
func (f *fieldRules) ends(name string, proved bool) bool {
	if !plainName(name) {
		return true
	}
	n := http.CanonicalHeaderKey(name)
	switch f.names[n] {
	case endsAlways:
		return true
	case endsWhenProved:
		return proved
	}
	return f.first[n[0]] && (hasPrefix(n, f.prefixes) || proved && hasPrefix(n, f.proofPrefixes))
}

func plainName(name string) bool {
	for i := range len(name) {
		if c := name[i]; (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && c != '-' {
			return false
		}
	}
	return name != ""
}

func hasPrefix(s string, prefixes []string) bool {
	for _, p := range prefixes {
		if strings.HasPrefix(s, p) {
			return true
		}
	}
	return false
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
