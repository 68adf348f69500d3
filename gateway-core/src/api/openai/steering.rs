//! Where in a request of OpenAI's API stands what would steer engines: fields that engines have added to it, and parts
//! of messages that name something to fetch.

use std::borrow::Cow;

use crate::api::json_cursor::{JsonCursor, string};
use crate::api::json_fields::Fields;
use crate::api::steering::{MediaUrl, Steering};
use crate::config::EngineKind;

/// What of a request would steer an engine, of whichever kind.
pub(super) fn steering(fields: &Fields<'_>) -> Steering {
    let mut found = Found::default();
    for param in ["messages", "input"] {
        if let Some(json) = fields.given(param).filter(|json| json.starts_with('[')) {
            found.messages(param, &mut JsonCursor::new(json));
        }
    }
    let template_kwargs: Vec<_> = fields
        .every("chat_template_kwargs")
        .filter_map(|json| Fields::parse(json).ok())
        .collect();
    let is_given = |field: &str| match field.split_once('.') {
        None => fields.every(field).next().is_some(),
        Some(("chat_template_kwargs", member)) => template_kwargs
            .iter()
            .any(|kwargs| kwargs.every(member).next().is_some()),
        Some(_) => field == PART_IDENTIFIER && found.has_identifier || field == PART_TENSORS && found.has_tensors,
    };
    let mut steering_fields: Vec<_> = EngineKind::all_steering_fields()
        .filter(|field| is_given(field))
        .collect();
    steering_fields.sort_unstable();
    steering_fields.dedup();
    Steering {
        fields: steering_fields,
        media: found.media,
    }
}

/// What messages hold besides texts.
#[derive(Default)]
struct Found {
    media: Vec<MediaUrl>,
    has_identifier: bool,
    has_tensors: bool,
}

impl Found {
    /// Looks through an array of messages, or of conversations, which vLLM embeds several of at once.
    fn messages(&mut self, param: &'static str, cursor: &mut JsonCursor<'_>) {
        if !cursor.enter(b'[') {
            cursor.pass();
            return;
        }
        while cursor.next() {
            if cursor.enter(b'{') {
                self.message(param, cursor);
            } else {
                self.messages(param, cursor);
            }
        }
    }

    /// Looks through what is left of a message; only a list of parts can name anything.
    fn message(&mut self, param: &'static str, cursor: &mut JsonCursor<'_>) {
        while cursor.next() {
            let name = cursor.name();
            if name != "content" || !cursor.enter(b'[') {
                self.media(param, &name, cursor.pass());
                continue;
            }
            while cursor.next() {
                self.part(param, cursor);
            }
        }
    }

    /// A part of a message names what it shows in `image_url` and the like, as a text or as the `url` of an object.
    fn part(&mut self, param: &'static str, cursor: &mut JsonCursor<'_>) {
        if !cursor.enter(b'{') {
            cursor.pass();
            return;
        }
        while cursor.next() {
            let name = cursor.name();
            let value = cursor.pass();
            self.has_identifier |= name == "uuid" && value != "null";
            let is_tensor = name == "type" && string(value).is_some_and(|kind| kind.ends_with("_embeds"));
            self.has_tensors |= is_tensor || name.ends_with("_embeds");
            self.media(param, &name, value);
        }
    }

    /// What a member of a message or a part names, as a text or as the `url` of an object. SGLang embeds objects with an
    /// `image` or a `video`.
    fn media(&mut self, param: &'static str, name: &str, value: &str) {
        if !name.ends_with("_url") && !["image", "audio", "video"].contains(&name) {
            return;
        }
        let mut cursor = JsonCursor::new(value);
        if !cursor.enter(b'{') {
            self.url(param, value);
            return;
        }
        while cursor.next() {
            let is_url = cursor.name() == "url";
            let value = cursor.pass();
            if is_url {
                self.url(param, value);
            }
        }
    }

    /// What cannot be read here as a text an engine may read all the same: Python takes half of a surrogate pair.
    fn url(&mut self, param: &'static str, value: &str) {
        let readable = string(value).unwrap_or(Cow::Borrowed(value));
        let url = MediaUrl::of(param, &readable).filter(|_| value != "null");
        self.media.extend(url);
    }
}

/// What engines may know an image by that an earlier request has sent.
const PART_IDENTIFIER: &str = "messages.content.uuid";
/// Tensors in place of what they are made of.
const PART_TENSORS: &str = "messages.content.embeds";

#[cfg(test)]
mod tests {
    use super::*;

    fn found(body: &str) -> (Vec<&'static str>, Vec<String>) {
        let steering = steering(&Fields::parse(body).unwrap());
        let media = steering.media.into_iter().map(|url| url.beginning).collect();
        (steering.fields, media)
    }

    #[test]
    fn fields_that_steer_some_engine_are_found_however_they_are_written() {
        let (fields, _) = found(
            r#"{"temperature":1,"prior\u0069ty":-100,"bootstrap_host":"10.0.0.1","rid":null,"n_predict":9,
                "chat_template_kwargs":{"enable_thinking":false,"chat_template":"{{ x }}"}}"#,
        );
        let expected = [
            "bootstrap_host",
            "chat_template_kwargs.chat_template",
            "n_predict",
            "priority",
        ];
        assert_eq!(fields, expected);
        assert_eq!(
            found(r#"{"chat_template_kwargs":{"enable_thinking":false}}"#).0,
            [""; 0]
        );
    }

    #[test]
    fn a_field_that_stands_twice_steers_whichever_of_them_counts() {
        for body in [
            r#"{"priority":null,"priority":-1}"#,
            r#"{"priority":-1,"prior\u0069ty":null}"#,
        ] {
            assert_eq!(found(body).0, ["priority"], "{body}");
        }
        for body in [
            r#"{"chat_template_kwargs":{},"chat_template_kwargs":{"chat_template":"x"}}"#,
            r#"{"chat_template_kwargs":{"chat_template":null,"chat_template":"x"},"chat_template_kwargs":7}"#,
        ] {
            assert_eq!(found(body).0, ["chat_template_kwargs.chat_template"], "{body}");
        }
    }

    #[test]
    fn urls_are_found_in_all_parts_of_all_messages() {
        let (fields, media) = found(
            r#"{"messages":[
                {"role":"system","content":"https://no.example"},
                {"role":"user","name":"x","content":[{"type":"text","text":"http://no.example"},
                    {"type":"image_url","image_url":{"url":"http://a.example","detail":"low"}},
                    {"type":"image_url","image_url":{"url":"data:image/png;base64,AA"}},
                    {"type":"video_url","video_url":{"url":"https://\u0062.example"}}]},
                {"role":"user","content":[{"image_url":"file:///c"},"text",{"image\u005furl":"d","image_url":null}],
                    "content":[{"audio_url":{"url":"e","url":"f"}}]}],
              "input":[[{"content":[{"image_url":"g","uuid":"h"}]}],"text",[1,2]]}"#,
        );
        let expected = ["http://a.example", "https://b.example", "file:///c", "d", "e", "f", "g"];
        assert_eq!(media, expected);
        assert_eq!(fields, [PART_IDENTIFIER]);
    }

    #[test]
    fn what_cannot_be_read_here_is_no_url_that_leads_anywhere() {
        let body =
            r#"{"messages":[{"content":[{"image_url":{"url":"https://a.example/\ud800"}},{"video_url":["b"]}]}]}"#;
        let steering = steering(&Fields::parse(body).unwrap());
        assert_eq!(steering.media.len(), 2);
        assert!(steering.media.iter().all(|url| url.origin.is_none()), "{steering:?}");
    }

    #[test]
    fn objects_to_embed_and_tensors_in_parts_are_found() {
        let (fields, media) = found(r#"{"input":[{"text":"x","image":"http://a.example"},{"video":"file:///b"}]}"#);
        assert_eq!(
            (fields.len(), media),
            (0, vec!["http://a.example".to_owned(), "file:///b".to_owned()])
        );
        for part in [
            r#"{"type":"image_embeds","image_embeds":"AA"}"#,
            r#"{"type":"prompt_embeds","data":"AA"}"#,
        ] {
            assert_eq!(
                found(&format!(r#"{{"messages":[{{"content":[{part}]}}]}}"#)).0,
                [PART_TENSORS]
            );
        }
    }
}
