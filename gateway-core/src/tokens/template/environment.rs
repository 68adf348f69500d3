//! The engine as transformers sets up Jinja for chat templates: its flags, what it adds to the language, and where
//! Python does otherwise than the engine.

use std::borrow::Cow;
use std::fmt;

use minijinja::syntax::SyntaxConfig;
use minijinja::{Environment, Error, ErrorKind, State, Value};

use super::{print, python, to_json};

/// The template's name in the environment that [`of`] makes.
pub const NAME: &str = "chat";

/// An environment with one template in it.
///
/// # Errors
/// When `source` is no template.
pub fn of<'s>(
    source: &str,
    special_tokens: impl IntoIterator<Item = (&'s str, &'s str)>,
) -> Result<Environment<'static>, Error> {
    let mut environment = Environment::new();
    environment.set_syntax(syntax()?);
    environment.set_unknown_method_callback(python::method);
    environment.set_formatter(print::print);
    environment.add_filter("string", |state: &State<'_, '_>, value: &Value| {
        print::text(state, value).map(|text| Value::from(&*text))
    });
    environment.add_filter("tojson", to_json::to_json);
    environment.add_filter("trim", python::trim);
    environment.add_filter("capitalize", python::capitalize);
    environment.add_filter("indent", python::indent);
    environment.add_test("sequence", python::is_sequence);
    environment.add_test("iterable", python::is_iterable);
    environment.add_test("number", python::is_number);
    environment.add_test("float", |value: &Value| python::as_float(value).is_some());
    environment.add_function("raise_exception", raise_exception);
    for (name, text) in special_tokens {
        environment.add_global(name.to_owned(), Value::from(text));
    }
    environment.add_template_owned(NAME, without_generation_blocks(source).into_owned())?;
    Ok(environment)
}

/// What the template said when it raised an exception, if that is what `error` is.
pub fn raised(error: &Error) -> Option<&str> {
    let mut source = std::error::Error::source(error);
    while let Some(error) = source {
        if let Some(Raised(message)) = error.downcast_ref() {
            return Some(message);
        }
        source = error.source();
    }
    None
}

/// `{% generation %}` only marks what a model learns from: it becomes a block that does nothing, `{% with %}`, which
/// has a scope of its own like the macro that transformers makes of it.
pub fn without_generation_blocks(source: &str) -> Cow<'_, str> {
    if !source.contains("generation") {
        return Cow::Borrowed(source);
    }
    let mut rewritten = String::with_capacity(source.len());
    let mut rest = source;
    while let Some((before, tag)) = rest.split_once("{%") {
        let name_at = tag.len() - tag.trim_start_matches(['-', '+']).trim_start().len();
        let name_end = tag[name_at..].find(|character: char| !character.is_ascii_alphanumeric() && character != '_');
        let name_end = name_at + name_end.unwrap_or(tag.len() - name_at);
        let name = match &tag[name_at..name_end] {
            "generation" => "with",
            "endgeneration" => "endwith",
            name => name,
        };
        rewritten.extend([before, "{%", &tag[..name_at], name]);
        rest = &tag[name_end..];
    }
    rewritten.push_str(rest);
    Cow::Owned(rewritten)
}

/// Jinja's syntax, where a block takes the line break behind it and the indentation before it.
pub fn syntax() -> Result<SyntaxConfig, Error> {
    SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build()
}

/// `raise_exception(message)`.
fn raise_exception(message: &Value) -> Result<Value, Error> {
    Err(Error::new(ErrorKind::InvalidOperation, "raised by the template").with_source(Raised(message.to_string())))
}

/// A message that a template raised.
#[derive(Debug)]
struct Raised(String);

impl fmt::Display for Raised {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Raised {}
