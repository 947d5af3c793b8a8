// What the issuer's pages do with passkeys (WebAuthn Level 3): a button with data-passkey begins a ceremony, asks the
// browser, and sends what it said. docs/users.md says what the server makes of it.
"use strict";

const alertBox = document.querySelector("[role=alert]");

// What the user is told where the browser refuses.
const refusals = {
  NotAllowedError: "The passkey wasn’t used: you cancelled, or it took too long. You can try again.",
  InvalidStateError: "This device has a passkey of yours already.",
  SecurityError: "This page’s address doesn’t allow passkeys. Tell the people who run this server.",
};

class Refused extends Error {}

function decode(text) {
  return Uint8Array.from(atob(text.replaceAll("-", "+").replaceAll("_", "/")), (c) => c.charCodeAt(0));
}

function encode(buffer) {
  const octets = Array.from(new Uint8Array(buffer), (octet) => String.fromCharCode(octet));
  return btoa(octets.join("")).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
}

async function post(path, body) {
  const response = await fetch(path, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify(body),
  });
  const answer = await response.json();
  if (!response.ok) throw new Refused(answer.error);
  return answer;
}

async function logIn({ base, back }) {
  const { publicKey } = await post(base + "passkey/begin-login", {});
  const { rawId, response } = await navigator.credentials.get({
    publicKey: { ...publicKey, challenge: decode(publicKey.challenge) },
  });
  return post(base + "passkey/login", {
    id: encode(rawId),
    clientDataJSON: encode(response.clientDataJSON),
    authenticatorData: encode(response.authenticatorData),
    signature: encode(response.signature),
    userHandle: encode(response.userHandle ?? new ArrayBuffer(0)),
    back: back ?? "",
  });
}

async function add({ base }, invitation) {
  const { publicKey } = await post(base + "passkey/begin", { invitation });
  const { rawId, response } = await navigator.credentials.create({
    publicKey: {
      ...publicKey,
      challenge: decode(publicKey.challenge),
      user: { ...publicKey.user, id: decode(publicKey.user.id) },
      excludeCredentials: (publicKey.excludeCredentials ?? []).map((known) => ({ ...known, id: decode(known.id) })),
    },
  });
  return post(base + "passkey/add", {
    id: encode(rawId),
    clientDataJSON: encode(response.clientDataJSON),
    attestationObject: encode(response.attestationObject),
  });
}

function enrol(data) {
  const invitation = location.hash.slice(1);
  if (invitation === "") throw new Refused("The end of the link is missing: open the whole invitation.");
  return add(data, invitation);
}

const ceremonies = { login: logIn, add: (data) => add(data, ""), enrol };

// run keeps the focus where it is: on the button, for another try.
async function run(button) {
  if (button.ariaDisabled === "true") return;
  button.ariaDisabled = "true";
  alertBox.textContent = "";
  try {
    const { location: to } = await ceremonies[button.dataset.passkey](button.dataset);
    location.assign(to);
  } catch (error) {
    alertBox.textContent =
      error instanceof Refused ? error.message : (refusals[error.name] ?? "This didn’t work. Try again in a while.");
  } finally {
    button.ariaDisabled = null;
  }
}

for (const button of document.querySelectorAll("[data-passkey]")) {
  if (window.PublicKeyCredential) {
    button.hidden = false;
    button.addEventListener("click", () => run(button));
  } else {
    alertBox.textContent = "This browser has no passkeys, or not at this address.";
  }
}
