// A Worker in JavaScript that answers each request with what one key of the store has, with nothing of Tidegate in it: the
// least that an answer costs which is read there. `cargo xtask bench` compares answers from the response cache with it.

export default {
  async fetch(request, env) {
    const answer = await env.STORE.get('answer');
    return new Response(answer, { headers: { 'content-type': 'application/json' } });
  },
};
