//! What one file imports: its `use` declarations and the paths it writes out, as far as they can lead to a file. What
//! only tests see is left out. It follows no path: that is for [`super::tree`].

use std::collections::BTreeSet;

use super::lexer::{Located, Token, tokens};

/// One file, as far as imports go.
#[derive(Debug, Default)]
pub struct Source {
    /// In the order in which they are written.
    pub imports: Vec<Import>,
    /// Modules that only tests see.
    pub test_modules: BTreeSet<String>,
    /// Names of what is defined here.
    pub defined: BTreeSet<String>,
    /// Names that are mentioned outside `use` declarations.
    pub mentioned: BTreeSet<String>,
}

/// A path in a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Import {
    /// Line of the path's last name, from 1.
    pub line: usize,
    /// The modules within the file that it stands in, from the outside.
    pub scope: Vec<String>,
    /// As written.
    pub path: Vec<String>,
    /// How it is written.
    pub form: Form,
}

/// How a path is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Form {
    /// `use a::b` and `use a::c as b`.
    Use {
        /// The name that it has here.
        name: String,
        /// Whether others may import it from here.
        public: bool,
    },
    /// `use a::*`; the path is `a`.
    Glob {
        /// Whether others may import from here.
        public: bool,
    },
    /// `a::b` in an expression or a type.
    Inline,
}

/// Reads a file.
pub fn read(source: &str) -> Source {
    let mut reader = Reader {
        tokens: tokens(source),
        at: 0,
        depth: 0,
        scope: Vec::new(),
        source: Source::default(),
    };
    reader.items();
    reader.source
}

struct Reader<'a> {
    tokens: Vec<Located<'a>>,
    at: usize,
    /// Braces that are open.
    depth: usize,
    /// Modules that are open, and the depth that each is closed at.
    scope: Vec<(String, usize)>,
    source: Source,
}

impl<'a> Reader<'a> {
    fn items(&mut self) {
        let mut public = false;
        while let Some(token) = self.peek(0) {
            let was_public = std::mem::take(&mut public);
            match token {
                Token::Mark('#') => self.attribute(),
                Token::Mark('{') => self.open(),
                Token::Mark('}') => self.close(),
                Token::Word("pub") => {
                    self.at += 1;
                    public = true;
                    self.skip_group('(', ')');
                }
                Token::Word("use") if self.peek(1) != Some(Token::Mark('<')) => {
                    self.at += 1;
                    self.tree(&mut Vec::new(), was_public);
                }
                Token::Word("mod") => self.module(),
                Token::Word(_) => self.path(),
                Token::Separator if matches!(self.peek(1), Some(Token::Word(_))) => self.at += 2,
                Token::Separator | Token::Mark(_) => self.at += 1,
            }
        }
    }

    fn peek(&self, ahead: usize) -> Option<Token<'a>> {
        self.tokens.get(self.at + ahead).map(|located| located.token)
    }

    fn open(&mut self) {
        self.at += 1;
        self.depth += 1;
    }

    fn close(&mut self) {
        self.at += 1;
        self.depth = self.depth.saturating_sub(1);
        self.scope.retain(|(_, depth)| *depth < self.depth + 1);
    }

    /// An attribute, and the item behind it where only tests see that.
    fn attribute(&mut self) {
        let begins = self.at;
        self.at += 1;
        if self.peek(0) == Some(Token::Mark('!')) {
            self.at += 1;
        }
        self.skip_group('[', ']');
        let words = self.tokens[begins..self.at]
            .iter()
            .filter_map(|located| match located.token {
                Token::Word(word) => Some(word),
                Token::Separator | Token::Mark(_) => None,
            });
        let words: Vec<&str> = words.take(3).collect();
        if matches!(words[..], ["cfg", "test", ..] | ["cfg", "all", "test"]) {
            self.skip_item();
        }
    }

    fn skip_item(&mut self) {
        while let Some(token) = self.peek(0) {
            match (token, self.peek(1), self.peek(2)) {
                (Token::Word("mod"), Some(Token::Word(name)), Some(Token::Mark(';'))) => {
                    self.source.test_modules.insert(name.to_owned());
                    self.at += 3;
                    return;
                }
                (Token::Mark(';'), _, _) => {
                    self.at += 1;
                    return;
                }
                (Token::Mark('{'), _, _) => {
                    self.skip_group('{', '}');
                    return;
                }
                (Token::Mark('('), _, _) => self.skip_group('(', ')'),
                (Token::Mark('['), _, _) => self.skip_group('[', ']'),
                (Token::Word(_) | Token::Separator | Token::Mark(_), _, _) => self.at += 1,
            }
        }
    }

    /// Skips what stands between two marks, with both; nothing where the first does not stand here.
    fn skip_group(&mut self, opens: char, closes: char) {
        if self.peek(0) != Some(Token::Mark(opens)) {
            return;
        }
        let mut open = 0_usize;
        while let Some(token) = self.peek(0) {
            self.at += 1;
            if token == Token::Mark(opens) {
                open += 1;
            } else if token == Token::Mark(closes) {
                open -= 1;
            }
            if open == 0 {
                return;
            }
        }
    }

    fn module(&mut self) {
        self.at += 1;
        if let (Some(Token::Word(name)), Some(Token::Mark('{'))) = (self.peek(0), self.peek(1)) {
            self.scope.push((name.to_owned(), self.depth + 1));
        }
    }

    /// A name, or several with `::` between them.
    fn path(&mut self) {
        let begins = self.at;
        let mut path = Vec::new();
        while let Some(Token::Word(word)) = self.peek(0) {
            path.push(word.to_owned());
            self.at += 1;
            if !matches!(
                (self.peek(0), self.peek(1)),
                (Some(Token::Separator), Some(Token::Word(_)))
            ) {
                break;
            }
            self.at += 1;
        }
        let defines = begins.checked_sub(1).map(|before| self.tokens[before].token);
        if let Some(Token::Word(keyword)) = defines
            && DEFINING.contains(&keyword)
        {
            self.source.defined.extend(path.first().cloned());
        }
        self.source.mentioned.extend(path.first().cloned());
        let is_macro = self.peek(0) == Some(Token::Mark('!'));
        // A macro of the crate stands at its root, wherever it is written.
        if path.len() > 1 && !(is_macro && path.len() == 2) {
            self.push(path, Form::Inline);
        }
    }

    /// The rest of a `use` declaration, or one of its branches, behind `prefix`.
    fn tree(&mut self, prefix: &mut Vec<String>, public: bool) {
        let kept = prefix.len();
        while let Some(token) = self.peek(0) {
            self.at += 1;
            match token {
                Token::Word("as") => {
                    if let Some(Token::Word(name)) = self.peek(0) {
                        self.at += 1;
                        self.push_use(prefix.clone(), Some(name), public);
                    }
                    break;
                }
                Token::Word(word) => {
                    prefix.push(word.to_owned());
                    let goes_on = matches!(self.peek(0), Some(Token::Separator | Token::Word("as")));
                    if !goes_on {
                        self.push_use(prefix.clone(), None, public);
                        break;
                    }
                }
                Token::Mark('*') => {
                    self.push(prefix.clone(), Form::Glob { public });
                    break;
                }
                Token::Mark('{') => {
                    self.branches(prefix, public);
                    break;
                }
                Token::Separator => {}
                Token::Mark(_) => break,
            }
        }
        prefix.truncate(kept);
    }

    fn branches(&mut self, prefix: &mut Vec<String>, public: bool) {
        while let Some(token) = self.peek(0) {
            match token {
                Token::Mark('}') => {
                    self.at += 1;
                    return;
                }
                Token::Mark(',') => self.at += 1,
                Token::Word(_) | Token::Separator | Token::Mark(_) => self.tree(prefix, public),
            }
        }
    }

    fn push_use(&mut self, mut path: Vec<String>, name: Option<&str>, public: bool) {
        if path.len() > 1 && path.last().is_some_and(|last| last == "self") {
            path.pop();
        }
        let name = name.map_or_else(|| path.last().cloned().unwrap_or_default(), str::to_owned);
        self.push(path, Form::Use { name, public });
    }

    fn push(&mut self, path: Vec<String>, form: Form) {
        let import = Import {
            line: self.tokens[self.at - 1].line,
            scope: self.scope.iter().map(|(name, _)| name.clone()).collect(),
            path,
            form,
        };
        self.source.imports.push(import);
    }
}

/// Keywords behind which the name of a definition stands.
const DEFINING: [&str; 8] = ["const", "enum", "fn", "static", "struct", "trait", "type", "union"];

#[cfg(test)]
mod tests {
    use super::*;

    fn written(source: &str) -> Vec<String> {
        let shown = |import: &Import| {
            let path = import.path.join("::");
            match &import.form {
                Form::Use { name, public } => format!("{}{path} as {name}", if *public { "pub " } else { "" }),
                Form::Glob { public } => format!("{}{path}::*", if *public { "pub " } else { "" }),
                Form::Inline => path,
            }
        };
        read(source).imports.iter().map(shown).collect()
    }

    #[test]
    fn a_declaration_is_read_branch_by_branch() {
        let source =
            "use a::{b::{c, d as e}, self, f::*,\n g};\npub(in crate::x) use super::super::h;\npub use self::i as _;";
        let expected = [
            "a::b::c as c",
            "a::b::d as e",
            "a as a",
            "a::f::*",
            "a::g as g",
            "pub super::super::h as h",
            "pub self::i as _",
        ];
        assert_eq!(written(source), expected);
        let lines: Vec<usize> = read(source).imports.iter().map(|import| import.line).collect();
        assert_eq!(lines, [1, 1, 1, 1, 2, 3, 4]);
    }

    #[test]
    fn a_path_is_found_wherever_it_is_written_out() {
        let source = "fn f(x: &crate::a::B) -> impl C + use<'_> { <D as super::E>::g(self::h::i!()); ::std::mem::take(x); crate::j!() }";
        assert_eq!(written(source), ["crate::a::B", "super::E", "self::h::i"]);
    }

    #[test]
    fn a_module_within_the_file_is_the_scope_of_its_paths() {
        let source = "mod a { mod b { use super::c; } use super::d; } use super::e;";
        let scopes: Vec<usize> = read(source).imports.iter().map(|import| import.scope.len()).collect();
        assert_eq!(scopes, [2, 1, 0]);
    }

    #[test]
    fn what_only_tests_see_is_left_out() {
        let source = "#[cfg(test)] mod tests { use super::a; } #[cfg(test)] #[path = \"x\"] mod more; use b::c; \
            #[cfg(test)] use d::e; #[cfg(all(test, unix))] fn f(x: [u8; 2]) { g::h(); } #[cfg(feature = \"test\")] use i::j;";
        let read = read(source);
        assert_eq!(written(source), ["b::c as c", "i::j as j"]);
        assert!(read.test_modules.contains("more"), "{read:?}");
    }
}
