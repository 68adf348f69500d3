//! The client against engines that behave as a test says, down to the byte.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::StreamExt;
use http::{Method, Request};
use tidegate_core::platform::SendError;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::LocalRuntime;
use tokio::time::timeout;

use super::{Client, ClientTls};
use crate::outbox::Outbox;

const LONG: Duration = Duration::from_secs(5);
const OK: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";

fn on_a_thread(test: impl Future<Output = ()>) {
    LocalRuntime::new()
        .expect("a runtime")
        .block_on(async { timeout(LONG, test).await.expect("in time") });
}

fn client() -> Client {
    Client::new(Arc::new(ClientTls::default()), Outbox::start())
}

async fn engine() -> (TcpListener, String) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("bound");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    (listener, url)
}

fn post(url: &str) -> Request<Bytes> {
    let request = Request::builder()
        .method(Method::POST)
        .uri(format!("{url}/v1/completions?x=1"));
    request.body(Bytes::from_static(b"{\"a\":1}")).expect("a request")
}

/// Reads one request with its seven bytes of body, and returns its head in lower case.
async fn read_request(socket: &mut TcpStream) -> String {
    let mut text = Vec::new();
    while !text.ends_with(b"\r\n\r\n{\"a\":1}") {
        assert_ne!(
            socket.read_buf(&mut text).await.expect("readable"),
            0,
            "the request is cut"
        );
    }
    String::from_utf8(text).expect("text").to_lowercase()
}

async fn answer(socket: &mut TcpStream, bytes: &[u8]) -> String {
    let request = read_request(socket).await;
    socket.write_all(bytes).await.expect("written");
    request
}

async fn exchange(client: &Client, url: &str) -> Result<Vec<Bytes>, SendError> {
    let response = client.send(post(url), LONG).await?;
    let pieces: Vec<Result<Bytes, SendError>> = response.into_body().collect().await;
    pieces.into_iter().collect()
}

#[test]
fn a_connection_is_used_again_for_the_same_origin() {
    on_a_thread(async {
        let (listener, url) = engine().await;
        let client = client();
        let serve = async {
            let (mut socket, _) = listener.accept().await.expect("accepted");
            let first = answer(&mut socket, OK).await;
            let second = answer(&mut socket, OK).await;
            (first, second)
        };
        let ask = async {
            assert_eq!(exchange(&client, &url).await.expect("answered").concat(), b"ok");
            assert_eq!(exchange(&client, &url).await.expect("answered").concat(), b"ok");
        };
        let ((first, second), ()) = tokio::join!(serve, ask);
        assert!(first.starts_with("post /v1/completions?x=1 http/1.1\r\n"), "{first}");
        assert!(first.contains(&format!("host: {}", &url["http://".len()..])), "{first}");
        assert_eq!(first, second);
    });
}

#[test]
fn a_kept_connection_that_was_closed_is_passed_over() {
    on_a_thread(async {
        let (listener, url) = engine().await;
        let client = client();
        let (tell, closed) = tokio::sync::oneshot::channel();
        let serve = async {
            let (mut socket, _) = listener.accept().await.expect("accepted");
            answer(&mut socket, OK).await;
            socket.shutdown().await.expect("closed on this side");
            let read = socket.read(&mut [0]).await.expect("closed in good order");
            assert_eq!(read, 0, "the client has learnt of it, and sent nothing more");
            tell.send(()).expect("somebody waits");
            let (mut socket, _) = listener.accept().await.expect("accepted again");
            answer(&mut socket, OK).await;
        };
        let ask = async {
            exchange(&client, &url).await.expect("answered");
            closed.await.expect("told");
            exchange(&client, &url).await.expect("answered over a new connection");
        };
        tokio::join!(serve, ask);
    });
}

#[test]
fn what_a_dying_connection_swallowed_is_told_apart_and_the_next_request_has_a_fresh_one() {
    on_a_thread(async {
        let (listener, url) = engine().await;
        let client = client();
        let serve = async {
            let (mut first, _) = listener.accept().await.expect("accepted");
            let (mut second, _) = listener.accept().await.expect("accepted");
            tokio::join!(answer(&mut first, OK), answer(&mut second, OK));
            // Whichever is used again.
            tokio::select! {
                _ = read_request(&mut first) => drop(first),
                _ = read_request(&mut second) => drop(second),
            }
            let (mut third, _) = listener.accept().await.expect("a fresh connection");
            answer(&mut third, OK).await;
        };
        let ask = async {
            let (one, other) = tokio::join!(exchange(&client, &url), exchange(&client, &url));
            assert!(one.is_ok() && other.is_ok(), "{one:?} {other:?}");
            let error = exchange(&client, &url).await.expect_err("cut before the head");
            assert!(matches!(error, SendError::Lost(_)), "{error}");
            exchange(&client, &url).await.expect("answered");
        };
        tokio::join!(serve, ask);
    });
}

#[test]
fn an_answer_that_breaks_off_within_its_head_is_not_lost_with_the_connection() {
    on_a_thread(async {
        let (listener, url) = engine().await;
        let client = client();
        let serve = async {
            let (mut socket, _) = listener.accept().await.expect("accepted");
            answer(&mut socket, OK).await;
            answer(&mut socket, b"HTTP/1.1 200 O").await;
        };
        let ask = async {
            exchange(&client, &url).await.expect("answered");
            let error = exchange(&client, &url).await.expect_err("cut within the head");
            assert!(matches!(error, SendError::Broken(_)), "{error}");
        };
        tokio::join!(serve, ask);
    });
}

#[test]
fn a_body_arrives_piece_by_piece_and_a_cut_is_an_error() {
    on_a_thread(async {
        let (listener, url) = engine().await;
        let client = client();
        let (go_on, told) = tokio::sync::oneshot::channel();
        let serve = async {
            let (mut socket, _) = listener.accept().await.expect("accepted");
            answer(
                &mut socket,
                b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\none\r\n",
            )
            .await;
            told.await.expect("the first piece has arrived");
            socket.write_all(b"3\r\ntwo\r\n").await.expect("written");
        };
        let ask = async {
            let mut body = client.send(post(&url), LONG).await.expect("a head").into_body();
            assert_eq!(body.next().await, Some(Ok(Bytes::from_static(b"one"))));
            go_on.send(()).expect("the engine waits");
            assert_eq!(body.next().await, Some(Ok(Bytes::from_static(b"two"))));
            assert!(matches!(body.next().await, Some(Err(SendError::Broken(_)))));
        };
        tokio::join!(serve, ask);
    });
}

#[test]
fn pieces_that_arrive_together_come_together() {
    on_a_thread(async {
        let (listener, url) = engine().await;
        let client = client();
        let chunks = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\none\r\n3\r\ntwo\r\n0\r\n\r\n";
        let serve = async {
            let (mut socket, _) = listener.accept().await.expect("accepted");
            answer(&mut socket, chunks).await;
            answer(&mut socket, chunks).await;
        };
        let ask = async {
            for _ in 0..2 {
                assert_eq!(exchange(&client, &url).await, Ok(vec![Bytes::from_static(b"onetwo")]));
            }
        };
        tokio::join!(serve, ask);
    });
}

#[test]
fn dropping_the_body_or_the_wait_for_it_closes_the_connection() {
    on_a_thread(async {
        let (listener, url) = engine().await;
        let client = client();
        let serve = async {
            for head in [&b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nsome"[..], b""] {
                let (mut socket, _) = listener.accept().await.expect("accepted");
                answer(&mut socket, head).await;
                assert_eq!(socket.read(&mut [0; 1]).await.unwrap_or(0), 0, "closed by the client");
            }
        };
        let ask = async {
            let mut body = client.send(post(&url), LONG).await.expect("a head").into_body();
            assert_eq!(body.next().await, Some(Ok(Bytes::from_static(b"some"))));
            drop(body);
            timeout(Duration::from_millis(50), client.send(post(&url), LONG))
                .await
                .expect_err("no head comes");
        };
        tokio::join!(serve, ask);
    });
}

#[test]
fn what_cannot_be_reached_is_told_apart_from_what_breaks() {
    on_a_thread(async {
        let client = client();
        let (listener, refused) = engine().await;
        drop(listener);
        for url in [&refused, "http://name.invalid", "ftp://127.0.0.1", "/relative"] {
            let error = exchange(&client, url).await.expect_err("unreachable");
            assert!(matches!(error, SendError::Connect(_)), "{url}: {error}");
        }
        let (listener, plain) = engine().await;
        let hang_up = async { drop(listener.accept().await.expect("accepted")) };
        let (error, ()) = tokio::join!(exchange(&client, &plain), hang_up);
        assert!(matches!(error, Err(SendError::Broken(_))), "{error:?}");
    });
}

#[test]
fn connecting_takes_no_longer_than_allowed() {
    on_a_thread(async {
        // A TLS server that never speaks: the socket connects, the handshake does not.
        let (_listener, url) = engine().await;
        let silent = url.replace("http://", "https://");
        let error = client()
            .send(post(&silent), Duration::from_millis(50))
            .await
            .expect_err("no handshake");
        assert!(matches!(error, SendError::Connect(_)), "{error}");
    });
}
