package holdfast

import (
	"net/http"
	"net/netip"
	"strings"
)

// originKey names whom a Transport talks to. The dialled host is what TLS authenticates, the authority what the Host
// field says; what one pair teaches is never used for another.
type originKey struct {
	scheme, dialled, authority string
}

// clientTarget is where a request goes, as net/http will put it on the wire.
type clientTarget struct {
	origin  originKey
	uri     string // the absolute URI, raw, without fragment
	special string // the request target, where it isn't in origin form
}

// clientTargetOf works out r's target. The authority is in its normal form (RFC 9110, section 4.2.3), which the
// Transport sends as well, so that both ends see the same text.
func clientTargetOf(r *http.Request) (clientTarget, error) {
	if r.URL == nil {
		return clientTarget{}, targetError("no URL")
	}
	scheme := strings.ToLower(r.URL.Scheme)
	if scheme != "https" && scheme != "http" {
		return clientTarget{}, targetError("the scheme isn't https or http")
	}
	if r.Method == http.MethodConnect {
		return clientTarget{}, targetError("CONNECT has no target URI")
	}
	host := r.Host
	if host == "" {
		host = r.URL.Host
	}
	authority, err := clientAuthority(scheme, host)
	if err != nil {
		return clientTarget{}, err
	}
	t := clientTarget{origin: originKey{scheme, trimDefaultPort(scheme, strings.ToLower(r.URL.Host)), authority}}
	path, special, err := clientRequestTarget(r, scheme, authority)
	if err != nil {
		return clientTarget{}, err
	}
	t.uri, t.special = scheme+"://"+authority+path, special
	return t, nil
}

// clientRequestTarget returns path and query as net/http sends them, and the whole request target where it isn't in
// origin form (RFC 9112, section 3.2).
func clientRequestTarget(r *http.Request, scheme, authority string) (path, special string, err error) {
	sent := r.URL.RequestURI()
	if strings.HasPrefix(sent, "/") {
		return sent, "", nil
	}
	if sent == "*" && r.Method == http.MethodOptions {
		return "", sent, nil
	}
	// An opaque URL "//host/path" is sent in absolute form. It may not name another host than the Host field does.
	_, rest, ok := strings.Cut(sent, "://")
	if !ok || !strings.HasPrefix(r.URL.Opaque, "//") {
		return "", "", targetError("the path doesn't begin with a slash")
	}
	end := strings.IndexAny(rest, "/?")
	if end < 0 {
		end = len(rest)
	}
	if named, err := clientAuthority(scheme, rest[:end]); err != nil || named != authority {
		return "", "", targetError("the opaque URL names another host than the request")
	}
	return rest[end:], sent, nil
}

// clientAuthority returns host in lower case, without zone, default port or empty port.
func clientAuthority(scheme, host string) (string, error) {
	for i := range len(host) {
		if host[i] >= 0x80 {
			return "", targetError("the host isn't ASCII: write it in its xn-- form")
		}
	}
	// net/http leaves out the zone of an IPv6 address: it means nothing to the peer.
	if from := strings.IndexByte(host, '%'); from >= 0 && host[0] == '[' {
		if to := strings.IndexByte(host[from:], ']'); to >= 0 {
			host = host[:from] + host[from+to:]
		}
	}
	// Of a host with other bytes, net/http sends nothing at all.
	host = trimDefaultPort(scheme, strings.ToLower(host))
	if host == "" || host[0] == ':' || strings.ContainsFunc(host, func(c rune) bool { return !isHostRune(c) }) {
		return "", targetError("no usable host")
	}
	return host, nil
}

// isHostRune tells whether c may be in a host with a port (RFC 3986, section 3.2.2), percent-encoding aside.
func isHostRune(c rune) bool {
	switch {
	case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9':
		return true
	}
	return strings.ContainsRune("-._~:[]!$&'()*+;=", c)
}

func trimDefaultPort(scheme, host string) string {
	host = strings.TrimSuffix(host, ":")
	if scheme == "https" {
		return strings.TrimSuffix(host, ":443")
	}
	return strings.TrimSuffix(host, ":80")
}

// authentic tells whether an answer from k is k's own word: by TLS, or because it never left this machine.
func (k originKey) authentic() bool {
	if k.scheme == "https" {
		return true
	}
	host := k.dialled
	if port := strings.LastIndexByte(host, ':'); port > strings.LastIndexByte(host, ']') {
		host = host[:port]
	}
	if host == "localhost" {
		return true
	}
	addr, err := netip.ParseAddr(strings.Trim(host, "[]"))
	return err == nil && addr.IsLoopback()
}

func targetError(detail string) error {
	return &TransportError{Reason: TransportTargetUnusable, Detail: detail}
}
