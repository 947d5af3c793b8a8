package resourcemeta

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"

	"github.com/holdfast-project/holdfast/keys"
)

// KeysPath is where Handlers publishes the resource's keys.
const KeysPath = "/.well-known/holdfast-resource-jwks.json"

// Handlers returns what a resource serves of itself, by path: m at WellKnown and, if the identifier has a path, at
// WellKnown followed by it; and the keys, if there are any, at KeysPath. They need no proof, and are good for caches for
// five minutes. JWKSURI and SigningAlgorithms are set to what follows from the keys.
//
// To change the key, publish the next one beside it; sign with it once all clients will have fetched again; and take the old
// one away when no node signs with it any more.
func Handlers(m Metadata, set []*keys.Public) (map[string]http.Handler, error) {
	origin, rest, err := split(m.Resource)
	if err != nil {
		return nil, err
	}
	if strings.Contains(rest, "?") {
		return nil, refuse(BadIdentifier, "resource", "no query, which no path can tell apart", quote(m.Resource), nil)
	}
	handlers := make(map[string]http.Handler)
	if len(set) > 0 {
		m.JWKSURI, m.SigningAlgorithms = origin+KeysPath, nil
		for _, key := range set {
			if alg := key.Algorithm(); alg != "" && !slices.Contains(m.SigningAlgorithms, alg) {
				m.SigningAlgorithms = append(m.SigningAlgorithms, alg)
			}
		}
		text, err := json.Marshal(map[string][]*keys.Public{"keys": set})
		if err != nil {
			return nil, refuse(Malformed, "key set", "", "", err)
		}
		handlers[KeysPath] = publish("application/jwk-set+json", text)
	}
	text, err := m.document()
	if err != nil {
		return nil, err
	}
	handlers[WellKnown] = publish("application/json", text)
	handlers[WellKnown+rest] = handlers[WellKnown]
	return handlers, nil
}

// publish serves a document that doesn't change.
func publish(kind string, text []byte) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			w.Header().Set("Allow", "GET, HEAD")
			http.Error(w, http.StatusText(http.StatusMethodNotAllowed), http.StatusMethodNotAllowed)
			return
		}
		w.Header().Set("Content-Type", kind)
		w.Header().Set("Cache-Control", "public, max-age=300")
		w.Header().Set("X-Content-Type-Options", "nosniff")
		// A failed write means that the peer is gone; there is nobody left to tell.
		_, _ = w.Write(text)
	})
}
