//! The content of a message: text, or a list of parts of which some are no text. vLLM gives a template either text or
//! parts, whatever the client sent (`renderers/chat_utils/chat_message.py`). Parts that are no text are only counted:
//! where a template wants text, what stands for them is the model's own matter.

use minijinja::Value;
use minijinja::value::ValueKind;

use super::conversation::{find, members_of};
use super::read::Members;
use super::{ContentFormat, Media, TemplateError};

/// What vLLM makes of a message's content.
///
/// # Errors
/// When it has a part that vLLM does not know.
pub fn content(
    content: Option<&Value>,
    role: &Value,
    format: ContentFormat,
    media: &mut Media,
) -> Result<Value, TemplateError> {
    let mut parts: Vec<Part> = match content {
        None => Vec::new(),
        Some(content) if content.kind() == ValueKind::Seq => {
            let parts = content.try_iter().into_iter().flatten().map(|part| part_of(&part));
            parts.filter_map(Result::transpose).collect::<Result<_, _>>()?
        }
        Some(content) => part_of(content)?.into_iter().collect(),
    };
    parts.iter().for_each(|part| part.kind.count(media));
    let only_text = parts.iter().all(|part| matches!(part.kind, Kind::Text(_)));
    match format {
        // What a tool said is text for all templates.
        ContentFormat::Parts if !(only_text && role.as_str() == Some("tool")) => {
            Ok(parts.into_iter().map(Part::into_member).collect())
        }
        ContentFormat::Parts => Ok(joined(&parts)),
        // Where it writes text, vLLM leaves out parts that are empty.
        ContentFormat::Text => {
            parts.retain(|part| part.text().and_then(Value::as_str) != Some(""));
            Ok(joined(&parts))
        }
    }
}

/// Counts the parts of a message that no one has looked at before the template.
pub fn count(message: &Members, media: &mut Media) {
    let Some(content) = find(message, "content").filter(|content| content.kind() == ValueKind::Seq) else {
        return;
    };
    for part in content.try_iter().into_iter().flatten() {
        let kind = part.get_attr("type").unwrap_or_default();
        if let Some(kind) = kind.as_str().and_then(Kind::medium) {
            kind.count(media);
        }
    }
}

/// The text in the content of a message that [`content`] made.
pub fn text(content: &Value) -> String {
    if let Some(text) = content.as_str() {
        return text.to_owned();
    }
    let parts = content.try_iter().into_iter().flatten();
    let texts = parts.filter_map(|part| part.get_attr("text").ok()?.as_str().map(str::to_owned));
    texts.collect::<Vec<String>>().join("\n")
}

/// A part of a message's content.
struct Part {
    kind: Kind,
    /// What the client wrote beside it that no type of part has; templates that want a list see it.
    others: Members,
}

enum Kind {
    Text(Value),
    ToolReference(Value),
    Image,
    Audio,
    Video,
}

impl Kind {
    /// A part that is no text, by its type or by the name of what it holds.
    fn medium(name: &str) -> Option<Self> {
        match name {
            "image" | "image_url" | "input_image" | "image_pil" | "image_embeds" => Some(Self::Image),
            "audio" | "audio_url" | "input_audio" | "audio_embeds" => Some(Self::Audio),
            "video" | "video_url" | "video_embeds" => Some(Self::Video),
            _ => None,
        }
    }

    fn count(&self, media: &mut Media) {
        let counter = match self {
            Self::Text(_) | Self::ToolReference(_) => return,
            Self::Image => &mut media.images,
            Self::Audio => &mut media.audios,
            Self::Video => &mut media.videos,
        };
        *counter = counter.saturating_add(1);
    }
}

impl Part {
    fn text(&self) -> Option<&Value> {
        match &self.kind {
            Kind::Text(text) | Kind::ToolReference(text) => Some(text),
            Kind::Image | Kind::Audio | Kind::Video => None,
        }
    }

    /// The part as templates know it that want a list.
    fn into_member(self) -> Value {
        let of_type = |name: &str| ("type".into(), Value::from(name));
        let known: Members = match self.kind {
            Kind::Text(text) => vec![of_type("text"), ("text".into(), text)],
            Kind::ToolReference(name) => {
                return Value::from_pairs([of_type("tool_reference"), ("name".into(), name)]);
            }
            Kind::Image => vec![of_type("image")],
            Kind::Audio => vec![of_type("audio")],
            Kind::Video => vec![of_type("video")],
        };
        Value::from_pairs(known.into_iter().chain(self.others))
    }
}

/// The part that `value` is; none when it is empty.
fn part_of(value: &Value) -> Result<Option<Part>, TemplateError> {
    if value.kind() == ValueKind::String {
        return Ok(Some(Part {
            kind: Kind::Text(value.clone()),
            others: Members::new(),
        }));
    }
    if value.kind() != ValueKind::Map {
        return Err(unfit("content is text, or parts"));
    }
    let is_other = |(key, _): &(Value, Value)| !key.as_str().is_some_and(|key| KNOWN.contains(&key));
    let kind = kind_of(value)?;
    Ok(kind.map(|kind| Part {
        kind,
        others: members_of(value).into_iter().filter(is_other).collect(),
    }))
}

fn kind_of(part: &Value) -> Result<Option<Kind>, TemplateError> {
    let member = |name: &str| part.get_attr(name).unwrap_or_default();
    let kind = member("type");
    let Some(kind) = kind.as_str() else {
        let named = part.try_iter().into_iter().flatten();
        let medium = named.filter_map(|key| key.as_str().and_then(Kind::medium)).next();
        return medium.map(Some).ok_or_else(|| unfit("a part without type"));
    };
    let holds_text = match kind {
        "text" | "input_text" | "output_text" => "text",
        "refusal" | "thinking" => kind,
        "tool_reference" => "name",
        _ => {
            return Kind::medium(kind)
                .map(Some)
                .ok_or_else(|| unfit("a part of unknown type"));
        }
    };
    let text = member(holds_text);
    if text.is_none() || text.is_undefined() {
        return Ok(None);
    }
    if text.kind() != ValueKind::String {
        return Err(unfit("the text of a part is no text"));
    }
    let of_kind = if kind == "tool_reference" {
        Kind::ToolReference
    } else {
        Kind::Text
    };
    Ok(Some(of_kind(text)))
}

/// The text in `parts`, a line each.
fn joined(parts: &[Part]) -> Value {
    let mut texts: Vec<Value> = parts.iter().filter_map(|part| part.text().cloned()).collect();
    if texts.len() == 1 {
        return texts.remove(0);
    }
    let texts: Vec<&str> = texts.iter().filter_map(Value::as_str).collect();
    Value::from(texts.join("\n"))
}

/// What the parts that vLLM knows have for members (`_KNOWN_CONTENT_PART_FIELDS`), with the OpenAI SDK's of 2026.
const KNOWN: &[&str] = &[
    "type",
    "text",
    "refusal",
    "thinking",
    "closed",
    "name",
    "uuid",
    "file",
    "data",
    "prompt_cache_breakpoint",
    "image_url",
    "input_audio",
    "audio_url",
    "video_url",
    "image_pil",
    "image_embeds",
    "audio_embeds",
    "video_embeds",
];

fn unfit(reason: &'static str) -> TemplateError {
    TemplateError::Message { reason }
}

#[cfg(test)]
mod tests {
    use super::super::read;
    use super::*;

    fn content(json: &str, format: ContentFormat) -> (String, Media) {
        let (value, mut media) = (read::value(json).unwrap(), Media::default());
        let content = super::content(Some(&value), &Value::from("user"), format, &mut media);
        (
            content.map_or_else(|error| error.to_string(), |content| content.to_string()),
            media,
        )
    }

    #[test]
    fn parts_become_what_the_template_wants() {
        let parts = r#"[{"type":"text","text":"a","cache_control":{}},{"type":"image_url","image_url":{"url":"x"}},"b",
            {"type":"input_audio","input_audio":{}},{"video_url":"x"},{"type":"refusal","refusal":null},{"type":"text","text":""}]"#;
        let media = Media {
            images: 1,
            audios: 1,
            videos: 1,
        };
        assert_eq!(content(parts, ContentFormat::Text), ("a\nb".to_owned(), media));
        assert_eq!(
            content(parts, ContentFormat::Parts),
            (
                "[{'type': 'text', 'text': 'a', 'cache_control': {}}, {'type': 'image'}, {'type': 'text', 'text': 'b'}, {'type': 'audio'}, \
                 {'type': 'video'}, {'type': 'text', 'text': ''}]"
                    .to_owned(),
                media
            )
        );
    }

    #[test]
    fn what_vllm_does_not_know_is_an_error() {
        for parts in [
            "1",
            "[1]",
            "[{}]",
            "[[]]",
            r#"[{"type":"smell"}]"#,
            r#"[{"type":"text","text":1}]"#,
        ] {
            assert!(
                content(parts, ContentFormat::Text).0.starts_with("messages: "),
                "{parts}"
            );
        }
    }

    #[test]
    fn parts_that_no_one_looked_at_are_counted() {
        let message = r#"{"content":[{"type":"image"},{"type":"image_url"},{"type":"text"},{},1]}"#;
        let mut media = Media::default();
        count(&read::members(message).unwrap(), &mut media);
        assert_eq!(
            media,
            Media {
                images: 2,
                ..Media::default()
            }
        );
    }
}
