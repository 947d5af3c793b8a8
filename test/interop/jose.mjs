// jose reads what issuer and gateway sign by the key sets that they publish, and trades keys and signatures with Go.
import * as jose from 'jose'
import { answer } from './peer.mjs'

await answer(async ({ statements, ours, algorithms }) => ({
  statements: await Promise.all(statements.map(read)),
  ours: await Promise.all(ours.map(check)),
  theirs: await Promise.all(algorithms.map(make)),
}))

// read verifies a JWT as its recipient would, and tells its claims or why it is refused.
async function read({ jwt, jwks, issuer, audience, typ, alg }) {
  const keys = jose.createRemoteJWKSet(new URL(jwks))
  const options = { issuer, audience, typ, algorithms: [alg], requiredClaims: ['exp', 'iat', 'jti'] }
  try {
    const { payload } = await jose.jwtVerify(jwt, keys, options)
    return { claims: payload, refused: '' }
  } catch (error) {
    return { claims: null, refused: error.code }
  }
}

// check computes the thumbprint of a key of ours, and verifies a signature by it.
async function check({ alg, jwk, jws }) {
  const { payload } = await jose.compactVerify(jws, await jose.importJWK(jwk, alg), { algorithms: [alg] })
  return { thumbprint: await jose.calculateJwkThumbprint(jwk), payload: new TextDecoder().decode(payload) }
}

// make makes a key, and signs with it.
async function make(alg) {
  const { publicKey, privateKey } = await jose.generateKeyPair(alg, { extractable: true })
  const jwk = await jose.exportJWK(publicKey)
  const jws = await new jose.CompactSign(new TextEncoder().encode('from jose')).setProtectedHeader({ alg }).sign(privateKey)
  return {
    alg,
    jwk,
    private: { ...(await jose.exportJWK(privateKey)), alg },
    thumbprint: await jose.calculateJwkThumbprint(jwk),
    jws,
  }
}
