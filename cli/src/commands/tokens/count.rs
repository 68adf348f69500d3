//! `tidegate tokens count`.

use std::fs;
use std::io::{self, BufRead as _, Read as _, Write as _};
use std::path::PathBuf;
use std::time::{SystemTime, UNIX_EPOCH};

use serde::Deserialize;
use serde_json::value::RawValue;
use tidegate_core::ids::Tokens;
use tidegate_core::time::Timestamp;
use tidegate_core::tokens::Tokenizer;
use tidegate_core::tokens::template::{Chat, Ending, Media, Reader};

use crate::failure::Failure;

/// What to count with, and how.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The token table.
    #[arg(long, value_name = "NAME.tokens")]
    table: PathBuf,
    /// Standard input is a JSON object a line, with `text`, or with `messages` and maybe `tools`; prints a number for
    /// each. Messages are rendered by the chat template as transformers' `apply_chat_template` does it, with the
    /// generation prompt.
    #[arg(long)]
    jsonl: bool,
}

/// One line of the input.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Line<'a> {
    text: Option<String>,
    #[serde(borrow)]
    messages: Option<&'a RawValue>,
    #[serde(borrow)]
    tools: Option<&'a RawValue>,
}

/// Counts.
///
/// # Errors
/// When the table or the input cannot be read; names the line.
pub fn run(args: &Args) -> Result<(), Failure> {
    let unusable = |error: &dyn std::fmt::Display| Failure::usage(format!("{}: {error}", args.table.display()));
    let file = fs::read(&args.table).map_err(|error| unusable(&error))?;
    let tokenizer = Tokenizer::open(file).map_err(|error| unusable(&error))?;
    let mut stdout = io::stdout().lock();
    if !args.jsonl {
        let mut text = String::new();
        io::stdin().read_to_string(&mut text)?;
        writeln!(stdout, "{}", tokenizer.table().count(&text).0)?;
        return Ok(());
    }
    for (index, line) in io::stdin().lock().lines().enumerate() {
        let count = count_line(&tokenizer, &line?)
            .map_err(|reason| Failure::failed(format!("line {} of the input: {reason}", index + 1)))?;
        writeln!(stdout, "{}", count.0)?;
    }
    Ok(())
}

fn count_line(tokenizer: &Tokenizer, line: &str) -> Result<Tokens, String> {
    let line: Line<'_> = serde_json::from_str(line).map_err(|error| error.to_string())?;
    match (line.text, line.messages) {
        (Some(text), None) => Ok(tokenizer.table().count(&text)),
        (None, Some(messages)) => count_chat(tokenizer, messages, line.tools),
        (None, None) | (Some(_), Some(_)) => Err("give either `text` or `messages`".to_owned()),
    }
}

fn count_chat(tokenizer: &Tokenizer, messages: &RawValue, tools: Option<&RawValue>) -> Result<Tokens, String> {
    let template = tokenizer.template().ok_or("the table has no chat template")?;
    let chat = Chat {
        messages: messages.get(),
        tools: tools.map(RawValue::get),
        documents: None,
        chat_template_kwargs: None,
        reasoning_effort: None,
        ending: Ending::Answer,
        reader: Reader::Transformers,
    };
    let template = template.map_err(ToString::to_string)?;
    let rendered = template.render(&chat, now()).map_err(|error| error.to_string())?;
    if rendered.media != Media::default() {
        return Err("it has parts that are not text; what they take, only the model knows".to_owned());
    }
    Ok(tokenizer.table().count(&rendered.text))
}

/// For templates that print the date.
fn now() -> Timestamp {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp::from_micros(u64::try_from(since_epoch.as_micros()).unwrap_or(u64::MAX))
}
