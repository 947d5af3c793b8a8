// A browser with one user who presses the first button of every page: logs in as the development user, and agrees.

// authorize goes where a client sends its user, and returns the URL that the user comes back to the client with.
export async function authorize(start, redirectURI) {
  const jar = new Map()
  let url = new URL(start)
  let form
  for (let steps = 0; steps < 10; steps++) {
    const response = await fetch(url, {
      redirect: 'manual',
      headers: { cookie: [...jar].map(([name, value]) => `${name}=${value}`).join('; ') },
      ...(form && { method: 'POST', body: form }),
    })
    for (const cookie of response.headers.getSetCookie()) {
      const [name, value] = cookie.split(';', 1)[0].split(/=(.*)/s)
      jar.set(name, value)
    }
    const page = await response.text()
    if (response.status === 303) {
      const next = response.headers.get('location')
      if (next.startsWith(redirectURI)) return new URL(next)
      url = new URL(next, url)
      form = undefined
      continue
    }
    const action = /<form method="post" action="([^"]+)">/.exec(page)
    if (response.status !== 200 || !action) throw new Error(`${response.status} at ${url}:\n${page}`)
    url = new URL(unescape(action[1]), url)
    form = new URLSearchParams()
    for (const [, name, value] of page.matchAll(/<input type="hidden" name="([^"]*)" value="([^"]*)">/g)) form.set(name, unescape(value))
    const button = /<button name="([^"]+)" value="([^"]+)">/.exec(page)
    if (button) form.set(button[1], button[2])
  }
  throw new Error(`lost at ${url}`)
}

function unescape(text) {
  return text.replace(/&#(\d+);/g, (_, code) => String.fromCharCode(code)).replaceAll('&amp;', '&')
}
