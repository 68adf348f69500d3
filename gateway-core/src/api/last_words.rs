//! The beginning of what a request's user says last, as text: what else can be known of who reads the answer.

use super::endpoint::Endpoint;
use super::json_cursor::JsonCursor;
use super::request::{Generation, Role};

impl Generation {
    /// The beginning of the last text of a user, of a completion's first prompt; at most so many bytes of it as it is
    /// written. `None` where there is no such text, or it is no Unicode.
    pub fn last_words(&self, most_bytes: usize) -> Option<String> {
        match self.endpoint {
            Endpoint::Completions => beginning(self.first_prompt()?, most_bytes),
            Endpoint::Chat | Endpoint::Embeddings => {
                let of_user = self.messages().filter(|(_, role)| *role == Role::User);
                let (message, _) = of_user.last()?;
                beginning(text_of(std::str::from_utf8(message).ok()?)?, most_bytes)
            }
        }
    }
}

/// The text of a message, or the first one among its parts, as it is written.
fn text_of(message: &str) -> Option<&str> {
    let content = member(message, "content")?;
    let mut parts = JsonCursor::new(content);
    if !parts.enter(b'[') {
        return Some(content);
    }
    while parts.next() {
        if let Some(text) = member(parts.pass(), "text") {
            return Some(text);
        }
    }
    None
}

/// The value of an object's member, as it is written.
fn member<'a>(object: &'a str, name: &str) -> Option<&'a str> {
    let mut members = JsonCursor::new(object);
    if !members.enter(b'{') {
        return None;
    }
    while members.next() {
        let is_it = members.name() == name;
        let value = members.pass();
        if is_it {
            return Some(value);
        }
    }
    None
}

/// The beginning of a JSON string, as text.
fn beginning(json: &str, most_bytes: usize) -> Option<String> {
    let written = json.strip_prefix('"')?.strip_suffix('"')?;
    let most = written.floor_char_boundary(most_bytes);
    // What is cut may end within an escape.
    let ends = (most.saturating_sub(LONGEST_ESCAPE)..=most).rev();
    let mut cuts = ends.filter_map(|end| written.get(..end));
    cuts.find_map(|cut| serde_json::from_str(&["\"", cut, "\""].concat()).ok())
}

/// Of a character: a pair of surrogates, in bytes.
const LONGEST_ESCAPE: usize = 12;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::api::Dialect;

    fn last_words(endpoint: Endpoint, body: &serde_json::Value, most: usize) -> Option<String> {
        let request = Dialect::decode(endpoint, body.to_string().into(), 32).expect("a request");
        request.last_words(most)
    }

    #[test]
    fn the_last_text_of_the_user_is_read_whatever_it_is_in() {
        let said = |messages| last_words(Endpoint::Chat, &json!({"model": "m", "messages": messages}), 100);
        let user = |content| json!({"role": "user", "content": content});
        let of_others = [
            json!({"role": "assistant", "content": "c"}),
            json!({"role": "tool", "content": "d"}),
        ];
        let [assistant, tool] = of_others;
        assert_eq!(
            said(json!([user(json!("a")), user(json!("b\n")), assistant, tool])).as_deref(),
            Some("b\n")
        );
        let parts = json!([{"type": "image_url", "image_url": {"url": "x"}}, {"type": "text", "text": "c"}]);
        assert_eq!(said(json!([user(parts)])).as_deref(), Some("c"));
        for nothing in [json!([]), json!(null), json!([{"type": "image_url"}, 7])] {
            assert_eq!(said(json!([user(nothing)])), None);
        }
        let prompt = json!({"model": "m", "prompt": ["first", "second"]});
        assert_eq!(
            last_words(Endpoint::Completions, &prompt, 100).as_deref(),
            Some("first")
        );
        let tokens = json!({"model": "m", "prompt": [1, 2]});
        assert_eq!(last_words(Endpoint::Completions, &tokens, 100), None);
    }

    proptest! {
        #[test]
        fn a_long_text_is_cut_between_characters(text in "(?s)[a\"\\\\\n\u{e9}\u{1f600}\u{0}]{0,60}", most in 0_usize..80, escaped: bool) {
            let mut written = json!(text).to_string();
            if escaped {
                written = written.replace('\u{1f600}', "\\ud83d\\ude00").replace('\u{e9}', "\\u00e9");
            }
            let cut = beginning(&written, most).expect("a text");
            prop_assert!(text.starts_with(&cut), "{cut}");
            prop_assert!(cut.len() + LONGEST_ESCAPE + 4 >= most.min(written.len() - 2) / 6, "{cut}");
        }
    }
}
