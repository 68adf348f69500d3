//! Randomness of the runtime's own.

use wasm_bindgen::prelude::wasm_bindgen;

#[wasm_bindgen]
extern "C" {
    #[wasm_bindgen(js_namespace = crypto, js_name = getRandomValues)]
    fn get_random_values(buffer: &mut [u8]);
}

/// Sixty-four bits that nobody can predict.
pub(crate) fn random() -> u64 {
    let mut buffer = [0; 8];
    get_random_values(&mut buffer);
    u64::from_ne_bytes(buffer)
}
