//! Server-sent events: bytes that may be split anywhere into events, and events into bytes.
//! Source: WHATWG HTML, "9.2.6 Interpreting an event stream".

use std::borrow::Cow;
use std::ops::Range;

use bytes::Bytes;
use thiserror::Error;

/// Puts events together from bytes as they arrive. Lines end with LF, CRLF or CR. Of an event only its data is given;
/// `event:`, `id:` and `retry:` lines carry nothing that an OpenAI client reads.
#[derive(Debug, Default)]
pub struct Decoder {
    /// What has arrived last, with the line before it that had no end yet.
    bytes: Vec<u8>,
    /// Where in `bytes` the next line begins.
    line: usize,
    /// Where in `bytes` to look for the next line end.
    searched: usize,
    /// Data lines of the event that is being read.
    data: Option<Data>,
    /// The last line ended with CR: a line feed right behind belongs to it.
    skip_line_feed: bool,
    /// Largest event, in bytes.
    limit: usize,
}

#[derive(Debug)]
enum Data {
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

    /// Takes in what has arrived. Follow it by [`next_data`](Self::next_data) until that gives `None`.
    pub fn push(&mut self, bytes: &[u8]) {
        if let Some(Data::Line(line)) = &self.data {
            self.data = Some(Data::Copied(self.bytes[line.clone()].to_vec()));
        }
        self.bytes.drain(..self.line);
        self.searched -= self.line;
        self.line = 0;
        self.bytes.extend_from_slice(bytes);
    }

    /// The data of the next whole event: its `data:` lines, joined by line feeds. Valid UTF-8 is not promised.
    ///
    /// # Errors
    /// When it is over the limit; the stream cannot be read any further then.
    pub fn next_data(&mut self) -> Result<Option<Cow<'_, [u8]>>, EventTooLarge> {
        while let Some(line) = self.next_line() {
            if !line.is_empty() {
                self.on_line(line)?;
            } else if let Some(data) = self.data.take() {
                return Ok(Some(match data {
                    Data::Line(line) => Cow::Borrowed(&self.bytes[line]),
                    Data::Copied(lines) => Cow::Owned(lines),
                }));
            }
        }
        if self.bytes.len() - self.line > self.limit {
            Err(EventTooLarge)
        } else {
            Ok(None)
        }
    }

    fn on_line(&mut self, line: Range<usize>) -> Result<(), EventTooLarge> {
        let Some(value) = field_value(&self.bytes[line.clone()], b"data") else {
            return Ok(());
        };
        let start = line.end - value.len();
        let (data, length) = match self.data.take() {
            None => (Data::Line(start..line.end), value.len()),
            Some(data) => {
                let mut lines = match data {
                    Data::Line(first) => self.bytes[first].to_vec(),
                    Data::Copied(lines) => lines,
                };
                lines.push(b'\n');
                lines.extend_from_slice(value);
                let length = lines.len();
                (Data::Copied(lines), length)
            }
        };
        if length > self.limit {
            return Err(EventTooLarge);
        }
        self.data = Some(data);
        Ok(())
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
pub fn data_event(data: &str, out: &mut Vec<u8>) {
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

/// The event that ends a stream that is complete.
pub const DONE_EVENT: &[u8] = b"data: [DONE]\n\n";

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn decode<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> Vec<String> {
        let mut decoder = Decoder::new(1 << 16);
        let mut events = Vec::new();
        for piece in pieces {
            decoder.push(piece);
            while let Some(data) = decoder.next_data().unwrap() {
                events.push(String::from_utf8(data.into_owned()).unwrap());
            }
        }
        events
    }

    #[test]
    fn comments_other_fields_and_several_data_lines() {
        let stream =
            b": hello\n\nevent: x\nid: 7\ndata: a\ndata:b\ndata\ndatab: no\n\nretry: 1\n\ndata: c\n\ndata: cut off";
        assert_eq!(decode([&stream[..]]), ["a\nb\n", "c"]);
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
    fn an_event_goes_out_with_the_byte_that_completes_it() {
        let mut decoder = Decoder::new(100);
        decoder.push(b"data: a\r\n\r");
        assert_eq!(decoder.next_data().unwrap().as_deref(), Some(&b"a"[..]));
    }

    #[test]
    fn events_over_the_limit_are_refused_however_they_come() {
        for stream in [
            "data: 0123456789\n",
            "data: 01\ndata: 23\ndata: 45\n",
            ":0123456789",
            "data: 0123456789",
        ] {
            let mut decoder = Decoder::new(7);
            decoder.push(stream.as_bytes());
            assert_eq!(decoder.next_data(), Err(EventTooLarge), "{stream:?}");
        }
    }

    proptest! {
        #[test]
        fn splits_at_any_byte_change_nothing(
            events in prop::collection::vec("[^\r\n]{0,20}", 1..8),
            ends in prop::collection::vec(prop::sample::select(vec!["\n", "\r\n", "\r"]), 8),
            comments in prop::collection::vec(any::<bool>(), 8),
            mut splits in prop::collection::vec(any::<prop::sample::Index>(), 0..20),
        ) {
            let mut stream = String::new();
            for ((data, end), comment) in events.iter().zip(&ends).zip(comments) {
                if comment {
                    stream.push_str(&format!(": ping{end}{end}"));
                }
                stream.push_str(&format!("event: e{end}data: {data}{end}{end}"));
            }
            let bytes = stream.as_bytes();
            let mut cuts: Vec<_> = splits.drain(..).map(|index| index.index(bytes.len() + 1)).collect();
            cuts.extend([0, bytes.len()]);
            cuts.sort_unstable();
            let pieces = cuts.windows(2).map(|cut| &bytes[cut[0]..cut[1]]);
            prop_assert_eq!(decode(pieces), events);
        }

        #[test]
        fn any_bytes_are_read_without_a_panic(pieces in prop::collection::vec(any::<Vec<u8>>(), 0..20)) {
            let mut decoder = Decoder::new(64);
            for piece in pieces {
                decoder.push(&piece);
                while let Ok(Some(_)) = decoder.next_data() {}
            }
        }

        #[test]
        fn what_is_written_is_read_back(data in "[^\r\n]{0,40}") {
            let mut out = Vec::new();
            data_event(&data, &mut out);
            prop_assert_eq!(decode([&out[..]]), [data]);
        }
    }
}
