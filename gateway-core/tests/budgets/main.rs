//! Budgets as they are used: books at many locations, one cell, and a network between them that loses, delays and
//! doubles messages. Time is virtual and every run is the same for its seed.

mod asking;
mod crowd;
mod fleet;
mod properties;
mod random;
mod scenarios;
mod window;
