//! Cells: one generic Durable Object class. An object runs one command at a time. Its state is in its memory: figures of
//! the moment, which heal by expiry when the object is moved or restarted. What has to last is written into the object's
//! storage with the command that changes it; the runtime lets no reply out before it is there.
//!
//! Commands reach it as a method call of Workers RPC, which costs about half of a `fetch` to the object.

use std::cell::RefCell;
use std::rc::Rc;

use futures::future::{Either, select};
use js_sys::futures::{JsFuture, future_to_promise};
use tidegate_core::cells::{
    CellAddress, CellCommand, CellError, CellId, CellReply, HeldCalls, TimedCell, decode, encode,
};
use tidegate_core::geo::{Coordinates, round_trip};
use wasm_bindgen::JsValue;
use wasm_bindgen::prelude::{JsError, wasm_bindgen};
use worker::{Env, console_warn};

use crate::glue;
use crate::http::error_text;
use crate::outbox::{self, LINGER};
use crate::platform::{now, wall};
use crate::timers::Timers;

/// The Durable Object. Its name is the cell's key; it takes any kind.
#[wasm_bindgen]
#[derive(Default)]
pub struct Cell(Rc<Object>);

#[derive(Default)]
struct Object {
    /// The runtime's handle of the object's storage.
    context: JsValue,
    state: RefCell<Option<TimedCell>>,
    held: RefCell<HeldCalls>,
}

#[wasm_bindgen]
impl Cell {
    /// Called by the runtime.
    #[wasm_bindgen(constructor)]
    pub fn new(context: JsValue, _env: Env) -> Self {
        Self(Rc::new(Object {
            context,
            ..Object::default()
        }))
    }

    /// Runs the commands, in order, on the cell with that key; gives the last one's reply, or a promise of it: a call for a
    /// turn is held until that has come, and is made again then.
    ///
    /// # Errors
    /// When this version of the code does not know the key's kind, a command, or the record of what has lasted.
    pub fn call(&self, key: &str, commands: &str) -> Result<JsValue, JsError> {
        let commands: Vec<CellCommand> = decode(commands.as_bytes())?;
        let last = commands.last().filter(|last| last.may_be_held_for().is_some()).cloned();
        let reply = self.0.call(key, commands)?;
        let held = last.and_then(|last| Some((last.may_be_held_for()?, reply.held_for()?, last)));
        let Some((permit, longest, last)) = held else {
            return written(&reply);
        };
        let turn = self.0.held.borrow_mut().hold(permit);
        let (object, key) = (Rc::clone(&self.0), key.to_owned());
        Ok(future_to_promise(async move {
            let reply = match select(turn, Timers::new().sleep(longest)).await {
                Either::Left(_) => object.call(&key, vec![last])?,
                Either::Right(_) => reply,
            };
            Ok(written(&reply)?)
        })
        .into())
    }
}

fn written(reply: &CellReply) -> Result<JsValue, JsError> {
    Ok(String::from_utf8(encode(reply)?)?.into())
}

impl Object {
    fn call(&self, key: &str, commands: Vec<CellCommand>) -> Result<CellReply, JsError> {
        let id = CellId::from_key(key).ok_or_else(|| JsError::new("no cell of this kind"))?;
        let mut state = self.state.borrow_mut();
        let state = match &mut *state {
            Some(state) => state,
            empty => empty.insert(self.begin(&id)?),
        };
        let (mut reply, mut lasting_changed) = (None, false);
        if let Some(by) = state.set_back_by(wall()) {
            console_warn!(
                "the clock of {key} was set back by {} s: it goes on from there",
                by.as_secs()
            );
        }
        for command in commands {
            let applied = state.apply(wall(), command);
            lasting_changed |= applied.lasting_changed;
            reply = Some(applied.reply);
        }
        self.held.borrow_mut().on_applied(state, wall());
        let reply = reply.ok_or_else(|| JsError::new("no command"))?;
        if lasting_changed && let Some(record) = state.to_lasting_record()? {
            glue::keep_record(&self.context, &String::from_utf8(record)?);
        }
        Ok(reply)
    }

    fn begin(&self, id: &CellId) -> Result<TimedCell, CellError> {
        let fresh = TimedCell::new(id);
        let record = fresh.is_lasting().then(|| glue::kept_record(&self.context)).flatten();
        record.map_or(Ok(fresh), |record| TimedCell::from_record(record.as_bytes()))
    }
}

/// Lets the runtime offer the class's methods to callers: it does so for classes that derive from its own, and one
/// written in Rust cannot say that it does.
pub(crate) fn make_callable() {
    glue::make_callable(Cell::default());
}

/// Runs a command in a cell, wherever it is. One that only tells the cell something goes in company, if there is any.
pub(crate) async fn call(
    env: &Env,
    timers: &Rc<Timers>,
    cell: &CellAddress,
    command: CellCommand,
) -> Result<CellReply, CellError> {
    let key = cell.id.key();
    let Some(reply) = command.reply_to_come() else {
        let mut commands = outbox::collect(&key);
        commands.push(command);
        return send(env, cell, &key, &commands).await;
    };
    if outbox::post(&key, command, now()) {
        timers.sleep(LINGER).await;
        loop {
            let commands = outbox::collect(&key);
            if commands.is_empty() {
                break;
            }
            send(env, cell, &key, &commands).await?;
        }
    }
    Ok(reply)
}

async fn send(env: &Env, cell: &CellAddress, key: &str, commands: &[CellCommand]) -> Result<CellReply, CellError> {
    let commands = encode(&commands)?;
    let commands = String::from_utf8(commands).map_err(|error| CellError::Malformed(error.to_string()))?;
    let promise = glue::call_cell(env, &format!("{key}\n{}\n{commands}", location_hint(cell.near)));
    let reply = JsFuture::from(promise.map_err(|error| unreachable_cell(&error))?).await;
    match reply.map_err(|error| unreachable_cell(&error))?.as_string() {
        Some(reply) => decode(reply.as_bytes()),
        None => Err(CellError::Malformed("the reply is no text".to_owned())),
    }
}

fn unreachable_cell(error: &JsValue) -> CellError {
    CellError::Unreachable(error_text(error))
}

/// Where Cloudflare is asked to keep an object: the hint whose middle is nearest. It counts only when the object is
/// made.
fn location_hint(near: Coordinates) -> &'static str {
    let nearest = LOCATION_HINTS.iter().min_by_key(|(_, latitude, longitude)| {
        let middle = Coordinates {
            latitude: *latitude,
            longitude: *longitude,
        };
        round_trip(near, middle)
    });
    nearest.map_or("weur", |(hint, _, _)| hint)
}

/// Cloudflare's location hints, each with the latitude and longitude of a place in the middle of its data centres.
const LOCATION_HINTS: &[(&str, f64, f64)] = &[
    ("wnam", 37.4, -121.9),
    ("enam", 39.0, -77.5),
    ("sam", -23.5, -46.6),
    ("weur", 50.1, 4.4),
    ("eeur", 50.1, 20.0),
    ("apac", 22.3, 114.2),
    ("oc", -33.9, 151.2),
    ("afr", -26.2, 28.0),
    ("me", 25.2, 55.3),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_hint_is_taken() {
        let hint = |latitude, longitude| location_hint(Coordinates { latitude, longitude });
        assert_eq!(hint(50.1, 8.7), "weur");
        assert_eq!(hint(38.9, -77.0), "enam");
        assert_eq!(hint(45.8, -119.7), "wnam");
        assert_eq!(hint(1.35, 103.8), "apac");
        assert_eq!(hint(-36.8, 174.8), "oc");
    }
}
