package interop

import (
	"errors"
	"net/http"
	"reflect"
	"strings"
	"testing"

	"github.com/holdfast-project/holdfast/contentdigest"
	"github.com/holdfast-project/holdfast/httpsig"
)

var signaturePeers = map[string]signaturePeer{"http-message-signatures": npmPeer{}, "yaronf/httpsign": goPeer{}}

var algorithms = []httpsig.Algorithm{
	httpsig.ECDSAP256SHA256, httpsig.ECDSAP384SHA384, httpsig.Ed25519, httpsig.RSAPSSSHA512, httpsig.RSAv15SHA256, httpsig.HMACSHA256,
}

// covered is what the requests of TestAlgorithms cover; no two of these depend on the same part of the message.
var covered = []string{`"@method"`, `"@authority"`, `"@path"`, `"@query"`, `"x-order"`}

// change is one thing that somebody on the way changes.
type change struct {
	name string
	body bool // only where there is a body
	make func(s *signed)
	want string // our reason
}

var changes = []change{
	{"method", false, func(s *signed) { s.Message.Method = http.MethodDelete }, string(httpsig.BadSignature)},
	{"authority", false, func(s *signed) { s.Message.URL = "http://api.example" + afterOrigin(s) }, string(httpsig.BadSignature)},
	{"path", false, func(s *signed) { s.replaceURL("/orders/7", "/orders/8") }, string(httpsig.BadSignature)},
	{"query", false, func(s *signed) { s.replaceURL("limit=10", "limit=11") }, string(httpsig.BadSignature)},
	{"field", false, func(s *signed) { s.Message.Header.Set("X-Order", "other") }, string(httpsig.BadSignature)},
	{"field added", false, func(s *signed) { s.Message.Header.Add("X-Order", "other") }, string(httpsig.BadSignature)},
	{"field removed", false, func(s *signed) { s.Message.Header.Del("X-Order") }, string(httpsig.ComponentInvalid)},
	{"created", false, func(s *signed) { s.replaceField("Signature-Input", "created=1", "created=0") }, string(httpsig.TooOld)},
	{"keyid", false, func(s *signed) { s.replaceField("Signature-Input", `keyid="key`, `keyid="other`) }, string(httpsig.UnknownKey)},
	{"parameter added", false, func(s *signed) { s.replaceField("Signature-Input", ";created", `;tag="x";created`) }, string(httpsig.BadSignature)},
	{"component removed", false, func(s *signed) { s.replaceField("Signature-Input", `"@query" `, "") }, string(httpsig.CoverageMissing)},
	{"components swapped", false, func(s *signed) { s.replaceField("Signature-Input", `"@path" "@query"`, `"@query" "@path"`) }, string(httpsig.BadSignature)},
	{"signature", false, flipSignature, string(httpsig.BadSignature)},
	{"body", true, func(s *signed) { s.Message.Body += " " }, string(contentdigest.Mismatch)},
	{"body and digest", true, func(s *signed) {
		s.Message.Body += " "
		s.Message.Header.Set("Content-Digest", contentdigest.Sum(contentdigest.SHA256, []byte(s.Message.Body)))
	}, string(httpsig.BadSignature)},
	{"digest removed", true, func(s *signed) { s.Message.Header.Del("Content-Digest") }, string(httpsig.ComponentInvalid)},
}

func (s *signed) replaceURL(from, to string) {
	s.Message.URL = strings.Replace(s.Message.URL, from, to, 1)
}

func (s *signed) replaceField(name, from, to string) {
	s.Message.Header.Set(name, strings.Replace(s.Message.Header.Get(name), from, to, 1))
}

// afterOrigin returns the request target.
func afterOrigin(s *signed) string {
	_, rest, _ := strings.Cut(s.Message.URL, "://")
	return rest[strings.IndexByte(rest, '/'):]
}

// flipSignature changes the first character of the signature.
func flipSignature(s *signed) {
	value := []byte(s.Message.Header.Get("Signature"))
	at := len("sig1=:")
	if value[at] == 'A' {
		value[at] = 'B'
	} else {
		value[at] = 'A'
	}
	s.Message.Header.Set("Signature", string(value))
}

// algorithmOrders returns a GET and a POST for each algorithm.
func algorithmOrders(t *testing.T, origin string) []order {
	t.Helper()
	var orders []order
	for _, alg := range algorithms {
		key := newSigningKey(t, alg)
		// http-message-signatures knows no salt length: see TestDisagreements.
		get := order{Name: string(alg) + "/GET", Key: key, Components: covered, FixedSalt: alg == httpsig.RSAPSSSHA512}
		get.Message = message{Method: http.MethodGet, URL: origin + "/orders/7?account=a%2Fb&limit=10", Header: http.Header{"X-Order": {"a", "b, c"}}}
		post := get
		post.Name = string(alg) + "/POST"
		post.Components = append([]string{`"content-type"`, `"content-digest"`}, covered...)
		post.Message = get.Message.clone()
		post.Message.Method, post.Message.Body = http.MethodPost, `{"to":"bob","amount":10}`
		post.Message.Header.Set("Content-Type", "application/json")
		orders = append(orders, get, post)
	}
	return orders
}

// altered returns what change makes of s. A change that changes nothing would prove nothing.
func (c change) altered(t *testing.T, s signed) signed {
	t.Helper()
	altered := s
	altered.Message = s.Message.clone()
	c.make(&altered)
	if reflect.DeepEqual(altered.Message, s.Message) {
		t.Fatalf("the change %q changes nothing", c.name)
	}
	return altered
}

// reason returns the reason of one of our errors.
func reason(err error) string {
	if e, ok := errors.AsType[*httpsig.Error](err); ok {
		return string(e.Reason)
	}
	if e, ok := errors.AsType[*contentdigest.Error](err); ok {
		return string(e.Reason)
	}
	return err.Error()
}

// What a peer signs verifies here, and is refused when one covered thing was changed.
func TestPeerSigns(t *testing.T) {
	for name, peer := range signaturePeers {
		t.Run(name, func(t *testing.T) {
			rec := newRecorder(t)
			orders := algorithmOrders(t, rec.origin)
			peer.send(t, orders)
			for _, o := range orders {
				t.Run(o.Name, func(t *testing.T) {
					s := signed{Key: o.Key, Message: rec.take(t, o.Name), Components: o.Components}
					if err := s.verify(t.Context()); err != nil {
						t.Fatalf("as sent: %v\n%v", err, s.Message)
					}
					for _, c := range changes {
						if c.body && s.Message.Body == "" {
							continue
						}
						err := c.altered(t, s).verify(t.Context())
						if err == nil {
							t.Errorf("%s changed: verified", c.name)
						} else if got := reason(err); got != c.want {
							t.Errorf("%s changed: got %s, want %s", c.name, got, c.want)
						}
					}
				})
			}
		})
	}
}

// What we sign verifies at a peer, and is refused there when one covered thing was changed.
func TestPeerVerifies(t *testing.T) {
	for name, peer := range signaturePeers {
		t.Run(name, func(t *testing.T) {
			rec := newRecorder(t)
			var requests []signed
			var names []string
			honest := make(map[string]bool)
			for _, o := range algorithmOrders(t, rec.origin) {
				if err := o.send(t.Context()); err != nil {
					t.Fatalf("%s: %v", o.Name, err)
				}
				s := signed{Key: o.Key, Message: rec.take(t, o.Name), Components: o.Components}
				requests, names = append(requests, s), append(names, o.Name+"/as sent")
				honest[o.Name+"/as sent"] = true
				for _, c := range changes {
					if c.body && s.Message.Body == "" {
						continue
					}
					requests, names = append(requests, c.altered(t, s)), append(names, o.Name+"/"+c.name)
				}
			}
			for i, err := range peer.verify(t, requests) {
				t.Run(names[i], func(t *testing.T) {
					if honest[names[i]] && err != nil {
						t.Errorf("refused: %v\n%v", err, requests[i].Message)
					}
					if !honest[names[i]] && err == nil {
						t.Error("verified")
					}
				})
			}
		})
	}
}
