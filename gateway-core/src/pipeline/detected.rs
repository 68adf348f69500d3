//! What detectors have found in the answer that a client gets, to be told with it.

use std::cell::Cell;

use crate::detect::Detector;

/// Which detectors have found something, each by the bit of its place.
#[derive(Debug, Default)]
pub(super) struct Detected(Cell<u8>);

impl Detected {
    /// That one has.
    pub fn add(&self, detector: Detector) {
        self.0.set(self.0.get() | 1 << detector as u8);
    }

    /// The answer comes to nothing, and its client sees none of it.
    pub fn clear(&self) {
        self.0.set(0);
    }

    /// Whether any has.
    pub fn is_any(&self) -> bool {
        self.0.get() != 0
    }

    /// Their names, as labels have them; `None` where there is none.
    pub fn names(&self) -> Option<String> {
        let found = Detector::ALL
            .into_iter()
            .filter(|detector| self.0.get() & 1 << *detector as u8 != 0);
        let names: Vec<_> = found.map(Detector::name).collect();
        (!names.is_empty()).then(|| names.join(","))
    }
}
