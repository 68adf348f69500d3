//! How a whole answer is rewritten while it passes, in constant memory: the members of its object are told from each
//! other, without keeping what is in them. The model gets its public name, the usage is read, and all else stays byte for
//! byte. Whether that all is valid JSON is for its reader to see; whether its object has ended is known.

use super::usage::read_usage;
use crate::api::answer::{NoAnswer, Usage};
use crate::api::json_cursor::string;
use crate::api::request::quoted;

/// Rewrites one answer that passes.
#[derive(Clone, Debug)]
pub struct PassingRewriter {
    /// The model's public name as a JSON string.
    model: String,
    at: At,
    /// The member's name as it is written, as far as it can be one that matters.
    name: Vec<u8>,
    member: Member,
    /// Arrays and objects that are open in the member's value.
    depth: usize,
    /// The usage as it is written, as far as it is kept.
    usage: Vec<u8>,
}

/// Where in the answer the next byte stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum At {
    /// Before the object.
    Start,
    /// Before a member's name, or the object's end.
    Member,
    /// In a name; behind a backslash there.
    Name { is_escaped: bool },
    /// Behind a name.
    Colon,
    /// Before a value.
    Value,
    /// In a number or a word that is a value.
    Word,
    /// In a string of a value; behind a backslash there.
    Text { is_escaped: bool },
    /// In an array or object of a value, and in no string there.
    Nested,
    /// Behind a value.
    Comma,
    /// Behind the object.
    End,
}

/// What is done with a member's value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Member {
    /// Another one stands in its place.
    Model,
    /// It is read, and passes.
    Usage,
    /// It passes.
    Other,
}

impl PassingRewriter {
    /// A rewriter that names the model `model`.
    pub fn new(model: &str) -> Self {
        Self {
            model: quoted(model),
            at: At::Start,
            name: Vec::new(),
            member: Member::Other,
            depth: 0,
            usage: Vec::new(),
        }
    }

    /// Rewrites the next piece: adds to `out` what the client is to see of it.
    ///
    /// # Errors
    /// When the answer is no JSON object.
    pub fn push(&mut self, mut piece: &[u8], out: &mut Vec<u8>) -> Result<(), NoAnswer> {
        while let Some(first) = piece.first() {
            let length = match self.at {
                At::Start | At::Member | At::Colon | At::Value | At::Comma | At::End => {
                    self.on_structure(*first, out)?
                }
                At::Name { is_escaped } => self.on_name(piece, is_escaped, out),
                At::Word => self.on_word(piece, out),
                At::Text { is_escaped } => self.on_text(piece, is_escaped, out),
                At::Nested => self.on_nested(piece, out),
            };
            piece = &piece[length..];
        }
        Ok(())
    }

    /// Whether the object has ended.
    pub fn is_complete(&self) -> bool {
        self.at == At::End
    }

    /// The usage that has passed.
    pub fn usage(&self) -> Option<Usage> {
        read_usage(std::str::from_utf8(&self.usage).ok()?)
    }

    /// A byte between names and values, or the first of either; gives how many of them are done with.
    fn on_structure(&mut self, byte: u8, out: &mut Vec<u8>) -> Result<usize, NoAnswer> {
        if matches!(byte, b' ' | b'\t' | b'\n' | b'\r') {
            out.push(byte);
            return Ok(1);
        }
        self.at = match (self.at, byte) {
            (At::Start, b'{') | (At::Comma, b',') => At::Member,
            (At::Member, b'"') => {
                self.name.clear();
                At::Name { is_escaped: false }
            }
            (At::Member | At::Comma, b'}') => At::End,
            (At::Colon, b':') => At::Value,
            (At::Value, _) => return Ok(self.on_value(byte, out)),
            _ => return Err(NoAnswer::NotJson),
        };
        out.push(byte);
        Ok(1)
    }

    /// A value begins.
    fn on_value(&mut self, first: u8, out: &mut Vec<u8>) -> usize {
        self.member = self.named();
        match self.member {
            Member::Model => out.extend_from_slice(self.model.as_bytes()),
            Member::Usage => self.usage.clear(),
            Member::Other => {}
        }
        let (at, length) = match first {
            b'"' => (At::Text { is_escaped: false }, 1),
            b'[' | b'{' => {
                self.depth = 1;
                (At::Nested, 1)
            }
            _ => (At::Word, 0),
        };
        self.at = at;
        self.pass(&[first][..length], out);
        length
    }

    /// Which member has the name that has passed.
    fn named(&self) -> Member {
        let quoted = ["\"", std::str::from_utf8(&self.name).unwrap_or_default(), "\""].concat();
        match string(&quoted).as_deref() {
            Some("model") => Member::Model,
            Some("usage") => Member::Usage,
            Some(_) | None => Member::Other,
        }
    }

    fn on_name(&mut self, piece: &[u8], is_escaped: bool, out: &mut Vec<u8>) -> usize {
        let (length, next) = in_string(piece, is_escaped);
        self.at = next.map_or(At::Colon, |is_escaped| At::Name { is_escaped });
        let name = &piece[..length - usize::from(next.is_none())];
        // Longer ones are none of those that matter, also cut.
        let room = LONGEST_NAME.saturating_sub(self.name.len());
        self.name.extend_from_slice(&name[..name.len().min(room)]);
        out.extend_from_slice(&piece[..length]);
        length
    }

    fn on_word(&mut self, piece: &[u8], out: &mut Vec<u8>) -> usize {
        let ends = |byte: &u8| matches!(byte, b' ' | b'\t' | b'\n' | b'\r' | b',' | b'}');
        let end = piece.iter().position(ends);
        if end.is_some() {
            self.at = At::Comma;
        }
        let length = end.unwrap_or(piece.len());
        self.pass(&piece[..length], out);
        length
    }

    fn on_text(&mut self, piece: &[u8], is_escaped: bool, out: &mut Vec<u8>) -> usize {
        let (length, next) = in_string(piece, is_escaped);
        self.at = match next {
            Some(is_escaped) => At::Text { is_escaped },
            None if self.depth > 0 => At::Nested,
            None => At::Comma,
        };
        self.pass(&piece[..length], out);
        length
    }

    fn on_nested(&mut self, piece: &[u8], out: &mut Vec<u8>) -> usize {
        let mut length = piece.len();
        for (at, byte) in piece.iter().enumerate() {
            match byte {
                b'[' | b'{' => self.depth += 1,
                b']' | b'}' => self.depth -= 1,
                b'"' => self.at = At::Text { is_escaped: false },
                _ => continue,
            }
            if self.depth == 0 {
                self.at = At::Comma;
            }
            if self.at != At::Nested {
                length = at + 1;
                break;
            }
        }
        self.pass(&piece[..length], out);
        length
    }

    /// Some bytes of a value.
    fn pass(&mut self, bytes: &[u8], out: &mut Vec<u8>) {
        match self.member {
            Member::Model => return,
            Member::Usage => {
                let room = LARGEST_USAGE.saturating_sub(self.usage.len());
                self.usage.extend_from_slice(&bytes[..bytes.len().min(room)]);
            }
            Member::Other => {}
        }
        out.extend_from_slice(bytes);
    }
}

/// How many bytes of `piece` belong to the string in which it begins; and, where the string goes on behind them, whether
/// what comes next there is escaped.
fn in_string(piece: &[u8], is_escaped: bool) -> (usize, Option<bool>) {
    if is_escaped {
        return (1, Some(false));
    }
    match memchr::memchr2(b'"', b'\\', piece) {
        Some(at) if piece[at] == b'"' => (at + 1, None),
        Some(at) => (at + 1, Some(true)),
        None => (piece.len(), Some(false)),
    }
}

/// Bytes of a name that are kept: those that matter have five letters, which may all be written as `\u006d`.
const LONGEST_NAME: usize = 32;
/// Bytes of a usage that are kept; one that has more is not read. Those of engines have some hundred.
const LARGEST_USAGE: usize = 4 << 10;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const ANSWER: &str = r#" {"object":"list","x" : {"model":"m","a":["\"]}\\",{}]}, "data":[{"object":"embedding","index":0,
 "embedding":[-0.5,1e-3]},{"embedding":"AAA=\\"}] ,"model":"served\"","n":-1.5e3,"usage":{"prompt_tokens":7,"total_tokens":7},"b":null}
"#;

    /// What the client sees of pieces, and the usage in them; `None` where the object has not ended.
    fn passed(pieces: &[&[u8]]) -> Option<(String, Option<u64>)> {
        let (mut rewriter, mut out) = (PassingRewriter::new("public"), Vec::new());
        for piece in pieces {
            rewriter.push(piece, &mut out).expect("an answer");
        }
        let prompt = rewriter.usage().map(|usage| usage.prompt_tokens);
        rewriter
            .is_complete()
            .then(|| (String::from_utf8(out).unwrap(), prompt))
    }

    #[test]
    fn wherever_an_answer_is_cut_the_model_gets_its_name_and_all_else_stays() {
        let expected = (ANSWER.replace(r#""served\"""#, "\"public\""), Some(7));
        let bytes = ANSWER.as_bytes();
        for at in 0..=bytes.len() {
            let (before, after) = bytes.split_at(at);
            assert_eq!(passed(&[before, after]), Some(expected.clone()), "cut at {at}");
        }
        let single: Vec<_> = bytes.chunks(1).collect();
        assert_eq!(passed(&single), Some(expected));
    }

    #[test]
    fn an_answer_is_complete_at_the_end_of_its_object_and_not_before() {
        let end = ANSWER.trim_end().len();
        for at in 0..end {
            assert_eq!(passed(&[&ANSWER.as_bytes()[..at]]), None, "cut at {at}");
        }
        assert!(passed(&[&ANSWER.as_bytes()[..end]]).is_some());
    }

    #[test]
    fn members_are_found_in_any_order_and_spelling_and_by_their_own_names_alone() {
        for (answer, expected, prompt) in [
            (
                r#"{"usage":{"prompt_tokens":3},"model":null,"data":[]}"#,
                r#"{"usage":{"prompt_tokens":3},"model":"public","data":[]}"#,
                Some(3),
            ),
            (
                r#"{"\u006d\u006f\u0064\u0065\u006c":["a"],"data":[]}"#,
                r#"{"\u006d\u006f\u0064\u0065\u006c":"public","data":[]}"#,
                None,
            ),
            (
                r#"{"model\"":1,"models":2,"data":[{"usage":{"prompt_tokens":3}}]}"#,
                "",
                None,
            ),
            (r#"{"usage":null}"#, "", None),
            ("{}", "", None),
        ] {
            let expected = if expected.is_empty() { answer } else { expected };
            assert_eq!(passed(&[answer.as_bytes()]), Some((expected.to_owned(), prompt)));
        }
        let large = format!(
            r#"{{"usage":{{"prompt_tokens":3,"x":"{}"}}}}"#,
            "x".repeat(LARGEST_USAGE)
        );
        assert_eq!(passed(&[large.as_bytes()]), Some((large.clone(), None)));
    }

    #[test]
    fn what_is_no_object_is_no_answer() {
        for garbage in [
            "[]",
            "\"\"",
            "7",
            "<html>",
            "{model:1}",
            "{\"a\" 1}",
            "{\"a\":1}{",
            "{\"a\":\"\"\"b\":1}",
        ] {
            let pushed = PassingRewriter::new("public").push(garbage.as_bytes(), &mut Vec::new());
            assert_eq!(pushed, Err(NoAnswer::NotJson), "{garbage}");
        }
    }

    proptest! {
        #[test]
        fn nothing_makes_it_panic_or_keep_what_passes(pieces in prop::collection::vec("[\\[\\]{}:,\"\\\\a ]{0,20}", 0..20)) {
            let mut rewriter = PassingRewriter::new("public");
            for piece in pieces {
                let _ = rewriter.push(piece.as_bytes(), &mut Vec::new());
                prop_assert!(rewriter.name.len() <= LONGEST_NAME && rewriter.usage.len() <= LARGEST_USAGE);
            }
        }
    }
}
