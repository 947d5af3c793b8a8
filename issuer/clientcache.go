package issuer

import (
	"errors"
	"net/http"
	"sync"
	"time"
)

const (
	// clientFresh is how long a client that was read from the store is used: the time until a change shows.
	clientFresh = 30 * time.Second
	// maxFreshClients bounds how many are kept. Beyond it they are read again and again.
	maxFreshClients = 1000
	// maxClientID bounds a client_id, in bytes: what the store takes.
	maxClientID = 256
)

// clientCache keeps clients that were read for a while. Those that are registered have one of their own, so that nobody else
// can push them out.
type clientCache struct {
	mu      sync.Mutex
	clients map[string]freshClient // client_id → client
}

type freshClient struct {
	*client
	until time.Time
}

// find returns a client that is fresh, or nil.
func (k *clientCache) find(id string, now time.Time) *client {
	k.mu.Lock()
	defer k.mu.Unlock()
	if c, ok := k.clients[id]; ok && now.Before(c.until) {
		return c.client
	}
	return nil
}

// keep remembers a client until a time, in the place of any other if there are too many.
func (k *clientCache) keep(c *client, until time.Time) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.clients == nil {
		k.clients = make(map[string]freshClient)
	}
	for id := range k.clients {
		if len(k.clients) < maxFreshClients {
			break
		}
		delete(k.clients, id)
	}
	k.clients[c.ID] = freshClient{c, until}
}

// client finds a client by its id: of the configured ones first, then of the registered ones, then at the URL that the id
// may be. One that isn't known is nil. r is who asks: what is fetched in vain is counted as its peer's failure.
func (s *Server) client(r *http.Request, id string) (*client, error) {
	if c := s.clients[id]; c != nil {
		return c, nil
	}
	if !isVisible(id) || len(id) > maxClientID {
		return nil, nil
	}
	now := s.now()
	if c := s.registered.find(id, now); c != nil {
		return c, nil
	}
	row, err := s.store.Client(r.Context(), id)
	if isUnknown(err) {
		return s.documentClient(r, id)
	}
	if err != nil {
		return nil, storeRefusal(err, Unavailable, "client")
	}
	c, err := s.readClient(id, row.Registration)
	if err != nil {
		return nil, &Error{Reason: Failed, Part: "registration", Err: err}
	}
	s.registered.keep(c, now.Add(clientFresh))
	return c, nil
}

// readClient judges a stored registration as New does a configured client: another version may have written it.
func (s *Server) readClient(id string, registration []byte) (*client, error) {
	parsed, err := ParseClient(registration)
	if err != nil {
		return nil, err
	}
	if parsed.ID != id {
		return nil, errors.New("issuer: registration: of another client_id")
	}
	c, err := newClient(parsed)
	if err != nil {
		return nil, err
	}
	if _, err := s.keys.Signer(c.IDTokenAlgorithm); err != nil {
		return nil, err
	}
	return c, nil
}
