package accesstoken

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"time"

	"github.com/holdfast-project/holdfast/internal/strictjson"
	"github.com/holdfast-project/holdfast/keys"
)

const (
	fetchTimeout = 5 * time.Second
	// maxDocument bounds metadata and key sets: 64 RSA-4096 keys with their certificates fit.
	maxDocument = 256 << 10
)

// statusError is an answer with a status other than 200.
type statusError int

func (e statusError) Error() string { return fmt.Sprintf("HTTP status %d", int(e)) }

// fetchKeys reads the key set that cfg names.
func fetchKeys(ctx context.Context, cfg *JWKSConfig) ([]*keys.Public, error) {
	jwksURI := cfg.URL
	if cfg.Issuer != "" {
		var err error
		if jwksURI, err = discover(ctx, cfg.Client, cfg.Issuer); err != nil {
			return nil, err
		}
	}
	body, err := getDocument(ctx, cfg.Client, jwksURI)
	if err != nil {
		return nil, fmt.Errorf("fetching the key set: %w", err)
	}
	set, err := keys.ParseSet(body)
	if err != nil {
		return nil, fmt.Errorf("reading the key set: %w", err)
	}
	return set, nil
}

// discover reads the jwks_uri from the issuer's metadata (RFC 8414, section 3).
func discover(ctx context.Context, client *http.Client, issuer string) (jwksURI string, err error) {
	urls, err := metadataURLs(issuer)
	if err != nil {
		return "", err
	}
	var body []byte
	for _, u := range urls {
		body, err = getDocument(ctx, client, u)
		if !errors.Is(err, statusError(http.StatusNotFound)) {
			break
		}
	}
	if err != nil {
		return "", fmt.Errorf("fetching the metadata: %w", err)
	}
	jwksURI, err = parseMetadata(body, issuer)
	if err != nil {
		return "", fmt.Errorf("reading the metadata: %w", err)
	}
	return jwksURI, nil
}

// metadataURLs returns where the metadata of issuer may be: the well-known path goes between host and path (RFC 8414,
// section 3.1). OpenID providers have it behind the path instead, as section 5 allows.
func metadataURLs(issuer string) ([]string, error) {
	u, err := parseEndpoint(issuer)
	if err != nil {
		return nil, err
	}
	if u.RawQuery != "" || u.ForceQuery {
		return nil, errors.New("an issuer has no query (RFC 8414, section 2)")
	}
	origin := u.Scheme + "://" + u.Host
	path := strings.TrimSuffix(u.EscapedPath(), "/")
	return []string{
		origin + "/.well-known/oauth-authorization-server" + path,
		origin + path + "/.well-known/openid-configuration",
	}, nil
}

// parseEndpoint reads the URL of something that is trusted because of where it is: https, or http that doesn't leave
// this machine.
func parseEndpoint(raw string) (*url.URL, error) {
	u, err := url.Parse(raw)
	if err != nil {
		return nil, errors.New("not a URL")
	}
	switch {
	case u.Hostname() == "" || u.Opaque != "" || u.User != nil:
		return nil, errors.New("not an absolute URL without user information")
	case strings.Contains(raw, "#"):
		return nil, errors.New("a fragment in the URL")
	case u.Scheme == "https":
		return u, nil
	case u.Scheme == "http" && loopback(u.Hostname()):
		return u, nil
	}
	return nil, errors.New("neither https nor http on a loopback address")
}

func loopback(host string) bool {
	if host == "localhost" {
		return true
	}
	addr, err := netip.ParseAddr(host)
	return err == nil && addr.IsLoopback()
}

// cautiousClient returns a client like c that has a timeout and refuses redirects, unless c has its own rules: what a
// redirect leads to isn't what was configured, and would see what is sent.
func cautiousClient(c *http.Client) *http.Client {
	var own http.Client
	if c != nil {
		own = *c
	}
	if own.Timeout == 0 {
		own.Timeout = fetchTimeout
	}
	if own.CheckRedirect == nil {
		own.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	}
	return &own
}

func getDocument(ctx context.Context, client *http.Client, from string) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, from, nil)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Accept", "application/json, application/jwk-set+json")
	return do(client, req, maxDocument)
}

// do returns the body of a 200 answer of at most limit bytes.
func do(client *http.Client, req *http.Request, limit int64) ([]byte, error) {
	resp, err := client.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, statusError(resp.StatusCode)
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, limit+1))
	if err != nil {
		return nil, err
	}
	if int64(len(body)) > limit {
		return nil, fmt.Errorf("an answer of more than %d bytes", limit)
	}
	return body, nil
}

// parseMetadata returns the jwks_uri of the issuer's metadata, which must be its own (RFC 8414, section 3.3).
func parseMetadata(body []byte, issuer string) (jwksURI string, err error) {
	var says string
	err = strictjson.Object(body, func(name string, v strictjson.Value) (err error) {
		switch name {
		case "issuer":
			says, err = v.String()
		case "jwks_uri":
			jwksURI, err = v.String()
		}
		return err
	})
	if err != nil {
		return "", err
	}
	if says != issuer {
		return "", fmt.Errorf("it is of issuer %s, not %s (RFC 8414, section 3.3)", quote(says), quote(issuer))
	}
	if _, err := parseEndpoint(jwksURI); err != nil {
		return "", fmt.Errorf("jwks_uri: %w", err)
	}
	return jwksURI, nil
}
