package demo

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"sync"

	"github.com/holdfast-project/holdfast"
	"github.com/holdfast-project/holdfast/signedurl"
)

// urlClient makes each request as a page does that can't set headers: by a URL that was signed for it.
type urlClient struct {
	signer *holdfast.Transport
	base   http.RoundTripper
}

// RoundTrip implements http.RoundTripper.
func (u urlClient) RoundTrip(r *http.Request) (*http.Response, error) {
	signed, err := u.signer.SignURL(r.Context(), r.Method, r.URL.String(), 0)
	if err != nil {
		return nil, err
	}
	out := r.Clone(r.Context())
	if out.URL, err = url.Parse(signed); err != nil {
		return nil, err
	}
	return u.base.RoundTrip(out)
}

// stolenTicketURL signs a URL with a ticket that was seen, and a secret of the thief's.
func stolenTicketURL(c *captured, l *lane) error {
	theirs, ok, err := signedurl.Parse(l.origin + c.target)
	if err != nil || !ok {
		return errors.Join(errors.New("the captured URL isn't signed"), err)
	}
	own, err := signedurl.Sign(theirs.Clean(), signedurl.Params{Ticket: theirs.Ticket(), Secret: random32(), Now: l.clock.now})
	c.target = strings.TrimPrefix(own, l.origin)
	return err
}

// usedTwice has a URL that was seen before its use arrive twice at the same moment: one of the two is the honest client's.
func usedTwice(ctx context.Context, s *stage, l *lane) (answer, error) {
	c, err := s.capture(ctx, l, true)
	if err != nil {
		return answer{}, err
	}
	request, before := c.bytes(), s.api.acted.Load()
	var answers [2]answer
	var errs [2]error
	var wg sync.WaitGroup
	for i := range answers {
		wg.Go(func() {
			answers[i], errs[i] = s.watch(func() (*http.Response, error) { return exchange(s.gateway, request, nil) })
		})
	}
	wg.Wait()
	if err := errors.Join(errs[:]...); err != nil {
		return answer{}, err
	}
	last := answers[0]
	if last.status < 400 {
		last = answers[1]
	}
	used := s.api.acted.Load() - before
	if used == 0 {
		return answer{}, errors.New("the API didn't act on the honest request")
	}
	last.in = used > 1
	return last, nil
}
