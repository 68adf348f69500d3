//! Which characters come together before their bytes are joined to others, so that encoding may begin with them instead
//! of with bytes. docs/decisions/0008-tables-without-merges.md has why that is the same.
//!
//! A merge across a character's border joins the part of it that stands there, a piece of the character until it is
//! made. It comes too soon when what it makes has a lesser id than what the character's own next merge makes.

use std::collections::BTreeMap;

use super::merges::{Merges, Step};
use crate::tokens::table::{INSIDE, WHOLE};

/// The least ids of tokens that reach across a border of a character.
#[derive(Debug, Default)]
pub(super) struct Borders<'a> {
    /// By the bytes with which such a token begins the character that it ends inside of.
    into: BTreeMap<&'a [u8], Least>,
    /// By the bytes with which it ends the character that it begins inside of.
    out_of: BTreeMap<&'a [u8], Least>,
}

/// The least ids where the byte across the border is ASCII, and where it is not.
#[derive(Clone, Copy, Debug)]
struct Least {
    ascii: u32,
    other: u32,
}

impl Least {
    const NONE: Self = Self {
        ascii: u32::MAX,
        other: u32::MAX,
    };

    fn note(&mut self, across: u8, id: u32) {
        let least = if across.is_ascii() {
            &mut self.ascii
        } else {
            &mut self.other
        };
        *least = id.min(*least);
    }
}

impl<'a> Borders<'a> {
    /// Looks at all tokens that merges make.
    pub fn of(tokens: &[(&'a Vec<u8>, &'a u32)]) -> Self {
        let mut borders = Self::default();
        for (token, id) in tokens {
            let first = token.iter().position(|byte| !is_continuation(*byte));
            if let Some(first) = first.filter(|first| *first > 0) {
                let least = borders.out_of.entry(&token[..first]).or_insert(Least::NONE);
                least.note(token[first], **id);
            }
            let last = token.iter().rposition(|byte| !is_continuation(*byte));
            if let Some(last) = last.filter(|last| *last > 0) {
                let least = borders.into.entry(&token[last..]).or_insert(Least::NONE);
                least.note(token[last - 1], **id);
            }
        }
        borders
    }

    /// [`WHOLE`] and [`INSIDE`], as far as they are true of the token `id`.
    pub fn marks(&self, token: &[u8], id: u32, merges: &Merges) -> u8 {
        let is_character = std::str::from_utf8(token).is_ok_and(|text| text.chars().count() == 1);
        if token.len() < 2 || !is_character || merges.merges_early(id) {
            return 0;
        }
        let (steps, _) = merges.steps(token);
        let comes_first = |least: fn(Least) -> u32| {
            steps.iter().all(|step| {
                let across = self.across(token, step).map(least);
                step.made <= id && across.iter().all(|least| *least > step.made)
            })
        };
        match (comes_first(|least| least.other), comes_first(|least| least.ascii)) {
            (true, true) => WHOLE | INSIDE,
            (true, false) => INSIDE,
            (false, _) => 0,
        }
    }

    /// What may be merged across the two borders of a character before one of its own steps.
    fn across(&self, token: &[u8], step: &Step) -> [Least; 2] {
        let into = self.into.get(&token[..step.first_end]);
        let out_of = self.out_of.get(&token[step.last_start..]);
        [into, out_of].map(|least| least.copied().unwrap_or(Least::NONE))
    }
}

fn is_continuation(byte: u8) -> bool {
    byte & 0xc0 == 0x80
}
