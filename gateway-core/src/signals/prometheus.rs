//! Prometheus' text format, as far as figures are looked up in it: line by line, without keeping any of it. Source:
//! "Exposition formats", prometheus.io/docs/instrumenting/exposition_formats.

/// One line with a figure.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Sample<'p> {
    /// The metric's name.
    pub name: &'p [u8],
    labels: &'p [u8],
    /// The figure, which may be no number.
    pub value: f64,
}

/// The figures of a page, in order. Lines that are none are passed over.
pub(super) fn samples(page: &[u8]) -> impl Iterator<Item = Sample<'_>> {
    page.split(|byte| *byte == b'\n').filter_map(Sample::of)
}

impl<'p> Sample<'p> {
    fn of(line: &'p [u8]) -> Option<Self> {
        let line = line.trim_ascii();
        let name_end = line.iter().position(|byte| matches!(byte, b'{' | b' ' | b'\t'))?;
        let (name, rest) = line.split_at(name_end);
        if name.is_empty() || name[0] == b'#' {
            return None;
        }
        let (labels, rest) = match rest.strip_prefix(b"{") {
            Some(inside) => inside.split_at(end_of_labels(inside)?),
            None => (&b""[..], rest),
        };
        let rest = rest.strip_prefix(b"}").unwrap_or(rest).trim_ascii_start();
        // What may follow is a time.
        let value = rest.split(u8::is_ascii_whitespace).next()?;
        let value = std::str::from_utf8(value).ok()?.parse().ok()?;
        Some(Self { name, labels, value })
    }

    /// What a label says, as it is written; `None` where the figure has none of that name.
    pub fn label(&self, name: &[u8]) -> Option<&'p [u8]> {
        let mut rest = self.labels;
        loop {
            let equals = rest.iter().position(|byte| *byte == b'=')?;
            let (found, behind) = (rest[..equals].trim_ascii(), &rest[equals + 1..]);
            let quoted = behind.trim_ascii_start().strip_prefix(b"\"")?;
            let end = end_of_text(quoted)?;
            if found == name {
                return Some(&quoted[..end]);
            }
            rest = quoted[end + 1..].trim_ascii_start();
            rest = rest.strip_prefix(b",").unwrap_or(rest);
        }
    }
}

/// Where the labels end that begin there.
fn end_of_labels(inside: &[u8]) -> Option<usize> {
    let mut at = 0;
    loop {
        match inside.get(at)? {
            b'}' => return Some(at),
            b'"' => at += 2 + end_of_text(&inside[at + 1..])?,
            _ => at += 1,
        }
    }
}

/// Where the text ends that begins there, behind its quotation mark.
fn end_of_text(text: &[u8]) -> Option<usize> {
    let mut at = 0;
    loop {
        match text.get(at)? {
            b'"' => return Some(at),
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_with_labels_times_and_what_is_none() {
        let page = br#"
# HELP a what
# TYPE a gauge
a 1
b{x="}\"{",y = "2" , z="\\"} 2.5 1395066363000
c{} NaN
d{x="1} 3
e three
{} 4
f	5.0
"#;
        let found: Vec<_> = samples(page).map(|sample| (sample.name, sample.value)).collect();
        assert_eq!(found.len(), 4, "{found:?}");
        assert_eq!((found[0], found[1]), ((&b"a"[..], 1.0), (&b"b"[..], 2.5)));
        assert!(found[2].1.is_nan());
        assert_eq!(found[3], (&b"f"[..], 5.0));
        let b = samples(page).nth(1).expect("b");
        assert_eq!(b.label(b"y"), Some(&b"2"[..]));
        assert_eq!(b.label(b"z"), Some(&br"\\"[..]));
        assert_eq!(b.label(b"w"), None);
    }
}
