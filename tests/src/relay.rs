//! A way from one server to another, over which every byte goes as it comes: it keeps the requests that it carried, and tests
//! can break it, mend it, and let it lead elsewhere.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::thread;

use crate::http::Request;
use crate::scripted::content_length;

/// The way. Its address stays the same for as long as the process runs.
#[derive(Clone, Debug)]
pub struct Relay {
    address: SocketAddr,
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    /// The address that it leads to.
    to: Option<String>,
    is_broken: bool,
    /// Both ends of the connections over it.
    open: Vec<Weak<TcpStream>>,
    carried: Vec<Carried>,
}

/// A request that went over it.
#[derive(Clone, Debug)]
pub struct Carried {
    /// Request line and headers, as text.
    head: String,
    /// The body's bytes.
    pub body: Vec<u8>,
}

impl Relay {
    /// Starts listening on a free port.
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let relay = Self {
            address: listener.local_addr().expect("an address"),
            state: Arc::default(),
        };
        relay.listen(listener);
        relay
    }

    /// Its base URL.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Ends all connections, and from now on leads to the server at that address.
    pub fn lead_to(&self, address: &str) {
        let mut state = self.state();
        state.end_connections();
        state.to = Some(address.to_owned());
    }

    /// Ends all connections, and refuses others until it is mended.
    pub fn break_off(&self) {
        let mut state = self.state();
        state.end_connections();
        state.is_broken = true;
        drop(state);
        // The listener looks whether it is to go on when somebody comes.
        while TcpStream::connect(self.address).is_ok() {}
    }

    /// Takes connections again.
    pub fn mend(&self) {
        if std::mem::take(&mut self.state().is_broken) {
            self.listen(TcpListener::bind(self.address).expect("the port is still free"));
        }
    }

    /// The requests that it carried whose head or body contains `marker`, in order.
    pub fn carried(&self, marker: &str) -> Vec<Carried> {
        let state = self.state();
        let carried = state.carried.iter().filter(|carried| carried.contains(marker));
        carried.cloned().collect()
    }

    fn listen(&self, listener: TcpListener) {
        let relay = self.clone();
        thread::spawn(move || {
            for connection in listener.incoming().flatten() {
                if relay.state().is_broken {
                    return;
                }
                let relay = relay.clone();
                thread::spawn(move || relay.carry(connection));
            }
        });
    }

    fn carry(&self, client: TcpStream) {
        let to = self.state().to.clone();
        let Some(server) = to.as_ref().and_then(|to| TcpStream::connect(to).ok()) else {
            return;
        };
        let [client, server] = [client, server].map(Arc::new);
        for end in [&client, &server] {
            end.set_nodelay(true).expect("TCP_NODELAY can be set");
        }
        if !self.try_open(to, [&client, &server]) {
            return;
        }
        let back = (Arc::clone(&server), Arc::clone(&client));
        thread::spawn(move || pump(&back.0, &back.1, |_| ()));
        let mut requests = Vec::new();
        pump(&client, &server, |bytes| {
            requests.extend_from_slice(bytes);
            while let Some(carried) = cut_off(&mut requests) {
                self.state().carried.push(carried);
            }
        });
    }

    /// Notes a connection, unless the way has changed meanwhile.
    fn try_open(&self, to: Option<String>, ends: [&Arc<TcpStream>; 2]) -> bool {
        let mut state = self.state();
        state.open.retain(|end| end.strong_count() > 0);
        state.open.extend(ends.map(Arc::downgrade));
        !state.is_broken && state.to == to
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn end_connections(&mut self) {
        for end in self.open.drain(..).filter_map(|end| end.upgrade()) {
            let _ = end.shutdown(Shutdown::Both);
        }
    }
}

impl Carried {
    fn contains(&self, marker: &str) -> bool {
        self.head.contains(marker) || String::from_utf8_lossy(&self.body).contains(marker)
    }

    /// The path that it asked for.
    pub fn path(&self) -> &str {
        self.head.split(' ').nth(1).unwrap_or_default()
    }

    /// A header's value.
    pub fn header(&self, name: &str) -> Option<&str> {
        let headers = self.head.lines().skip(1).filter_map(|line| line.split_once(':'));
        let mut named = headers.filter(|(present, _)| present.eq_ignore_ascii_case(name));
        named.next().map(|(_, value)| value.trim())
    }

    /// The same request, to be sent over a connection of its own.
    pub fn to_request(&self) -> Request {
        let headers = self.head.lines().skip(1).filter_map(|line| line.split_once(':'));
        let own = headers.filter(|(name, _)| !OF_A_CONNECTION.iter().any(|other| name.eq_ignore_ascii_case(other)));
        let request = Request::new("POST", self.path()).body(self.body.clone());
        own.fold(request, |request, (name, value)| request.header(name, value.trim()))
    }
}

/// Sends on what comes until one of the two ends, and then ends both.
fn pump(mut from: &TcpStream, mut to: &TcpStream, mut on_bytes: impl FnMut(&[u8])) {
    let mut bytes = vec![0; 64 << 10];
    while let Ok(read) = from.read(&mut bytes) {
        on_bytes(&bytes[..read]);
        if read == 0 || to.write_all(&bytes[..read]).is_err() {
            break;
        }
    }
    for end in [from, to] {
        let _ = end.shutdown(Shutdown::Both);
    }
}

/// Takes a whole request off the beginning of `bytes`, if there is one.
fn cut_off(bytes: &mut Vec<u8>) -> Option<Carried> {
    let end = bytes.windows(4).position(|window| window == b"\r\n\r\n")?;
    let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
    let length = end + 4 + content_length(&head);
    if bytes.len() < length {
        return None;
    }
    let body = bytes.drain(..length).skip(end + 4).collect();
    Some(Carried { head, body })
}

const OF_A_CONNECTION: [&str; 3] = ["host", "connection", "content-length"];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scripted::{Script, Scripted};

    fn address(url: &str) -> String {
        url.replace("http://", "")
    }

    #[test]
    fn what_it_carries_it_keeps_and_it_breaks_and_leads_elsewhere() {
        let [first, second] = ["first", "second"].map(|name| {
            let server = Scripted::start();
            server.on("marker", Script::json(&format!("{{\"name\":\"{name}\"}}")));
            address(&server.url())
        });
        let relay = Relay::start();
        relay.lead_to(&first);
        let way = address(&relay.url());
        let request = Request::post("/path", "marker").header("x-a", "b");
        assert_eq!(request.send(&way).json()["name"], "first");
        let carried = relay.carried("/path")[0].clone();
        assert_eq!((carried.path(), carried.header("X-A")), ("/path", Some("b")));
        assert_eq!(carried.body, b"marker");
        assert_eq!(carried.to_request().send(&way).json()["name"], "first");
        relay.break_off();
        assert!(TcpStream::connect(&way).is_err());
        relay.lead_to(&second);
        relay.mend();
        assert_eq!(request.send(&way).json()["name"], "second");
        assert_eq!(relay.carried("marker").len(), 3);
    }
}
