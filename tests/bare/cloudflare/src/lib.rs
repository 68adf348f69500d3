//! A pass-through Worker with nothing of Tidegate in it: what the same `worker` crate costs when it only forwards. Where
//! the variable `GATHER` is set, it reads all of a stream before it answers, with the end of it: the least that an answer
//! costs which is put together here. `cargo xtask bench` compares the gateway with both.

use worker::js_sys::Uint8Array;
use worker::wasm_bindgen_futures::JsFuture;
use worker::{Env, Fetch, Request, RequestInit, Response, Result, event, web_sys};

/// Sends the request on to the upstream that the variable `UPSTREAM` names, and its response back.
#[event(fetch)]
async fn fetch(request: Request, env: Env, _context: worker::Context) -> Result<Response> {
    let upstream = env.var("UPSTREAM")?.to_string();
    let mut init = RequestInit::new();
    init.with_method(request.method())
        .with_headers(request.headers().clone())
        .with_body(request.inner().body().map(Into::into));
    let onward = Request::new_with_init(&format!("{upstream}{}", request.path()), &init)?;
    let response = Fetch::Request(onward).send().await?;
    if env.var("GATHER").is_ok() {
        gathered(response.into()).await
    } else {
        Ok(response)
    }
}

/// The end of a response that was read to it: by the runtime in one go, as nothing that looks at it could.
async fn gathered(response: web_sys::Response) -> Result<Response> {
    let all = Uint8Array::new(&JsFuture::from(response.array_buffer()?).await?).to_vec();
    Response::from_bytes(all[all.len().saturating_sub(WHOLE_BYTES)..].to_vec())
}

/// What a whole answer of the bench's upstream takes, about.
const WHOLE_BYTES: usize = 600;
