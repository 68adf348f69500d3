//! The outbox with sockets of this machine, where what is sent has arrived when the call returns.

use std::future::Future;
use std::io::{ErrorKind, Read};
use std::net::{TcpListener, TcpStream as Peer};
use std::time::Duration;

use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::runtime::LocalRuntime;
use tokio::task::yield_now;
use tokio::time::timeout;

use super::{MOST_POSTED, MOST_UNSENT_BYTES, Outbox, Posting};

fn on_a_thread(test: impl Future<Output = ()>) {
    let in_time = async { timeout(Duration::from_secs(10), test).await.expect("in time") };
    LocalRuntime::new().expect("a runtime").block_on(in_time);
}

/// A connection through the outbox, and who is at its other end.
async fn connection(outbox: &Outbox) -> (Posting, Peer) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("bound");
    let peer = Peer::connect(listener.local_addr().expect("an address")).expect("connected");
    let (socket, _) = listener.accept().expect("accepted");
    for end in [&socket, &peer] {
        end.set_nonblocking(true).expect("a socket option");
    }
    let socket = TcpStream::from_std(socket).expect("a socket");
    socket.writable().await.expect("open");
    (outbox.wrap(socket), peer)
}

/// What has arrived; `None` when nothing has.
fn arrived(peer: &mut Peer) -> Option<Vec<u8>> {
    let mut bytes = vec![0; 64 << 10];
    match peer.read(&mut bytes) {
        Ok(read) => Some(bytes[..read].to_vec()),
        Err(error) => {
            assert_eq!(error.kind(), ErrorKind::WouldBlock);
            None
        }
    }
}

async fn begun() -> Outbox {
    let outbox = Outbox::start();
    yield_now().await;
    outbox
}

#[test]
fn what_a_turn_writes_leaves_together_at_its_end() {
    on_a_thread(async {
        let outbox = begun().await;
        let (mut socket, mut peer) = connection(&outbox).await;
        socket.write_all(b"one ").await.expect("taken");
        socket.write_all(b"two").await.expect("taken");
        socket.flush().await.expect("taken");
        assert_eq!(arrived(&mut peer), None);
        yield_now().await;
        assert_eq!(arrived(&mut peer).as_deref(), Some(&b"one two"[..]));
        socket.write_all(b"three").await.expect("taken");
        outbox.send();
        assert_eq!(arrived(&mut peer).as_deref(), Some(&b"three"[..]));
    });
}

#[test]
fn a_full_outbox_waits_for_no_end() {
    on_a_thread(async {
        let outbox = begun().await;
        let mut connections = Vec::new();
        for _ in 0..MOST_POSTED {
            connections.push(connection(&outbox).await);
        }
        for (number, (socket, _)) in connections.iter_mut().enumerate() {
            socket.write_all(&[number as u8]).await.expect("taken");
        }
        for (number, (_, peer)) in connections.iter_mut().enumerate() {
            assert_eq!(arrived(peer), Some(vec![number as u8]));
        }
    });
}

#[test]
fn a_peer_that_reads_late_gets_every_byte_in_order() {
    on_a_thread(async {
        let outbox = begun().await;
        let (mut socket, mut peer) = connection(&outbox).await;
        let bytes: Vec<u8> = (0..6_000_000_u32).map(|at| (at % 251) as u8).collect();
        let sizes = [
            1,
            700,
            MOST_UNSENT_BYTES - 700,
            MOST_UNSENT_BYTES,
            3 * MOST_UNSENT_BYTES,
        ];
        let write = async {
            let mut rest = &bytes[..];
            for size in sizes.iter().cycle() {
                let (piece, after) = rest.split_at(rest.len().min(*size));
                socket.write_all(piece).await.expect("written");
                rest = after;
                if rest.is_empty() {
                    break;
                }
            }
            socket.shutdown().await.expect("sent");
        };
        let read = async {
            let mut all = Vec::new();
            loop {
                match arrived(&mut peer) {
                    Some(bytes) if bytes.is_empty() => return all,
                    Some(bytes) => all.extend(bytes),
                    None => tokio::time::sleep(Duration::from_millis(1)).await,
                }
            }
        };
        let ((), read) = tokio::join!(write, read);
        assert!(read == bytes, "{} bytes of {}", read.len(), bytes.len());
    });
}

#[test]
fn a_connection_that_is_dropped_sends_what_was_taken_and_closes() {
    on_a_thread(async {
        let outbox = begun().await;
        let (mut socket, mut peer) = connection(&outbox).await;
        socket.write_all(b"last words").await.expect("taken");
        drop(socket);
        yield_now().await;
        assert_eq!(arrived(&mut peer).as_deref(), Some(&b"last words"[..]));
        assert_eq!(arrived(&mut peer).as_deref(), Some(&b""[..]));
    });
}

#[test]
fn what_cannot_be_sent_is_told_to_whoever_writes() {
    on_a_thread(async {
        let outbox = begun().await;
        let (mut socket, peer) = connection(&outbox).await;
        drop(peer);
        // The first write meets a closed socket, the second learns of it.
        for _ in 0..2 {
            socket.write_all(b"anybody?").await.expect("taken");
            yield_now().await;
        }
        let error = socket.flush().await.expect_err("nobody is there");
        assert!(matches!(
            error.kind(),
            ErrorKind::BrokenPipe | ErrorKind::ConnectionReset
        ));
        assert!(socket.write_all(b"anybody?").await.is_err());
        assert!(socket.shutdown().await.is_err());
    });
}
