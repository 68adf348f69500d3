//! Cuts Rust source into the few tokens that imports are made of. Comments, literals and lifetimes are left out: what
//! they say imports nothing.

/// What a piece of source is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Token<'a> {
    /// A name, a keyword or a number; a raw name without its `r#`.
    Word(&'a str),
    /// `::`
    Separator,
    /// Any other character.
    Mark(char),
}

/// A token and where it stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Located<'a> {
    /// The token.
    pub token: Token<'a>,
    /// Counted from 1.
    pub line: usize,
}

/// All tokens of a source.
pub fn tokens(source: &str) -> Vec<Located<'_>> {
    let mut lexer = Lexer { rest: source, line: 1 };
    std::iter::from_fn(|| lexer.next_token()).collect()
}

struct Lexer<'a> {
    rest: &'a str,
    line: usize,
}

impl<'a> Lexer<'a> {
    fn next_token(&mut self) -> Option<Located<'a>> {
        loop {
            let first = self.rest.chars().next()?;
            let line = self.line;
            let token = if self.rest.starts_with("//") {
                self.take(self.rest.find('\n').unwrap_or(self.rest.len()));
                None
            } else if self.rest.starts_with("/*") {
                self.take(comment_length(self.rest));
                None
            } else if is_word(first) {
                self.word()
            } else if first == '"' {
                self.take(text_length(self.rest));
                None
            } else if first == '\'' {
                self.take(quoted_length(self.rest));
                None
            } else if self.rest.starts_with("::") {
                self.take(2);
                Some(Token::Separator)
            } else {
                self.take(first.len_utf8());
                (!first.is_whitespace()).then_some(Token::Mark(first))
            };
            if let Some(token) = token {
                return Some(Located { token, line });
            }
        }
    }

    /// A word; nothing where it begins a literal.
    fn word(&mut self) -> Option<Token<'a>> {
        let word = self.take(word_length(self.rest));
        let hashes = self.rest.len() - self.rest.trim_start_matches('#').len();
        let is_text = self.rest[hashes..].starts_with('"');
        match word {
            "r" | "br" | "cr" if is_text => {
                let end = format!("\"{}", "#".repeat(hashes));
                let body = &self.rest[hashes + 1..];
                let length = body
                    .find(&end)
                    .map_or(self.rest.len(), |at| hashes + 1 + at + end.len());
                self.take(length);
                None
            }
            "b" | "c" if hashes == 0 && is_text => {
                self.take(text_length(self.rest));
                None
            }
            "b" if self.rest.starts_with('\'') => {
                self.take(quoted_length(self.rest));
                None
            }
            "r" if hashes == 1 => {
                self.take(1);
                Some(Token::Word(self.take(word_length(self.rest))))
            }
            _ => Some(Token::Word(word)),
        }
    }

    fn take(&mut self, length: usize) -> &'a str {
        let (taken, rest) = self.rest.split_at(length);
        self.line += taken.matches('\n').count();
        self.rest = rest;
        taken
    }
}

fn is_word(character: char) -> bool {
    character.is_alphanumeric() || character == '_'
}

fn word_length(text: &str) -> usize {
    text.find(|character| !is_word(character)).unwrap_or(text.len())
}

/// Block comments stand within each other.
fn comment_length(text: &str) -> usize {
    let mut depth = 0_usize;
    let mut at = 0;
    while at < text.len() {
        if text[at..].starts_with("/*") {
            depth += 1;
            at += 2;
        } else if text[at..].starts_with("*/") {
            depth -= 1;
            at += 2;
            if depth == 0 {
                break;
            }
        } else {
            at += text[at..].chars().next().map_or(1, char::len_utf8);
        }
    }
    at
}

/// A text in quotation marks, both included.
fn text_length(text: &str) -> usize {
    let mut escaped = false;
    for (at, character) in text.char_indices().skip(1) {
        match character {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => return at + 1,
            _ => {}
        }
    }
    text.len()
}

/// What an apostrophe begins: a character, or a lifetime.
fn quoted_length(text: &str) -> usize {
    let mut characters = text.char_indices().skip(1);
    let Some((_, first)) = characters.next() else {
        return text.len();
    };
    if first == '\\' {
        // The escaped character may be an apostrophe itself.
        let end = text[3..].find('\'');
        return end.map_or(text.len(), |at| 3 + at + 1);
    }
    match characters.next() {
        Some((at, '\'')) => at + 1,
        Some(_) | None => 1 + word_length(&text[1..]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(source: &str) -> Vec<&str> {
        let word = |located: &Located<'static>| match located.token {
            Token::Word(word) => Some(word),
            Token::Separator | Token::Mark(_) => None,
        };
        let source: &'static str = source.to_owned().leak();
        tokens(source).iter().filter_map(word).collect()
    }

    #[test]
    fn what_imports_nothing_is_left_out() {
        assert_eq!(words("a // b\n/* c /* d */ e */ f"), ["a", "f"]);
        assert_eq!(
            words(r##"a "b \" c" d r#"e " f"# g b"h" i br"j" k"##),
            ["a", "d", "g", "i", "k"]
        );
        assert_eq!(words(r"a 'b' c '\'' d '\u{1F600}' e b'f' g"), ["a", "c", "d", "e", "g"]);
        assert_eq!(
            words("fn a<'b>(c: &'b str, r#type: u8)"),
            ["fn", "a", "c", "str", "type", "u8"]
        );
    }

    #[test]
    fn lines_are_counted_through_texts_and_comments() {
        let source = "a\n\"b\n\"\n/*\n*/ c::\nd";
        let lines: Vec<usize> = tokens(source).iter().map(|located| located.line).collect();
        assert_eq!(lines, [1, 5, 5, 6]);
    }
}
