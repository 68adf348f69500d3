//! The clients of one thread: what each is waited for, and so who is let go when another wants the place: one of those of
//! whom there are most, so that a flood of any kind eats itself and those who do otherwise keep their places. It decides
//! from what each connection does at the moment, never from what is asked over it, and never lets go of a request that an
//! engine may be at work on.

use std::cell::{Cell, OnceCell, RefCell};
use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::future::poll_fn;
use std::rc::Rc;
use std::task::{Poll, Waker};
use std::time::{Duration, Instant};

/// Every client of a thread that could be let go.
#[derive(Clone, Debug, Default)]
pub struct Clients(Rc<RefCell<Waiting>>);

/// Those for whom nobody works, by what they are waited for, and by their numbers among all who came to that.
#[derive(Debug, Default)]
struct Waiting {
    by_phase: [BTreeMap<u64, Waiter>; PHASES],
    last: u64,
}

/// What a client is waited for, and its number.
type Place = (Phase, u64);

#[derive(Debug)]
struct Waiter {
    since: Instant,
    let_go: Rc<Farewell>,
}

/// What a client is waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// For the rest of a head.
    Head,
    /// For its first request.
    FirstRequest,
    /// For another request.
    Request,
    /// For the body of a request, of which none is with an engine before it is complete.
    Body,
}

const PHASES: usize = 4;

/// One client.
#[derive(Debug)]
pub struct Client {
    clients: Clients,
    place: Cell<Option<Place>>,
    let_go: Rc<Farewell>,
    has_asked: Cell<bool>,
    is_within_head: Cell<bool>,
    /// Requests without the end of an answer.
    requests: Cell<u32>,
    /// Those of them whose bodies are waited for.
    bodies: Cell<u32>,
}

/// What a client's connection hears when it is to end.
#[derive(Debug, Default)]
struct Farewell {
    is_said: Cell<bool>,
    listener: OnceCell<Waker>,
}

impl Clients {
    /// A client has connected.
    pub fn enter(&self) -> Rc<Client> {
        let client = Client {
            clients: self.clone(),
            place: Cell::default(),
            let_go: Rc::default(),
            has_asked: Cell::default(),
            is_within_head: Cell::default(),
            requests: Cell::default(),
            bodies: Cell::default(),
        };
        client.settle();
        Rc::new(client)
    }

    /// Lets a client go: of those who are waited for what most are, the one that has been for longest. `false` where
    /// nobody may be.
    pub fn let_one_go(&self) -> bool {
        let mut waiting = self.0.borrow_mut();
        let largest = waiting.by_phase.iter_mut().min_by_key(|places| Reverse(places.len()));
        let first = largest.and_then(BTreeMap::pop_first);
        first.inspect(|(_, waiter)| waiter.let_go.say()).is_some()
    }

    /// Lets those go whose head takes longer than [`HEAD_TIMEOUT`], whatever has come of it lately.
    pub fn let_slow_ones_go(&self, now: Instant) {
        let mut waiting = self.0.borrow_mut();
        while let Some(first) = waiting.of(Phase::Head).first_entry()
            && now.duration_since(first.get().since) >= HEAD_TIMEOUT
        {
            first.remove().let_go.say();
        }
    }
}

impl Client {
    /// Completes when the client is to be let go. One task has to poll it throughout: its waker waits from the first time
    /// on, so that whatever else wakes the task costs a look and no more.
    pub async fn let_go(&self) {
        poll_fn(|cx| {
            if self.let_go.is_said.get() {
                return Poll::Ready(());
            }
            self.let_go.listener.get_or_init(|| cx.waker().clone());
            Poll::Pending
        })
        .await;
    }

    /// Something has come: whether it ended within a head.
    pub fn on_read(&self, is_within_head: bool) {
        if self.is_within_head.replace(is_within_head) != is_within_head {
            self.settle();
        }
    }

    /// A request is here.
    pub fn on_request(&self) {
        self.has_asked.set(true);
        self.requests.update(|requests| requests + 1);
        self.settle();
    }

    /// The answer to a request is complete, or nobody's any more.
    pub fn on_answered(&self) {
        self.requests.update(|requests| requests.saturating_sub(1));
        self.settle();
    }

    /// More of a request's body is waited for.
    pub fn on_body_awaited(&self) {
        self.bodies.update(|bodies| bodies + 1);
        self.settle();
    }

    /// It is not waited for any more.
    pub fn on_body_here(&self) {
        self.bodies.update(|bodies| bodies.saturating_sub(1));
        self.settle();
    }

    /// Takes the place that the client has now.
    fn settle(&self) {
        let phase = self.phase();
        if self.place.get().map(|(phase, _)| phase) == phase {
            return;
        }
        let mut waiting = self.clients.0.borrow_mut();
        if let Some((phase, number)) = self.place.take() {
            waiting.of(phase).remove(&number);
        }
        self.place
            .set(phase.map(|phase| waiting.take_place(phase, &self.let_go)));
    }

    /// What the client is waited for; `None` where somebody works for it.
    fn phase(&self) -> Option<Phase> {
        if self.requests.get() > self.bodies.get() {
            None
        } else if self.bodies.get() > 0 {
            Some(Phase::Body)
        } else if self.is_within_head.get() {
            Some(Phase::Head)
        } else if self.has_asked.get() {
            Some(Phase::Request)
        } else {
            Some(Phase::FirstRequest)
        }
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        if let Some((phase, number)) = self.place.get() {
            self.clients.0.borrow_mut().of(phase).remove(&number);
        }
    }
}

impl Farewell {
    fn say(&self) {
        self.is_said.set(true);
        self.listener.get().into_iter().for_each(Waker::wake_by_ref);
    }
}

impl Waiting {
    fn take_place(&mut self, phase: Phase, let_go: &Rc<Farewell>) -> Place {
        self.last += 1;
        let waiter = Waiter {
            since: Instant::now(),
            let_go: Rc::clone(let_go),
        };
        let number = self.last;
        self.of(phase).insert(number, waiter);
        (phase, number)
    }

    fn of(&mut self, phase: Phase) -> &mut BTreeMap<u64, Waiter> {
        &mut self.by_phase[phase as usize]
    }
}

/// Most time from the first byte of a head to its last. nginx gives 60 s, from one byte to the next; a head is one packet
/// or two.
pub const HEAD_TIMEOUT: Duration = Duration::from_secs(10);

#[cfg(test)]
mod tests {
    use super::*;
    use futures::FutureExt;

    fn is_let_go(client: &Client) -> bool {
        client.let_go().now_or_never().is_some()
    }

    #[test]
    fn a_flood_eats_itself_and_those_who_are_served_never_go() {
        let floods: [fn(&Client); 4] = [
            |client| client.on_read(true),
            |_silent| {},
            |client| {
                client.on_request();
                client.on_answered();
            },
            |client| {
                client.on_request();
                client.on_body_awaited();
            },
        ];
        for flood in floods {
            let clients = Clients::default();
            let others = floods.map(|other| {
                let client = clients.enter();
                other(&client);
                client
            });
            let served = clients.enter();
            served.on_request();
            let flooding = [(); 9].map(|()| clients.enter());
            flooding.iter().for_each(|client| flood(client));
            assert!((0..9).all(|_| clients.let_one_go()));
            // One of those four does as the flood does, and came before it.
            assert_eq!(others.iter().filter(|client| is_let_go(client)).count(), 1);
            assert_eq!(flooding.iter().filter(|client| is_let_go(client)).count(), 8);
            assert_eq!((0..9).filter(|_| clients.let_one_go()).count(), 4);
            assert!(!is_let_go(&served));
        }
    }

    #[test]
    fn whoever_has_been_idle_for_longest_goes_first() {
        let clients = Clients::default();
        let [one, other] = [(); 2].map(|()| clients.enter());
        for client in [&one, &other, &one] {
            client.on_request();
            client.on_answered();
        }
        assert!(clients.let_one_go());
        assert!(is_let_go(&other) && !is_let_go(&one));
    }

    #[test]
    fn a_head_that_trickles_in_is_waited_for_no_longer_than_any_other() {
        let clients = Clients::default();
        let [slow, idle] = [(); 2].map(|()| clients.enter());
        let begun = Instant::now();
        slow.on_read(true);
        clients.let_slow_ones_go(begun + HEAD_TIMEOUT / 2);
        slow.on_read(true);
        assert!(!is_let_go(&slow));
        clients.let_slow_ones_go(Instant::now() + HEAD_TIMEOUT);
        assert!(is_let_go(&slow) && !is_let_go(&idle));
    }

    #[test]
    fn a_request_whose_body_is_complete_keeps_the_connection_for_all_others() {
        let clients = Clients::default();
        let client = clients.enter();
        client.on_request();
        client.on_body_awaited();
        client.on_request();
        assert!(!clients.let_one_go());
        client.on_answered();
        assert!(clients.let_one_go());
        client.on_body_here();
        client.on_answered();
    }

    #[test]
    fn who_has_left_is_not_let_go() {
        let clients = Clients::default();
        drop(clients.enter());
        assert!(!clients.let_one_go());
    }
}
