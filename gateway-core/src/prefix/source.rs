//! What of a request makes its prompt, in about the order in which engines put it together: tools and documents, then the
//! messages; or the first of its texts. All as it is written: clients that go on with a conversation write what they said
//! before as they did then.

use std::borrow::Cow;

use super::places::{ANCHORS, doublings};
use crate::api::{Endpoint, Generation, Role};

/// The texts of a prompt, and what shapes it.
#[derive(Debug, Default)]
pub(super) struct Source<'a> {
    /// What is no text in the prompt, but may change any of it: by name.
    pub settings: Vec<(&'static str, &'a [u8])>,
    pub texts: Vec<Text<'a>>,
    /// How long the JSON of the first prompt is, and that of all of them, where there may be several.
    of_all: Option<(usize, usize)>,
}

/// A part of a prompt.
#[derive(Debug)]
pub(super) struct Text<'a> {
    pub name: &'static str,
    pub bytes: Cow<'a, [u8]>,
    /// Whose it is, of a message.
    role: Option<Role>,
}

/// Where the messages of a prompt end, and what else is known of its shape, in bytes from its beginning.
#[derive(Debug)]
pub(super) struct Shape {
    pub length: u64,
    /// Where messages end.
    pub ends: Vec<u64>,
    /// Which of them is the first that may choose a replica.
    pub anchor: usize,
    /// Where what tells a conversation from others ends: its first message of a user.
    pub conversation: u64,
    /// Where the last answer ends that the model has given and somebody has gone on from; 0 without one.
    pub answered: u64,
}

impl<'a> Source<'a> {
    /// Of a request to generate; nothing of any other, which leaves no prefix behind.
    pub fn of(request: &'a Generation) -> Self {
        match request.endpoint {
            Endpoint::Chat => Self::of_chat(request),
            Endpoint::Completions => Self::of_prompts(request),
            Endpoint::Embeddings => Self::default(),
        }
    }

    fn of_chat(request: &'a Generation) -> Self {
        let given = |name: &&'static str| Some((*name, request.prompt_param(name)?));
        let before = TEXTS.iter().filter_map(given).map(|(name, json)| (name, json, None));
        let messages = request.messages().map(|(json, role)| ("message", json, Some(role)));
        let text = |(name, json, role)| Text {
            name,
            bytes: Cow::Borrowed(json),
            role,
        };
        Self {
            settings: SETTINGS.iter().filter_map(given).collect(),
            texts: before.chain(messages).map(text).collect(),
            of_all: None,
        }
    }

    /// Of several prompts the first one: they go to one replica together, and are sent together for what they share.
    fn of_prompts(request: &'a Generation) -> Self {
        let json = request.first_prompt().unwrap_or_default();
        let all = request.prompt_json().map(<[u8]>::len).sum();
        let (name, bytes) = match json.strip_prefix('"') {
            // What goes on behind it does not begin with its closing quote.
            Some(text) => (
                "prompt",
                Cow::Borrowed(text.strip_suffix('"').unwrap_or(text).as_bytes()),
            ),
            None => ("tokens", Cow::Owned(token_bytes(json))),
        };
        let role = None;
        Self {
            settings: Vec::new(),
            texts: vec![Text { name, bytes, role }],
            of_all: Some((json.len(), all)),
        }
    }

    /// The length of all prompts, of which the first has that shape.
    pub fn length_of_all(&self, shape: &Shape) -> u64 {
        match self.of_all {
            Some((first, all)) if first < all => {
                let length = u128::from(shape.length) * all as u128 / first.max(1) as u128;
                u64::try_from(length).unwrap_or(u64::MAX)
            }
            Some(_) | None => shape.length,
        }
    }

    pub fn shape(&self) -> Shape {
        let (mut length, mut ends) = (0, Vec::new());
        let (mut first_user, mut deep, mut answered) = (None, None, 0);
        for (index, text) in self.texts.iter().enumerate() {
            length += text.bytes.len() as u64;
            let Some(role) = text.role else { continue };
            if role == Role::User {
                first_user.get_or_insert(ends.len());
            }
            if length >= LEAST_ANCHOR {
                deep.get_or_insert(ends.len());
            }
            // What stands before the first words of a user is a greeting, and nobody has gone on from it.
            if role == Role::Assistant && first_user.is_some() && index + 1 < self.texts.len() {
                answered = length;
            }
            ends.push(length);
        }
        let last = ends.len().saturating_sub(1);
        let anchor = deep.unwrap_or(last).min(first_user.unwrap_or(last));
        // The ends from the anchor on are always there, of which it is nearly always one.
        let first_user = first_user.unwrap_or(last).min(anchor + ANCHORS - 1);
        Shape {
            length,
            conversation: ends.get(first_user).copied().unwrap_or(length),
            anchor,
            ends,
            answered,
        }
    }
}

impl Shape {
    /// The places that may choose a replica, best first. Messages are told apart by their ends: the first user's begins
    /// a conversation, and what stands before it many may share. A text without messages has nothing but its depth.
    pub fn anchors(&self) -> Vec<u64> {
        let mut anchors: Vec<u64> = if self.ends.is_empty() {
            doublings(self.length).filter(|place| *place >= LEAST_ANCHOR).collect()
        } else {
            self.ends.iter().skip(self.anchor).take(ANCHORS).copied().collect()
        };
        if anchors.is_empty() && self.length > 0 {
            anchors.push(self.length);
        }
        anchors
    }
}

/// Tokens as four bytes each, which is what a token is elsewhere, too. What engines will refuse is none.
fn token_bytes(json: &str) -> Vec<u8> {
    let tokens: Vec<u32> = serde_json::from_str(json).unwrap_or_default();
    tokens.iter().flat_map(|token| token.to_le_bytes()).collect()
}

/// What stands in a prompt before its messages.
const TEXTS: &[&str] = &["tools", "documents"];
/// What changes how a prompt is put together. `response_format` is not there: engines make a grammar of it, which is no
/// part of the prompt.
const SETTINGS: &[&str] = &["chat_template", "chat_template_kwargs", "reasoning_effort"];
/// 512 tokens: what is shared by less is hardly worth a replica's prefill, and often shared by all.
const LEAST_ANCHOR: u64 = 2_048;
