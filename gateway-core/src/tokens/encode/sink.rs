//! What is wanted of tokens: how many there are, or which.

/// Takes tokens in order.
pub(in crate::tokens) trait Sink {
    /// Whether `id` is ever called.
    const WANTS_IDS: bool;

    /// One more token; its id is looked up only where it is wanted.
    fn token(&mut self, id: impl FnOnce() -> u32);
}

/// Counts them.
#[derive(Debug, Default)]
pub(in crate::tokens) struct Counter(pub u64);

impl Sink for Counter {
    const WANTS_IDS: bool = false;

    #[inline]
    fn token(&mut self, _: impl FnOnce() -> u32) {
        self.0 += 1;
    }
}

/// Tells their ids.
pub(in crate::tokens) struct Ids<F>(pub F);

impl<F: FnMut(u32)> Sink for Ids<F> {
    const WANTS_IDS: bool = true;

    fn token(&mut self, id: impl FnOnce() -> u32) {
        (self.0)(id());
    }
}
