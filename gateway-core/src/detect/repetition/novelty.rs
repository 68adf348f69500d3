//! How much of the latest text was new: of places that are looked up by their hashes, those that were not known.

/// Over how many places it is measured: some 2,000 symbols.
pub const WINDOW: u32 = 128;
/// With more new places than these among them, 9%, a text moves on. The run of docs/detectors/repetition.md chose it.
const MOST_NEW: u32 = 12;
/// How many symbols pass between two looks at a text that has nothing new.
const LOOK_EVERY: u32 = 512;

/// How much of the latest text was new.
#[derive(Clone, Copy, Debug)]
pub struct Novelty {
    /// Of the last [`WINDOW`] places, whether each was new.
    places: [u64; WINDOW as usize / 64],
    next: u32,
    new: u32,
    /// Since when, in symbols, there was less news than a text has that moves on.
    stale_from: u32,
    /// When to look at it, in symbols.
    look_at: u32,
}

impl Default for Novelty {
    fn default() -> Self {
        Self {
            places: [u64::MAX; WINDOW as usize / 64],
            next: 0,
            new: WINDOW,
            stale_from: 0,
            look_at: u32::MAX,
        }
    }
}

impl Novelty {
    /// Counts a place. `length`: how many symbols there are by now.
    pub fn note(&mut self, is_new: bool, length: u32) {
        let place = &mut self.places[self.next as usize / 64];
        let bit = 1 << (self.next % 64);
        self.new -= u32::from(*place & bit != 0);
        self.new += u32::from(is_new);
        *place = if is_new { *place | bit } else { *place & !bit };
        self.next = (self.next + 1) % WINDOW;
        if self.new > MOST_NEW {
            (self.stale_from, self.look_at) = (length, u32::MAX);
        } else if self.look_at == u32::MAX {
            self.look_later(length);
        }
    }

    /// Whether it is time to look at a text in which nothing is new.
    pub fn is_due(&self, length: u32) -> bool {
        self.look_at <= length
    }

    /// Puts the next look off.
    pub fn look_later(&mut self, length: u32) {
        self.look_at = length.saturating_add(LOOK_EVERY);
    }

    /// For how many symbols nothing was new.
    pub fn stale_for(&self, length: u32) -> u32 {
        length - self.stale_from
    }

    /// How many of the last [`WINDOW`] places were new.
    pub fn news(&self) -> u32 {
        self.new
    }
}
