// oauth4webapi as an OAuth client: discovery, client_credentials, and two calls of a resource, with DPoP throughout. Its
// own predicate says what to try again.
import * as oauth from 'oauth4webapi'
import { answer, retried } from './peer.mjs'

const insecure = { [oauth.allowInsecureRequests]: true } // http, on the loopback interface

await answer(async ({ issuer, client_id, secret, assertionKey, alg, scope, resource, calls }) => {
  const identifier = new URL(issuer)
  const discovery = await oauth.discoveryRequest(identifier, { algorithm: 'oauth2', ...insecure })
  const as = await oauth.processDiscoveryResponse(identifier, discovery)
  const client = { client_id }
  const DPoP = oauth.DPoP(client, await oauth.generateKeyPair(alg))
  const authentication = secret ? oauth.ClientSecretBasic(secret) : oauth.PrivateKeyJwt(await importKey(assertionKey))

  const token = await retried(async () => {
    const parameters = new URLSearchParams({ scope, resource })
    const response = await oauth.clientCredentialsGrantRequest(as, client, authentication, parameters, { DPoP, ...insecure })
    return oauth.processClientCredentialsResponse(as, client, response)
  }, oauth.isDPoPNonceError)
  const answers = []
  for (const { method, url, body } of calls) {
    const headers = new Headers(body ? { 'content-type': 'application/json' } : {})
    const called = await retried(() =>
      oauth.protectedResourceRequest(token.value.access_token, method, new URL(url), headers, body || null, { DPoP, ...insecure }),
      oauth.isDPoPNonceError,
    )
    answers.push({ status: called.value.status, body: await called.value.text(), retries: called.retries })
  }
  return {
    thumbprint: await DPoP.calculateThumbprint(),
    tokenType: token.value.token_type,
    scope: token.value.scope,
    retries: token.retries,
    answers,
  }
})

async function importKey(jwk) {
  const algorithm = jwk.kty === 'OKP' ? { name: jwk.crv } : { name: 'ECDSA', namedCurve: jwk.crv }
  const { kid, alg, use, ...bare } = jwk
  return { key: await crypto.subtle.importKey('jwk', bare, algorithm, false, ['sign']), kid }
}
