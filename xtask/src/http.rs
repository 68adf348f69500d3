//! The least of an HTTP client: one request over one connection to a server of our own.

use std::io::{Error, ErrorKind, Read as _, Result, Write as _};
use std::net::TcpStream;
use std::time::Duration;

/// A whole answer.
#[derive(Debug, PartialEq, Eq)]
pub struct Answer {
    /// The status code.
    pub status: u16,
    /// The body without its framing.
    pub body: String,
}

/// `GET` of a path.
///
/// # Errors
/// When there is no answer within [`PATIENCE`].
pub fn get(url: &str, path: &str) -> Result<Answer> {
    exchange(url, &format!("GET {path} HTTP/1.1\r\n"), "")
}

/// `GET` of a path with a bearer token.
///
/// # Errors
/// When there is no answer within [`PATIENCE`].
pub fn get_with_key(url: &str, path: &str, key: &str) -> Result<Answer> {
    exchange(
        url,
        &format!("GET {path} HTTP/1.1\r\nauthorization: Bearer {key}\r\n"),
        "",
    )
}

/// `POST` of JSON to a path.
///
/// # Errors
/// When there is no answer within [`PATIENCE`].
pub fn post(url: &str, path: &str, json: &str) -> Result<Answer> {
    let length = json.len();
    exchange(
        url,
        &format!("POST {path} HTTP/1.1\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n"),
        json,
    )
}

fn exchange(url: &str, head: &str, body: &str) -> Result<Answer> {
    let address = url.trim_start_matches("http://").trim_end_matches('/');
    let mut connection = TcpStream::connect(address)?;
    connection.set_read_timeout(Some(PATIENCE))?;
    connection.write_all(format!("{head}host: {address}\r\nconnection: close\r\n\r\n{body}").as_bytes())?;
    let mut answer = Vec::new();
    connection.read_to_end(&mut answer)?;
    parse(&answer).ok_or_else(|| Error::new(ErrorKind::InvalidData, "no HTTP answer"))
}

fn parse(answer: &[u8]) -> Option<Answer> {
    let end = answer.windows(4).position(|bytes| bytes == b"\r\n\r\n")?;
    let (head, body) = (
        String::from_utf8_lossy(&answer[..end]).to_ascii_lowercase(),
        &answer[end + 4..],
    );
    let status = head.split(' ').nth(1)?.parse().ok()?;
    let chunked = head.contains("\r\ntransfer-encoding: chunked");
    let body = if chunked { unchunked(body)? } else { body.to_owned() };
    Some(Answer {
        status,
        body: String::from_utf8_lossy(&body).into_owned(),
    })
}

/// The body without its chunks' lengths; none when it is cut short.
fn unchunked(mut rest: &[u8]) -> Option<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let line = rest.windows(2).position(|bytes| bytes == b"\r\n")?;
        let length = std::str::from_utf8(&rest[..line]).ok()?.split(';').next()?;
        let length = usize::from_str_radix(length.trim(), 16).ok()?;
        if length == 0 {
            return Some(body);
        }
        let chunk = line + 2..(line + 2).checked_add(length)?;
        body.extend_from_slice(rest.get(chunk.clone())?);
        rest = rest.get(chunk.end + 2..)?;
    }
}

/// The most time between two pieces of an answer.
const PATIENCE: Duration = Duration::from_mins(2);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_status_and_the_body_are_told_apart() {
        let answer = parse(b"HTTP/1.1 503 Service Unavailable\r\nretry-after: 1\r\n\r\nlater");
        assert_eq!(
            answer,
            Some(Answer {
                status: 503,
                body: "later".to_owned()
            })
        );
        assert_eq!(parse(b"SSH-2.0-x\r\n\r\n"), None);
    }

    #[test]
    fn chunks_are_put_together() {
        let head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
        let answer = parse(&[head.as_slice(), b"3\r\nbut\r\n4;x=y\r\nter\n\r\n0\r\n\r\n"].concat());
        assert_eq!(
            answer,
            Some(Answer {
                status: 200,
                body: "butter\n".to_owned()
            })
        );
        assert_eq!(parse(&[head.as_slice(), b"9\r\ncut\r\n"].concat()), None);
    }
}
