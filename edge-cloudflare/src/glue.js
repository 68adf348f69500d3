// What is quicker in JavaScript than by calling JavaScript: each call out of wasm, and each string that goes along,
// has its price. So what belongs together crosses as one text of several lines; headers are a line for each name and
// one for its value.

import { DurableObject } from 'cloudflare:workers';

// Every wait in Rust ends with a microtask. The runtime's own way to queue one takes six times as long as this.
const settled = Promise.resolve();
globalThis.queueMicrotask = (task) => {
  settled.then(() => {
    try {
      task();
    } catch (error) {
      reportError(error);
    }
  });
};

// Derives the class of `cell` from the runtime's own, as its methods can be called from outside only then.
export function makeCallable(cell) {
  Object.setPrototypeOf(cell.constructor, DurableObject);
  Object.setPrototypeOf(cell.constructor.prototype, DurableObject.prototype);
  cell.free();
}

// A line for each name. The build puts the declaration of `tokenTables`, by name their contents, before the script.
export function tableNames() {
  return Object.keys(tokenTables).join('\n');
}

export function table(name) {
  return new Uint8Array(tokenTables[name]);
}

// Lines: key, location hint, commands.
export function callCell(env, letter) {
  const [key, locationHint, commands] = letter.split('\n');
  return env.CELLS.getByName(key, { locationHint }).call(key, commands);
}

// The record of what of a cell has to last, in its object's storage.
export function keptRecord(context) {
  return context.storage.kv.get('record');
}

export function keepRecord(context, record) {
  context.storage.kv.put('record', record);
}

// Lines: method, URL, data centre, latitude, longitude, headers.
export function requestHead(request) {
  const { colo = '', latitude = '', longitude = '' } = request.cf ?? {};
  return `${request.method}\n${request.url}\n${colo}\n${latitude}\n${longitude}\n${textOf(request.headers)}`;
}

// Lines: status, headers.
export function responseHead(response) {
  return `${response.status}\n${textOf(response.headers)}`;
}

// Lines of `head`: method, URL, headers.
export function send(env, binding, head, body, signal) {
  const lines = head.split('\n');
  const [method, url] = lines;
  // A copy, since the view is into memory that moves.
  const whole = body.length > 0 ? body.slice() : undefined;
  const request = { method, headers: headersOf(lines, 2), body: whole, redirect: 'manual', signal };
  if (binding === '') return fetch(url, request);
  if (env[binding] === undefined) throw new Error(`no service binding ${binding}`);
  return env[binding].fetch(url, request);
}

export function pieces(stream, areLarge) {
  return areLarge ? new LargePieces(stream) : new Pieces(stream);
}

// A stream, read a little ahead, so that what comes while the last pieces are still being dealt with comes as one. A
// dense stream, whose pieces follow each other without a pause, costs a fraction of the time that way.
class Pieces {
  constructor(stream) {
    this.waiting = [];
    this.bytes = 0;
    this.ended = false;
    this.error = undefined;
    this.lastGiven = 0;
    this.wake = () => {};
    this.goOn = () => {};
    this.readAhead(stream.getReader());
  }

  // The pieces that have come, as one; undefined at the end.
  async next() {
    while (this.waiting.length === 0) {
      if (this.error !== undefined) throw this.error;
      if (this.ended) return undefined;
      await new Promise((wake) => (this.wake = wake));
    }
    // Gives what is on its way already the chance to arrive: no time passes but for that.
    if (!this.ended && Date.now() - this.lastGiven < DENSE_MS) await scheduler.wait(0);
    this.lastGiven = Date.now();
    const pieces = this.waiting;
    this.waiting = [];
    this.bytes = 0;
    this.goOn();
    return pieces.length === 1 ? pieces[0] : joined(pieces);
  }

  async readAhead(reader) {
    try {
      for (;;) {
        const { done, value } = await reader.read();
        if (done) break;
        this.waiting.push(value);
        this.bytes += value.length;
        this.wake();
        if (this.bytes >= MOST_BYTES_AHEAD) await new Promise((goOn) => (this.goOn = goOn));
      }
    } catch (error) {
      this.error = error ?? new Error('the stream broke');
    }
    this.ended = true;
    this.wake();
  }
}

// A stream of which nobody waits for each piece. The runtime itself puts together what comes, at a fraction of the price
// of handing it over.
class LargePieces {
  constructor(stream) {
    this.reader = stream.getReader({ mode: 'byob' });
    this.buffer = new ArrayBuffer(LARGEST_PIECE);
    this.ended = false;
  }

  // At least so many bytes, or those before the end; undefined at the end.
  async next(least) {
    if (this.ended) return undefined;
    const { value } = await this.reader.readAtLeast(least, new Uint8Array(this.buffer));
    this.buffer = value.buffer;
    this.ended = value.length < least;
    return value.length > 0 ? value : undefined;
  }

  // Reads on, in case that the end is all that comes.
  seekEnd() {
    // What fails has ended as well.
    this.next(1).catch(() => {});
  }
}

// Cancels a request whose response is no longer wanted, unless that has ended by itself, or is about to: a connection
// that is read to its end can be used again.
export async function cancelUnlessEnded(controller, pieces) {
  pieces.seekEnd?.();
  if (!pieces.ended) await scheduler.wait(0);
  if (!pieces.ended) controller.abort();
}

// What is written at one end is read, natively, at the other.
export function channel() {
  const { readable, writable } = new IdentityTransformStream();
  return { readable, writer: writable.getWriter() };
}

// Lines of `head`: status, headers.
export function respond(head, body) {
  const lines = head.split('\n');
  return new Response(body, { status: Number(lines[0]), headers: headersOf(lines, 1) });
}

function joined(pieces) {
  const whole = new Uint8Array(pieces.reduce((bytes, piece) => bytes + piece.length, 0));
  let at = 0;
  for (const piece of pieces) {
    whole.set(piece, at);
    at += piece.length;
  }
  return whole;
}

function textOf(headers) {
  let text = '';
  // Twice as quick as iterating.
  headers.forEach((value, name) => {
    text += `${name}\n${value}\n`;
  });
  return text;
}

function headersOf(lines, first) {
  const headers = new Headers();
  for (let line = first; line + 1 < lines.length; line += 2) headers.append(lines[line], lines[line + 1]);
  return headers;
}

// Beyond this a stream is read no faster than its pieces are taken.
const MOST_BYTES_AHEAD = 1 << 16;
// Pieces that follow each other within this time make a stream dense.
const DENSE_MS = 10;
// Room for what is read at a time, in bytes: more than is ever asked for.
const LARGEST_PIECE = 1 << 13;
