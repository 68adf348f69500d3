//! Server-sent events as a strict reader sees them: what the gateway sends is checked to the letter, nothing is
//! forgiven.

use serde_json::Value;

/// One event, or a comment that stood alone.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// `: text`.
    Comment(String),
    /// `data: {json}`.
    Data(Value),
    /// `data: [DONE]`.
    Done,
}

/// The events of a body. Panics on anything but comments and single `data:` lines, each followed by an empty line.
pub fn events(body: &str) -> Vec<Event> {
    if body.is_empty() {
        return Vec::new();
    }
    let blocks = body
        .strip_suffix("\n\n")
        .unwrap_or_else(|| panic!("the last event is not complete: {body:?}"));
    blocks.split("\n\n").map(event).collect()
}

fn event(block: &str) -> Event {
    if let Some(comment) = block.strip_prefix(':') {
        assert!(!comment.contains('\n'), "a comment of several lines: {block:?}");
        return Event::Comment(comment.trim_start().to_owned());
    }
    match block.strip_prefix("data: ") {
        Some("[DONE]") => Event::Done,
        Some(json) => Event::Data(
            serde_json::from_str(json).unwrap_or_else(|error| panic!("not one line of JSON ({error}): {block:?}")),
        ),
        None => panic!("neither a comment nor data: {block:?}"),
    }
}

/// A streamed answer taken apart.
#[derive(Debug, Default)]
pub struct Stream {
    /// Comments, in order.
    pub comments: Vec<String>,
    /// JSON events, in order, in-band errors included.
    pub chunks: Vec<Value>,
    /// Whether `[DONE]` came; nothing but comments can come behind it.
    pub done: bool,
}

impl Stream {
    /// Of a whole body.
    pub fn parse(body: &str) -> Self {
        let mut stream = Self::default();
        for event in events(body) {
            let may_come_last = !stream.done || matches!(event, Event::Comment(_));
            assert!(may_come_last, "something came after [DONE]: {body:?}");
            match event {
                Event::Comment(comment) => stream.comments.push(comment),
                Event::Data(chunk) => stream.chunks.push(chunk),
                Event::Done => stream.done = true,
            }
        }
        stream
    }

    /// The text of the first choice, of chat or of completions.
    pub fn text(&self) -> String {
        let delta = |chunk: &Value| {
            let choice = &chunk["choices"][0];
            choice["delta"]["content"]
                .as_str()
                .or(choice["text"].as_str())
                .unwrap_or_default()
                .to_owned()
        };
        self.chunks.iter().map(delta).collect()
    }

    /// The error that ended the stream in-band: the last event, and no `[DONE]` after it.
    pub fn error(&self) -> Option<&Value> {
        let error = self.chunks.last()?.get("error")?;
        assert!(!self.done, "an in-band error followed by [DONE]");
        Some(error)
    }

    /// The chunks that carry usage.
    pub fn usages(&self) -> Vec<&Value> {
        self.chunks
            .iter()
            .filter(|chunk| chunk.get("usage").is_some_and(|usage| !usage.is_null()))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_taken_apart() {
        let stream = Stream::parse(": hi\n\ndata: {\"choices\":[{\"delta\":{\"content\":\"x\"}}]}\n\ndata: [DONE]\n\n");
        assert_eq!(
            (stream.comments.len(), stream.text().as_str(), stream.done),
            (1, "x", true)
        );
        assert_eq!(
            Stream::parse("data: {\"error\":{\"code\":null}}\n\n").error(),
            Some(&serde_json::json!({"code": null}))
        );
    }

    #[test]
    #[should_panic(expected = "not complete")]
    fn an_event_that_broke_off_is_not_forgiven() {
        Stream::parse("data: {}\n\ndata: {");
    }

    #[test]
    #[should_panic(expected = "after [DONE]")]
    fn nothing_comes_after_done() {
        Stream::parse("data: [DONE]\n\ndata: {}\n\n");
    }
}
