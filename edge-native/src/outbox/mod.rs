//! What connections write goes out at the end of the thread's turn, all of it back to back, and not in the middle of
//! every request. A peer that sleeps has to be woken by whoever sends to it; on the same machine, as where engine and
//! gateway share a node, that is most of what a write costs. While the first bytes wake it the rest arrive, and one
//! wake-up serves a whole turn. A turn with a single request has nothing to wait for.

#[cfg(test)]
mod tests;

use std::cell::RefCell;
use std::fmt;
use std::future::poll_fn;
use std::io::{self, ErrorKind, IoSlice};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

/// One thread's outbox.
#[derive(Clone, Debug)]
pub struct Outbox(Rc<RefCell<Posted>>);

#[derive(Debug, Default)]
struct Posted {
    sockets: Vec<Rc<RefCell<Socket>>>,
    /// Wakes the task that sends.
    sender: Option<Waker>,
}

/// A connection whose writes go through the outbox of its thread.
pub struct Posting {
    socket: Rc<RefCell<Socket>>,
    outbox: Outbox,
}

#[derive(Debug)]
struct Socket {
    stream: TcpStream,
    unsent: Vec<u8>,
    /// Of `unsent`, already sent.
    sent: usize,
    progress: Progress,
    /// Who writes here.
    writer: Option<Waker>,
}

/// How far it is with what is not sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Progress {
    /// There is nothing.
    Done,
    /// It is in the outbox.
    Posted,
    /// The peer takes no more for the moment: whoever writes has to wait for it.
    Stuck,
    /// It could not be sent, for this reason.
    Failed(ErrorKind),
}

impl Outbox {
    /// The outbox of this thread. Its task lives as long as the thread's runtime.
    pub fn start() -> Self {
        let outbox = Self(Rc::default());
        let posted = Rc::clone(&outbox.0);
        drop(tokio::task::spawn_local(poll_fn(move |cx| {
            let sockets = {
                let mut posted = posted.borrow_mut();
                posted.sender = Some(cx.waker().clone());
                std::mem::take(&mut posted.sockets)
            };
            send_all(&sockets);
            Poll::<()>::Pending
        })));
        outbox
    }

    /// A connection that writes through it.
    pub fn wrap(&self, stream: TcpStream) -> Posting {
        let socket = Socket {
            stream,
            unsent: Vec::new(),
            sent: 0,
            progress: Progress::Done,
            writer: None,
        };
        Posting {
            socket: Rc::new(RefCell::new(socket)),
            outbox: self.clone(),
        }
    }

    /// Sends what is posted before what follows keeps the thread busy for long.
    pub fn send(&self) {
        let sockets = std::mem::take(&mut self.0.borrow_mut().sockets);
        send_all(&sockets);
    }

    fn post(&self, socket: &Rc<RefCell<Socket>>) {
        let mut posted = self.0.borrow_mut();
        posted.sockets.push(Rc::clone(socket));
        if posted.sockets.len() == 1 {
            posted.sender.iter().for_each(Waker::wake_by_ref);
        }
        let is_full = posted.sockets.len() >= MOST_POSTED;
        drop(posted);
        if is_full {
            self.send();
        }
    }
}

fn send_all(sockets: &[Rc<RefCell<Socket>>]) {
    for socket in sockets {
        socket.borrow_mut().send();
    }
}

impl Socket {
    /// Sends what was posted. Whoever writes is woken when it does not all go.
    fn send(&mut self) {
        if self.progress != Progress::Posted {
            return;
        }
        self.progress = match self.stream.try_write(&self.unsent[self.sent..]) {
            Ok(sent) if self.sent + sent == self.unsent.len() => Progress::Done,
            Ok(sent) => {
                self.sent += sent;
                Progress::Stuck
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => Progress::Stuck,
            Err(error) => Progress::Failed(error.kind()),
        };
        if self.progress == Progress::Done {
            self.forget_unsent();
        } else {
            self.writer.take().into_iter().for_each(Waker::wake);
        }
    }

    /// Sends all that is unsent.
    fn poll_send(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if let Progress::Failed(kind) = self.progress {
            return Poll::Ready(Err(kind.into()));
        }
        while self.sent < self.unsent.len() {
            let sent = ready!(Pin::new(&mut self.stream).poll_write(cx, &self.unsent[self.sent..]))?;
            self.sent += sent;
        }
        self.progress = Progress::Done;
        self.forget_unsent();
        Poll::Ready(Ok(()))
    }

    fn forget_unsent(&mut self) {
        // An idle connection keeps no memory.
        self.unsent = Vec::new();
        self.sent = 0;
    }
}

impl AsyncRead for Posting {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket.borrow_mut().stream).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Posting {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(cx, &[IoSlice::new(bytes)])
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        pieces: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let length = pieces.iter().map(|piece| piece.len()).sum::<usize>();
        let mut socket = self.socket.borrow_mut();
        match socket.progress {
            Progress::Done | Progress::Posted if socket.unsent.len() + length <= MOST_UNSENT_BYTES => {}
            Progress::Done => return Pin::new(&mut socket.stream).poll_write_vectored(cx, pieces),
            Progress::Posted | Progress::Stuck | Progress::Failed(_) => {
                ready!(socket.poll_send(cx))?;
                drop(socket);
                return self.poll_write_vectored(cx, pieces);
            }
        }
        socket.unsent.reserve(length);
        pieces.iter().for_each(|piece| socket.unsent.extend_from_slice(piece));
        if !socket
            .writer
            .as_ref()
            .is_some_and(|writer| writer.will_wake(cx.waker()))
        {
            socket.writer = Some(cx.waker().clone());
        }
        if socket.progress == Progress::Done {
            socket.progress = Progress::Posted;
            drop(socket);
            self.outbox.post(&self.socket);
        }
        Poll::Ready(Ok(length))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    /// What is posted counts as flushed: it leaves with this turn.
    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut socket = self.socket.borrow_mut();
        match socket.progress {
            Progress::Done | Progress::Posted => Poll::Ready(Ok(())),
            Progress::Stuck | Progress::Failed(_) => socket.poll_send(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut socket = self.socket.borrow_mut();
        ready!(socket.poll_send(cx))?;
        Pin::new(&mut socket.stream).poll_shutdown(cx)
    }
}

impl fmt::Debug for Posting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Posting")
            .field("progress", &self.socket.borrow().progress)
            .finish_non_exhaustive()
    }
}

/// Connections whose bytes wait for the end of a turn; more are not worth another's waiting.
const MOST_POSTED: usize = 16;
/// Bytes of one connection that wait; more go out at once, uncopied.
const MOST_UNSENT_BYTES: usize = 16 << 10;
