// The package dpop makes the proofs; requests, nonces and attempts to misuse them are this script's.
import { calculateThumbprint, generateKeyPair, generateProof } from 'dpop'
import { answer } from './peer.mjs'

await answer(async ({ tokenEndpoint, client_id, secret, alg, resource, other, target }) => {
  const keys = await generateKeyPair(alg)
  const basic = `Basic ${btoa(`${encodeURIComponent(client_id)}:${encodeURIComponent(secret)}`)}`
  const grant = await challenged(async (nonce) =>
    fetch(tokenEndpoint, {
      method: 'POST',
      headers: { Authorization: basic, DPoP: await generateProof(keys, tokenEndpoint, 'POST', nonce) },
      body: new URLSearchParams({ grant_type: 'client_credentials', resource }),
    }),
  )
  const token = await grant.response.json()
  const access = token.access_token

  const call = (method, url, proof, scheme = 'DPoP') =>
    fetch(url, {
      method,
      headers: { Authorization: `${scheme} ${access}`, ...(proof && { DPoP: proof }) },
      body: method === 'POST' ? '{"amount":10}' : undefined,
    })
  let nonce
  const prove = (method, { with: by = keys, to = target, bound = access, having = nonce } = {}) =>
    generateProof(by, to, method, having, bound)
  const get = await challenged(async (got) => call('GET', target + '?page=1', await prove('GET', { having: (nonce = got) })))
  const used = await prove('POST')
  const post = await call('POST', target, used)

  const misuse = {
    'proof used again': () => call('POST', target, used),
    'proof for another method': async () => call('GET', target, await prove('POST')),
    'proof for another URL': async () => call('GET', target, await prove('GET', { to: other })),
    'proof by another key': async () => call('GET', target, await prove('GET', { with: await generateKeyPair(alg) })),
    'proof without a token': async () => call('GET', target, await prove('GET', { bound: '' })),
    'proof for another token': async () => call('GET', target, await prove('GET', { bound: 'another' })),
    'nonce of nobody': async () => call('GET', target, await prove('GET', { having: 'AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA' })),
    'nonce of the token endpoint': async () => call('GET', target, await prove('GET', { having: grant.nonce })),
    'RSA key': async () => call('GET', target, await prove('GET', { with: await generateKeyPair('PS256') })),
    'no proof': () => call('GET', target),
    'Bearer': async () => call('GET', target, await prove('GET'), 'Bearer'),
    'Bearer without a proof': () => call('GET', target, undefined, 'Bearer'),
  }
  const refused = []
  for (const [name, attempt] of Object.entries(misuse)) refused.push({ name, status: (await attempt()).status })
  return {
    thumbprint: await calculateThumbprint(keys.publicKey),
    tokenType: token.token_type,
    retries: [grant.retries, get.retries],
    answers: [get.response.status, post.status],
    refused,
  }
})

// challenged acts, and acts once more with the nonce that the server asks for.
async function challenged(act) {
  const first = await act(undefined)
  const nonce = first.headers.get('DPoP-Nonce')
  const wants = first.status === 401 ? first.headers.get('WWW-Authenticate') : (await first.clone().text())
  if (first.ok || !nonce || !wants.includes('use_dpop_nonce')) return { response: first, retries: 0 }
  await first.arrayBuffer()
  return { response: await act(nonce), retries: 1, nonce }
}
