// What is quicker in JavaScript than by calling JavaScript: each call out of wasm, and each string that goes along,
// has its price. Headers cross as one text, a line for each name and each value.

import { DurableObject } from 'cloudflare:workers';

// Derives the class of `cell` from the runtime's own, as its methods can be called from outside only then.
export function makeCallable(cell) {
  Object.setPrototypeOf(cell.constructor, DurableObject);
  Object.setPrototypeOf(cell.constructor.prototype, DurableObject.prototype);
  cell.free();
}

export function callCell(env, key, locationHint, command) {
  return env.CELLS.getByName(key, { locationHint }).call(key, command);
}

export function headersText(headers) {
  let text = '';
  for (const [name, value] of headers) text += `${name}\n${value}\n`;
  return text;
}

export function send(url, method, headers, body, signal) {
  // A copy, since the view is into memory that moves.
  const whole = body.length > 0 ? body.slice() : undefined;
  return fetch(url, { method, headers: headersOf(headers), body: whole, redirect: 'manual', signal });
}

// What is written at one end is read, natively, at the other.
export function channel() {
  const { readable, writable } = new IdentityTransformStream();
  return { readable, writer: writable.getWriter() };
}

export function respond(status, headers, body) {
  return new Response(body, { status, headers: headersOf(headers) });
}

function headersOf(text) {
  const lines = text.split('\n');
  const headers = new Headers();
  for (let line = 0; line + 1 < lines.length; line += 2) headers.append(lines[line], lines[line + 1]);
  return headers;
}
