//! Reads HTTP/1.1 messages off a connection, requests and responses alike, no more of them than where they end.

use std::io::{Error, ErrorKind, Result};
use std::ops::Range;

use memchr::memmem;
use tokio::io::AsyncReadExt as _;
use tokio::net::TcpStream;
use tokio::time::Instant;

/// Reads one message after the other from a connection.
#[derive(Debug, Default)]
pub struct Reader {
    buffer: Vec<u8>,
    /// Up to here the buffer was the last message.
    consumed: usize,
}

/// A whole message.
#[derive(Debug)]
pub struct Message<'a> {
    /// From the first line to the empty line.
    pub head: &'a [u8],
    /// As on the wire: with the chunks' lengths in it.
    pub body: &'a [u8],
    /// When the first byte of the body was there.
    pub first_byte: Instant,
}

impl Reader {
    /// Reads the next message; none when the connection ends before it begins.
    ///
    /// # Errors
    /// When the connection breaks, or what comes is no message that ends before the connection does.
    pub async fn next(&mut self, connection: &mut TcpStream) -> Result<Option<Message<'_>>> {
        self.buffer.drain(..self.consumed);
        self.consumed = 0;
        let Some(head) = self.head(connection).await? else {
            return Ok(None);
        };
        let framing = Framing::of(&self.buffer[..head])?;
        while self.buffer.len() == head && framing != Framing::Length(0) {
            self.more(connection).await?;
        }
        let first_byte = Instant::now();
        let end = match framing {
            Framing::Length(length) => self.length(connection, head + length).await?,
            Framing::Chunked => self.chunks(connection, head).await?,
        };
        self.consumed = end;
        Ok(Some(Message {
            head: &self.buffer[..head],
            body: &self.buffer[head..end],
            first_byte,
        }))
    }

    /// Reads until `mark` is there, and says when that was; none, and no more read than a head, when the next message is
    /// something else than a response of status 200. [`Self::next`] gives the message whole then.
    ///
    /// # Errors
    /// When the connection ends before.
    pub async fn until(&mut self, connection: &mut TcpStream, mark: &[u8]) -> Result<Option<Instant>> {
        self.buffer.drain(..self.consumed);
        self.consumed = 0;
        let Some(head) = self.head(connection).await? else {
            return Err(ErrorKind::UnexpectedEof.into());
        };
        if !self.buffer.starts_with(SUCCESS) {
            return Ok(None);
        }
        let mut searched = head;
        while memmem::find(&self.buffer[searched..], mark).is_none() {
            searched = head.max(self.buffer.len().saturating_sub(mark.len()));
            self.more(connection).await?;
        }
        Ok(Some(Instant::now()))
    }

    /// Reads until the head is whole, and returns where it ends.
    async fn head(&mut self, connection: &mut TcpStream) -> Result<Option<usize>> {
        loop {
            if let Some(at) = memmem::find(&self.buffer, b"\r\n\r\n") {
                return Ok(Some(at + 4));
            }
            if connection.read_buf(&mut self.buffer).await? == 0 {
                return if self.buffer.is_empty() {
                    Ok(None)
                } else {
                    Err(ErrorKind::UnexpectedEof.into())
                };
            }
        }
    }

    async fn length(&mut self, connection: &mut TcpStream, end: usize) -> Result<usize> {
        while self.buffer.len() < end {
            self.more(connection).await?;
        }
        Ok(end)
    }

    /// Reads chunks up to the empty one, and returns where that ends.
    async fn chunks(&mut self, connection: &mut TcpStream, mut at: usize) -> Result<usize> {
        loop {
            match chunk(&self.buffer, at)? {
                Some(chunk) if chunk.is_empty() => return self.length(connection, chunk.end + 2).await,
                Some(chunk) => at = self.length(connection, chunk.end + 2).await?,
                None => self.more(connection).await?,
            }
        }
    }

    async fn more(&mut self, connection: &mut TcpStream) -> Result<()> {
        match connection.read_buf(&mut self.buffer).await? {
            0 => Err(ErrorKind::UnexpectedEof.into()),
            _ => Ok(()),
        }
    }
}

/// How a response that is a success begins.
pub const SUCCESS: &[u8] = b"HTTP/1.1 200 ";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Framing {
    Length(usize),
    Chunked,
}

impl Framing {
    /// How the body ends. A message that names neither length nor chunks has none.
    fn of(head: &[u8]) -> Result<Self> {
        let head = std::str::from_utf8(head).map_err(|_| Error::from(ErrorKind::InvalidData))?;
        for (name, value) in head.lines().filter_map(|line| line.split_once(':')) {
            if name.eq_ignore_ascii_case("content-length") {
                return value
                    .trim()
                    .parse()
                    .map(Self::Length)
                    .map_err(|_| ErrorKind::InvalidData.into());
            }
            if name.eq_ignore_ascii_case("transfer-encoding") {
                return Ok(Self::Chunked);
            }
        }
        Ok(Self::Length(0))
    }
}

/// Where the chunk's data is whose length stands at `at`; none when the length is not whole yet.
fn chunk(buffer: &[u8], at: usize) -> Result<Option<Range<usize>>> {
    let Some(line) = memmem::find(&buffer[at.min(buffer.len())..], b"\r\n") else {
        return Ok(None);
    };
    let length = std::str::from_utf8(&buffer[at..at + line])
        .ok()
        .and_then(|text| text.split(';').next());
    let length = length.and_then(|text| usize::from_str_radix(text.trim(), 16).ok());
    let length = length.ok_or_else(|| Error::from(ErrorKind::InvalidData))?;
    let begin = at + line + 2;
    Ok(Some(begin..begin + length))
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncWriteExt as _;
    use tokio::net::TcpListener;

    use super::*;

    /// What is read of `pieces`, each of which is sent by itself: head and body of each message.
    async fn read(pieces: Vec<&'static [u8]>) -> Result<Vec<(String, String)>> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let sender = tokio::spawn(async move {
            let mut connection = TcpStream::connect(address).await.expect("it connects");
            connection.set_nodelay(true).expect("a socket option");
            for piece in pieces {
                connection.write_all(piece).await.expect("it sends");
                tokio::task::yield_now().await;
            }
        });
        let (mut connection, _) = listener.accept().await?;
        let mut reader = Reader::default();
        let mut messages = Vec::new();
        while let Some(message) = reader.next(&mut connection).await? {
            let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
            messages.push((text(message.head), text(message.body)));
        }
        sender.await.expect("the sender ends");
        Ok(messages)
    }

    #[tokio::test]
    async fn messages_end_where_their_framing_says() {
        let messages = read(vec![
            b"GET / HTTP/1.1\r\n\r\nPOST /a HTTP/1.1\r\nContent-Length: 3\r\n\r\nab",
            b"cHTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1\r",
            b"\nx\r\n0\r\n",
            b"\r\n",
        ]);
        let bodies: Vec<String> = messages
            .await
            .expect("three messages")
            .into_iter()
            .map(|(_, body)| body)
            .collect();
        assert_eq!(bodies, ["", "abc", "1\r\nx\r\n0\r\n\r\n"]);
    }

    #[tokio::test]
    async fn a_mark_is_waited_for_in_a_success_only() {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let mut client = TcpStream::connect(address).await.expect("it connects");
        let (mut server, _) = listener.accept().await.expect("a client");
        let half = "HTTP/1.1 200 OK\r\ncontent-length: 17\r\n\r\n: wait\n\ndata";
        server.write_all(half.as_bytes()).await.expect("it sends");
        let mut reader = Reader::default();
        let rest = async {
            tokio::time::sleep(PAUSE).await;
            server.write_all(b": x\n\n").await.expect("it sends");
        };
        let seen = tokio::time::timeout(10 * PAUSE, reader.until(&mut client, b"data:"));
        let begun = Instant::now();
        let (seen, ()) = tokio::join!(seen, rest);
        let seen = seen.expect("in time").expect("a message").expect("the mark");
        assert!(seen - begun >= PAUSE, "half a mark is none");
        let whole = reader.next(&mut client).await.expect("a message").expect("one");
        assert_eq!(whole.body, b": wait\n\ndata: x\n\n");

        let failure = "HTTP/1.1 503 Busy\r\ncontent-length: 5\r\n\r\ndata:";
        server.write_all(failure.as_bytes()).await.expect("it sends");
        assert_eq!(reader.until(&mut client, b"data:").await.expect("a message"), None);
        let whole = reader.next(&mut client).await.expect("a message").expect("one");
        assert_eq!(whole.body, b"data:");
    }

    const PAUSE: std::time::Duration = std::time::Duration::from_millis(50);

    #[tokio::test]
    async fn a_message_that_is_cut_is_an_error() {
        for cut in [
            b"HTTP/1.1 200 OK\r\n".as_slice(),
            b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\na",
            b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1\r\nx\r\n",
        ] {
            assert!(read(vec![cut]).await.is_err(), "{}", String::from_utf8_lossy(cut));
        }
    }
}
