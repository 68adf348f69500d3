//! The functions of `glue.js`, which says what the lines of each text are.

use js_sys::Promise;
use wasm_bindgen::JsValue;
use wasm_bindgen::prelude::wasm_bindgen;
use worker::Env;
use worker::web_sys::{AbortController, AbortSignal, ReadableStream, Request, Response, WritableStreamDefaultWriter};

use crate::cells::Cell;

#[wasm_bindgen(module = "/src/glue.js")]
extern "C" {
    /// Lets the runtime offer the methods of the class to callers.
    #[wasm_bindgen(js_name = makeCallable)]
    pub(crate) fn make_callable(cell: Cell);

    /// The names of the token tables.
    #[wasm_bindgen(js_name = tableNames)]
    pub(crate) fn table_names() -> String;

    /// The file of the table with this name, which must be one of them.
    pub(crate) fn table(name: &str) -> Vec<u8>;

    /// Calls a cell; gives a promise of its reply.
    #[wasm_bindgen(catch, js_name = callCell)]
    pub(crate) fn call_cell(env: &Env, letter: &str) -> Result<Promise, JsValue>;

    /// The record that the object of a cell has kept, if any.
    #[wasm_bindgen(js_name = keptRecord)]
    pub(crate) fn kept_record(context: &JsValue) -> Option<String>;

    /// Keeps a record in the object of a cell.
    #[wasm_bindgen(js_name = keepRecord)]
    pub(crate) fn keep_record(context: &JsValue, record: &str);

    /// All of a request but its body.
    #[wasm_bindgen(js_name = requestHead)]
    pub(crate) fn request_head(request: &Request) -> String;

    /// All of a response but its body.
    #[wasm_bindgen(js_name = responseHead)]
    pub(crate) fn response_head(response: &Response) -> String;

    /// Sends a request, by that service binding unless it is empty; gives a promise of the response.
    #[wasm_bindgen(catch)]
    pub(crate) fn send(
        env: &Env,
        binding: &str,
        head: &str,
        body: &[u8],
        signal: &AbortSignal,
    ) -> Result<Promise, JsValue>;

    /// A stream that is read.
    pub(crate) type Pieces;

    /// Begins to read the stream: a little ahead, or in large pieces.
    pub(crate) fn pieces(stream: &ReadableStream, are_large: bool) -> Pieces;

    /// A promise of the pieces that have come, or of at least so many bytes where they are to be large, as one array of
    /// bytes; of `undefined` at the end.
    #[wasm_bindgen(method)]
    pub(crate) fn next(this: &Pieces, least: usize) -> Promise;

    /// Cancels a request, unless its response ends right now.
    #[wasm_bindgen(js_name = cancelUnlessEnded)]
    pub(crate) fn cancel_unless_ended(controller: &AbortController, pieces: &Pieces);

    /// A stream of bytes and the way into it.
    #[wasm_bindgen(catch)]
    pub(crate) fn channel() -> Result<Channel, JsValue>;

    /// A response; `body` is bytes, a stream, or null.
    #[wasm_bindgen(catch)]
    pub(crate) fn respond(head: &str, body: &JsValue) -> Result<Response, JsValue>;
}

#[wasm_bindgen]
extern "C" {
    /// A stream of bytes and the way into it.
    pub(crate) type Channel;

    /// Where the bytes come out.
    #[wasm_bindgen(method, getter)]
    pub(crate) fn readable(this: &Channel) -> ReadableStream;

    /// Where they go in. A write completes when it has been read.
    #[wasm_bindgen(method, getter)]
    pub(crate) fn writer(this: &Channel) -> WritableStreamDefaultWriter;
}
