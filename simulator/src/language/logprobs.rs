//! Plausible log probabilities: shaped like a model's, made up from the seed.

use super::random::{Random, hash_tokens};
use super::tokens::{TokenId, encode};
use super::words::NOUNS;

/// A token with how likely it was.
#[derive(Debug, Clone, PartialEq)]
pub struct Scored {
    /// The token.
    pub token: TokenId,
    /// Natural logarithm of its probability.
    pub logprob: f64,
}

/// The chosen token's probability, and those of `top` candidates, the most likely (which is the chosen one) first.
#[must_use]
pub fn score(seed: u64, position: usize, chosen: TokenId, top: usize) -> (Scored, Vec<Scored>) {
    let mut random = Random::new(hash_tokens(seed, &[position as u32, chosen]));
    // Most tokens of an answer are nearly certain, some are not.
    let probability = 0.999 - 0.6 * random.fraction().powi(4);
    let chosen = Scored {
        token: chosen,
        logprob: probability.ln(),
    };
    let mut left = 1.0 - probability;
    let mut candidates = Vec::with_capacity(top);
    for rank in 0..top {
        if rank == 0 {
            candidates.push(chosen.clone());
            continue;
        }
        let share = left * (0.5 + 0.3 * random.fraction());
        left -= share;
        let word = format!(" {}", random.pick(NOUNS));
        candidates.push(Scored {
            token: encode(&word)[0],
            logprob: share.ln(),
        });
    }
    (chosen, candidates)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn candidates_descend_and_stay_a_distribution() {
        for position in 0..200 {
            let (chosen, top) = score(9, position, 1_000, 5);
            assert_eq!(top[0], chosen);
            assert!(
                top[1..].windows(2).all(|pair| pair[0].logprob > pair[1].logprob),
                "{top:?}"
            );
            assert!(
                top.iter().map(|scored| scored.logprob.exp()).sum::<f64>() <= 1.0,
                "{top:?}"
            );
        }
        assert!(score(9, 0, 1_000, 0).1.is_empty());
    }
}
