package resourcemeta

import (
	"context"
	"crypto/rsa"
	"net/http"

	"github.com/holdfast-project/holdfast/internal/fetch"
	"github.com/holdfast-project/holdfast/keys"
)

// Fetch reads a resource's metadata and its keys, which are never none: those that can have signed anything. They are as
// the resource publishes them now; a client that lives for long should fetch again, or make a new Transport, as often as
// the resource says that it changes them.
//
// If client is nil, one with a 5 s timeout that follows no redirect. In another one these two are set where it leaves them
// open. Errors are *Error.
func Fetch(ctx context.Context, client *http.Client, resource string) (*Metadata, []*keys.Public, error) {
	from, err := URL(resource)
	if err != nil {
		return nil, nil, err
	}
	client = fetch.Client(client)
	document, err := fetch.Document(ctx, client, from)
	if err != nil {
		return nil, nil, refuse(Unavailable, "metadata", "", "", err)
	}
	m, err := Parse(document, resource)
	if err != nil {
		return nil, nil, err
	}
	set, err := fetchKeys(ctx, client, m.JWKSURI)
	if err != nil {
		return nil, nil, err
	}
	return m, set, nil
}

func fetchKeys(ctx context.Context, client *http.Client, jwksURI string) ([]*keys.Public, error) {
	if jwksURI == "" {
		return nil, refuse(NoKeys, "jwks_uri", "present", "absent", nil)
	}
	document, err := fetch.Document(ctx, client, jwksURI)
	if err != nil {
		return nil, refuse(Unavailable, "key set", "", "", err)
	}
	all, err := keys.ParseSet(document)
	if err != nil {
		return nil, refuse(Malformed, "key set", "", "", err)
	}
	var set []*keys.Public
	for _, key := range all {
		// An RSA key has several algorithms. One that names none could have made a signature by any.
		if _, isRSA := key.Key().(*rsa.PublicKey); !isRSA || key.Algorithm() != "" {
			set = append(set, key)
		}
	}
	if len(set) == 0 {
		return nil, refuse(NoKeys, "key set", "a key for signatures", "none", nil)
	}
	return set, nil
}
