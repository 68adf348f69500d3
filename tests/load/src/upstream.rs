//! An engine that knows one answer: as JSON, or as a stream of events, a few in each write. Completions of prompts of
//! tokens get one that reports what they take.

use std::io::{ErrorKind, Result, Write as _};
use std::net::SocketAddr;

use memchr::memmem;
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt as _;
use tokio::net::{TcpListener, TcpStream};

use crate::completion;
use crate::message::Reader;

/// Answers until the process is ended.
///
/// # Errors
/// When it cannot listen.
pub async fn serve(listen: SocketAddr) -> Result<()> {
    let listener = TcpListener::bind(listen).await?;
    let mut stdout = std::io::stdout();
    writeln!(stdout, "ready url=http://{}", listener.local_addr()?)?;
    stdout.flush()?;
    let answers: &'static Answers = Box::leak(Box::new(Answers::new()));
    loop {
        let (connection, _) = listener.accept().await?;
        // A connection that breaks is its client's affair.
        tokio::spawn(async move { drop(answer(connection, answers).await) });
    }
}

/// What is sent, made once.
struct Answers {
    whole: Vec<u8>,
    /// The head, and then the events in chunks of their own, in the pieces that are written at once.
    stream: Vec<Vec<u8>>,
    /// For everything that is no completion, such as a health check.
    other: Vec<u8>,
}

async fn answer(mut connection: TcpStream, answers: &Answers) -> Result<()> {
    connection.set_nodelay(true)?;
    let mut reader = Reader::default();
    while let Some(request) = reader.next(&mut connection).await? {
        if !request.head.starts_with(b"POST ") {
            connection.write_all(&answers.other).await?;
        } else if request.head.starts_with(b"POST /v1/completions ") {
            let answer = completion::answer(request.body).ok_or(ErrorKind::InvalidData)?;
            connection.write_all(&with_length(&answer)).await?;
        } else if memmem::find(request.body, b"\"stream\":true").is_some() {
            for piece in &answers.stream {
                connection.write_all(piece).await?;
            }
        } else {
            connection.write_all(&answers.whole).await?;
        }
    }
    Ok(())
}

impl Answers {
    fn new() -> Self {
        let usage = json!({ "prompt_tokens": 80, "completion_tokens": EVENTS, "total_tokens": 80 + EVENTS });
        let choice =
            json!({ "index": 0, "message": { "role": "assistant", "content": TEXT }, "finish_reason": "stop" });
        let whole = json!({ "id": ID, "object": "chat.completion", "created": CREATED, "model": MODEL,
            "choices": [choice], "usage": usage })
        .to_string();
        let mut events: Vec<String> = (0..EVENTS).map(|at| event(&choices(at), &Value::Null)).collect();
        events.push(event(&json!([]), &usage));
        events.push("data: [DONE]\n\n".to_owned());
        let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ncache-control: no-cache\r\ntransfer-encoding: \
                    chunked\r\n\r\n";
        let chunks: Vec<String> = events
            .iter()
            .map(|event| format!("{:x}\r\n{event}\r\n", event.len()))
            .collect();
        let pieces = chunks.chunks(EVENTS_PER_WRITE).map(|piece| piece.concat().into_bytes());
        let mut stream: Vec<Vec<u8>> = std::iter::once(head.as_bytes().to_vec()).chain(pieces).collect();
        if let Some(last) = stream.last_mut() {
            last.extend_from_slice(b"0\r\n\r\n");
        }
        Self {
            whole: with_length(&whole),
            stream,
            other: with_length("{}"),
        }
    }
}

/// The delta of one event.
fn choices(at: u32) -> Value {
    let finish_reason = if at + 1 == EVENTS { json!("stop") } else { Value::Null };
    json!([{ "index": 0, "delta": { "content": " tide" }, "logprobs": null, "finish_reason": finish_reason }])
}

fn event(choices: &Value, usage: &Value) -> String {
    let chunk = json!({ "id": ID, "object": "chat.completion.chunk", "created": CREATED, "model": MODEL,
        "choices": choices, "usage": usage });
    format!("data: {chunk}\n\n")
}

fn with_length(body: &str) -> Vec<u8> {
    let head = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: ";
    format!("{head}{}\r\n\r\n{body}", body.len()).into_bytes()
}

const ID: &str = "chatcmpl-7f2d0c7ab6f14d0c9d5e";
const CREATED: u64 = 1_767_225_600;
const MODEL: &str = "bench";
/// Events with text in a stream, and tokens in every answer.
const EVENTS: u32 = 50;
/// With a write for each event, the upstream would work harder than a proxy, which may read many at once.
const EVENTS_PER_WRITE: usize = 5;
/// Makes the answer that is not streamed about 600 bytes long.
const TEXT: &str = "The sea is salty because rain, slightly acidic from carbon dioxide, wears down rocks on land and \
    carries their minerals along rivers. Vents on the sea floor add more. Water evaporates and the salts stay, so \
    over millions of years they have gathered to about thirty-five grams in each litre of sea water.";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_answers_are_of_the_announced_size() {
        let answers = Answers::new();
        assert!(
            (500..800).contains(&answers.whole.len()),
            "{} bytes",
            answers.whole.len()
        );
        let sent = String::from_utf8(answers.stream.concat()).expect("it is text");
        // The events, their usage, and the end.
        assert_eq!(sent.matches("data: ").count(), EVENTS as usize + 2);
        assert!(
            answers
                .stream
                .last()
                .is_some_and(|last| last.ends_with(b"data: [DONE]\n\n\r\n0\r\n\r\n"))
        );
    }
}
