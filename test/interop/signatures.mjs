// http-message-signatures as a signer of requests, which it sends, and as a verifier of requests that Go recorded.
import { createHash, createPrivateKey, createPublicKey, createSecretKey, constants, sign } from 'node:crypto'
import { request } from 'node:http'
import peer from 'http-message-signatures'
import { answer } from './peer.mjs'

const { createSigner, createVerifier, httpbis } = peer

await answer(async ({ sign, verify }) => {
  for (const order of sign) await send(order)
  return await Promise.all(verify.map(judge))
})

// send signs what Go asks for and sends it, byte for byte as signed.
async function send({ key, message, components, name, fixedSalt }) {
  const { method, url, body } = message
  const headers = { ...message.header, 'Interop-Case': name }
  if (body) headers['Content-Digest'] = digest(body)
  const signed = await httpbis.signMessage(
    {
      key: fixedSalt ? { ...signer(key), sign: signRSAPSS(key) } : signer(key),
      name: 'sig1',
      params: ['created', 'keyid'],
      fields: components,
    },
    { method, url, headers },
  )
  await new Promise((resolve, reject) => {
    const sent = request(url, { method, headers: signed.headers }, (response) => {
      response.resume()
      response.on('end', resolve)
    })
    sent.on('error', reject)
    sent.end(body)
  })
}

// judge verifies a request, and its body's digest, which the package leaves to its users.
async function judge({ key, message, components }) {
  const { method, url, header: headers, body } = message
  const verdict = { signature: false, digest: !body || headers['Content-Digest']?.[0] === digest(body), error: '' }
  try {
    const config = {
      requiredParams: ['created', 'keyid'],
      requiredFields: components.filter((c) => !c.includes(';')).map((c) => c.replaceAll('"', '')),
      maxAge: 60,
      keyLookup: async ({ keyid }) =>
        keyid === key.keyid ? { id: keyid, algs: [key.alg], verify: createVerifier(publicKey(key), key.alg) } : null,
    }
    verdict.signature = (await httpbis.verifyMessage(config, { method, url, headers })) === true
  } catch (error) {
    verdict.error = error.message
  }
  return verdict
}

function digest(body) {
  return `sha-256=:${createHash('sha256').update(body).digest('base64')}:`
}

function signer(key) {
  return createSigner(privateKey(key), key.alg, key.keyid)
}

// signRSAPSS signs with a salt of 64 bytes, as RFC 9421, section 3.3.1, has it. The package's own signer takes the
// longest salt that fits.
function signRSAPSS(key) {
  const options = { key: privateKey(key), padding: constants.RSA_PKCS1_PSS_PADDING, saltLength: 64 }
  return async (data) => sign('sha512', data, options)
}

function privateKey({ secret, jwk }) {
  return secret ? createSecretKey(secret, 'base64') : createPrivateKey({ key: jwk, format: 'jwk' })
}

function publicKey(key) {
  return key.secret ? privateKey(key) : createPublicKey(privateKey(key))
}
