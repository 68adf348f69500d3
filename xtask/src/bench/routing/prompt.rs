//! Prompts by their parts: named texts, of which equal names mean equal texts. The load generator writes the texts out.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};

/// A text of so many tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Piece {
    /// Its name.
    pub id: u64,
    /// Its length; a shorter text of the same name is how the longer one begins.
    pub tokens: u32,
}

/// Who speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Role {
    /// The operator.
    System,
    /// The client.
    User,
    /// The model.
    Assistant,
}

/// What is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Prompt {
    /// A chat, message by message.
    Chat(Vec<(Role, Vec<Piece>)>),
    /// A completion's text.
    Flat(Vec<Piece>),
}

/// A request, and when it comes.
#[derive(Clone, Debug, PartialEq)]
pub struct Request {
    /// Seconds since the first one.
    pub at_s: f64,
    /// The prompt.
    pub prompt: Prompt,
    /// Tokens of the answer.
    pub output: u32,
    /// Whose it is.
    pub tenant: Tenant,
}

/// Whose a request is: of one who is alone in most workloads, or of another.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Tenant {
    /// The first, or only one.
    #[default]
    First,
    /// Another.
    Second,
}

impl Role {
    /// As requests have it.
    pub fn name(self) -> &'static str {
        match self {
            Self::System => "system",
            Self::User => "user",
            Self::Assistant => "assistant",
        }
    }
}

impl Prompt {
    /// Its length, the chat template left out.
    pub fn tokens(&self) -> u32 {
        self.chained().iter().map(|(_, piece, _)| piece.tokens).sum()
    }

    /// Each piece with the number of its message, and a name for all of the prompt up to its end.
    pub fn chained(&self) -> Vec<(usize, Piece, u64)> {
        let mut hasher = DefaultHasher::new();
        let mut chained = Vec::new();
        let mut add = |message: usize, pieces: &[Piece], hasher: &mut DefaultHasher| {
            for piece in pieces {
                piece.hash(hasher);
                chained.push((message, *piece, hasher.finish()));
            }
        };
        match self {
            Self::Flat(pieces) => add(0, pieces, &mut hasher),
            Self::Chat(messages) => {
                for (number, (role, pieces)) in messages.iter().enumerate() {
                    (number, role).hash(&mut hasher);
                    add(number, pieces, &mut hasher);
                }
            }
        }
        chained
    }
}

/// The text `name` in pieces of at most [`BLOCK_TOKENS`].
pub fn text(name: u64, tokens: u32) -> Vec<Piece> {
    let blocks = 0..tokens.div_ceil(BLOCK_TOKENS);
    let piece = |block: u32| Piece {
        id: name_of(&(name, block)),
        tokens: BLOCK_TOKENS.min(tokens - block * BLOCK_TOKENS),
    };
    blocks.map(piece).collect()
}

/// A name for something.
pub fn name_of(what: &impl std::hash::Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    what.hash(&mut hasher);
    hasher.finish()
}

/// As in the Mooncake traces.
pub const BLOCK_TOKENS: u32 = 512;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_cut_into_blocks_of_which_the_last_has_the_rest() {
        let lengths = |tokens| text(7, tokens).iter().map(|piece| piece.tokens).collect::<Vec<_>>();
        assert_eq!(lengths(1_100), [512, 512, 76]);
        assert_eq!(lengths(512), [512]);
        assert_eq!(text(7, 1_100)[..2], text(7, 1_024)[..]);
        assert_ne!(text(7, 512), text(8, 512));
    }

    #[test]
    fn prefixes_are_equal_as_far_as_roles_and_texts_are() {
        let chat = |last: Role, name| Prompt::Chat(vec![(Role::System, text(1, 600)), (last, text(name, 5))]);
        let prefixes = |prompt: &Prompt| prompt.chained().iter().map(|part| part.2).collect::<Vec<_>>();
        let [one, other, role] = [chat(Role::User, 2), chat(Role::User, 3), chat(Role::Assistant, 2)];
        assert_eq!(one.tokens(), 605);
        assert_eq!(prefixes(&one)[..2], prefixes(&other)[..2]);
        assert_ne!(prefixes(&one)[2], prefixes(&other)[2]);
        assert_ne!(prefixes(&one)[2], prefixes(&role)[2]);
        assert_ne!(prefixes(&one)[0], prefixes(&Prompt::Flat(text(1, 600)))[0]);
    }
}
