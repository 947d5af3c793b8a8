package interop

import (
	"cmp"
	"net/http"
	"testing"

	"github.com/holdfast-project/holdfast/httpsig"
)

// components are covered alone, so that nothing else refuses a change of what they cover.
var components = []struct {
	id   string
	make func(s *signed) // changes what the component covers
}{
	{`"@method"`, func(s *signed) { s.Message.Method = http.MethodPut }},
	{`"@target-uri"`, func(s *signed) { s.replaceURL("limit=10", "limit=11") }},
	{`"@authority"`, func(s *signed) { s.Message.URL = "http://api.example" + afterOrigin(s) }},
	{`"@scheme"`, func(s *signed) { s.replaceURL("http:", "https:") }},
	{`"@request-target"`, func(s *signed) { s.replaceURL("/orders/7", "/orders/8") }},
	{`"@path"`, func(s *signed) { s.replaceURL("/orders/7", "/orders/8") }},
	{`"@query"`, func(s *signed) { s.replaceURL("limit=10", "limit=11") }},
	{`"@query-param";name="account"`, func(s *signed) { s.replaceURL("account=a%2Fb", "account=a%2Fc") }},
	{`"x-order"`, func(s *signed) { s.Message.Header.Set("X-Order", "a, b") }},
	{`"x-order";bs`, func(s *signed) { s.Message.Header["X-Order"] = []string{"a, b, c"} }},
	{`"x-dict";sf`, func(s *signed) { s.Message.Header.Set("X-Dict", "a=1, b=3;x=1, c=(a b)") }},
	{`"x-dict";key="b"`, func(s *signed) { s.Message.Header.Set("X-Dict", "a=1, b=3;x=1, c=(a b)") }},
	{`"x-dict";key="c"`, func(s *signed) { s.Message.Header.Set("X-Dict", "a=1, b=2;x=1, c=(a)") }},
}

// componentOrder covers id alone. X-Dict isn't in its canonical form.
func componentOrder(key *signingKey, origin, id string) order {
	return order{Name: id, Key: key, Components: []string{id}, Message: message{
		Method: http.MethodGet, URL: origin + "/orders/7?account=a%2Fb&limit=10",
		Header: http.Header{"X-Order": {"a", "b, c"}, "X-Dict": {"a=1,   b=2;x=1", "c=( a  b )"}},
	}}
}

func TestComponents(t *testing.T) {
	for name, peer := range signaturePeers {
		t.Run(name, func(t *testing.T) {
			theirs, ours := newRecorder(t), newRecorder(t)
			key := newSigningKey(t, httpsig.Ed25519)
			var orders []order
			var requests []signed // for each component, as we sent it and changed
			for _, c := range components {
				orders = append(orders, componentOrder(key, theirs.origin, c.id))
				o := componentOrder(key, ours.origin, c.id)
				if err := o.send(t.Context()); err != nil {
					t.Fatalf("%s: %v", c.id, err)
				}
				s := signed{Key: key, Message: ours.take(t, c.id), Components: o.Components}
				requests = append(requests, s, change{name: c.id, make: c.make}.altered(t, s))
			}
			peer.send(t, orders)
			verdicts := peer.verify(t, requests)
			for i, c := range components {
				t.Run(c.id, func(t *testing.T) {
					if err := verdicts[2*i]; err != nil {
						t.Errorf("ours, as sent: the peer refuses: %v\n%v", err, requests[2*i].Message)
					}
					if verdicts[2*i+1] == nil {
						t.Error("ours, changed: the peer verifies")
					}
					s := signed{Key: key, Message: theirs.take(t, c.id), Components: []string{c.id}}
					if err := s.verify(t.Context()); err != nil {
						t.Errorf("theirs, as sent: %v\n%v", err, s.Message)
					}
					if err := (change{name: c.id, make: c.make}).altered(t, s).verify(t.Context()); err == nil {
						t.Error("theirs, changed: verified")
					}
				})
			}
		})
	}
}

// disagreements are requests that a peer reads in another way than we do. docs/interop.md says who is right and why. A
// peer that comes to agree fails the test, so that the page stays true.
var disagreements = []struct {
	name, peer string
	alg        httpsig.Algorithm // if empty, Ed25519
	component  string
	target     string // if empty, "/"
	field      string // the value of X-Dict and X-List
	// theyRefuse and weRefuse to sign this at all.
	theyRefuse, weRefuse bool
	// theyVerify what we sign, though we refuse what they sign.
	theyVerify bool
}{
	{name: "salt of RSA-PSS", peer: "http-message-signatures", alg: httpsig.RSAPSSSHA512, component: `"@method"`, theyVerify: true},
	{name: "repeated query parameter", peer: "http-message-signatures", component: `"@query-param";name="q"`, target: "/?q=1&q=2", weRefuse: true},
	{name: "dictionary that looks like a list", peer: "http-message-signatures", component: `"x-dict";key="b"`, field: "a, b", theyRefuse: true},
	{name: "repeated query parameter", peer: "yaronf/httpsign", component: `"@query-param";name="q"`, target: "/?q=1&q=2", weRefuse: true},
	{name: "apostrophe in a query parameter", peer: "http-message-signatures", component: `"@query-param";name="q"`, target: "/?q=it's"},
	{name: "tilde in a query parameter", peer: "yaronf/httpsign", component: `"@query-param";name="q"`, target: "/?q=a~b"},
	{name: "asterisk in a query parameter", peer: "yaronf/httpsign", component: `"@query-param";name="q"`, target: "/?q=a*b"},
	{name: "encoded slash in a request target", peer: "yaronf/httpsign", component: `"@request-target"`, target: "/a%2Fb"},
	{name: "list that is no dictionary", peer: "yaronf/httpsign", component: `"x-list";sf`, field: `"a",   "b"`, theyRefuse: true},
}

func TestDisagreements(t *testing.T) {
	for _, tc := range disagreements {
		t.Run(tc.peer+"/"+tc.name, func(t *testing.T) {
			rec, peer := newRecorder(t), signaturePeers[tc.peer]
			key := newSigningKey(t, cmp.Or(tc.alg, httpsig.Ed25519))
			o := order{Name: "theirs", Key: key, Components: []string{tc.component}, Message: message{
				Method: http.MethodGet, URL: rec.origin + cmp.Or(tc.target, "/"),
				Header: http.Header{"X-Dict": {tc.field}, "X-List": {tc.field}},
			}}
			if !tc.theyRefuse {
				peer.send(t, []order{o})
				s := signed{Key: key, Message: rec.take(t, "theirs"), Components: o.Components}
				if err := s.verify(t.Context()); err == nil {
					t.Error("what the peer signs verifies here: they agree now")
				}
			}
			o.Name = "ours"
			err := o.send(t.Context())
			if refused := err != nil; refused != tc.weRefuse {
				t.Fatalf("we refuse to sign: got %v, want %t", err, tc.weRefuse)
			}
			if tc.weRefuse {
				return
			}
			s := signed{Key: key, Message: rec.take(t, "ours"), Components: o.Components}
			err = peer.verify(t, []signed{s})[0]
			if verified := err == nil; verified != tc.theyVerify {
				t.Errorf("what we sign verifies at the peer: got %v, want %t", err, tc.theyVerify)
			}
		})
	}
}
