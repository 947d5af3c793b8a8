// oauth4webapi as the client of a user: a pushed request with a proof, the code flow, a call, refreshing, another call,
// userinfo, revocation, and what is refused after it.
import * as oauth from 'oauth4webapi'
import { authorize } from './browser.mjs'
import { answer, retried } from './peer.mjs'

const insecure = { [oauth.allowInsecureRequests]: true } // http, on the loopback interface

await answer(async ({ issuer, client_id, secret, alg, scope, resource, redirectURI, target }) => {
  const identifier = new URL(issuer)
  const as = await oauth.processDiscoveryResponse(identifier, await oauth.discoveryRequest(identifier, { algorithm: 'oidc', ...insecure }))
  const client = { client_id }
  const options = { DPoP: oauth.DPoP(client, await oauth.generateKeyPair(alg)), ...insecure }
  const authentication = secret ? oauth.ClientSecretBasic(secret) : oauth.None()
  let challenges = 0
  const act = async (request, process) => {
    const { value, retries } = await retried(async () => process(await request()), oauth.isDPoPNonceError)
    challenges += retries
    return value
  }

  const verifier = oauth.generateRandomCodeVerifier()
  const [state, nonce] = [oauth.generateRandomState(), oauth.generateRandomNonce()]
  const pushed = await act(
    async () => oauth.pushedAuthorizationRequest(as, client, authentication, {
      response_type: 'code', redirect_uri: redirectURI, scope, resource, state, nonce,
      code_challenge: await oauth.calculatePKCECodeChallenge(verifier), code_challenge_method: 'S256',
    }, options),
    (response) => oauth.processPushedAuthorizationResponse(as, client, response),
  )
  const start = new URL(as.authorization_endpoint)
  start.search = new URLSearchParams({ client_id, request_uri: pushed.request_uri })
  const parameters = oauth.validateAuthResponse(as, client, await authorize(start, redirectURI), state)
  const tokens = await act(
    () => oauth.authorizationCodeGrantRequest(as, client, authentication, parameters, redirectURI, verifier, options),
    (response) => oauth.processAuthorizationCodeResponse(as, client, response, { expectedNonce: nonce, requireIdToken: true }),
  )
  const subject = oauth.getValidatedIdTokenClaims(tokens).sub
  const call = (token) => act(
    () => oauth.protectedResourceRequest(token, 'GET', new URL(target), undefined, undefined, options),
    (response) => response.status,
  )
  const answers = [await call(tokens.access_token)]
  const refreshed = await act(
    () => oauth.refreshTokenGrantRequest(as, client, authentication, tokens.refresh_token, options),
    (response) => oauth.processRefreshTokenResponse(as, client, response),
  )
  answers.push(await call(refreshed.access_token))
  const user = await act(
    () => oauth.userInfoRequest(as, client, refreshed.access_token, options),
    (response) => oauth.processUserInfoResponse(as, client, subject, response),
  )
  await oauth.processRevocationResponse(await oauth.revocationRequest(as, client, authentication, refreshed.refresh_token, insecure))
  const refused = await act(
    () => oauth.refreshTokenGrantRequest(as, client, authentication, refreshed.refresh_token, options),
    (response) => oauth.processRefreshTokenResponse(as, client, response),
  ).then(() => '', (error) => error.error)
  return {
    thumbprint: await options.DPoP.calculateThumbprint(),
    tokenType: tokens.token_type,
    challenges, answers, refused, user: user.name,
  }
})
