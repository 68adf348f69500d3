//! How tokenizers spell tokens: bytes as printable characters, as GPT-2 began it (`bytes_to_unicode`). Only for those
//! who ask what a prompt's tokens are; counting needs none of it.

use std::collections::BTreeMap;

use super::{Table, Vocabulary};

impl Table {
    /// The spelling of each id, in order; nothing for an id that is no token. It goes through the whole vocabulary
    /// once, for an id tells nothing of where its token stands.
    pub fn spellings(&self, ids: &[u32]) -> Vec<String> {
        let mut wanted: BTreeMap<u32, String> = ids.iter().map(|id| (*id, String::new())).collect();
        for (token, id) in self.vocabulary().into_iter().flat_map(Vocabulary::tokens) {
            if let Some(spelling) = wanted.get_mut(&id) {
                *spelling = token.iter().map(|byte| character(*byte)).collect();
            }
        }
        for added in &self.opened.details.added {
            if let Some(spelling) = wanted.get_mut(&added.id) {
                spelling.clone_from(&added.content);
            }
        }
        ids.iter()
            .map(|id| wanted.get(id).cloned().unwrap_or_default())
            .collect()
    }
}

/// Printable bytes of Latin-1 stand for themselves, the others for the characters from U+0100 on, in order.
pub(crate) fn character(byte: u8) -> char {
    let code = match byte {
        b'!'..=b'~' | 0xA1..=0xAC | 0xAE..=0xFF => u32::from(byte),
        0..=b' ' => 0x100 + u32::from(byte),
        0x7F..=0xA0 => 0x121 + u32::from(byte - 0x7F),
        0xAD => 0x143,
    };
    char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_has_a_character_of_its_own() {
        assert_eq!(
            [b'a', b' ', b'\n', 0xAD, 0x7F, 0xA0, 0xFF].map(character),
            ['a', 'Ġ', 'Ċ', 'Ń', 'ġ', 'ł', 'ÿ']
        );
        let all: std::collections::BTreeSet<char> = (0..=u8::MAX).map(character).collect();
        assert_eq!(all.len(), 256);
    }
}
