//! A way to Redis on which replies can be lost.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::thread;

/// A proxy in front of a server. Its threads end with the test's process.
pub struct Proxy {
    port: u16,
    manner: Arc<AtomicU8>,
}

/// What happens to replies.
#[derive(Clone, Copy)]
#[repr(u8)]
pub enum Manner {
    /// They pass.
    Pass,
    /// The next one is lost with its connection, later ones pass.
    LoseNext,
    /// They are held back.
    Hold,
}

impl Proxy {
    pub fn start(server: String) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let port = listener.local_addr().expect("an address").port();
        let manner = Arc::new(AtomicU8::new(Manner::Pass as u8));
        let shared = Arc::clone(&manner);
        thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                let Ok(server) = TcpStream::connect(&server) else {
                    continue;
                };
                let (client, server) = (Arc::new(client), Arc::new(server));
                let (to, from) = (Arc::clone(&server), Arc::clone(&client));
                thread::spawn(move || copy(&from, &to, || true));
                let manner = Arc::clone(&shared);
                thread::spawn(move || copy(&server, &client, || passes(&manner)));
            }
        });
        Self { port, manner }
    }

    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    pub fn set(&self, manner: Manner) {
        self.manner.store(manner as u8, Ordering::SeqCst);
    }

    /// Whether the reply that was to be lost was lost.
    pub fn has_lost(&self) -> bool {
        self.manner.load(Ordering::SeqCst) == Manner::Pass as u8
    }
}

/// Whether what Redis said goes on to the client; if not, the connection ends.
fn passes(manner: &AtomicU8) -> bool {
    while manner.load(Ordering::SeqCst) == Manner::Hold as u8 {
        thread::sleep(std::time::Duration::from_millis(5));
    }
    let (lose, pass) = (Manner::LoseNext as u8, Manner::Pass as u8);
    manner
        .compare_exchange(lose, pass, Ordering::SeqCst, Ordering::SeqCst)
        .is_err()
}

fn copy(mut from: &TcpStream, mut to: &TcpStream, passes: impl Fn() -> bool) {
    let mut buffer = [0; 65_536];
    while let Ok(count @ 1..) = from.read(&mut buffer) {
        if !passes() || to.write_all(&buffer[..count]).is_err() {
            break;
        }
    }
    drop(to.shutdown(Shutdown::Both));
    drop(from.shutdown(Shutdown::Both));
}
