//! Randomness of the runtime's own, fetched for many draws at once.

use std::cell::RefCell;

use wasm_bindgen::prelude::wasm_bindgen;

/// Sixty-four bits that nobody can predict.
pub(crate) fn random() -> u64 {
    POOL.with_borrow_mut(|pool| {
        if pool.is_empty() {
            let mut bytes = [0; POOL_WORDS * WORD];
            get_random_values(&mut bytes);
            pool.extend(
                bytes
                    .chunks_exact(WORD)
                    .map(|word| word.iter().fold(0, |word, byte| word << 8 | u64::from(*byte))),
            );
        }
        pool.pop().unwrap_or_default()
    })
}

#[wasm_bindgen]
extern "C" {
    #[wasm_bindgen(js_namespace = crypto, js_name = getRandomValues)]
    fn get_random_values(buffer: &mut [u8]);
}

thread_local! {
    static POOL: RefCell<Vec<u64>> = RefCell::default();
}

/// Draws that are fetched at once.
const POOL_WORDS: usize = 64;
const WORD: usize = size_of::<u64>();
