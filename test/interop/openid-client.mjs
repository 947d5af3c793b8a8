// openid-client does the same by its higher-level functions, which try again by themselves when a nonce is missing.
import * as oauth from 'openid-client'
import { authorize } from './browser.mjs'
import { answer } from './peer.mjs'

await answer(async ({ issuer, client_id, secret, alg, scope, resource, redirectURI, target }) => {
  const authentication = secret ? oauth.ClientSecretBasic(secret) : oauth.None()
  const config = await oauth.discovery(new URL(issuer), client_id, undefined, authentication, { execute: [oauth.allowInsecureRequests] })
  const DPoP = oauth.getDPoPHandle(config, await oauth.randomDPoPKeyPair(alg))

  const pkceCodeVerifier = oauth.randomPKCECodeVerifier()
  const [expectedState, expectedNonce] = [oauth.randomState(), oauth.randomNonce()]
  const start = await oauth.buildAuthorizationUrlWithPAR(config, {
    redirect_uri: redirectURI, scope, resource, state: expectedState, nonce: expectedNonce,
    code_challenge: await oauth.calculatePKCECodeChallenge(pkceCodeVerifier), code_challenge_method: 'S256',
  }, { DPoP })
  const back = await authorize(start, redirectURI)
  const tokens = await oauth.authorizationCodeGrant(config, back, { pkceCodeVerifier, expectedState, expectedNonce, idTokenExpected: true }, undefined, { DPoP })
  const call = async (token) => (await oauth.fetchProtectedResource(config, token, new URL(target), 'GET', undefined, undefined, { DPoP })).status
  const answers = [await call(tokens.access_token)]
  const refreshed = await oauth.refreshTokenGrant(config, tokens.refresh_token, undefined, { DPoP })
  answers.push(await call(refreshed.access_token))
  const user = await oauth.fetchUserInfo(config, refreshed.access_token, tokens.claims().sub, { DPoP })
  await oauth.tokenRevocation(config, refreshed.refresh_token)
  const refused = await oauth.refreshTokenGrant(config, refreshed.refresh_token, undefined, { DPoP }).then(() => '', (error) => error.error)
  return {
    thumbprint: await DPoP.calculateThumbprint(),
    tokenType: tokens.token_type,
    challenges: 0, answers, refused, user: user.name,
  }
})
