//! Which language a client reads: as its browser or SDK says, or as it writes itself. A guess is made only where a text
//! gives enough to go by; nothing is remembered of it.

mod accept;
mod tag;
mod words;
mod writing;

pub use accept::accepted;
pub use tag::{LanguageTag, TagError};
pub use writing::{MOST_BYTES_READ, written_in};
