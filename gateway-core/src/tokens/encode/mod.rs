//! From text to tokens, with a table: added tokens are found first, the text between them is cut into windows,
//! normalized, split into pieces, and each piece is one token or is merged from its bytes.
//!
//! Memory does not grow with the text: a window is some kilobytes, unless the text has a longer run in which no cut
//! is known to be safe (`windows.rs`).

mod added;
mod compose;
mod cursor;
mod encoder;
mod long;
mod merge;
mod merge_cache;
mod normalize;
mod piece_counts;
mod pieces;
mod scan;
mod sink;
mod split;
mod windows;

pub(super) use added::AddedTokens;
pub(super) use encoder::{Encoder, Memory, Progress};
pub(super) use sink::{Counter, Ids, Sink};
pub(super) use windows::last_cut;
