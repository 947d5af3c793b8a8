package accesstoken

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/holdfast-project/holdfast/internal/fetch"
	"github.com/holdfast-project/holdfast/internal/strictjson"
	"github.com/holdfast-project/holdfast/keys"
)

// fetchKeys reads the key set that cfg names.
func fetchKeys(ctx context.Context, cfg *JWKSConfig) ([]*keys.Public, error) {
	jwksURI := cfg.URL
	if cfg.Issuer != "" {
		var err error
		if jwksURI, err = discover(ctx, cfg.Client, cfg.Issuer); err != nil {
			return nil, err
		}
	}
	body, err := fetch.Document(ctx, cfg.Client, jwksURI)
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
		body, err = fetch.Document(ctx, client, u)
		if !errors.Is(err, fetch.StatusError(http.StatusNotFound)) {
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
	u, err := fetch.Endpoint(issuer)
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
	if _, err := fetch.Endpoint(jwksURI); err != nil {
		return "", fmt.Errorf("jwks_uri: %w", err)
	}
	return jwksURI, nil
}
