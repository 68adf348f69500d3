//! Server-sent events: bytes that may be split anywhere into events, and events into bytes.
//! Source: WHATWG HTML, "9.2.6 Interpreting an event stream". Beyond it, as engines need it: `error:` lines are data of
//! an event of that name (llama.cpp through 2025), empty data and `null` (llama.cpp before completions of several prompts)
//! are a sign of life and no event, and the last event needs no empty line behind it.

use std::borrow::Cow;
use std::ops::Range;

use bytes::Bytes;
use thiserror::Error;

/// Puts events together from bytes as they arrive. Lines end with LF, CRLF or CR. A byte order mark before the first one
/// and `retry:` lines are passed over: nobody connects again here.
#[derive(Debug, Default)]
pub struct Decoder {
    /// What has arrived last, with the line before it that had no end yet.
    bytes: Vec<u8>,
    /// Where in `bytes` the next line begins.
    line: usize,
    /// Where in `bytes` to look for the next line end.
    searched: usize,
    /// Data lines of the event that is being read.
    data: Option<Value>,
    /// Its name.
    name: Option<Value>,
    /// The last id that came. It holds for all events until another comes.
    last_id: Vec<u8>,
    /// The last line ended with CR: a line feed right behind belongs to it.
    skip_line_feed: bool,
    /// A line has been read.
    has_begun: bool,
    /// Largest event, in bytes; largest name and id too.
    limit: usize,
}

/// An event. Valid UTF-8 is not promised of anything in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SseEvent<'a> {
    /// Its name, from the last of its `event:` lines; `None` of a plain message.
    pub name: Option<Cow<'a, [u8]>>,
    /// The last id of the stream until here; `None` while there is none.
    pub id: Option<&'a [u8]>,
    /// Its `data:` lines, joined by line feeds.
    pub data: Cow<'a, [u8]>,
}

/// What lines of an event say.
#[derive(Debug)]
enum Value {
    /// One line: where in `bytes` it stands.
    Line(Range<usize>),
    /// Several lines, or one of which the event's end came later.
    Copied(Vec<u8>),
}

/// An event, or a line of one, is over the limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("an event is larger than the limit")]
pub struct EventTooLarge;

impl Decoder {
    /// A decoder for events of at most `limit` bytes.
    pub fn new(limit: usize) -> Self {
        Self {
            limit,
            ..Self::default()
        }
    }

    /// Takes in what has arrived. Follow it by [`next_event`](Self::next_event) until that gives `None`.
    pub fn push(&mut self, bytes: &[u8]) {
        for value in [&mut self.data, &mut self.name].into_iter().flatten() {
            value.copy_from(&self.bytes);
        }
        self.bytes.drain(..self.line);
        self.searched -= self.line;
        self.line = 0;
        self.bytes.extend_from_slice(bytes);
    }

    /// The next whole event that has data, or the name of an error.
    ///
    /// # Errors
    /// When it is over the limit; the stream cannot be read any further then.
    pub fn next_event(&mut self) -> Result<Option<SseEvent<'_>>, EventTooLarge> {
        while let Some(line) = self.next_line() {
            if !line.is_empty() {
                self.on_line(line)?;
                continue;
            }
            let name = self.name.take();
            let says_something = |data: &Value| !data.is_empty() && !data.is(NOTHING, &self.bytes);
            let data = self.data.take().filter(says_something);
            let is_error = || name.as_ref().is_some_and(|name| name.is(ERROR, &self.bytes));
            if let Some(data) = data.or_else(|| is_error().then_some(Value::Line(0..0))) {
                return Ok(Some(SseEvent {
                    name: name.map(|name| name.within(&self.bytes)),
                    id: (!self.last_id.is_empty()).then_some(&self.last_id),
                    data: data.within(&self.bytes),
                }));
            }
        }
        if self.bytes.len() - self.line > self.limit {
            Err(EventTooLarge)
        } else {
            Ok(None)
        }
    }

    /// The bytes have come to their end in good order: the event that they ended in the middle of, if they did. It may be
    /// one of which more was to come.
    ///
    /// # Errors
    /// When it is over the limit.
    pub fn finish(&mut self) -> Result<Option<SseEvent<'_>>, EventTooLarge> {
        self.push(b"\n\n");
        self.next_event()
    }

    fn on_line(&mut self, line: Range<usize>) -> Result<(), EventTooLarge> {
        let mut text = &self.bytes[line.clone()];
        if !self.has_begun {
            self.has_begun = true;
            text = text.strip_prefix(BYTE_ORDER_MARK).unwrap_or(text);
        }
        let at = |value: &[u8]| line.end - value.len()..line.end;
        let mut data = field_value(text, b"data");
        if data.is_none() {
            data = field_value(text, ERROR);
            if data.is_some() {
                self.name = Some(Value::Copied(ERROR.to_vec()));
            }
        }
        let length = if let Some(value) = data {
            let (data, length) = match self.data.take() {
                None => (Value::Line(at(value)), value.len()),
                Some(data) => data.and_line(value, &self.bytes),
            };
            self.data = Some(data);
            length
        } else if let Some(name) = field_value(text, b"event") {
            self.name = (!name.is_empty()).then(|| Value::Line(at(name)));
            name.len()
        } else if let Some(id) = field_value(text, b"id").filter(|id| !id.contains(&0)) {
            self.last_id.clear();
            self.last_id.extend_from_slice(id);
            id.len()
        } else {
            0
        };
        if length > self.limit {
            Err(EventTooLarge)
        } else {
            Ok(())
        }
    }

    /// Where the next line stands, without its end. A CR at the very end of what has arrived ends the line at once.
    fn next_line(&mut self) -> Option<Range<usize>> {
        if self.skip_line_feed && self.line < self.bytes.len() {
            self.skip_line_feed = false;
            self.line += usize::from(self.bytes[self.line] == b'\n');
            self.searched = self.line;
        }
        let Some(found) = memchr::memchr2(b'\n', b'\r', &self.bytes[self.searched..]) else {
            self.searched = self.bytes.len();
            return None;
        };
        let line = self.line..self.searched + found;
        self.skip_line_feed = self.bytes[line.end] == b'\r';
        self.line = line.end + 1;
        self.searched = self.line;
        Some(line)
    }
}

impl SseEvent<'_> {
    /// It, with what is not UTF-8 in its data replaced.
    pub fn repaired(&self) -> SseEvent<'_> {
        SseEvent {
            name: self.name.as_deref().map(Cow::Borrowed),
            id: self.id,
            data: String::from_utf8_lossy(&self.data).into_owned().into_bytes().into(),
        }
    }

    /// Whether its name says that it tells of an error.
    pub fn is_named_error(&self) -> bool {
        self.name.as_deref() == Some(ERROR)
    }
}

impl Value {
    fn is_empty(&self) -> bool {
        match self {
            Self::Line(line) => line.is_empty(),
            Self::Copied(lines) => lines.is_empty(),
        }
    }

    fn is(&self, text: &[u8], bytes: &[u8]) -> bool {
        match self {
            Self::Line(line) => bytes[line.clone()] == *text,
            Self::Copied(lines) => lines == text,
        }
    }

    /// Keeps it when `bytes`, which it stands in, go.
    fn copy_from(&mut self, bytes: &[u8]) {
        if let Self::Line(line) = self {
            *self = Self::Copied(bytes[line.clone()].to_vec());
        }
    }

    fn within(self, bytes: &[u8]) -> Cow<'_, [u8]> {
        match self {
            Self::Line(line) => Cow::Borrowed(&bytes[line]),
            Self::Copied(lines) => Cow::Owned(lines),
        }
    }

    /// With one more line; and how long both are together.
    fn and_line(self, line: &[u8], bytes: &[u8]) -> (Self, usize) {
        let mut lines = self.within(bytes).into_owned();
        lines.push(b'\n');
        lines.extend_from_slice(line);
        let length = lines.len();
        (Self::Copied(lines), length)
    }
}

/// The value of a `name:value` line, without the one space that may lead it. A line that is only the name has an
/// empty value; comments and other fields have none.
fn field_value<'a>(line: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    match line.strip_prefix(name)? {
        [] => Some(&[]),
        [b':', b' ', value @ ..] | [b':', value @ ..] => Some(value),
        _ => None,
    }
}

/// An event with that data, which must not hold line ends.
pub(super) fn data_event(data: &str, out: &mut Vec<u8>) {
    event_of(&[data], out);
}

/// An event with data in parts, none of which may hold line ends.
pub(super) fn event_of(parts: &[&str], out: &mut Vec<u8>) {
    out.extend_from_slice(b"data: ");
    for part in parts {
        out.extend_from_slice(part.as_bytes());
    }
    out.extend_from_slice(b"\n\n");
}

/// A comment, which clients pass over. `text` must not hold line ends.
pub fn comment(text: &str) -> Bytes {
    format!(": {text}\n\n").into()
}

/// The name of events that tell of an error, and of the lines that do.
const ERROR: &[u8] = b"error";
const NOTHING: &[u8] = b"null";
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Name, id and data of an event.
    type Fields = (Option<String>, Option<String>, String);

    fn decode_all<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> Vec<Fields> {
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        let mut decoder = Decoder::new(1 << 16);
        let mut events = Vec::new();
        for piece in pieces {
            decoder.push(piece);
            while let Some(SseEvent { name, id, data }) = decoder.next_event().unwrap() {
                events.push((name.as_deref().map(text), id.map(text), text(&data)));
            }
        }
        events
    }

    fn decode<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> Vec<String> {
        decode_all(pieces).into_iter().map(|(_, _, data)| data).collect()
    }

    #[test]
    fn comments_other_fields_and_several_data_lines() {
        let stream =
            b": hello\n\nevent: x\nid: 7\ndata: a\ndata:b\ndata\ndatab: no\n\nretry: 1\n\ndata: c\n\ndata: cut off";
        assert_eq!(decode([&stream[..]]), ["a\nb\n", "c"]);
    }

    #[test]
    fn a_name_holds_for_one_event_and_an_id_until_another_comes() {
        for (stream, expected) in [
            ("event: a\ndata: 1\n\ndata: 2\n\n", [(Some("a"), None), (None, None)]),
            (
                "event:a\nevent: b\ndata: 1\n\nevent: c\n\ndata: 2\n\n",
                [(Some("b"), None), (None, None)],
            ),
            ("event: a\nevent\ndata: 1\n\ndata: 2\nevents: a\n\n", [(None, None); 2]),
            (
                "data: 1\nid:7\n\nid: 8\n\ndata: 2\n\n",
                [(None, Some("7")), (None, Some("8"))],
            ),
            (
                "id: 7\ndata: 1\n\nid: 8\0\ndata: 2\n\n",
                [(None, Some("7")), (None, Some("7"))],
            ),
            ("id: 7\ndata: 1\n\nid\ndata: 2\n\n", [(None, Some("7")), (None, None)]),
        ] {
            for size in [1, 2, stream.len()] {
                let events = decode_all(stream.as_bytes().chunks(size));
                let found = events.iter().map(|(name, id, _)| (name.as_deref(), id.as_deref()));
                assert_eq!(found.collect::<Vec<_>>(), expected, "{stream:?} by {size}");
            }
        }
    }

    #[test]
    fn every_way_to_end_a_line() {
        for end in ["\n", "\r\n", "\r"] {
            let stream = format!("data: a{end}data: b{end}{end}data: c{end}{end}");
            assert_eq!(decode([stream.as_bytes()]), ["a\nb", "c"], "{end:?}");
            assert_eq!(
                decode(stream.as_bytes().chunks(1)),
                ["a\nb", "c"],
                "{end:?} byte by byte"
            );
        }
    }

    #[test]
    fn errors_are_told_by_the_name_of_the_event_or_of_the_line() {
        for (stream, data) in [
            ("event: error\ndata: a\n\n", "a"),
            ("error: a\n\n", "a"),
            ("error: a\ndata: b\n\n", "a\nb"),
            ("event: error\n\n", ""),
            (": why\nevent: error\ndata:\n\n", ""),
        ] {
            for size in [1, 2, stream.len()] {
                let events = decode_all(stream.as_bytes().chunks(size));
                assert_eq!(
                    events,
                    [(Some("error".to_owned()), None, data.to_owned())],
                    "{stream:?} by {size}"
                );
            }
        }
        assert_eq!(decode([&b"event: errors\n\nerrors: a\n\n"[..]]), [""; 0]);
    }

    #[test]
    fn empty_data_and_a_byte_order_mark_are_passed_over() {
        let stream = b"\xef\xbb\xbfdata: a\n\ndata:\n\ndata\n\ndata: null\n\nevent: x\ndata: \n\n\xef\xbb\xbfdata: no\n\ndata: b\n\n";
        for size in [1, 2, stream.len()] {
            assert_eq!(decode(stream.chunks(size)), ["a", "b"], "by {size}");
        }
    }

    #[test]
    fn the_last_event_needs_no_empty_line() {
        for (stream, last) in [
            ("data: a\n\ndata: b", Some("b")),
            ("data: a\n\ndata: b\n", Some("b")),
            ("data: a\n\ndata: b\r", Some("b")),
            ("data: a\n\ndata: b\n  ", Some("b")),
            ("data: a\n\nerror: b", Some("b")),
            ("data: a\n\n", None),
            ("data: a\n\n  \n ", None),
            ("", None),
        ] {
            let mut decoder = Decoder::new(100);
            decoder.push(stream.as_bytes());
            while decoder.next_event().unwrap().is_some() {}
            let found = decoder.finish().unwrap();
            assert_eq!(
                found.map(|event| event.data.into_owned()),
                last.map(Vec::from),
                "{stream:?}"
            );
        }
    }

    #[test]
    fn an_event_goes_out_with_the_byte_that_completes_it() {
        let mut decoder = Decoder::new(100);
        decoder.push(b"data: a\r\n\r");
        let event = decoder.next_event().unwrap();
        assert_eq!(event.map(|event| event.data), Some(Cow::Borrowed(&b"a"[..])));
    }

    #[test]
    fn events_over_the_limit_are_refused_however_they_come() {
        for stream in [
            "data: 0123456789\n",
            "data: 01\ndata: 23\ndata: 45\n",
            ":0123456789",
            "data: 0123456789",
            "event: 01234567\n",
            "id: 01234567\n",
        ] {
            let mut decoder = Decoder::new(7);
            decoder.push(stream.as_bytes());
            assert_eq!(decoder.next_event(), Err(EventTooLarge), "{stream:?}");
        }
    }

    proptest! {
        #[test]
        fn splits_at_any_byte_change_nothing(
            events in prop::collection::vec(
                ("[^\r\n]{0,20}", prop::option::of("[^\r\n]{1,8}"), prop::option::of("[^\r\n\\x00]{1,8}")),
                1..8,
            ),
            ends in prop::collection::vec(prop::sample::select(vec!["\n", "\r\n", "\r"]), 8),
            comments in prop::collection::vec(any::<bool>(), 8),
            mut splits in prop::collection::vec(any::<prop::sample::Index>(), 0..20),
        ) {
            let (mut stream, mut expected, mut last_id) = (String::new(), Vec::new(), None);
            for (((data, name, id), end), comment) in events.into_iter().zip(&ends).zip(comments) {
                if comment {
                    stream.push_str(&format!(": ping{end}{end}"));
                }
                stream.extend(name.iter().map(|name| format!("event: {name}{end}")));
                stream.extend(id.iter().map(|id| format!("id: {id}{end}")));
                stream.push_str(&format!("data: {data}{end}{end}"));
                last_id = id.or(last_id);
                if !["", "null"].contains(&&*data) || name.as_deref() == Some("error") {
                    expected.push((name, last_id.clone(), data));
                }
            }
            let bytes = stream.as_bytes();
            let mut cuts: Vec<_> = splits.drain(..).map(|index| index.index(bytes.len() + 1)).collect();
            cuts.extend([0, bytes.len()]);
            cuts.sort_unstable();
            let pieces = cuts.windows(2).map(|cut| &bytes[cut[0]..cut[1]]);
            prop_assert_eq!(decode_all(pieces), expected);
        }

        #[test]
        fn any_bytes_are_read_without_a_panic(pieces in prop::collection::vec(any::<Vec<u8>>(), 0..20)) {
            let mut decoder = Decoder::new(64);
            for piece in pieces {
                decoder.push(&piece);
                while let Ok(Some(_)) = decoder.next_event() {}
            }
        }

        #[test]
        fn what_is_written_is_read_back(data in "[^\r\n]{0,40}") {
            let mut out = Vec::new();
            data_event(&data, &mut out);
            prop_assert_eq!(decode([&out[..]]).concat(), data);
        }
    }
}
