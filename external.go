package holdfast

import (
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"

	"github.com/holdfast-project/holdfast/signedurl"
)

// External says how a server learns the URL that its clients call: from a fixed Origin, or from each connection, whose
// host must then be one of Hosts. A host that isn't checked would let requests through that were signed for another
// server and relayed here.
type External struct {
	// Origin is the fixed external origin, "https://api.example", with the path prefix, if any, that a gateway strips:
	// the external URL is Origin followed by the raw request target. If set, nothing that a request says counts.
	Origin string
	// Hosts are the names that this server answers to, with a port where it isn't the scheme's default. Scheme and host
	// then come from the connection and its Host field, or from a trusted peer's fields.
	Hosts []string
	// TrustedPeers may say in X-Forwarded-Proto and X-Forwarded-Host, or in Forwarded (RFC 7239), what the client called.
	// From any other peer these fields mean nothing.
	TrustedPeers []netip.Prefix
}

// external is an External that was checked.
type external struct {
	origin  string
	hosts   []string
	trusted []netip.Prefix
}

func newExternal(e External) (external, error) {
	if (e.Origin == "") == (len(e.Hosts) == 0) {
		return external{}, errors.New("holdfast: external: exactly one of Origin and Hosts is needed")
	}
	if e.Origin == "" {
		out := external{trusted: slices.Clone(e.TrustedPeers)}
		for _, h := range e.Hosts {
			if !validHost(h) {
				return external{}, fmt.Errorf("holdfast: external: host %q isn't a host with an optional port", h)
			}
			out.hosts = append(out.hosts, strings.ToLower(h))
		}
		return out, nil
	}
	if len(e.TrustedPeers) > 0 {
		return external{}, errors.New("holdfast: external: TrustedPeers have no say when Origin is fixed")
	}
	u, err := url.Parse(e.Origin)
	if err != nil || (u.Scheme != "https" && u.Scheme != "http") || !validHost(u.Host) || u.User != nil ||
		strings.ContainsAny(e.Origin, "?#") {
		return external{}, fmt.Errorf("holdfast: external: origin %q isn't an http or https URL without query and fragment", e.Origin)
	}
	return external{origin: strings.TrimSuffix(e.Origin, "/")}, nil
}

// target returns r's external URI, raw as sent, and the request target if it wasn't in origin form.
func (e *external) target(r *http.Request) (uri, special string, err error) {
	path, special, err := requestTarget(r)
	if err != nil {
		return "", "", err
	}
	if e.origin != "" {
		return e.origin + path, special, nil
	}
	scheme, host := "http", r.Host
	if r.TLS != nil {
		scheme = "https"
	}
	if e.trusts(r.RemoteAddr) {
		if scheme, host, err = forwarded(r.Header, scheme, host); err != nil {
			return "", "", err
		}
	}
	if !e.answersTo(scheme, host) {
		return "", "", &Refusal{Reason: ReasonURL, Part: "host", Expected: strings.Join(e.hosts, " "), Got: clip(host)}
	}
	return scheme + "://" + host + path, special, nil
}

// requestTarget returns path and query as sent (RFC 9112, section 3.2), and the whole target where it was in another
// form. It reads RequestURI, the only place where net/http keeps the bytes of the wire.
func requestTarget(r *http.Request) (path, special string, err error) {
	t := r.RequestURI
	switch {
	case strings.HasPrefix(t, "/"):
		return t, "", nil
	case t == "*" && r.Method == http.MethodOptions:
		return "", t, nil
	case strings.HasPrefix(t, "http://"), strings.HasPrefix(t, "https://"):
		_, rest, _ := strings.Cut(t, "://")
		i := strings.IndexAny(rest, "/?")
		if i < 0 {
			return "", t, nil
		}
		return rest[i:], t, nil
	}
	return "", "", &Refusal{Reason: ReasonURL, Section: "RFC 9112, section 3.2", Part: "request target", Expected: "origin form", Got: clip(signedurl.Redact(t))}
}

func (e *external) trusts(remote string) bool {
	if len(e.trusted) == 0 {
		return false
	}
	ap, err := netip.ParseAddrPort(remote)
	if err != nil {
		return false
	}
	addr := ap.Addr().Unmap()
	return slices.ContainsFunc(e.trusted, func(p netip.Prefix) bool { return p.Contains(addr) })
}

func (e *external) answersTo(scheme, host string) bool {
	host = strings.ToLower(host)
	if slices.Contains(e.hosts, host) {
		return true
	}
	if scheme == "https" {
		host = strings.TrimSuffix(host, ":443")
	} else {
		host = strings.TrimSuffix(host, ":80")
	}
	return slices.Contains(e.hosts, host)
}

// forwarded applies what a trusted peer says. Several values are refused, not chosen from: which of them is the
// client's own is known to nobody.
func forwarded(h http.Header, scheme, host string) (string, string, error) {
	proto, err := single(h, "X-Forwarded-Proto")
	if err != nil {
		return "", "", err
	}
	name, err := single(h, "X-Forwarded-Host")
	if err != nil {
		return "", "", err
	}
	if line, err := single(h, "Forwarded"); err != nil {
		return "", "", err
	} else if line != "" {
		p, n := forwardedPairs(line)
		if (proto != "" && p != "" && !strings.EqualFold(p, proto)) || (name != "" && n != "" && !strings.EqualFold(n, name)) {
			return "", "", &Refusal{Reason: ReasonURL, Section: "RFC 7239, section 4", Part: "Forwarded", Expected: "what X-Forwarded-* says", Got: clip(line)}
		}
		proto, name = firstOf(proto, p), firstOf(name, n)
	}
	scheme = strings.ToLower(firstOf(proto, scheme))
	host = firstOf(name, host)
	if scheme != "http" && scheme != "https" {
		return "", "", &Refusal{Reason: ReasonURL, Part: "X-Forwarded-Proto", Expected: "http or https", Got: clip(scheme)}
	}
	return scheme, host, nil
}

// single returns the one value of a field, or "".
func single(h http.Header, field string) (string, error) {
	lines := h.Values(field)
	if len(lines) == 0 {
		return "", nil
	}
	if len(lines) > 1 || strings.Contains(lines[0], ",") {
		return "", &Refusal{Reason: ReasonURL, Part: field, Expected: "one value", Got: clip(strings.Join(lines, ", "))}
	}
	return strings.TrimSpace(lines[0]), nil
}

// forwardedPairs reads proto and host of one Forwarded element (RFC 7239, section 4).
func forwardedPairs(element string) (proto, host string) {
	for pair := range strings.SplitSeq(element, ";") {
		name, value, _ := strings.Cut(strings.TrimSpace(pair), "=")
		value = strings.Trim(value, `"`)
		switch strings.ToLower(name) {
		case "proto":
			proto = value
		case "host":
			host = value
		}
	}
	return proto, host
}

func firstOf(a, b string) string {
	if a != "" {
		return a
	}
	return b
}

// validHost tells whether h is a host with an optional port, and nothing that could change how a URL is read.
func validHost(h string) bool {
	return h != "" && !strings.ContainsAny(h, "/?#@\\ \t\r\n,\"%")
}

// clip shortens what a peer sent for a log line.
func clip(s string) string {
	const most = 200
	if len(s) <= most {
		return s
	}
	return s[:most] + "…"
}
