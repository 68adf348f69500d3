//! What a client says that it reads: the header `accept-language` (RFC 9110, 12.5.4).

use super::tag::LanguageTag;

/// The languages that the header names, the most wanted first, those wanted alike as they are written. `*`, what has the
/// weight 0 and what cannot be read count for nothing, and so do all behind the first `MOST`.
pub fn accepted(header: &str) -> Vec<LanguageTag> {
    let mut wanted: Vec<_> = header.split(',').take(MOST).filter_map(range).collect();
    wanted.sort_by_key(|(_, weight)| std::cmp::Reverse(*weight));
    wanted.into_iter().map(|(tag, _)| tag).collect()
}

/// A language, and its weight in thousandths.
fn range(written: &str) -> Option<(LanguageTag, u16)> {
    let (tag, parameters) = written.split_once(';').unwrap_or((written, ""));
    let weight = match parameters.trim().strip_prefix(['q', 'Q']) {
        Some(weight) => thousandths(weight.trim_start().strip_prefix('=')?.trim())?,
        None => 1_000,
    };
    let tag = tag.trim().parse().ok()?;
    (weight > 0).then_some((tag, weight))
}

/// A weight from 0 to 1 with at most three digits behind its point.
fn thousandths(written: &str) -> Option<u16> {
    let (whole, fraction) = written.split_once('.').unwrap_or((written, ""));
    let is_fraction = fraction.len() <= 3 && fraction.bytes().all(|byte| byte.is_ascii_digit());
    let fraction: u16 = format!("{fraction:0<3}").parse().ok().filter(|_| is_fraction)?;
    match (whole, fraction) {
        ("0", fraction) => Some(fraction),
        ("1", 0) => Some(1_000),
        _ => None,
    }
}

/// Browsers name a handful.
const MOST: usize = 16;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn languages_come_by_weight_and_then_as_written() {
        for (header, expected) in [
            ("de", "de"),
            ("en;q=0.5, fr-CH, fr;q=0.9, de;q=0.9, *;q=0.1", "fr-ch fr de en"),
            ("da , nl ; q=0.70,sv;Q=0.8", "da sv nl"),
            ("de;q=0, en;q=1.0, xx;q=1.1, yy;q=.5, zz;q=0.1234, no spaces", "en"),
            ("*", ""),
            ("", ""),
        ] {
            let tags: Vec<_> = accepted(header).iter().map(ToString::to_string).collect();
            assert_eq!(tags.join(" "), expected, "{header}");
        }
    }

    proptest! {
        #[test]
        fn whatever_it_is_few_are_read(header in "[a-zA-Z0-9;,=. *q-]{0,400}") {
            prop_assert!(accepted(&header).len() <= MOST);
        }
    }
}
