// structured-headers parses fields and writes them again.
import * as sh from 'structured-headers'
import { answer } from './peer.mjs'

const types = {
  item: [sh.parseItem, sh.serializeItem],
  list: [sh.parseList, sh.serializeList],
  dictionary: [sh.parseDictionary, sh.serializeDictionary],
}

await answer(async (fields) =>
  fields.map(({ type, lines }) => {
    const [parse, serialize] = types[type]
    let value
    try {
      value = parse(lines.join(', '))
    } catch {
      return { parsed: false, written: '' }
    }
    try {
      return { parsed: true, written: serialize(value) }
    } catch (error) {
      return { parsed: true, written: `can't be written: ${error.message}` }
    }
  }),
)
