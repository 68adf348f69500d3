//! How the requests of one HTTP/1.1 connection follow each other in the bytes that its client sends, and what is wrong with
//! how they are framed: what hyper lets pass, and a server before or behind may read otherwise (RFC 9112, sections 2.2,
//! 3.2 and 6.3). All else of a request is hyper's to judge.

use std::mem;

/// Where a connection's bytes stand.
#[derive(Debug, Default)]
pub struct Requests {
    position: Position,
    /// The beginning of a line of which the rest has not come.
    begun: Vec<u8>,
}

/// What comes next.
#[derive(Debug, Default)]
enum Position {
    /// The request line, or an empty line before it.
    #[default]
    RequestLine,
    /// A header line, or the end of the head.
    Header(Head),
    /// So many more bytes of a body.
    Body(u64),
    /// The size of a chunk.
    ChunkSize,
    /// So many more bytes of a chunk.
    Chunk(u64),
    /// The empty line behind a chunk.
    ChunkEnd,
    /// A trailer, or the end of the body.
    Trailer,
}

/// What counts of a head.
#[derive(Clone, Copy, Debug)]
struct Head {
    needs_host: bool,
    hosts: u32,
    length: Option<u64>,
    is_chunked: bool,
}

/// A request is framed in a way that is read differently by different servers, or in none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Misframed {
    /// How many of the bytes stand before what makes it so: they do not end a head.
    pub sound: usize,
}

impl Requests {
    /// Takes what has come.
    ///
    /// # Errors
    /// What the client sends is to be refused from there on.
    pub fn read(&mut self, bytes: &[u8]) -> Result<(), Misframed> {
        let mut rest = bytes;
        while !rest.is_empty() {
            rest = match &mut self.position {
                Position::Body(left) | Position::Chunk(left) => {
                    let taken = usize::try_from(*left).map_or(rest.len(), |left| left.min(rest.len()));
                    *left -= taken as u64;
                    self.end_body();
                    &rest[taken..]
                }
                Position::RequestLine
                | Position::Header(_)
                | Position::ChunkSize
                | Position::ChunkEnd
                | Position::Trailer => self.read_line(rest).ok_or(Misframed {
                    sound: bytes.len() - rest.len(),
                })?,
            };
        }
        Ok(())
    }

    /// Whether a head has begun that is not all there.
    pub fn is_within_head(&self) -> bool {
        matches!(self.position, Position::Header(_))
            || matches!(self.position, Position::RequestLine) && !self.begun.is_empty()
    }

    /// Takes a line, or the beginning of one, and gives what follows it; `None` where the line makes no sense.
    fn read_line<'a>(&mut self, bytes: &'a [u8]) -> Option<&'a [u8]> {
        let Some(end) = bytes.iter().position(|byte| *byte == b'\n') else {
            self.begun.extend_from_slice(bytes);
            return (self.begun.len() <= LONGEST_LINE).then_some(&[]);
        };
        let (line, rest) = bytes.split_at(end);
        if self.begun.is_empty() {
            self.on_line(line.strip_suffix(b"\r")?)?;
        } else {
            let mut whole = mem::take(&mut self.begun);
            whole.extend_from_slice(line);
            self.on_line(whole.strip_suffix(b"\r")?)?;
        }
        Some(&rest[1..])
    }

    /// Goes on behind a line; `None` where it makes no sense.
    fn on_line(&mut self, line: &[u8]) -> Option<()> {
        self.position = match &mut self.position {
            Position::RequestLine if line.is_empty() => Position::RequestLine,
            Position::RequestLine => Position::Header(Head::new(line)),
            Position::Header(head) if line.is_empty() => head.body()?,
            Position::Header(head) => Position::Header(head.with(line)?),
            Position::ChunkSize => match chunk_size(line)? {
                0 => Position::Trailer,
                size => Position::Chunk(size),
            },
            Position::ChunkEnd if line.is_empty() => Position::ChunkSize,
            Position::ChunkEnd => return None,
            Position::Trailer if line.is_empty() => Position::RequestLine,
            Position::Trailer => Position::Trailer,
            Position::Body(left) => Position::Body(*left),
            Position::Chunk(left) => Position::Chunk(*left),
        };
        Some(())
    }

    fn end_body(&mut self) {
        if let Position::Body(0) = self.position {
            self.position = Position::RequestLine;
        } else if let Position::Chunk(0) = self.position {
            self.position = Position::ChunkEnd;
        }
    }
}

impl Head {
    fn new(request_line: &[u8]) -> Self {
        Self {
            needs_host: request_line.ends_with(b" HTTP/1.1"),
            hosts: 0,
            length: None,
            is_chunked: false,
        }
    }

    /// With one more header; `None` where it does not go with those before.
    fn with(self, line: &[u8]) -> Option<Self> {
        let colon = line.iter().position(|byte| *byte == b':')?;
        let (name, value) = (&line[..colon], line[colon + 1..].trim_ascii());
        let mut head = self;
        if name.eq_ignore_ascii_case(b"host") {
            head.hosts += 1;
        } else if name.eq_ignore_ascii_case(b"content-length") {
            let length = number(value, 10)?;
            if self.length.is_some_and(|other| other != length) {
                return None;
            }
            head.length = Some(length);
        } else if name.eq_ignore_ascii_case(b"transfer-encoding") {
            // Of several codings some servers take the first, some the last, and some see none that they know.
            if head.is_chunked || !value.eq_ignore_ascii_case(b"chunked") {
                return None;
            }
            head.is_chunked = true;
        }
        let is_framed_once = head.length.is_none() || !head.is_chunked;
        (head.hosts <= 1 && is_framed_once).then_some(head)
    }

    /// What follows the head; `None` where the head lacks something.
    fn body(&self) -> Option<Position> {
        if self.needs_host && self.hosts == 0 {
            return None;
        }
        Some(match self.length {
            _ if self.is_chunked => Position::ChunkSize,
            None | Some(0) => Position::RequestLine,
            Some(length) => Position::Body(length),
        })
    }
}

fn chunk_size(line: &[u8]) -> Option<u64> {
    let size = line.split(|byte| *byte == b';').next()?;
    number(size.trim_ascii_end(), 16)
}

fn number(digits: &[u8], radix: u32) -> Option<u64> {
    let digits = std::str::from_utf8(digits).ok()?;
    let is_plain = digits.chars().all(|digit| digit.is_digit(radix));
    is_plain.then(|| u64::from_str_radix(digits, radix).ok())?
}

/// The longest line that is looked at: twice the largest head, so that hyper has refused that before.
const LONGEST_LINE: usize = 64 << 10;

#[cfg(test)]
mod tests {
    use super::*;

    const GET: &str = "GET / HTTP/1.1\r\nhost: a\r\n\r\n";
    const CHUNKED: &str = "POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n";

    /// Reads it in pieces of every size; they must be judged alike.
    fn read(text: &str) -> Result<Requests, usize> {
        let sizes = [1, 2, 3, 7, text.len().max(1)];
        let mut judged = sizes.map(|size| {
            let mut requests = Requests::default();
            let mut before = 0;
            for piece in text.as_bytes().chunks(size) {
                requests.read(piece).map_err(|misframed| before + misframed.sound)?;
                before += piece.len();
            }
            Ok(requests)
        });
        let refused = judged.iter().filter(|judged| judged.is_err()).count();
        assert!(refused == 0 || refused == sizes.len(), "{text:?}: {judged:?}");
        judged.reverse();
        let [whole, ..] = judged;
        whole
    }

    #[test]
    fn requests_in_order_follow_each_other() {
        let with_length = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length:  5 \r\n\r\nGET\n\0";
        let chunks = format!(
            "{CHUNKED}3\r\n\n\n\n\r\n1A ; x=y\r\n{}\r\n0\r\nx: y\r\n\r\n",
            "\n".repeat(26)
        );
        for text in [
            GET,
            with_length,
            &chunks,
            "\r\nGET / HTTP/1.1\r\nHOST: a\r\n\r\n",
            "GET / HTTP/1.0\r\n\r\n",
            "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 0\r\ncontent-length: 0\r\n\r\n",
        ] {
            let requests = read(&text.repeat(3)).expect("in order");
            assert!(!requests.is_within_head(), "{text:?}");
        }
    }

    #[test]
    fn a_head_is_there_or_has_begun() {
        for (text, is_within) in [
            ("", false),
            ("G", true),
            ("GET / HTTP/1.1\r\n", true),
            (&GET[..GET.len() - 1], true),
        ] {
            assert_eq!(read(text).expect("no fault").is_within_head(), is_within, "{text:?}");
        }
        assert!(!read(&format!("{CHUNKED}5\r\nab")).expect("no fault").is_within_head());
    }

    #[test]
    fn what_is_read_differently_by_others_is_refused_before_the_head_ends() {
        for head in [
            "GET / HTTP/1.1\r\n\r\n",
            "GET / HTTP/1.1\r\nhost: a\r\nhost: a\r\n\r\n",
            "GET / HTTP/1.0\r\nhost: a\r\nHost: b\r\n\r\n",
            "GET / HTTP/1.1\nhost: a\r\n\r\n",
            "GET / HTTP/1.1\r\nhost: a\nx: y\r\n\r\n",
            "GET / HTTP/1.1\r\nhost: a\r\n\n",
            "\nGET / HTTP/1.1\r\nhost: a\r\n\r\n",
            "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 4\r\ntransfer-encoding: chunked\r\n\r\n",
            "POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\ncontent-length: 4\r\n\r\n",
            "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 4\r\ncontent-length: 5\r\n\r\n",
            "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: +4\r\n\r\n",
            "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 4, 4\r\n\r\n",
            "POST / HTTP/1.1\r\nhost: a\r\ncontent-length:\r\n\r\n",
            "POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: identity, chunked\r\n\r\n",
            "POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\ntransfer-encoding: chunked\r\n\r\n",
            "POST / HTTP/1.1\r\nhost: a\r\nno colon\r\n\r\n",
        ] {
            for before in ["", GET] {
                let text = format!("{before}{head}");
                let sound = read(&text).expect_err(&text);
                assert!((before.len()..text.len()).contains(&sound), "{text:?}");
            }
        }
    }

    #[test]
    fn chunks_that_do_not_fit_together_are_refused() {
        for body in [
            "g\r\n",
            "\r\n",
            "3\n",
            "3\r\nabcd\r\n",
            "-1\r\n",
            "11111111111111111\r\n",
        ] {
            read(&format!("{CHUNKED}{body}")).expect_err(body);
        }
    }

    #[test]
    fn no_line_is_kept_without_a_bound() {
        let mut requests = Requests::default();
        let mut read = (0..100).map(|_| requests.read(&[b'a'; 1_000]));
        assert!(read.any(|read| read.is_err()));
    }
}
