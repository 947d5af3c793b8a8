package holdfast

import (
	"slices"

	"github.com/holdfast-project/holdfast/keys"
	"github.com/holdfast-project/holdfast/resourcemeta"
)

// Metadata is what the Verifier can tell of the resource (RFC 9728). The identifier, the authorization servers and where
// the keys are remain to be filled in: see resourcemeta.Handlers. It is of one policy; a resource with several publishes
// what is true of all.
func (v *Verifier) Metadata() resourcemeta.Metadata {
	m := resourcemeta.Metadata{
		Scopes: slices.Clone(v.rules.Scope), BearerMethods: []string{"header"}, Sessions: v.sessions != nil && !v.rules.RequireSignature,
		CertificateBound: v.rules.accepts(SchemeMTLS),
	}
	if v.rules.accepts(SchemeDPoP) {
		m.DPoPAlgorithms = v.dpop.Algorithms()
		others := slices.ContainsFunc(v.rules.Schemes, func(s Scheme) bool { return s != SchemeDPoP })
		m.DPoPRequired = !others && v.rules.Bearer == BearerRefused
	}
	return m
}

// ResourceKey is the public half of Config.Signer, or nil.
func (v *Verifier) ResourceKey() *keys.Public { return v.signer.Public() }
