//! What a prompt without a table is likely to take, of no tokenizer in particular, and what of that is sure to be read: a
//! template may leave out tools and earlier reasoning, and images are no text. Told from bytes, without reading the JSON.

use memchr::memmem;

use super::scripts::Scripts;
use crate::api::Generation;

/// An estimate before engines' reports correct it. All of a prompt's bytes, JSON's own included, stand for what templates
/// put around them.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Uncorrected {
    /// Tokens of all that makes the prompt.
    pub tokens: f64,
    /// Tokens of it beside the tools, which some templates leave out.
    pub without_tools: f64,
    /// Whether it is text that every template reads as a whole.
    pub is_plain: bool,
}

impl Uncorrected {
    /// Of the prompt of `request`.
    pub fn of(request: &Generation) -> Self {
        let plain = Self::of_json(request.prompt_json(), request.tools_json());
        Self {
            is_plain: plain.is_plain && !request.only_engine_knows(),
            ..plain
        }
    }

    /// Of a prompt that these parts of a body make; `tools` are one of them.
    pub fn of_json<'a>(prompt: impl Iterator<Item = &'a [u8]>, tools: Option<&[u8]>) -> Self {
        let mut scripts = Scripts::default();
        let mut is_plain = true;
        for json in prompt {
            is_plain &= NOT_PLAIN.iter().all(|mark| memmem::find(json, mark).is_none());
            add_text(&mut scripts, json);
        }
        let tokens = scripts.tokens();
        let of_tools = tools.map_or(0.0, |tools| Scripts::of(tools).tokens());
        Self {
            tokens,
            without_tools: (tokens - of_tools).max(0.0),
            is_plain,
        }
    }
}

/// Adds what stands in `json` beside the data of images and such.
fn add_text(scripts: &mut Scripts, mut json: &[u8]) {
    while let Some(at) = memmem::find(json, DATA) {
        let (text, data) = json.split_at(at);
        scripts.add(text);
        let end = memchr::memchr(b'"', data).unwrap_or(data.len());
        json = &data[end..];
    }
    scripts.add(json);
}

/// What stands before data in an URL (RFC 2397).
const DATA: &[u8] = b";base64,";
/// What tells of parts that are no text (`image_url`, `input_audio`, …), and of reasoning: templates leave out that of
/// earlier answers.
const NOT_PLAIN: [&[u8]; 4] = [DATA, b"_url\"", b"\"input_audio\"", b"\"reasoning"];

#[cfg(test)]
mod tests {
    use super::*;

    fn of(messages: &str, tools: Option<&str>) -> Uncorrected {
        let parts = tools.into_iter().chain([messages]).map(str::as_bytes);
        Uncorrected::of_json(parts, tools.map(str::as_bytes))
    }

    const HI: &str = r#"[{"role":"user","content":"When does the tide come?"}]"#;

    #[test]
    fn tools_are_told_from_what_every_template_reads() {
        let tools = r#"[{"type":"function","function":{"name":"tide"}}]"#;
        let (plain, with_tools) = (of(HI, None), of(HI, Some(tools)));
        assert_eq!((plain.tokens, plain.is_plain), (plain.without_tools, true));
        assert!((with_tools.without_tools - plain.tokens).abs() < 1e-9, "{with_tools:?}");
        assert!(with_tools.tokens > 1.5 * plain.tokens, "{with_tools:?}");
    }

    #[test]
    fn what_is_no_text_counts_for_nothing_and_is_not_plain() {
        let image = |data: &str| {
            let url = format!("data:image/png;base64,{data}");
            format!(r#"[{{"role":"user","content":[{{"type":"image_url","image_url":{{"url":"{url}"}}}}]}}]"#)
        };
        let (small, large) = (of(&image("iVBO"), None), of(&image(&"iVBO".repeat(9_999)), None));
        assert_eq!(small, large);
        assert!(!small.is_plain);
        let reasoning = r#"[{"role":"assistant","content":"So.","reasoning_content":"Hm."}]"#;
        assert!(!of(reasoning, None).is_plain);
        assert!(
            !of(&format!("[\"{};base64,", "a".repeat(9)), None).is_plain,
            "data without an end"
        );
    }
}
