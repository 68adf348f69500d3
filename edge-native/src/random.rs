//! Unpredictable numbers: the operating system's, fetched a page at a time, since a call for each would cost more
//! than the routing that uses it.

use std::cell::RefCell;

/// One thread's stock of random bytes. Each is given out once.
#[derive(Debug)]
pub struct Random {
    stock: RefCell<Stock>,
}

#[derive(Debug)]
struct Stock {
    words: [u64; STOCK_WORDS],
    used: usize,
}

impl Random {
    /// A stock that is filled on first use.
    pub const fn new() -> Self {
        Self {
            stock: RefCell::new(Stock {
                words: [0; STOCK_WORDS],
                used: STOCK_WORDS,
            }),
        }
    }

    /// Sixty-four bits that nobody can predict.
    ///
    /// # Panics
    /// When the operating system has no randomness: nothing that needs it could be done safely then.
    pub fn next(&self) -> u64 {
        let mut stock = self.stock.borrow_mut();
        if stock.used == STOCK_WORDS {
            let mut bytes = [0; STOCK_WORDS * 8];
            getrandom::fill(&mut bytes).expect("the operating system gives random bytes");
            for (word, bytes) in stock.words.iter_mut().zip(bytes.as_chunks().0) {
                *word = u64::from_ne_bytes(*bytes);
            }
            stock.used = 0;
        }
        let at = stock.used;
        stock.used += 1;
        std::mem::take(&mut stock.words[at])
    }
}

/// Words fetched at once.
const STOCK_WORDS: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn no_word_is_given_out_twice() {
        let random = Random::new();
        let words: BTreeSet<u64> = (0..STOCK_WORDS * 4).map(|_| random.next()).collect();
        assert_eq!(words.len(), STOCK_WORDS * 4);
        assert!(!words.contains(&0));
    }
}
