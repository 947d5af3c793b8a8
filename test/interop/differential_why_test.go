package interop

// Reasons that several differences have.
const (
	codeOfProofs  = "RFC 9449, section 5: a proof that isn't good is `invalid_dpop_proof`"
	codeOfClients = "RFC 6749, section 5.2: failed client authentication is `invalid_client`"
	oneWay        = "RFC 6749, section 2.3: one way of authentication a request"
	bareTarget    = "RFC 9449, section 4.2: `htu` is without query and fragment"
	freshness     = "RFC 9449, section 11.1: accepted only for a short time, which is ours to choose"
	nothingLost   = "what isn't good uses nothing up: a client that corrects itself goes on"
	once          = "RFC 6749, sections 3.1 and 3.2: no parameter more than once"
	onlyIssuer    = "FAPI 2.0, section 5.3.2.1: the issuer, as a string, and nothing else"
)

// whyDifferent says why outcomes differ. A case that isn't here has one outcome at all servers.
var whyDifferent = map[string]string{
	"proof: none":                      "RFC 6749, section 5.2: what is missing makes the request invalid, not the grant",
	"proof: two":                       codeOfProofs,
	"proof: empty":                     codeOfProofs + ", and an empty one isn't absent",
	"proof: no JWT":                    codeOfProofs,
	"proof: sent before":               codeOfProofs + "; RFC 9449, section 11.1",
	"proof: `typ` JWT":                 codeOfProofs,
	"proof: no `typ`":                  codeOfProofs,
	"proof: `alg` none":                codeOfProofs,
	"proof: `alg` HS256":               codeOfProofs,
	"proof: no `jwk`":                  codeOfProofs,
	"proof: a private `jwk`":           codeOfProofs,
	"proof: by another key":            codeOfProofs,
	"proof: no `jti`":                  codeOfProofs,
	"proof: empty `jti`":               codeOfProofs,
	"proof: `jti` a number":            codeOfProofs,
	"proof: no `htm`":                  codeOfProofs,
	"proof: another `htm`":             codeOfProofs,
	"proof: `htm` in small letters":    codeOfProofs,
	"proof: no `htu`":                  codeOfProofs,
	"proof: `htu` of another endpoint": codeOfProofs,
	"proof: `htu` of another host":     codeOfProofs,
	"proof: `htu` with a query":        bareTarget,
	"proof: `htu` with a fragment":     bareTarget,
	"proof: no `iat`":                  codeOfProofs,
	"proof: `iat` a text":              codeOfProofs,
	"proof: `iat` ten minutes ago":     codeOfProofs + "; a nonce isn't demanded here",
	"proof: `iat` two minutes ago":     freshness,
	"proof: `iat` two minutes ahead":   freshness,
	"proof: `iat` ten minutes ahead":   codeOfProofs + "; a nonce isn't demanded here",
	"proof: expired by `exp`":          codeOfProofs,

	"client: an empty secret":                       codeOfClients,
	"client: nobody":                                codeOfClients,
	"client: Authorization that is none":            codeOfClients,
	"client: the secret in the form":                "a client authenticates in the one way that it is registered with (RFC 7591, section 2)",
	"client: the secret twice":                      oneWay,
	"client: another `client_id` beside":            oneWay + "; this one names two clients",
	"assertion: beside a secret":                    oneWay,
	"assertion: `aud` the token endpoint":           onlyIssuer,
	"assertion: `aud` two, one of them this server": onlyIssuer,
	"assertion: good for a day":                     "RFC 7523, section 3, step 4: a server may refuse what expires unreasonably far ahead, and would have to remember it as long",
	"assertion: of another type":                    codeOfClients,
	"assertion: no type":                            codeOfClients,

	"request: GET":                             "RFC 6749, section 3.2: POST. All refuse; we answer 405 with a code",
	"request: a parameter in the query":        "RFC 6749, sections 2.3.1 and 3.2: what is in URLs is in logs",
	"request: a parameter twice":               once,
	"request: no `grant_type`":                 "RFC 6749, section 5.2: a parameter that is missing is `invalid_request`",
	"request: a grant that isn't the client's": "RFC 6749, section 5.2: `unauthorized_client`",
	"request: an unknown scope":                "RFC 6749, section 3.3, allows both: a token without what was asked for fails later, and farther away",

	"code: no verifier":                  "RFC 6749, section 5.2: a parameter that is missing is `invalid_request`",
	"code: no `redirect_uri`":            "RFC 6749, section 4.1.3: required if the authorization request had it; as missing it is `invalid_request`",
	"code: for another key (`dpop_jkt`)": "RFC 9449, section 10: the code isn't good for this key: `invalid_grant`",
	"code: after a wrong verifier":       nothingLost,
	"code: after a wrong proof":          nothingLost,

	"refresh: by another key": "RFC 9449, section 5: the token isn't good for this key: `invalid_grant`",
	"refresh: no proof":       "RFC 6749, section 5.2: what is missing makes the request invalid, not the grant",

	"push: the proof of another endpoint":              codeOfProofs,
	"push: `dpop_jkt` of another key than the proof's": "RFC 9449, section 10.1, demands refusal; no code",
	"push: no challenge":                               "PKCE is required: RFC 9700, section 2.1.1. go-oidc finds out when the browser comes",
	"push: no method of the challenge":                 "RFC 7636, section 4.3: absent means plain, which isn't taken. go-oidc finds out when the browser comes",
	"push: `response_type` token":                      "RFC 6749, section 4.1.2.1: `unsupported_response_type`",
	"push: no `response_type`":                         "RFC 9126, section 2.1: validated as an authorization request would be, in which it is required",
	"push: no `redirect_uri`":                          "FAPI 2.0, section 5.3.2.2: it must be there",
	"push: a `request_uri`":                            "RFC 9126, section 2.1: refused; oidc-provider has a more telling code of OpenID Connect",
	"push: a request object that is none":              "request objects aren't built, and not ignored; oidc-provider has a more telling code of OpenID Connect",
	"push: an unknown scope":                           "RFC 6749, section 3.3, allows both",
	"push: a parameter twice":                          once,
	"push: of another client":                          "RFC 9126, section 2.1: it must be the client's own. All refuse",
	"introspection: nobody":                            codeOfClients,
	"introspection: no token":                          "this client is no resource server, which is found first",
	"revocation: nobody":                               codeOfClients,
	"revocation: another client's refresh token":       "RFC 7009, section 2.1, demands refusal and has no code",
}
