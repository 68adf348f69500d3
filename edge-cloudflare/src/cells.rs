//! Cells: one generic Durable Object class. An object runs one command at a time, and its state is in its memory
//! only: figures of the moment, which heal by expiry when the object is moved or restarted.
//!
//! Commands reach it as a method call of Workers RPC, which costs about half of a `fetch` to the object. Both ends
//! carry what the core writes, in one version of the code at a time: an object runs the version of its caller, or the
//! one deployed just before or after.

use std::cell::RefCell;

use js_sys::Promise;
use js_sys::futures::JsFuture;
use tidegate_core::cells::{CellAddress, CellCommand, CellId, CellReply, CellState, decode, encode};
use tidegate_core::platform::CellError;
use tidegate_core::route::{Coordinates, round_trip};
use wasm_bindgen::prelude::{JsError, JsValue, wasm_bindgen};
use worker::{Env, worker_sys};

use crate::platform::now;

/// The Durable Object. Its name is the cell's key; it takes any kind.
#[wasm_bindgen]
#[derive(Default)]
pub struct Cell(RefCell<Option<CellState>>);

#[wasm_bindgen]
impl Cell {
    /// Called by the runtime.
    #[wasm_bindgen(constructor)]
    pub fn new(_state: worker_sys::DurableObjectState, _env: Env) -> Self {
        Self::default()
    }

    /// Runs the command on the cell with that key; gives its reply.
    ///
    /// # Errors
    /// When this version of the code does not know the key's kind or the command.
    pub fn call(&self, key: &str, command: &str) -> Result<String, JsError> {
        let id = CellId::from_key(key).ok_or_else(|| JsError::new("no cell of this kind"))?;
        let command: CellCommand = decode(command.as_bytes())?;
        let mut state = self.0.borrow_mut();
        let reply = state.get_or_insert_with(|| CellState::new(&id)).apply(now(), command);
        Ok(String::from_utf8(encode(&reply)?)?)
    }
}

#[wasm_bindgen(inline_js = "
import { DurableObject } from 'cloudflare:workers';
export function makeCallable(cell) {
  Object.setPrototypeOf(cell.constructor, DurableObject);
  Object.setPrototypeOf(cell.constructor.prototype, DurableObject.prototype);
  cell.free();
}")]
extern "C" {
    #[wasm_bindgen(js_name = makeCallable)]
    fn make_class_callable(cell: Cell);

    /// A Durable Object as its callers see it.
    type CellStub;

    #[wasm_bindgen(method, catch)]
    fn call(this: &CellStub, key: &str, command: &str) -> Result<Promise, JsValue>;
}

/// Lets the runtime offer the class's methods to callers: it does so for classes that derive from its own, and one
/// written in Rust cannot say that it does.
pub(crate) fn make_callable() {
    make_class_callable(Cell::default());
}

/// Runs a command in a cell, wherever it is.
pub(crate) async fn call(env: &Env, cell: &CellAddress, command: &CellCommand) -> Result<CellReply, CellError> {
    let key = cell.id.key();
    let command = String::from_utf8(encode(command)?).map_err(|error| CellError::Malformed(error.to_string()))?;
    let cells = env
        .durable_object(BINDING)
        .map_err(|error| CellError::Unreachable(error.to_string()))?;
    let stub: CellStub = cells
        .get_by_name_with_location_hint(&key, location_hint(cell.near))
        .map_err(|error| CellError::Unreachable(error.to_string()))?
        .into_rpc();
    let promise = stub.call(&key, &command).map_err(|error| unreachable_cell(&error))?;
    let reply = JsFuture::from(promise)
        .await
        .map_err(|error| unreachable_cell(&error))?;
    let reply = reply
        .as_string()
        .ok_or_else(|| CellError::Malformed("the reply is no text".to_owned()))?;
    decode(reply.as_bytes())
}

fn unreachable_cell(error: &JsValue) -> CellError {
    CellError::Unreachable(crate::http::error_text(error))
}

/// Where Cloudflare is asked to keep an object: the hint whose middle is nearest. It counts only when the object is
/// made.
fn location_hint(near: Coordinates) -> &'static str {
    let distance = |middle: &Coordinates| round_trip(near, *middle);
    let nearest = LOCATION_HINTS.iter().min_by_key(|(_, middle)| distance(middle));
    nearest.map_or("weur", |(hint, _)| hint)
}

/// Cloudflare's location hints, each with a place in the middle of the data centres that it stands for.
const LOCATION_HINTS: &[(&str, Coordinates)] = &[
    (
        "wnam",
        Coordinates {
            latitude: 37.4,
            longitude: -121.9,
        },
    ),
    (
        "enam",
        Coordinates {
            latitude: 39.0,
            longitude: -77.5,
        },
    ),
    (
        "sam",
        Coordinates {
            latitude: -23.5,
            longitude: -46.6,
        },
    ),
    (
        "weur",
        Coordinates {
            latitude: 50.1,
            longitude: 4.4,
        },
    ),
    (
        "eeur",
        Coordinates {
            latitude: 50.1,
            longitude: 20.0,
        },
    ),
    (
        "apac",
        Coordinates {
            latitude: 22.3,
            longitude: 114.2,
        },
    ),
    (
        "oc",
        Coordinates {
            latitude: -33.9,
            longitude: 151.2,
        },
    ),
    (
        "afr",
        Coordinates {
            latitude: -26.2,
            longitude: 28.0,
        },
    ),
    (
        "me",
        Coordinates {
            latitude: 25.2,
            longitude: 55.3,
        },
    ),
];

/// The binding in wrangler.toml.
const BINDING: &str = "CELLS";
