//! What stands before and behind the text of a chunk, and is the same in most chunks of a stream.

/// What stands before and behind a text.
#[derive(Clone, Debug)]
pub(super) struct Affixes {
    pub before: String,
    pub behind: String,
}

impl Affixes {
    /// What stands between them in `chunk`, if it begins and ends with them.
    pub fn strip<'c>(&self, chunk: &'c [u8]) -> Option<&'c [u8]> {
        let (before, behind) = (self.before.as_bytes(), self.behind.as_bytes());
        let (first, rest) = chunk.split_at_checked(before.len())?;
        let (text, last) = rest.split_at_checked(rest.len().checked_sub(behind.len())?)?;
        (are_same(first, before) && are_same(last, behind)).then_some(text)
    }
}

/// Whether both, which are equally long, are the same: word by word, since comparing slices goes byte by byte in wasm, which
/// was a twentieth of a stream's cost.
fn are_same(left: &[u8], right: &[u8]) -> bool {
    let (left_words, left_rest) = left.as_chunks::<8>();
    let (right_words, right_rest) = right.as_chunks::<8>();
    left_words.iter().zip(right_words).all(|(left, right)| left == right) && left_rest == right_rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_found_where_all_around_it_is_the_same() {
        let affixes = Affixes {
            before: "{\"content\":".to_owned(),
            behind: ",\"logprobs\":null}".to_owned(),
        };
        let strip = |chunk: &str| affixes.strip(chunk.as_bytes()).map(<[u8]>::to_vec);
        let like = "{\"content\":\"a\",\"logprobs\":null}";
        assert_eq!(strip(like).as_deref(), Some(&b"\"a\""[..]));
        assert_eq!(strip("{\"content\":,\"logprobs\":null}").as_deref(), Some(&b""[..]));
        assert_eq!(strip("{\"content\":\"logprobs\":null}"), None, "they do not overlap");
        for at in (0..like.len()).filter(|at| !(11..14).contains(at)) {
            let mut other = like.as_bytes().to_vec();
            other[at] ^= 1;
            assert_eq!(affixes.strip(&other), None, "{at}");
        }
    }
}
