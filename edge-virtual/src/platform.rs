//! The platform of one process, from its start to its death.

use std::cell::RefCell;
use std::future::Future;
use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;
use futures::channel::oneshot;
use futures::future::{Either, select};
use http::Response;
use tidegate_core::cells::{CellAddress, CellCommand, CellError, CellId, CellReply};
use tidegate_core::hop::{MAC_BYTES, mac};
use tidegate_core::ids::SecretName;
use tidegate_core::platform::{Platform, SendError, StoreError, UpstreamRequest};
use tidegate_core::time::Timestamp;

use crate::clock::Clock;
use crate::engines::{BodyStream, Caller};
use crate::link::Link;
use crate::process::{Process, ProcessId};
use crate::skew::Skew;
use crate::state::WorldState;

/// The handle of a process in a world.
#[derive(Clone)]
pub struct VirtualPlatform {
    pub(crate) world: Rc<WorldState>,
    pub(crate) process: Rc<Process>,
}

impl VirtualPlatform {
    /// Which process it is.
    pub fn process(&self) -> ProcessId {
        self.process.id
    }

    /// The world's clock, which the process's own may be ahead of.
    pub fn clock(&self) -> Rc<Clock> {
        Rc::clone(&self.world.clock)
    }

    /// The process's wall clock, which may be set forward and back.
    pub fn wall_clock(&self) -> &Skew {
        &self.process.wall
    }

    /// Ends the process where it stands: its tasks, whatever they were doing, and the handle's use. What is on its way to
    /// a cell gets there.
    pub fn kill(&self) {
        self.process.is_dead.set(true);
        self.world.executor.end_tasks_of(&self.process);
    }

    /// Sends a command over a link that may do anything to it.
    async fn call(&self, link: Rc<Link>, cell: &CellId, command: CellCommand) -> Result<CellReply, CellError> {
        let command = command.without_holding();
        let (sender, reply) = oneshot::channel();
        let sender = Rc::new(RefCell::new(Some(sender)));
        let (delay, again) = {
            let mut random = self.world.random.borrow_mut();
            let delay = (!random.happens(link.lost)).then(|| random.time_within(&link.delay));
            let again = random.happens(link.doubled);
            (delay, again.then(|| random.time_within(&link.doubled_after)))
        };
        for after in [delay, again].into_iter().flatten() {
            let message = Message {
                from: self.clone(),
                link: Rc::clone(&link),
                cell: cell.clone(),
                reply: Rc::clone(&sender),
            };
            self.world.executor.spawn(None, message.travel(after, command.clone()));
        }
        drop(sender);
        let patience = self.world.clock.sleep(link.patience);
        match select(reply, patience).await {
            Either::Left((Ok(reply), _)) => return Ok(reply),
            // Nothing is on its way any more, and nobody can know.
            Either::Left((Err(oneshot::Canceled), patience)) => patience.await,
            Either::Right(((), _)) => {}
        }
        Err(CellError::Unreachable("no answer".to_owned()))
    }
}

/// A command on its way, which nobody can call back.
struct Message {
    from: VirtualPlatform,
    link: Rc<Link>,
    cell: CellId,
    reply: Rc<RefCell<Option<oneshot::Sender<CellReply>>>>,
}

impl Message {
    async fn travel(self, after: Duration, command: CellCommand) {
        let (world, process) = (&self.from.world, &self.from.process);
        world.clock.sleep(after).await;
        let reply = world.cells.apply(world.clock.now(), process.id, &self.cell, command);
        let back = {
            let mut random = world.random.borrow_mut();
            (!random.happens(self.link.lost)).then(|| random.time_within(&self.link.delay))
        };
        let Some(back) = back else { return };
        world.clock.sleep(back).await;
        let awaited = self.reply.borrow_mut().take().filter(|sender| !sender.is_canceled());
        if let Some(sender) = awaited {
            world
                .cells
                .on_replied(world.clock.now(), process.id, &self.cell, &reply);
            // Whoever has stopped waiting in between does without.
            let _ = sender.send(reply);
        }
    }
}

impl Platform for VirtualPlatform {
    type Body = BodyStream;

    fn now(&self) -> Timestamp {
        self.world.let_another_run();
        self.process.now(self.world.clock.now())
    }

    fn wall(&self) -> Timestamp {
        self.process.wall.read(self.world.clock.now())
    }

    fn random(&self) -> u64 {
        self.world.let_another_run();
        self.process.random.borrow_mut().bits()
    }

    fn sleep(&self, duration: Duration) -> impl Future<Output = ()> + 'static {
        self.world.clock.sleep(duration)
    }

    async fn store_read(&self, keys: &[&str]) -> Result<Vec<Option<Bytes>>, StoreError> {
        let delay = self.world.store.begin_read();
        // The reply says what there was when the store was asked.
        let read = self.world.store.read(self.world.clock.now(), self.process.id, keys);
        if !delay.is_zero() {
            self.world.clock.sleep(delay).await;
        }
        read
    }

    async fn store_write(&self, key: &str, value: Bytes, ttl: Option<Duration>) -> Result<(), StoreError> {
        let now = self.world.clock.now();
        self.world.store.write(now, self.process.id, key, value, ttl)
    }

    async fn cell_call(&self, cell: &CellAddress, command: CellCommand) -> Result<CellReply, CellError> {
        let (world, process) = (&self.world, self.process.id);
        world.cells.on_sent(world.clock.now(), process, &cell.id, &command);
        let link = world.cells.link(&cell.id);
        if link.is_cut {
            return Err(CellError::Unreachable("cut off".to_owned()));
        }
        if !link.is_ideal() {
            return self.call(link, &cell.id, command).await;
        }
        let reply = world.cells.apply(world.clock.now(), process, &cell.id, command);
        world.cells.on_replied(world.clock.now(), process, &cell.id, &reply);
        Ok(reply)
    }

    async fn send(&self, request: UpstreamRequest) -> Result<Response<BodyStream>, SendError> {
        let caller = Caller {
            process: self.process.id,
            clock: self.clock(),
        };
        (self.world.engines)(caller, request).await
    }

    /// Every secret is its own name here, but for those that begin with `NO_`.
    async fn mac(&self, secret: &SecretName, message: &[u8]) -> Option<[u8; MAC_BYTES]> {
        let secret = secret.as_str();
        (!secret.starts_with("NO_")).then(|| mac(secret.as_bytes(), message))
    }

    /// What a process begins when it is dead does not happen.
    fn after_response(&self, work: impl Future<Output = ()> + 'static) {
        if !self.process.is_dead.get() {
            self.world.executor.spawn(Some(Rc::clone(&self.process)), work);
        }
    }
}
