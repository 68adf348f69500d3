//! What an engine reports that an answer has taken, read leniently: names and figures differ between engines, and some
//! leave out what follows from the rest.

use crate::api::answer::Usage;
use crate::api::json_fields::Fields;

/// The report that `json` is; `None` where it has no figures, or such as no answer can have.
pub(super) fn read_usage(json: &str) -> Option<Usage> {
    let fields = Fields::parse(json).ok()?;
    let [prompt, completion, total] = [
        &["prompt_tokens", "input_tokens"][..],
        &["completion_tokens", "output_tokens"],
        &["total_tokens"],
    ]
    .map(|names| figure(&fields, names));
    let rest = |part: Option<u64>| total?.checked_sub(part?);
    let details = ["prompt_tokens_details", "input_tokens_details"];
    let cached = details.iter().find_map(|name| {
        let details = Fields::parse(fields.given(name)?).ok()?;
        figure(&details, &["cached_tokens"])
    });
    Usage {
        prompt_tokens: prompt.or_else(|| rest(completion)).unwrap_or(0),
        cached_tokens: cached,
        completion_tokens: completion.or_else(|| rest(prompt)).unwrap_or(0),
    }
    .if_credible()
}

/// The first of these fields that is a number, also one that was written with a fraction.
fn figure(fields: &Fields<'_>, names: &[&str]) -> Option<u64> {
    let number = |name: &&str| serde_json::from_str::<f64>(fields.given(name)?).ok();
    let figure = names.iter().find_map(number)?;
    (figure >= 0.0).then(|| figure.round() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_found_under_every_name_and_follow_from_each_other() {
        for (json, expected) in [
            (r#"{"prompt_tokens":3,"completion_tokens":4,"total_tokens":7}"#, (3, 4)),
            (r#"{"input_tokens":3,"output_tokens":4}"#, (3, 4)),
            (r#"{"prompt_tokens":3,"input_tokens":9,"completion_tokens":4}"#, (3, 4)),
            (r#"{"prompt_tokens":3,"total_tokens":7}"#, (3, 4)),
            (r#"{"completion_tokens":4,"total_tokens":7}"#, (3, 4)),
            (r#"{"prompt_tokens":3.0,"completion_tokens":4e0}"#, (3, 4)),
            (
                r#"{"prompt_tokens":3,"completion_tokens":null,"total_tokens":7}"#,
                (3, 4),
            ),
            (r#"{"prompt_tokens":3,"completion_tokens":"4"}"#, (3, 0)),
            (r#"{"prompt_tokens":3,"total_tokens":2}"#, (3, 0)),
            (r#"{"prompt_tokens":-3,"completion_tokens":4}"#, (0, 4)),
        ] {
            let usage = read_usage(json).expect(json);
            assert_eq!((usage.prompt_tokens, usage.completion_tokens), expected, "{json}");
        }
        let cached = r#"{"input_tokens":9,"input_tokens_details":{"cached_tokens":7}}"#;
        assert_eq!(read_usage(cached).and_then(|usage| usage.cached_tokens), Some(7));
    }

    #[test]
    fn a_report_without_figures_is_none() {
        for json in [
            "null",
            "{}",
            "7",
            "[]",
            r#"{"prompt_tokens":0,"completion_tokens":0,"total_tokens":0}"#,
            r#"{"prompt_tokens":"many"}"#,
            r#"{"total_tokens":7}"#,
            r#"{"prompt_tokens":1e300,"completion_tokens":4}"#,
        ] {
            assert_eq!(read_usage(json), None, "{json}");
        }
    }
}
