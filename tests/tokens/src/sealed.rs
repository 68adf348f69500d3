//! Files that pass for whole: hostile tables would not get past the checksum without.

/// `file` with a checksum that fits it, so that everything behind the checksum is looked at; as it is when it is too
/// short to have one. The format is described in `gateway-core/src/tokens/table/layout.rs`.
pub fn sealed(mut file: Vec<u8>) -> Vec<u8> {
    if let Some((header, body)) = file.split_at_mut_checked(HEADER_BYTES) {
        header[CHECKSUM_AT..].copy_from_slice(&checksum(body).to_le_bytes());
    }
    file
}

fn checksum(body: &[u8]) -> u64 {
    let mix = |sum: u64, word: u64| (sum ^ word).wrapping_mul(MULTIPLIER).rotate_left(29);
    let mut lanes = [1, 2, 3, body.len() as u64];
    let (words, rest) = body.as_chunks::<8>();
    let whole = words.len() / lanes.len() * lanes.len();
    for (at, word) in words[..whole].iter().enumerate() {
        let lane = &mut lanes[at % 4];
        *lane = mix(*lane, u64::from_le_bytes(*word));
    }
    let tail = words[whole..].iter().flatten().chain(rest).map(|byte| u64::from(*byte));
    lanes.into_iter().chain(tail).fold(0, mix)
}

const HEADER_BYTES: usize = 24;
const CHECKSUM_AT: usize = 16;
const MULTIPLIER: u64 = 0xd134_2543_de82_ef95;
