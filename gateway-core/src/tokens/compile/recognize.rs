//! Which of the known normalizers, splitters and wrappings a tokenizer has.

use serde_json::Value;

use super::error::CompileError;
use super::written::{Step, TokenizerConfig, TokenizerFile};
use crate::tokens::table::{Normalizer, Splitter};
use bitcannon::regexes;

pub(super) fn normalizer(tokenizer: &TokenizerFile) -> Result<Normalizer, CompileError> {
    let steps = tokenizer.normalizer.as_ref().map(Step::flat).unwrap_or_default();
    let kinds: Vec<_> = steps.iter().map(|step| step.kind.as_str()).collect();
    match kinds[..] {
        [] => Ok(Normalizer::None),
        ["NFC"] => Ok(Normalizer::Nfc),
        _ => Err(unknown("normalizer", kinds.join(", "), "none, or NFC")),
    }
}

pub(super) fn splitter(tokenizer: &TokenizerFile) -> Result<Splitter, CompileError> {
    let known =
        "byte-level BPE split as GPT-2, cl100k, o200k, Llama 3, Qwen 2 and 3, DeepSeek V3 or Mistral's Tekken do";
    let steps = tokenizer.pre_tokenizer.as_ref().map(Step::flat).unwrap_or_default();
    let found = || {
        let describe = |step: &&Step| regex(step).unwrap_or_else(|| step.kind.clone());
        unknown(
            "pre_tokenizer",
            steps.iter().map(describe).collect::<Vec<_>>().join(", "),
            known,
        )
    };
    let Some((byte_level, splits)) = steps.split_last().filter(|(last, _)| last.kind == "ByteLevel") else {
        return Err(found());
    };
    if byte_level.is("add_prefix_space") {
        return Err(unknown(
            "pre_tokenizer",
            "one that puts a space before text".to_owned(),
            known,
        ));
    }
    let by_itself = byte_level
        .fields
        .get("use_regex")
        .and_then(Value::as_bool)
        .unwrap_or(true);
    let patterns: Option<Vec<_>> = splits.iter().map(|step| regex(step)).collect();
    let patterns = patterns.ok_or_else(found)?;
    let patterns: Vec<_> = patterns.iter().map(String::as_str).collect();
    match (&patterns[..], by_itself) {
        ([], true) => Ok(Splitter::Gpt2),
        ([pattern], false) if *pattern == regexes::GPT2 => Ok(Splitter::Gpt2),
        ([pattern], false) if *pattern == regexes::CL100K => Ok(Splitter::Cl100k),
        ([pattern], false) if *pattern == QWEN => Ok(Splitter::Qwen),
        ([pattern], false) if *pattern == regexes::O200K => Ok(Splitter::O200k),
        ([pattern], false) if *pattern == regexes::TEKKEN => Ok(Splitter::Tekken),
        (patterns, false) if patterns == regexes::DEEPSEEK && splits.iter().all(|step| isolates(step)) => {
            Ok(Splitter::DeepSeek)
        }
        _ => Err(found()),
    }
}

/// The pattern of a split whose matches are pieces. Where a pattern is the only one, it matches every character, so
/// that it does not matter whether what is between matches is kept or dropped. Some files have line ends as they are
/// instead of escaped.
fn regex(step: &Step) -> Option<String> {
    let keeps_matches = isolates(step) || (behaviour(step) == Some("Removed") && step.is("invert"));
    let pattern = step
        .fields
        .get("pattern")
        .filter(|_| step.kind == "Split" && keeps_matches)?;
    let written = pattern.get("Regex")?.as_str()?;
    Some(written.replace('\r', r"\r").replace('\n', r"\n"))
}

/// Whether both matches and what is between them become pieces.
fn isolates(step: &Step) -> bool {
    behaviour(step) == Some("Isolated") && !step.is("invert")
}

fn behaviour(step: &Step) -> Option<&str> {
    step.fields.get("behavior").and_then(Value::as_str)
}

/// Ids around a plain prompt.
#[derive(Debug, Default)]
pub(super) struct WrappingIds {
    pub before: Vec<u32>,
    pub after: Vec<u32>,
}

/// What `add_special_tokens` adds: by the post-processor, or by the class that `transformers` reads the tokenizer
/// with (`LlamaTokenizerFast.update_post_processor`), which then goes before.
pub(super) fn wrapping(tokenizer: &TokenizerFile, config: &TokenizerConfig) -> Result<WrappingIds, CompileError> {
    if config
        .tokenizer_class
        .as_deref()
        .is_some_and(|class| class.starts_with("LlamaTokenizer"))
    {
        let id = |wanted: bool, name| {
            let text = config.special_token(name).filter(|_| wanted)?;
            Some(tokenizer.added_tokens.iter().find(|token| token.content == text)?.id)
        };
        return Ok(WrappingIds {
            before: id(config.add_bos_token.unwrap_or(true), "bos_token")
                .into_iter()
                .collect(),
            after: id(config.add_eos_token.unwrap_or(false), "eos_token")
                .into_iter()
                .collect(),
        });
    }
    let steps = tokenizer.post_processor.as_ref().map(Step::flat).unwrap_or_default();
    let mut wrapping = WrappingIds::default();
    for step in steps {
        match step.kind.as_str() {
            "ByteLevel" => {}
            "TemplateProcessing" => {
                wrapping = template(step).ok_or_else(|| unknown_wrapping("one that cannot be read"))?
            }
            other => return Err(unknown_wrapping(other)),
        }
    }
    Ok(wrapping)
}

/// Reads `single`: special tokens around the sequence A.
fn template(step: &Step) -> Option<WrappingIds> {
    let mut wrapping = WrappingIds::default();
    let mut seen_text = false;
    for part in step.fields.get("single")?.as_array()? {
        if part.get("Sequence").is_some() {
            seen_text = true;
            continue;
        }
        let name = part.get("SpecialToken")?.get("id")?.as_str()?;
        let ids = step.fields.get("special_tokens")?.get(name)?.get("ids")?.as_array()?;
        for id in ids {
            let id = u32::try_from(id.as_u64()?).ok()?;
            if seen_text {
                &mut wrapping.after
            } else {
                &mut wrapping.before
            }
            .push(id);
        }
    }
    Some(wrapping)
}

fn unknown_wrapping(found: &str) -> CompileError {
    unknown(
        "post_processor",
        found.to_owned(),
        "ByteLevel, TemplateProcessing, or both",
    )
}

fn unknown(part: &'static str, found: String, known: &'static str) -> CompileError {
    let found = if found.is_empty() { "absent".to_owned() } else { found };
    CompileError::Unknown { part, found, known }
}

/// Qwen 2 and 3, as their tokenizer.json has it: cl100k's, but for a digit by itself.
const QWEN: &str =
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";
