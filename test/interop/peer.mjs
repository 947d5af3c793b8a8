// What every script shares: a configuration on standard input, one result on standard output.
import { text } from 'node:stream/consumers'

export async function answer(act) {
  const config = JSON.parse(await text(process.stdin))
  process.stdout.write(JSON.stringify(await act(config)))
}
