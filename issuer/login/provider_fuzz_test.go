package login

import (
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/holdfast-project/holdfast/issuer"
)

// What is taken has a state, and a code or an error, and is the provider's.
func FuzzProviderAnswer(f *testing.F) {
	const iss = "https://op.example"
	for _, query := range []string{
		"state=s&code=c", "state=s&error=access_denied", "state=s&code=c&iss=https%3A%2F%2Fop.example", "state=s&code=c&iss=x", "state=s&state=s&code=c", "code=c", "",
		"state=s;code=c", "%", "state=s&code=c&error=e", "iss=&state=s&code=c",
	} {
		f.Add(query, true)
		f.Add(query, false)
	}
	p, err := newProvider(Provider{Name: "a", Issuer: iss, ClientID: "rp"}, time.Now)
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, query string, namesItself bool) {
		u := &url.URL{RawQuery: query}
		a, err := p.answerOf(u, namesItself)
		if err != nil {
			if e, ok := errors.AsType[*issuer.Error](err); !ok || e.Reason != issuer.LoginRefused || len(e.Error()) > 1000 {
				t.Fatalf("got error %v", err)
			}
			return
		}
		q := u.Query()
		if a.state == "" || (a.code == "") == (a.failed == "") || len(a.state+a.code+a.failed) > 2*maxParameter || len(q["state"]) != 1 {
			t.Errorf("got %+v", a)
		}
		if named := q.Has("iss"); named && q.Get("iss") != iss || namesItself && !named {
			t.Errorf("an answer of %q was taken", q["iss"])
		}
	})
}

func TestMethods(t *testing.T) {
	many := make([]any, maxMethods+1)
	for i := range many {
		many[i] = fmt.Sprint(i)
	}
	for _, tc := range []struct {
		v    any
		want int
	}{
		{nil, 0}, {"pwd", 0}, {[]any{"pwd", 7, strings.Repeat("x", maxClaim+1), "otp"}, 2}, {many, maxMethods},
	} {
		if got := methods(tc.v); len(got) != tc.want || slices.Contains(got, "") {
			t.Errorf("%v: got %q", tc.v, got)
		}
	}
}
