//! How much of a text an error repeats: whatever was sent, what comes back is short.

use std::fmt::{Display, Formatter, Result, Write as _};

/// A text as an error quotes it: whole where it is short, or else its first 200 characters and an ellipsis.
#[derive(Clone, Copy, Debug)]
pub struct Excerpt<'a>(pub &'a str);

impl Display for Excerpt<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        match self.0.char_indices().nth(MOST_CHARACTERS) {
            None => f.write_str(self.0),
            Some((end, _)) => {
                f.write_str(&self.0[..end])?;
                f.write_char('…')
            }
        }
    }
}

/// Enough for any name that there is, and for what a parser says of a mistake.
const MOST_CHARACTERS: usize = 200;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_short_is_quoted_whole_and_what_is_long_by_its_beginning() {
        let (short, long) = ("é".repeat(200), "é".repeat(201));
        assert_eq!(Excerpt(&short).to_string(), short);
        assert_eq!(Excerpt(&long).to_string(), format!("{short}…"));
        assert_eq!(Excerpt("").to_string(), "");
    }
}
