// What every script shares: a configuration on standard input, one result on standard output.
import { text } from 'node:stream/consumers'

export async function answer(act) {
  const config = JSON.parse(await text(process.stdin))
  process.stdout.write(JSON.stringify(await act(config)))
}

// retried acts once more if only a nonce was missing.
export async function retried(act, nonceMissing) {
  try {
    return { value: await act(), retries: 0 }
  } catch (error) {
    if (!nonceMissing(error)) throw error
    return { value: await act(), retries: 1 }
  }
}
