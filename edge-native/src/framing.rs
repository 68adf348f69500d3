//! An eye on how a client's requests are framed, and on whether a head has begun, before hyper reads them. hyper alone
//! answers: what it must not take is kept from it, and a byte that no head may hold put in its place.

use std::rc::Rc;

use tokio::io::ReadBuf;

use crate::clients::Client;
use crate::requests::{Misframed, Requests};
use crate::tapped::Tap;

/// Sees what a client sends.
#[derive(Debug)]
pub struct Framing {
    requests: Requests,
    client: Rc<Client>,
    is_refused: bool,
}

impl Framing {
    /// Of the connection of that client.
    pub fn new(client: Rc<Client>) -> Self {
        Self {
            requests: Requests::default(),
            client,
            is_refused: false,
        }
    }
}

impl Tap for Framing {
    fn has_ended(&self) -> bool {
        self.is_refused
    }

    fn on_read(&mut self, buffer: &mut ReadBuf<'_>, from: usize) {
        if let Err(Misframed { sound }) = self.requests.read(&buffer.filled()[from..]) {
            self.is_refused = true;
            buffer.set_filled(from + sound);
            buffer.put_slice(NO_PART_OF_HTTP);
        }
        self.client.on_read(self.requests.is_within_head());
    }
}

/// hyper answers a head that holds it with 400, and takes a body that holds it between chunks for broken off. There is room
/// for it: it stands where at least one byte stood.
const NO_PART_OF_HTTP: &[u8] = b"\0";
