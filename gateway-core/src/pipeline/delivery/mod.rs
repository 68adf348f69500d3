//! The client's answer, from the first wait to the last byte, in the hands of one owner.

mod begin;
mod cached;
mod label;
mod passage;
mod stream;
mod tell_edge;
mod upkeep;

pub(super) use begin::{begin, respond_canned};
pub(super) use cached::reply_from_cache;
