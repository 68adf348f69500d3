//! Any bytes as a stream, cut anywhere: its events are those that a reader finds who has all of it, and reads it line by
//! line as WHATWG HTML says ("9.2.6 Interpreting an event stream"), and as engines want it beyond that.

#![no_main]

use libfuzzer_sys::fuzz_target;
use tidegate_core::api::{Decoder, SseEvent};
use tidegate_fuzz::pieces;

fuzz_target!(|bytes: &[u8]| {
    let expected = read(bytes);
    assert_eq!(decoded(&[bytes]), expected);
    assert_eq!(decoded(&pieces(bytes).collect::<Vec<_>>()), expected);
    if bytes.len() <= SHORT {
        assert_eq!(decoded(&bytes.chunks(1).collect::<Vec<_>>()), expected);
    }
    // With little room it may refuse, but not break.
    let mut decoder = Decoder::new(16);
    for piece in pieces(bytes) {
        decoder.push(piece);
        while let Ok(Some(_)) = decoder.next_event() {}
    }
});

/// Name, id and data of an event.
type Event = (Option<Vec<u8>>, Option<Vec<u8>>, Vec<u8>);

fn decoded(pieces: &[&[u8]]) -> Vec<Event> {
    let mut decoder = Decoder::new(usize::MAX >> 1);
    let mut events = Vec::new();
    for piece in pieces {
        decoder.push(piece);
        while let Some(SseEvent { name, id, data }) = decoder.next_event().expect("there is room") {
            events.push((name.map(Vec::from), id.map(Vec::from), data.into_owned()));
        }
    }
    events
}

fn read(bytes: &[u8]) -> Vec<Event> {
    let (mut events, mut name, mut id, mut data) = (Vec::new(), None, None, None::<Vec<u8>>);
    let mut has_begun = false;
    for mut line in lines(bytes) {
        if line.is_empty() {
            let name: Option<Vec<u8>> = name.take();
            let empty = (name.as_deref() == Some(b"error")).then(Vec::new);
            let data = data.take().filter(|data| !matches!(&data[..], b"" | b"null")).or(empty);
            events.extend(data.map(|data| (name, id.clone(), data)));
            continue;
        }
        if !std::mem::replace(&mut has_begun, true) {
            line = line.strip_prefix(b"\xef\xbb\xbf").unwrap_or(line);
        }
        let colon = line.iter().position(|byte| *byte == b':').unwrap_or(line.len());
        let (field, value) = line.split_at(colon);
        let value = value.strip_prefix(b":").unwrap_or(value);
        let value = value.strip_prefix(b" ").unwrap_or(value).to_vec();
        match field {
            b"data" | b"error" => {
                if field == b"error" {
                    name = Some(field.to_vec());
                }
                data = Some(match data.take() {
                    Some(lines) => [&lines[..], b"\n", &value].concat(),
                    None => value,
                });
            }
            b"event" => name = Some(value).filter(|name| !name.is_empty()),
            b"id" if !value.contains(&0) => id = Some(value).filter(|id| !id.is_empty()),
            _ => {}
        }
    }
    events
}

/// The lines that have an end.
fn lines(bytes: &[u8]) -> Vec<&[u8]> {
    let (mut lines, mut rest) = (Vec::new(), bytes);
    while let Some(end) = rest.iter().position(|byte| matches!(byte, b'\r' | b'\n')) {
        lines.push(&rest[..end]);
        let width = if rest[end..].starts_with(b"\r\n") { 2 } else { 1 };
        rest = &rest[end + width..];
    }
    lines
}

/// Longer ones take too long byte by byte.
const SHORT: usize = 512;
