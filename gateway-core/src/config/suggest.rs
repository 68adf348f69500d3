//! What the operator may have meant: the nearest of the names that exist, or the first few of them.

/// `did you mean …?` for a name that is near enough to `written`, else a list of what there is.
pub(super) fn suggest<'n>(written: &str, known: impl Iterator<Item = &'n str> + Clone) -> String {
    match nearest(written, known.clone()) {
        Some(name) => format!("did you mean `{name}`?"),
        None => format!("expected {}", one_of(known)),
    }
}

/// The name that differs from `written` in at most a third of its bytes, and in one if it is short.
pub(super) fn nearest<'n>(written: &str, known: impl Iterator<Item = &'n str>) -> Option<&'n str> {
    let distances = known.map(|name| (distance(written, name), name));
    let (distance, name) = distances.min_by_key(|(distance, _)| *distance)?;
    (distance <= name.len().max(3) / 3 && distance < name.len()).then_some(name)
}

/// The names as a choice, the first few of them.
pub(super) fn one_of<'n>(mut known: impl Iterator<Item = &'n str>) -> String {
    let listed: Vec<String> = known
        .by_ref()
        .take(MOST_LISTED)
        .map(|name| format!("`{name}`"))
        .collect();
    let rest = known.count();
    let more = if rest == 0 {
        String::new()
    } else {
        format!(" or {rest} more")
    };
    match listed.as_slice() {
        [] => "none, for there are none".to_owned(),
        [only] => only.clone(),
        _ => format!("one of {}{more}", listed.join(", ")),
    }
}

/// Levenshtein's edit distance in bytes, without regard to case.
fn distance(a: &str, b: &str) -> usize {
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.bytes().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], i + 1);
        for (j, y) in b.bytes().enumerate() {
            let substituted = diagonal + usize::from(!x.eq_ignore_ascii_case(&y));
            diagonal = row[j + 1];
            row[j + 1] = substituted.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}

const MOST_LISTED: usize = 24;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances_are_levenshtein_s() {
        let cases = [
            ("", "", 0),
            ("abc", "", 3),
            ("", "abc", 3),
            ("kitten", "sitting", 3),
            ("Replica", "replicas", 1),
        ];
        for (a, b, edits) in cases {
            assert_eq!(distance(a, b), edits, "{a} {b}");
        }
    }

    #[test]
    fn near_names_are_suggested_and_others_listed() {
        let known = ["region", "replicas", "name"];
        assert_eq!(suggest("replica", known.into_iter()), "did you mean `replicas`?");
        assert_eq!(
            suggest("nmae", known.into_iter()),
            "expected one of `region`, `replicas`, `name`"
        );
        assert_eq!(suggest("x", ["y"].into_iter()), "expected `y`");
        assert_eq!(suggest("x", [].into_iter()), "expected none, for there are none");
        let many: Vec<String> = (0..100).map(|n| format!("a-long-name-{n}")).collect();
        assert!(suggest("x", many.iter().map(String::as_str)).ends_with("`a-long-name-23` or 76 more"));
    }
}
