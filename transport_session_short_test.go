package holdfast_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/holdfast-project/holdfast"
	"github.com/holdfast-project/holdfast/popsession"
)

// A session that ends at once is worth no offers.
func TestTransportSessionShort(t *testing.T) {
	for lifetime, want := range map[time.Duration]string{3 * time.Second: "DPoP", 4 * time.Second: "PoP-Session"} {
		s := newResource(t)
		s.lifetime = lifetime
		s.restart("a", holdfast.Policy{})
		tr := s.client("DPoP")
		s.get(tr)
		s.get(tr)
		s.sent("DPoP+offer", want)
	}
}

// Of a short session, as of a long one, the last part isn't used; it is renewed before.
func TestTransportShortSessionIsRenewed(t *testing.T) {
	s := newResource(t)
	s.lifetime = 8 * time.Second
	s.restart("a", holdfast.Policy{})
	tr := s.client("DPoP")
	s.get(tr)
	s.wait(6500 * time.Millisecond) // 1.5 s are left: as much as a body that can't be sent again takes
	s.post(tr, oneWay(wireRequest(t, "POST", s.URL, "body")), "body")
	s.wait(time.Millisecond)
	s.post(tr, oneWay(wireRequest(t, "POST", s.URL, "body")), "body")
	s.get(tr)
	s.get(tr)
	s.sent("DPoP+offer", "PoP-Session+stream", "DPoP", "DPoP+offer", "PoP-Session")
}

// A client that starts again begins a session of its own, so that no counter comes twice in one session.
func TestTransportSessionOfARestartedClient(t *testing.T) {
	s := newResource(t)
	var ids []popsession.ID
	s.handler = func(w http.ResponseWriter, r *http.Request) {
		if v, ok := holdfast.FromContext(r.Context()); ok && v.Session != nil {
			ids = append(ids, v.Session.ID)
		}
		echo(w, r)
	}
	for range 2 {
		tr := s.client("DPoP")
		s.get(tr)
		s.get(tr)
	}
	s.sent("DPoP+offer", "PoP-Session", "DPoP+offer", "PoP-Session")
	if len(ids) != 2 || ids[0] == ids[1] {
		t.Errorf("got sessions %x, want two", ids)
	}
}
