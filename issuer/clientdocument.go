package issuer

import (
	"context"
	"errors"
	"io"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/holdfast-project/holdfast/internal/fetch"
	"github.com/holdfast-project/holdfast/internal/strictjson"
)

const (
	documentSection = "draft-ietf-oauth-client-id-metadata-document, section 4"
	// maxFetches is how many documents are fetched at once, whoever asks for them.
	maxFetches = 8
	// documentFresh is how long a document is used: the time until a change shows.
	documentFresh = 5 * time.Minute
)

// documents finds clients whose client_id is the URL of a document that describes them (Client ID Metadata Documents,
// draft-ietf-oauth-client-id-metadata-document). It is safe for concurrent use.
type documents struct {
	*DynamicRegistration
	http  *http.Client
	slots chan struct{} // taken by fetches
	cache clientCache
}

func newDocuments(r *DynamicRegistration) *documents {
	if r == nil || !r.Documents {
		return nil
	}
	d := &documents{DynamicRegistration: r, http: fetch.PublicClient(), slots: make(chan struct{}, maxFetches)}
	if r.HTTP != nil {
		d.http = fetch.Bounded(r.HTTP)
	}
	return d
}

// documentClient finds the client that a document describes; nil if there is none. What was wrong is for the observer. A
// document that can't be had at the moment is an error: its client isn't unknown.
func (s *Server) documentClient(r *http.Request, id string) (*client, error) {
	if s.documents == nil || !strings.HasPrefix(id, "https:") {
		return nil, nil
	}
	now := s.now()
	if c := s.documents.cache.find(id, now); c != nil {
		return c, nil
	}
	if err := s.mayTry(r, nil); err != nil {
		return nil, err
	}
	c, err := s.documents.fetch(r.Context(), id)
	if err == nil {
		_, err = s.keys.Signer(c.IDTokenAlgorithm)
	}
	if err == nil {
		s.documents.cache.keep(c, now.Add(documentFresh))
		return c, nil
	}
	// What is wrong may not be remembered, so whoever names it again and again has it fetched as often.
	s.failures.count("", s.peerOf(r), now)
	refusal, ok := errors.AsType[*Error](err)
	if !ok {
		refusal = &Error{Reason: MetadataRefused, Section: documentSection, Err: err}
	}
	if refusal.Reason == Unavailable { // which is what is answered, and observed then
		return nil, refusal
	}
	s.observe(r.Context(), Event{Endpoint: "client-document", Refusal: refusal})
	return nil, nil
}

// fetch reads a document.
func (d *documents) fetch(ctx context.Context, id string) (*client, error) {
	if err := checkDocumentURL(id); err != nil {
		return nil, err
	}
	select {
	case d.slots <- struct{}{}:
		defer func() { <-d.slots }()
	default:
		return nil, &Error{Reason: Unavailable, Part: "client_id", Expected: "fewer documents to be fetched at once"}
	}
	text, err := d.read(ctx, id)
	if err != nil {
		return nil, err
	}
	c, err := d.parseDocument(id, text)
	if err != nil {
		return nil, err
	}
	return newClient(c)
}

// read returns what is at a URL, if it is JSON.
func (d *documents) read(ctx context.Context, id string) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, id, nil)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Accept", "application/json")
	resp, err := d.http.Do(req)
	if err != nil {
		return nil, &Error{Reason: Unavailable, Section: documentSection, Part: "client_id", Err: err}
	}
	defer resp.Body.Close()
	switch kind, _, _ := mime.ParseMediaType(resp.Header.Get("Content-Type")); {
	case resp.StatusCode >= 500 || resp.StatusCode == http.StatusTooManyRequests:
		return nil, &Error{Reason: Unavailable, Section: documentSection, Part: "client_id", Err: fetch.StatusError(resp.StatusCode)}
	case resp.StatusCode != http.StatusOK:
		return nil, fetch.StatusError(resp.StatusCode)
	case kind != "application/json" && !(strings.HasPrefix(kind, "application/") && strings.HasSuffix(kind, "+json")):
		return nil, &Error{Reason: MetadataRefused, Section: documentSection, Part: "Content-Type", Expected: "application/json"}
	}
	text, err := io.ReadAll(io.LimitReader(resp.Body, maxMetadata+1))
	if err != nil {
		return nil, &Error{Reason: Unavailable, Section: documentSection, Part: "client_id", Err: err}
	}
	if len(text) > maxMetadata {
		return nil, &Error{Reason: MetadataRefused, Section: documentSection, Part: "body", Expected: "at most 16 KiB"}
	}
	return text, nil
}

// checkDocumentURL tells whether a client_id can be the URL of a document.
func checkDocumentURL(id string) error {
	refuse := func(why string) error {
		return &Error{Reason: MetadataRefused, Section: "draft-ietf-oauth-client-id-metadata-document, section 3", Part: "client_id", Expected: why}
	}
	u, err := url.Parse(id)
	switch {
	case err != nil || u.Scheme != "https" || u.Host == "" || u.Opaque != "":
		return refuse("an https URL")
	case u.User != nil || strings.Contains(id, "#"):
		return refuse("no user information and no fragment")
	case u.Path == "" || u.Path == "/":
		return refuse("a path")
	case slices.ContainsFunc(strings.Split(u.Path, "/"), func(segment string) bool { return segment == "." || segment == ".." }):
		return refuse("no dot segments")
	case u.String() != id || u.Host != strings.ToLower(u.Host):
		return refuse("its normal form")
	}
	return nil
}

// parseDocument reads what a client says of itself at its client_id.
func (d *documents) parseDocument(id string, text []byte) (Client, error) {
	named := ""
	c, err := d.parse(text, NoAuth, func(name string, value strictjson.Value) (err error) {
		switch name {
		case "client_id":
			named, err = value.String()
		case "client_secret", "client_secret_expires_at": // everybody can read it
			err = &Error{Reason: MetadataRefused, Section: documentSection, Part: name}
		}
		return err
	})
	switch {
	case err != nil:
		return Client{}, err
	case named != id:
		return Client{}, &Error{Reason: MetadataRefused, Section: documentSection, Part: "client_id", Expected: "the document's URL"}
	case c.AuthMethod != NoAuth && c.AuthMethod != PrivateKeyJWT:
		return Client{}, &Error{Reason: MetadataRefused, Section: documentSection, Part: "token_endpoint_auth_method", Expected: "none or private_key_jwt"}
	}
	c.ID = id
	return c, nil
}
