package gateway

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/holdfast-project/holdfast/keys"
	"github.com/holdfast-project/holdfast/resourcemeta"
)

// Resource tells clients what they must know of the gateway: protected resource metadata (RFC 9728), at
// resourcemeta.WellKnown, and the public half of the Verifier's Signer, at resourcemeta.KeysPath. What follows from the
// routes (scopes, schemes) is published by itself. Routes can't be at these paths, and no upstream is asked for them.
type Resource struct {
	// Identifier of the resource: an https URL, or http on loopback, without query. Required.
	Identifier string
	// Name is for people.
	Name string
	// AuthorizationServers are the issuers of the tokens that the Verifier takes.
	AuthorizationServers []string
	// Others are further keys to publish: those before and after the Signer's in a rotation.
	Others []*keys.Public
}

// answerItself makes what the gateway answers by itself, by path.
func (g *Gateway) answerItself(cfg Config) error {
	g.own = make(map[string]http.Handler)
	if g.identity != nil {
		g.own[g.identity.KeysPath] = http.HandlerFunc(g.identity.serveKeys)
	}
	if cfg.Resource == nil {
		return nil
	}
	if cfg.Verifier == nil {
		return errors.New("gateway: resource: a Verifier is required")
	}
	m, err := cfg.metadata()
	if err != nil {
		return err
	}
	var set []*keys.Public
	if key := cfg.Verifier.ResourceKey(); key != nil {
		set = append([]*keys.Public{key}, cfg.Resource.Others...)
	} else if len(cfg.Resource.Others) > 0 {
		return errors.New("gateway: resource: Others are of a rotation: the Verifier has no Signer")
	}
	handlers, err := resourcemeta.Handlers(m, set)
	if err != nil {
		return fmt.Errorf("gateway: resource: %w", err)
	}
	for path, h := range handlers {
		switch {
		case !plainPath(path):
			return fmt.Errorf("gateway: resource: %s isn't a plain path", path)
		case g.own[path] != nil:
			return fmt.Errorf("gateway: resource: %s is the identity's KeysPath, too", path)
		}
		g.own[path] = h
	}
	return nil
}

// metadata says what is true of all routes with a proof.
func (c *Config) metadata() (resourcemeta.Metadata, error) {
	var m resourcemeta.Metadata
	for _, r := range c.Routes {
		if r.InsecurePublic {
			continue
		}
		v, err := c.Verifier.With(r.Policy)
		if err != nil {
			return m, err
		}
		of := v.Metadata()
		m.Scopes = append(m.Scopes, of.Scopes...)
		if m.DPoPAlgorithms == nil {
			m.DPoPAlgorithms = of.DPoPAlgorithms
		}
		first := m.BearerMethods == nil
		m.BearerMethods = of.BearerMethods
		m.DPoPRequired = of.DPoPRequired && (first || m.DPoPRequired)
		m.CertificateBound = m.CertificateBound || of.CertificateBound
		m.Sessions = m.Sessions || of.Sessions
	}
	slices.Sort(m.Scopes)
	m.Scopes = slices.Compact(m.Scopes)
	m.Resource, m.Name, m.AuthorizationServers = c.Resource.Identifier, c.Resource.Name, c.Resource.AuthorizationServers
	return m, nil
}

// reserve keeps routes off the paths that the gateway answers itself.
func (t *table) reserve(own map[string]http.Handler) error {
	t.own = make(map[string]bool)
	for path := range own {
		t.own[strings.ToLower(path)] = true
	}
	for _, places := range t.hosts {
		for _, p := range places {
			if t.own[strings.ToLower(p.path)] {
				return fmt.Errorf("gateway: no route can be at %s: the gateway answers there itself", p.path)
			}
		}
	}
	return nil
}
