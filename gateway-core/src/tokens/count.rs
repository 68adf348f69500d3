//! What a prompt takes, as exactly as can be told here: by the model's table and template, or by estimate. Counting itself
//! is left to who can pause in between.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use super::estimate::Estimate;
use super::tables::Tokenizer;
use super::template::{Chat, Media, Reader, Rendered, TemplateError};
use crate::api::{Conversation, Generation, Input, PromptSource};
use crate::config::PartTokens;
use crate::ids::Tokens;
use crate::time::Timestamp;

/// What a request is expected to take.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Count {
    /// Tokens of the prompt, of all of them where there are several.
    pub prompt: Tokens,
    /// What that rests on.
    pub basis: Basis,
    /// What the longest prompt surely is at least.
    pub at_least: Tokens,
    /// What the model's context leaves for an answer to it, at most.
    pub room: Tokens,
    /// Answers that are asked for, over all prompts; none where nothing is generated.
    pub answers: u64,
}

/// What a count rests on.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Basis {
    /// The model's own tokenizer and template: it is what the engine will report.
    Exact,
    /// Scripts and earlier reports.
    Estimated {
        /// The mean error as a share of the true count, where it is known.
        error: Option<f64>,
    },
    /// The model's own tokenizer, and a figure from the configuration for each part that is not text.
    Parts,
}

impl Basis {
    /// Whether the engine will report the same.
    pub fn is_exact(self) -> bool {
        match self {
            Self::Exact => true,
            Self::Estimated { .. } | Self::Parts => false,
        }
    }

    /// One word for metrics.
    pub fn label(self) -> &'static str {
        match self {
            Self::Exact => "exact",
            Self::Estimated { .. } => "estimated",
            Self::Parts => "parts",
        }
    }
}

/// A prompt, measured once for all models that share a tokenizer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Measured {
    /// Tokens of its text, of all prompts where there are several.
    pub text: Tokens,
    /// Tokens of the longest one.
    pub longest: Tokens,
    /// How many prompts there are.
    pub prompts: u64,
    /// What is in it beside text.
    pub media: Media,
    /// Whether some versions of vLLM count otherwise; this is what the newest ones do.
    pub versions_differ: bool,
    /// Whether the counting was stopped: it is surely that long, and longer.
    pub is_stopped: bool,
}

/// Why a prompt is not measured by its model's table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unmeasured {
    /// The template says that the conversation is wrong, in its own words.
    Refused(String),
    /// The deployment's table could not be opened.
    NoTable,
    /// The table has no chat template.
    NoTemplate,
    /// The template cannot be compiled here.
    NotCompiled,
    /// The template compiles, and cannot be rendered for this conversation.
    NotRendered,
    /// The prompt is not what the API says; an engine may take it all the same.
    Unreadable,
    /// The request changes its prompt in a way that only the engine knows.
    OnlyEngineKnows,
}

impl Unmeasured {
    /// One word for metrics and logs, which never hold a template's words about a conversation.
    pub fn label(&self) -> &'static str {
        match self {
            Self::Refused(_) => "refused",
            Self::NoTable => "no_table",
            Self::NoTemplate => "no_template",
            Self::NotCompiled => "template_not_compiled",
            Self::NotRendered => "template_not_rendered",
            Self::Unreadable => "unreadable",
            Self::OnlyEngineKnows => "only_engine_knows",
        }
    }
}

/// Prompts of one request, as a tokenizer reads them.
#[derive(Debug)]
pub enum Prompts<'a> {
    /// A conversation, rendered.
    Chat(Rendered),
    /// Texts, each a prompt of its own.
    Texts(&'a [Cow<'a, str>]),
    /// Prompts that are tokens already, by their lengths.
    Tokens(&'a [u64]),
}

/// What a tokenizer is to read.
///
/// # Errors
/// Why it cannot be told here.
pub fn prompts<'a>(
    tokenizer: &Tokenizer,
    source: &'a PromptSource<'a>,
    now: Timestamp,
) -> Result<Prompts<'a>, Unmeasured> {
    if source.only_engine_knows {
        return Err(Unmeasured::OnlyEngineKnows);
    }
    Ok(match &source.input {
        Input::Chat(conversation) => Prompts::Chat(render(tokenizer, conversation, now)?),
        Input::Texts(texts) => Prompts::Texts(texts),
        Input::Tokens(lengths) => Prompts::Tokens(lengths),
    })
}

impl Prompts<'_> {
    /// Texts that are to be counted, one after the other.
    pub fn texts(&self) -> impl Iterator<Item = &str> {
        let (chat, texts) = match self {
            Self::Chat(rendered) => (Some(rendered.text.as_str()), [].as_slice()),
            Self::Texts(texts) => (None, *texts),
            Self::Tokens(_) => (None, [].as_slice()),
        };
        chat.into_iter().chain(texts.iter().map(Cow::as_ref))
    }

    /// What they measure, where their texts have these lengths.
    pub fn measured(&self, lengths: impl Iterator<Item = Tokens>) -> Measured {
        match self {
            Self::Chat(rendered) => Measured {
                media: rendered.media,
                versions_differ: rendered.versions_differ,
                ..Measured::of_lengths(lengths)
            },
            Self::Texts(_) => Measured::of_lengths(lengths),
            Self::Tokens(lengths) => Measured::of_lengths(lengths.iter().copied().map(Tokens)),
        }
    }
}

/// The conversation as the text that the model reads.
///
/// # Errors
/// When there is no template, or it makes nothing of the conversation.
fn render(tokenizer: &Tokenizer, conversation: &Conversation<'_>, now: Timestamp) -> Result<Rendered, Unmeasured> {
    let template = match tokenizer.template() {
        Some(Ok(template)) => template,
        Some(Err(_)) => return Err(Unmeasured::NotCompiled),
        None => return Err(Unmeasured::NoTemplate),
    };
    let chat = Chat {
        messages: conversation.messages,
        tools: conversation.tools,
        documents: conversation.documents,
        chat_template_kwargs: conversation.template_kwargs,
        reasoning_effort: conversation.reasoning_effort,
        ending: conversation.ending,
        reader: Reader::Vllm,
    };
    template.render(&chat, now).map_err(|error| match error {
        TemplateError::Refused { message } => Unmeasured::Refused(message),
        TemplateError::Unreadable { .. } | TemplateError::Message { .. } => Unmeasured::Unreadable,
        TemplateError::Syntax { .. } | TemplateError::Fuel | TemplateError::Failed { .. } => Unmeasured::NotRendered,
    })
}

impl Measured {
    /// Prompts of these lengths.
    pub fn of_lengths(lengths: impl Iterator<Item = Tokens>) -> Self {
        lengths.fold(Self::default(), |measured, length| Self {
            text: measured.text + length,
            longest: measured.longest.max(length),
            prompts: measured.prompts + 1,
            ..measured
        })
    }

    /// All of its tokens for a model that counts its parts so, and what that rests on.
    pub fn prompt(&self, parts: &PartTokens) -> (Tokens, Basis) {
        let Media { images, audios, videos } = self.media;
        let others =
            parts.image.0 * u64::from(images) + parts.audio.0 * u64::from(audios) + parts.video.0 * u64::from(videos);
        let basis = if self.versions_differ || self.is_stopped {
            Basis::Estimated { error: None }
        } else if self.media == Media::default() {
            Basis::Exact
        } else {
            Basis::Parts
        };
        (self.text + Tokens(others), basis)
    }

    /// What a model that counts its parts so, and has a context of that length, takes for it.
    pub fn count(&self, parts: &PartTokens, context: Tokens, request: &Generation) -> Count {
        let (prompt, basis) = self.prompt(parts);
        Count {
            prompt,
            basis,
            at_least: self.longest,
            room: Tokens(context.0.saturating_sub(self.longest.0)),
            answers: answers(request, self.prompts),
        }
    }
}

/// What a model with a context of that length is likely to take for the prompt of `request`. Where the client has it cut,
/// it is no longer than that.
pub fn count_of_estimate(estimate: Estimate, context: Tokens, request: &Generation) -> Count {
    let Estimate {
        tokens,
        at_least,
        error,
    } = estimate;
    let most = Tokens(request.truncation().unwrap_or(u64::MAX));
    Count {
        prompt: tokens.min(most),
        basis: Basis::Estimated { error },
        at_least,
        room: Tokens(context.0.saturating_sub(at_least.0)),
        answers: answers(request, request.prompts()),
    }
}

impl Count {
    /// Output to expect of all answers, those included that are made only to choose from. One is taken to be as long as
    /// its bound and the context allow, but no longer than `expected` tokens: bounds are mostly set far above what comes.
    pub fn expected_output(&self, request: &Generation, expected: u64) -> Tokens {
        let each = request.max_output.unwrap_or(u64::MAX).min(expected).min(self.room.0);
        Tokens(each.saturating_mul(self.answers_made(request)))
    }

    /// Answers that are made, those included that are made only to choose from.
    pub(super) fn answers_made(&self, request: &Generation) -> u64 {
        self.answers / request.choices * request.best_of
    }

    /// What the model's context leaves for an answer also where the prompt is half as long again as it was estimated.
    pub fn surely_left(&self) -> Tokens {
        if self.basis.is_exact() {
            return self.room;
        }
        let context = self.room + self.at_least;
        Tokens(context.0.saturating_sub(self.prompt.0.saturating_mul(3) / 2))
    }
}

fn answers(request: &Generation, prompts: u64) -> u64 {
    if request.endpoint.generates() {
        request.choices.saturating_mul(prompts)
    } else {
        0
    }
}
