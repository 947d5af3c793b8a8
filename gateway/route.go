package gateway

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/holdfast-project/holdfast"
)

// table holds the routes.
type table struct {
	hosts map[string][]*place // lower-case host, or "" for any → its places, longest path first
	own   map[string]bool     // lower-case path that the gateway answers itself → true
}

// place is the routes of one host and path.
type place struct {
	path    string
	folded  string            // path in lower case
	methods map[string]*route // method, or "" for all others → route
	allow   string            // for Allow
}

// route is a Route that was checked.
type route struct {
	Route
	pattern string
	h2c     bool
	origin  string       // of the upstream, as audience
	base    string       // path to put before the request's, without a slash at its end
	handler http.Handler // verifies, then proxies
}

// newTable checks the routes. lead makes the handler of each.
func newTable(routes []Route, lead func(*route) (http.Handler, error)) (table, error) {
	t := table{hosts: make(map[string][]*place)}
	if len(routes) == 0 {
		return t, errors.New("gateway: config: no routes")
	}
	for _, r := range routes {
		rt, err := newRoute(r)
		if err != nil {
			return t, err
		}
		if rt.handler, err = lead(rt); err != nil {
			return t, fmt.Errorf("gateway: route %s: %w", rt.pattern, err)
		}
		if err := t.add(rt); err != nil {
			return t, err
		}
	}
	for _, places := range t.hosts {
		slices.SortFunc(places, func(a, b *place) int { return len(b.path) - len(a.path) })
		for _, p := range places {
			p.allow = allowed(p.methods)
		}
	}
	return t, nil
}

func newRoute(r Route) (*route, error) {
	host := strings.ToLower(r.Host)
	rt := &route{Route: r, pattern: host + r.Path}
	rt.Host, rt.Methods = host, slices.Clone(r.Methods)
	switch {
	case strings.ContainsAny(host, "/?#@\\ ,\"%"):
		return nil, fmt.Errorf("gateway: route %s: host isn't a host with an optional port", rt.pattern)
	case !plainPath(r.Path):
		return nil, fmt.Errorf("gateway: route %s: path isn't plain: it starts with one slash, ends without, and has no escapes", rt.pattern)
	case r.StripPrefix != "" && (!plainPath(r.StripPrefix) || !below(r.Path, r.StripPrefix)):
		return nil, fmt.Errorf("gateway: route %s: StripPrefix %q isn't a prefix of the path, in whole segments", rt.pattern, r.StripPrefix)
	case r.Upstream == nil:
		return nil, fmt.Errorf("gateway: route %s: Upstream is required", rt.pattern)
	case slices.ContainsFunc(r.Methods, func(m string) bool { return m == "" || refusedMethod(m) }):
		return nil, fmt.Errorf("gateway: route %s: an empty method, TRACE or CONNECT can't be let through", rt.pattern)
	}
	if rt.StripPrefix == "/" {
		rt.StripPrefix = ""
	}
	return rt, rt.setUpstream(r.Upstream)
}

// setUpstream takes a copy of u apart.
func (rt *route) setUpstream(u *url.URL) error {
	rt.h2c = u.Scheme == "h2c"
	scheme := u.Scheme
	if rt.h2c {
		scheme = "http"
	}
	base := strings.TrimSuffix(u.EscapedPath(), "/")
	if (scheme != "http" && scheme != "https") || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" ||
		u.Opaque != "" || (base != "" && !strings.HasPrefix(base, "/")) || strings.HasPrefix(base, "//") {
		return fmt.Errorf("gateway: route %s: upstream isn't an http, https or h2c URL of host and path alone", rt.pattern)
	}
	rt.Upstream = &url.URL{Scheme: scheme, Host: u.Host}
	rt.origin, rt.base = rt.Upstream.String(), base
	return nil
}

// upstreamPath returns what becomes of a path that the route matches.
func (rt *route) upstreamPath(path string) (string, *holdfast.Refusal) {
	p := rt.base + strings.TrimPrefix(path, rt.StripPrefix)
	if p == "" {
		return "/", nil
	}
	if strings.HasPrefix(p, "//") {
		return "", refusePath("one slash after the prefix", "two")
	}
	return p, nil
}

// plainPath tells whether p reads the same to everybody.
func plainPath(p string) bool {
	read, refusal := lenient(p)
	return refusal == nil && read == strings.ToLower(p) && !strings.ContainsFunc(p, func(c rune) bool { return c <= ' ' || c > '~' })
}

// refusedMethod names methods that never pass: CONNECT is no request for a resource (RFC 9110, section 9.3.6), and
// the answer to TRACE shows the client what the gateway tells the upstream (section 9.3.8).
func refusedMethod(m string) bool { return m == http.MethodConnect || m == http.MethodTrace }

func (t *table) add(rt *route) error {
	i := slices.IndexFunc(t.hosts[rt.Host], func(p *place) bool { return strings.EqualFold(p.path, rt.Path) })
	if i < 0 {
		i = len(t.hosts[rt.Host])
		t.hosts[rt.Host] = append(t.hosts[rt.Host], &place{path: rt.Path, folded: strings.ToLower(rt.Path), methods: make(map[string]*route)})
	}
	p := t.hosts[rt.Host][i]
	if p.path != rt.Path {
		return fmt.Errorf("gateway: routes %s and %s%s differ in case only", rt.pattern, rt.Host, p.path)
	}
	methods := rt.Methods
	if len(methods) == 0 {
		methods = []string{""}
	}
	for _, m := range methods {
		if p.methods[m] != nil {
			return fmt.Errorf("gateway: route %s: method %q is there twice", rt.pattern, m)
		}
		p.methods[m] = rt
	}
	return nil
}

func allowed(methods map[string]*route) string {
	var names []string
	for m := range methods {
		names = append(names, m)
		if m == http.MethodGet && methods[http.MethodHead] == nil {
			names = append(names, http.MethodHead)
		}
	}
	slices.Sort(names)
	return strings.Join(names, ", ")
}

// find returns the route of a request, or why there is none.
func (t *table) find(host, path, method string) (*route, *holdfast.Refusal) {
	read, refusal := lenient(path)
	if refusal != nil {
		return nil, refusal
	}
	if t.own[read] {
		return nil, refusePath("one reading", "two, one of the gateway's own")
	}
	sent, folded := t.place(host, path, false), t.place(host, read, true)
	switch {
	case sent == nil && folded == nil:
		return nil, &holdfast.Refusal{Reason: ReasonRoute, Part: "path", Status: http.StatusNotFound}
	case sent != folded:
		return nil, refusePath("one reading", "two, of different routes")
	}
	rt := sent.methods[method]
	if rt == nil && method == http.MethodHead {
		rt = sent.methods[http.MethodGet]
	}
	if rt == nil {
		rt = sent.methods[""]
	}
	if rt == nil || refusedMethod(method) {
		refusal := &holdfast.Refusal{Reason: ReasonMethod, Part: "method", Expected: sent.allow, Status: http.StatusMethodNotAllowed}
		refusal.Header = http.Header{"Allow": {sent.allow}}
		return nil, refusal
	}
	return rt, nil
}

// place finds the longest path of the most specific host. With fold, routes' paths are taken in lower case.
func (t *table) place(host, path string, fold bool) *place {
	host = strings.ToLower(host)
	for _, h := range [...]string{host, bareHost(host), ""} {
		for _, p := range t.hosts[h] {
			prefix := p.path
			if fold {
				prefix = p.folded
			}
			if below(path, prefix) {
				return p
			}
		}
	}
	return nil
}

// bareHost takes the port and the root's dot off a host.
func bareHost(host string) string {
	if !strings.Contains(host, ":") {
		return strings.TrimSuffix(host, ".") // without asking net, whose error would be allocated
	}
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	return strings.TrimSuffix(host, ".")
}
