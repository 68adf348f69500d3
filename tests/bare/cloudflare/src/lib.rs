//! A pass-through Worker with nothing of Tidegate in it: what the same `worker` crate costs when it only forwards.
//! `cargo xtask bench` compares the gateway with it.

use worker::{Env, Fetch, Request, RequestInit, Response, Result, event};

/// Sends the request on to the upstream that the variable `UPSTREAM` names, and its response back untouched.
#[event(fetch)]
async fn fetch(request: Request, env: Env, _context: worker::Context) -> Result<Response> {
    let upstream = env.var("UPSTREAM")?.to_string();
    let mut init = RequestInit::new();
    init.with_method(request.method())
        .with_headers(request.headers().clone())
        .with_body(request.inner().body().map(Into::into));
    let onward = Request::new_with_init(&format!("{upstream}{}", request.path()), &init)?;
    Fetch::Request(onward).send().await
}
