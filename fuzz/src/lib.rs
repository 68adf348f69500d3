//! What targets share.

/// `bytes` in pieces, whose lengths follow from the bytes, so that recordings can be inputs as they are.
pub fn pieces(mut bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    // The offset and prime of FNV-1a.
    let mut state = bytes.iter().fold(0xCBF2_9CE4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01B3)
    });
    std::iter::from_fn(move || {
        if bytes.is_empty() {
            return None;
        }
        state = state.wrapping_mul(0x5851_F42D_4C95_7F2D).wrapping_add(1);
        let length = 1 + usize::try_from(state >> 59).unwrap_or_default();
        let (piece, rest) = bytes.split_at(length.min(bytes.len()));
        bytes = rest;
        Some(piece)
    })
}
