// A Worker in JavaScript that looks at nothing of a stream, but takes each piece into its hands, as whoever looks must:
// what reading costs in workerd. What comes while a piece is being written goes on as one, the cheapest way that we
// know. `cargo xtask bench` prints it beside the Worker that lets the runtime pass everything through.

export default {
  async fetch(request, env) {
    const answer = await fetch(new Request(env.UPSTREAM + new URL(request.url).pathname, request));
    const { readable, writable } = new IdentityTransformStream();
    relay(answer.body.getReader(), writable.getWriter());
    return new Response(readable, answer);
  },
};

async function relay(reader, writer) {
  const pieces = readAhead(reader);
  while (await pieces.arrival()) {
    await scheduler.wait(0);
    await writer.write(joined(pieces.take()));
  }
  await writer.close();
}

function readAhead(reader) {
  let waiting = [];
  let ended = false;
  let wake = () => {};
  (async () => {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) break;
      waiting.push(value);
      wake();
    }
    ended = true;
    wake();
  })();
  return {
    async arrival() {
      if (waiting.length === 0 && !ended) await new Promise((arrived) => (wake = arrived));
      return waiting.length > 0;
    },
    take() {
      const taken = waiting;
      waiting = [];
      return taken;
    },
  };
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
