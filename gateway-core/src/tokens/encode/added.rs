//! Finding added tokens in text: the leftmost, and of those that begin at one byte the longest.

use memchr::memchr;

use crate::tokens::table::AddedToken;

/// The added tokens of one pass.
#[derive(Debug)]
pub(in crate::tokens) struct AddedTokens {
    /// In the order of their contents, so that those with a common beginning stand together.
    sorted: Vec<AddedToken>,
    /// The byte that they all begin with, where there is one: it is `<` in most tokenizers.
    begin: Option<u8>,
}

/// One of them in a text, with the white space that belongs to it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Found {
    pub start: usize,
    pub end: usize,
    pub id: u32,
}

impl AddedTokens {
    /// The passes over a text: first those tokens that are looked for in text as it came, then those looked for in
    /// what is left of it. Passes without tokens are left out.
    pub fn passes(tokens: &[AddedToken]) -> Vec<Self> {
        let of = |normalized| {
            tokens
                .iter()
                .filter(move |token| token.normalized == normalized && !token.content.is_empty())
        };
        let passes = [of(false).cloned().collect::<Vec<_>>(), of(true).cloned().collect()];
        passes
            .into_iter()
            .filter(|tokens| !tokens.is_empty())
            .map(Self::new)
            .collect()
    }

    fn new(mut tokens: Vec<AddedToken>) -> Self {
        tokens.sort_by(|a, b| a.content.cmp(&b.content));
        let begin = |token: &AddedToken| token.content.as_bytes().first().copied();
        // They are sorted: when the first and the last begin alike, all do.
        let (first, last) = (tokens.first().and_then(begin), tokens.last().and_then(begin));
        let begin = first.filter(|_| first == last);
        Self { sorted: tokens, begin }
    }

    /// The first token in `text` at or behind `from`. White space before it is its own only down to `from`.
    pub(super) fn find(&self, text: &str, from: usize) -> Option<Found> {
        let bytes = text.as_bytes();
        let mut at = from;
        loop {
            if let Some(begin) = self.begin {
                at += memchr(begin, bytes.get(at..)?)?;
            }
            if let Some(token) = self.longest_at(bytes.get(at..)?) {
                return Some(found(token, text, from, at));
            }
            at += 1;
        }
    }

    /// The longest token that `bytes` begin with. Looks among the tokens that begin like `bytes`, ever fewer.
    fn longest_at(&self, bytes: &[u8]) -> Option<&AddedToken> {
        let mut alike = &self.sorted[..];
        let mut longest = None;
        for (depth, byte) in bytes.iter().enumerate() {
            let at_depth = |token: &AddedToken| token.content.as_bytes().get(depth).copied();
            let first = alike.partition_point(|token| at_depth(token) < Some(*byte));
            let last = alike.partition_point(|token| at_depth(token) <= Some(*byte));
            alike = &alike[first..last];
            match alike.first() {
                None => break,
                // Of tokens that begin alike the shortest stands first.
                Some(token) if token.content.len() == depth + 1 => longest = Some(token),
                Some(_) => {}
            }
        }
        longest
    }
}

fn found(token: &AddedToken, text: &str, from: usize, at: usize) -> Found {
    let (before, rest) = (&text[from..at], &text[at + token.content.len()..]);
    let stripped_before = if token.lstrip {
        before.len() - before.trim_end().len()
    } else {
        0
    };
    let stripped_behind = if token.rstrip {
        rest.len() - rest.trim_start().len()
    } else {
        0
    };
    Found {
        start: at - stripped_before,
        end: at + token.content.len() + stripped_behind,
        id: token.id,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token(content: &str, id: u32) -> AddedToken {
        AddedToken {
            content: content.to_owned(),
            id,
            lstrip: false,
            rstrip: false,
            normalized: false,
        }
    }

    fn all(tokens: &[AddedToken], text: &str) -> Vec<(usize, usize, u32)> {
        let passes = AddedTokens::passes(tokens);
        let mut found = Vec::new();
        let mut from = 0;
        while let Some(Found { start, end, id }) = passes[0].find(text, from) {
            found.push((start, end, id));
            from = end;
        }
        found
    }

    #[test]
    fn the_leftmost_and_of_those_the_longest_is_found() {
        let tokens = [token("<a", 1), token("<a><b>", 2), token("<a>", 3), token("<", 4)];
        assert_eq!(
            all(&tokens, "<<a><a><b<a><b><a"),
            [(0, 1, 4), (1, 4, 3), (4, 7, 3), (7, 8, 4), (9, 15, 2), (15, 17, 1)]
        );
        let mixed = [token("<x>", 1), token("[y]", 2)];
        assert_eq!(all(&mixed, "a[y]<x>[y"), [(1, 4, 2), (4, 7, 1)]);
    }

    #[test]
    fn white_space_goes_to_tokens_that_strip_it() {
        let strips = |lstrip, rstrip| AddedToken {
            lstrip,
            rstrip,
            ..token("<x>", 1)
        };
        let text = "a \n<x> \t<x>";
        assert_eq!(all(&[strips(false, false)], text), [(3, 6, 1), (8, 11, 1)]);
        assert_eq!(all(&[strips(true, false)], text), [(1, 6, 1), (6, 11, 1)]);
        assert_eq!(all(&[strips(false, true)], text), [(3, 8, 1), (8, 11, 1)]);
    }
}
