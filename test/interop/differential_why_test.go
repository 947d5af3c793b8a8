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
	missingPart   = "RFC 6749, section 5.2: what is missing makes the request invalid, not the grant"
	postOnly      = "POST only. All refuse; we answer 405 with a code"
	noMethod      = "RFC 7636, section 4.3: absent means plain, which isn't taken. go-oidc takes the one method that it is set up with"
	noObjects     = "RFC 9101, section 7: request objects aren't taken, and not ignored"
	noChallenge   = "RFC 7636, section 4.2: no verifier has such a challenge"
	noThumbprint  = "no key has it, so the code would be lost"
	noSuchMode    = "no standard has a code for it"
	unsupported   = "RFC 6749, section 4.1.2.1: `unsupported_response_type`"
	responseType  = unsupported + ". oidc-provider has this one, but not for this client"
	aPage         = "a person reads it: a page, without a code"
	nowhere       = "what isn't known can't say where to send the browser. oidc-provider takes the client's only redirect URI"
	noNonces      = "RFC 9449, section 8: optional. go-oidc has none"
	whoMayAsk     = "RFC 7662, section 2.1: resource servers. All refuse; oidc-provider, because it introspects no JWTs"
)

// whyDifferent says why outcomes differ. A case that isn't here has one outcome at all servers.
var whyDifferent = map[string]string{
	"proof: none":                      missingPart,
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
	"proof: `iat` an hour ago":         codeOfProofs + "; a nonce isn't demanded here",
	"proof: `iat` two minutes ago":     freshness,
	"proof: `iat` two minutes ahead":   freshness,
	"proof: `iat` an hour ahead":       codeOfProofs + "; a nonce isn't demanded here",
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

	"request: GET":                             postOnly,
	"request: a parameter in the query":        "RFC 6749, sections 2.3.1 and 3.2: what is in URLs is in logs",
	"request: a parameter twice":               once,
	"request: no `grant_type`":                 missingPart,
	"request: a grant that isn't the client's": "RFC 6749, section 5.2: `unauthorized_client`",
	"request: an unknown scope":                "RFC 6749, section 3.3, allows both: a token without what was asked for fails later, and farther away",

	"code: no verifier":                  missingPart,
	"code: no `redirect_uri`":            "RFC 6749, section 4.1.3: required if the authorization request had it; as missing it is `invalid_request`",
	"code: for another key (`dpop_jkt`)": "RFC 9449, section 10: the code isn't good for this key: `invalid_grant`",
	"code: after a wrong verifier":       nothingLost,
	"code: after a wrong proof":          nothingLost,

	"refresh: by another key": "RFC 9449, section 5: the token isn't good for this key: `invalid_grant`",
	"refresh: no proof":       missingPart,

	"push: the proof of another endpoint":              codeOfProofs,
	"push: `dpop_jkt` of another key than the proof's": "RFC 9449, section 10.1, demands refusal; no code",
	"push: no challenge":                               "PKCE is required: RFC 9700, section 2.1.1. go-oidc finds out when the browser comes",
	"push: no method of the challenge":                 noMethod,
	"push: `response_type` token":                      unsupported,
	"push: no `response_type`":                         "RFC 9126, section 2.1: validated as an authorization request would be, in which it is required",
	"push: no `redirect_uri`":                          "FAPI 2.0, section 5.3.2.2: it must be there",
	"push: a `request_uri`":                            "RFC 9126, section 2.1: refused; oidc-provider has a more telling code of OpenID Connect",
	"push: a request object that is none":              noObjects,
	"push: an unknown scope":                           "RFC 6749, section 3.3, allows both",
	"push: a parameter twice":                          once,
	"push: of another client":                          "RFC 9126, section 2.1: it must be the client's own. All refuse",
	"proof: by an RSA key":                             codeOfProofs,
	"proof: with a broken signature":                   codeOfProofs,
	"proof: an unknown `crit`":                         codeOfProofs,
	"proof: `htu` the issuer":                          codeOfProofs,
	"proof: not good yet by `nbf`":                     codeOfProofs,
	"proof: `jti` of 4,096 characters":                 "a bound of ours: 256 bytes",
	"proof: a nonce of nobody":                         "RFC 9449, section 4.3, step 10: looked at where the server gives nonces, which ours doesn't here",
	"proof: a nonce that is a number":                  "RFC 9449, section 4.2: a string. go-oidc has no nonces and doesn't look",
	"proof: `jti` of another key's proof":              "RFC 9449, section 11.1: remembered per key here, so that nobody uses up another's",

	"client: Basic without a colon":                            codeOfClients,
	"client: its secret as a Bearer token":                     codeOfClients,
	"client: an assertion of another beside":                   oneWay + "; this one names two clients",
	"client: a public one with a secret":                       codeOfClients,
	"client: a public one for itself":                          "RFC 6749, section 5.2: `unauthorized_client`, with 400",
	"assertion: no JWT":                                        codeOfClients,
	"assertion: `aud` a list of this server":                   onlyIssuer,
	"assertion: `iat` an hour ahead":                           "RFC 7523, section 3, step 6, leaves it to the server: 10 s here",
	"assertion: no `kid`":                                      "which of a client's keys signed isn't guessed here",
	"assertion: a proof by its `typ`":                          "RFC 8725, section 3.11: a JWT of another type is no assertion",
	"assertion: beside another `client_id`":                    oneWay + "; this one names two clients",
	"assertion: after a wrong proof":                           nothingLost,
	"request: a form without Content-Type":                     "RFC 6749, section 3.2: no form, so nothing is in it",
	"request: `grant_type` twice":                              once,
	"code: an empty verifier":                                  missingPart,
	"code: no proof":                                           missingPart,
	"code: after another client's attempt":                     nothingLost,
	"code: for this key (`dpop_jkt`), no proof":                missingPart,
	"refresh: rotated, its successor unused":                   "an answer that was lost can be asked for again, for a minute and by the same key",
	"refresh: the newest, after one was used again":            "RFC 9700, section 4.14.2: reuse ends the grant. go-oidc refuses the old token alone",
	"code: for this key (`dpop_jkt`), after another's attempt": nothingLost,

	"browser: no `client_id`":                     aPage,
	"browser: an unknown client":                  aPage,
	"browser: another `redirect_uri`":             aPage,
	"browser: a longer `redirect_uri`":            aPage,
	"browser: a `redirect_uri` with a query":      aPage,
	"browser: pushed, no `client_id`":             aPage,
	"browser: no `redirect_uri`":                  "FAPI 2.0, section 5.3.2.2: it must be there. oidc-provider takes the client's only one",
	"browser: no method of the challenge":         noMethod,
	"browser: a challenge of 10 characters":       noChallenge,
	"browser: `response_type` token":              unsupported,
	"browser: `response_type` code id_token":      responseType,
	"browser: an unknown `response_mode`":         noSuchMode,
	"browser: a parameter twice":                  once + ". Then none is believed, `redirect_uri` included",
	"browser: an unknown scope":                   "RFC 6749, section 3.3, allows both",
	"browser: a request object that is none":      noObjects,
	"browser: `prompt` none without a login":      "go-oidc leaves it to the login, which agrees to everything here",
	"browser: `dpop_jkt` that is no thumbprint":   noThumbprint,
	"browser: a `request_uri` that wasn't pushed": nowhere,
	"browser: a `request_uri` elsewhere":          nowhere,
	"browser: pushed by another client":           nowhere,
	"browser: pushed, and used before":            nowhere,

	"push: by GET":                           postOnly,
	"push: no `client_id` beside it":         "RFC 9126, section 2.1, has clients send it; who authenticated is known without it",
	"push: a broken proof":                   codeOfProofs,
	"push: `dpop_jkt` that is no thumbprint": noThumbprint,
	"push: a challenge of 10 characters":     noChallenge,
	"push: `response_type` code id_token":    responseType,
	"push: an unknown `response_mode`":       noSuchMode,

	"nonce: none":      noNonces,
	"nonce: empty":     noNonces,
	"nonce: of nobody": noNonces,
	"nonce: no proof":  missingPart,
	"nonce: the server's, in a proof for GET":                     codeOfProofs,
	"nonce: the server's, with the `jti` of the challenged proof": "a challenged proof isn't used up. go-oidc challenges nobody, and has seen it",

	"introspection: by a resource server":        "oidc-provider introspects no JWTs",
	"introspection: by another client":           whoMayAsk,
	"introspection: by a public client":          whoMayAsk,
	"introspection: by GET":                      postOnly,
	"revocation: by a public client":             "RFC 7009, section 2.1, demands refusal and has no code. oidc-provider answers public clients as if it had, and revokes nothing",
	"revocation: by GET":                         postOnly,
	"introspection: nobody":                      codeOfClients,
	"introspection: no token":                    "this client is no resource server, which is found first",
	"revocation: nobody":                         codeOfClients,
	"revocation: another client's refresh token": "RFC 7009, section 2.1, demands refusal and has no code",
}
