//! Embeddings: unit vectors in which texts that share tokens lie close together.

use super::random::{Random, hash_tokens};
use super::tokens::TokenId;

/// Dimensions when a request asks for none.
pub const DEFAULT_DIMENSIONS: usize = 1_024;

/// The unit vector of a text: the sum of a pseudo-random direction for each of its tokens. Fewer dimensions are a prefix
/// of more, scaled to length one again.
#[must_use]
pub fn embed(seed: u64, tokens: &[TokenId], dimensions: usize) -> Vec<f32> {
    let mut vector = vec![0.0_f32; dimensions];
    for token in tokens {
        let mut random = Random::new(hash_tokens(seed, &[*token]));
        for value in &mut vector {
            *value += random.fraction() as f32 - 0.5;
        }
    }
    let length = vector
        .iter()
        .map(|value| value * value)
        .sum::<f32>()
        .sqrt()
        .max(f32::MIN_POSITIVE);
    vector.iter_mut().for_each(|value| *value /= length);
    vector
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::language::tokens::encode;

    fn dot(left: &[f32], right: &[f32]) -> f32 {
        left.iter().zip(right).map(|(left, right)| left * right).sum()
    }

    #[test]
    fn vectors_are_units_and_like_texts_are_close() {
        let embed_text = |text| embed(1, &encode(text), 256);
        let [harbor, port, tax] = [
            "boats leave the harbor",
            "boats leave the port",
            "an unrelated tax form",
        ]
        .map(embed_text);
        assert!((dot(&harbor, &harbor) - 1.0).abs() < 1e-4);
        assert!(dot(&harbor, &port) > dot(&harbor, &tax) + 0.2);
        assert_eq!(harbor, embed_text("boats leave the harbor"));
    }
}
