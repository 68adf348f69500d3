//! Makes SSE events look as no client expects them, and as every client must accept them.

use std::time::Duration;

use bytes::Bytes;

use super::kind::{DrawnFaults, Fault};

/// Rewrites events and cuts them into pieces.
#[derive(Debug, Clone, Copy, Default)]
pub(in crate::server) struct Framer {
    split: Option<usize>,
    /// Pause after each piece.
    pub pause: Option<Duration>,
    crlf: bool,
    comments: bool,
    event_lines: bool,
    data_lines: bool,
}

impl Framer {
    /// The framing faults of a request, together.
    pub fn of(drawn: &DrawnFaults) -> Self {
        let mut framer = Self::default();
        for fault in &drawn.0 {
            if let Fault::Framing {
                split,
                pause_ms,
                crlf,
                comments,
                event_lines,
                data_lines,
            } = fault
            {
                framer.split = framer.split.or(*split);
                framer.pause = framer
                    .pause
                    .or((*pause_ms > 0).then(|| Duration::from_millis(*pause_ms)));
                framer.crlf |= crlf;
                framer.comments |= comments;
                framer.event_lines |= event_lines;
                framer.data_lines |= data_lines;
            }
        }
        framer
    }

    /// Whether events are written as they are.
    pub const fn is_plain(&self) -> bool {
        self.split.is_none() && !self.crlf && !self.comments && !self.event_lines && !self.data_lines
    }

    /// The pieces in which `event` is written; `number` counts the stream's events.
    pub fn pieces(&self, event: &Bytes, number: usize) -> Vec<Bytes> {
        let rewritten = self.rewrite(event, number);
        let size = self.split.unwrap_or(rewritten.len()).max(1);
        (0..rewritten.len())
            .step_by(size)
            .map(|start| rewritten.slice(start..(start + size).min(rewritten.len())))
            .collect()
    }

    fn rewrite(&self, event: &Bytes, number: usize) -> Bytes {
        // Events are made by this server: text that ends with an empty line.
        let text = String::from_utf8_lossy(event);
        let mut lines = String::new();
        if self.comments {
            lines.push_str(": a comment between events\n\n:\n");
        }
        if self.event_lines {
            lines.push_str(&format!("event: message\nid: {number}\n"));
        }
        let split_at = text.find("\"choices\"").filter(|_| self.data_lines);
        match split_at {
            // Between two members of an object a line break is white space.
            Some(at) => lines.push_str(&format!("{}\ndata: {}", &text[..at], &text[at..])),
            None => lines.push_str(&text),
        }
        Bytes::from(if self.crlf { lines.replace('\n', "\r\n") } else { lines })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_join_to_the_rewritten_event() {
        let framer = Framer {
            split: Some(3),
            crlf: true,
            event_lines: true,
            data_lines: true,
            ..Framer::default()
        };
        let pieces = framer.pieces(&Bytes::from_static(b"data: {\"id\":1,\"choices\":[]}\n\n"), 7);
        assert!(pieces.iter().all(|piece| piece.len() <= 3));
        let joined = pieces.concat();
        assert_eq!(
            String::from_utf8_lossy(&joined),
            "event: message\r\nid: 7\r\ndata: {\"id\":1,\r\ndata: \"choices\":[]}\r\n\r\n"
        );
    }
}
