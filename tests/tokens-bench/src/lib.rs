//! Libraries that count tokens, behind one door: what the native program and the module for wasm both measure.

mod contender;

pub use contender::{Contender, Library};

use wasm_bindgen::prelude::*;

/// A library with one tokenizer and one text, for Node: the text is handed over once, so that a measurement holds
/// nothing but counting.
#[wasm_bindgen]
#[derive(Debug)]
pub struct Bench {
    contender: Contender,
    text: String,
}

#[wasm_bindgen]
impl Bench {
    /// Opens `file`, which is what the library takes: a table, or a `tokenizer.json`.
    ///
    /// # Errors
    /// When there is no library of this name, or it cannot read the file.
    #[wasm_bindgen(constructor)]
    pub fn new(library: &str, file: Vec<u8>) -> Result<Self, JsError> {
        let library = Library::named(library).ok_or_else(|| JsError::new("no such library"))?;
        Ok(Self {
            contender: Contender::open(library, file).map_err(|error| JsError::new(&error))?,
            text: String::new(),
        })
    }

    /// Keeps a text to be counted.
    pub fn take(&mut self, text: &str) {
        text.clone_into(&mut self.text);
    }

    /// Counts the kept text so many times, and returns how many tokens it is.
    ///
    /// # Errors
    /// When the library fails.
    pub fn count(&mut self, times: u32) -> Result<f64, JsError> {
        let mut tokens = 0;
        for _ in 0..times {
            tokens = self.contender.count(&self.text).map_err(|error| JsError::new(&error))?;
        }
        Ok(tokens as f64)
    }
}

/// Bytes of the module's memory, of which it never gives any back.
#[wasm_bindgen]
pub fn memory_bytes() -> f64 {
    #[cfg(target_family = "wasm")]
    let pages = core::arch::wasm32::memory_size(0);
    #[cfg(not(target_family = "wasm"))]
    let pages = 0;
    (pages * PAGE_BYTES) as f64
}

/// Of a page of wasm memory.
const PAGE_BYTES: usize = 65_536;
