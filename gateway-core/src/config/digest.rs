//! Digests of API keys: what the configuration holds in place of the keys.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use thiserror::Error;

/// The SHA-256 of an API key, written `sha256:` and 64 hexadecimal digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct KeyDigest(pub [u8; 32]);

impl KeyDigest {
    /// The digest of a key as clients send it.
    pub fn of(key: &str) -> Self {
        Self(Sha256::digest(key).into())
    }
}

impl fmt::Display for KeyDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(PREFIX)?;
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl FromStr for KeyDigest {
    type Err = DigestError;

    fn from_str(text: &str) -> Result<Self, DigestError> {
        let Some(digits) = text.strip_prefix(PREFIX) else {
            return Err(if text.starts_with(KEY_PREFIX) {
                DigestError::Key
            } else {
                DigestError::Prefix
            });
        };
        if digits.len() != DIGITS {
            return Err(DigestError::Length {
                digits: digits.chars().count(),
            });
        }
        let mut digest = [0; 32];
        for (byte, pair) in digest.iter_mut().zip(digits.as_bytes().chunks_exact(2)) {
            *byte = hex(pair[0])? << 4 | hex(pair[1])?;
        }
        Ok(Self(digest))
    }
}

fn hex(digit: u8) -> Result<u8, DigestError> {
    match digit {
        b'0'..=b'9' => Ok(digit - b'0'),
        b'a'..=b'f' => Ok(digit - b'a' + 10),
        b'A'..=b'F' => Ok(digit - b'A' + 10),
        _ => Err(DigestError::Digit),
    }
}

/// Why a text is no digest. The text itself is left out: it may be a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum DigestError {
    /// It looks like one of the gateway's own keys.
    #[error("this is a key, not its digest")]
    Key,
    /// It does not begin with `sha256:`.
    #[error("this does not begin with `sha256:`")]
    Prefix,
    /// Too few or too many digits.
    #[error("{digits} digits after `sha256:`")]
    Length {
        /// How many.
        digits: usize,
    },
    /// A character that is no hexadecimal digit.
    #[error("a character after `sha256:` is no hexadecimal digit")]
    Digit,
}

const PREFIX: &str = "sha256:";
const DIGITS: usize = 64;
/// What keys made by `tidegate keys new` begin with.
const KEY_PREFIX: &str = "tg-";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_digest_reads_as_it_is_written() {
        // FIPS 180-2, appendix B.1.
        let written = "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(KeyDigest::of("abc").to_string(), written);
        assert_eq!(written.parse(), Ok(KeyDigest::of("abc")));
        let upper = written.to_uppercase().replace("SHA256", "sha256");
        assert_eq!(upper.parse(), Ok(KeyDigest::of("abc")));
    }

    #[test]
    fn what_is_no_digest_is_told_apart() {
        let cases = [
            ("tg-abc", DigestError::Key),
            ("", DigestError::Prefix),
            ("SHA256:00", DigestError::Prefix),
            ("sha256:", DigestError::Length { digits: 0 }),
            (&format!("sha256:{}", "é".repeat(32)), DigestError::Digit),
            (&format!("sha256:{}g", "0".repeat(63)), DigestError::Digit),
            (
                &format!("sha256:{}", "0".repeat(65)),
                DigestError::Length { digits: 65 },
            ),
        ];
        for (text, error) in cases {
            assert_eq!(text.parse::<KeyDigest>(), Err(error), "{text}");
        }
    }
}
