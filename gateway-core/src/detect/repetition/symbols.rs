//! What texts are compared by: bytes, but a number, whatever its digits, is one symbol that tells other numbers from it
//! most of the time.

/// The first of sixteen symbols for numbers. These control characters are no part of any text that is worth comparing.
const NUMBER: u8 = 0x10;
/// Where a number is longer, the next begins: a run of zeros is a text that repeats itself.
const MOST_DIGITS: u8 = 16;

/// The number that has not come to its end.
#[derive(Clone, Copy, Debug, Default)]
pub struct Symbols {
    digits: u8,
    hash: u8,
}

impl Symbols {
    /// Whether a number has begun, and not come to its end.
    #[inline]
    pub fn is_within(self) -> bool {
        self.digits > 0
    }

    /// Takes a digit; the number, where it ends with it.
    #[inline]
    pub fn digit(&mut self, digit: u8) -> Option<u8> {
        self.hash = self.hash.wrapping_mul(31).wrapping_add(digit);
        self.digits += 1;
        if self.digits < MOST_DIGITS { None } else { self.end() }
    }

    /// The number before anything that is no digit.
    #[inline]
    pub fn end(&mut self) -> Option<u8> {
        if self.digits == 0 {
            return None;
        }
        let Self { hash, .. } = std::mem::take(self);
        Some(NUMBER | (hash ^ hash >> 4) & 0x0F)
    }
}

/// The symbol of a byte that is no digit.
#[inline]
pub fn sign(byte: u8) -> u8 {
    if is_number(byte) { 0 } else { byte }
}

/// Whether a byte is no symbol by itself: a digit, or what stands for a number.
#[inline]
pub fn is_no_symbol(byte: u8) -> bool {
    byte.is_ascii_digit() || is_number(byte)
}

/// Whether it stands for a number.
#[inline]
pub fn is_number(symbol: u8) -> bool {
    symbol & 0xF0 == NUMBER
}

/// Whether two are the same but for case, or are numbers.
#[inline]
pub fn alike(one: u8, other: u8) -> bool {
    one == other || fold(one) == fold(other)
}

/// One for all that are alike.
#[inline]
pub fn fold(symbol: u8) -> u8 {
    FOLDED[usize::from(symbol)]
}

const FOLDED: [u8; 256] = {
    let mut table = [0; 256];
    let mut symbol = 0;
    while symbol < 256 {
        let folded = (symbol as u8).to_ascii_lowercase();
        table[symbol] = if folded & 0xF0 == NUMBER { NUMBER } else { folded };
        symbol += 1;
    }
    table
};
