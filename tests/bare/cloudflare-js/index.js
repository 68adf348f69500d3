// A pass-through Worker in JavaScript, with nothing of Tidegate in it: what workerd itself costs. `cargo xtask bench`
// prints it beside the same Worker in Rust.

export default {
  fetch(request, env) {
    return fetch(new Request(env.UPSTREAM + new URL(request.url).pathname, request));
  },
};
