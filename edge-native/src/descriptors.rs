//! File descriptors: how many there are, and how many connections of clients that leaves room for. Engines and the store
//! must never go without because of clients.

use std::io;
use std::num::NonZeroUsize;

use rustix::io::Errno;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tracing::{info, warn};

/// Raises the process's limit on open files to the most that it may have, and tells what holds then; `None` is no limit.
pub fn raise_limit() -> Option<u64> {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    if current == maximum {
        return current;
    }
    let raised = Rlimit {
        current: maximum,
        maximum,
    };
    match setrlimit(Resource::Nofile, raised) {
        Ok(()) => {
            info!(from = current, to = maximum, "raised the limit on open files");
            maximum
        }
        Err(error) => {
            warn!(limit = current, %error, "cannot raise the limit on open files");
            current
        }
    }
}

/// Most connections of clients at once on each of `threads`: as many as were `asked` for in all, where so many descriptors
/// leave room for them, and for an engine's connection for each.
pub fn most_connections(asked: Option<NonZeroUsize>, limit: Option<u64>, threads: NonZeroUsize) -> usize {
    let most = asked.map_or(MOST_CONNECTIONS.saturating_mul(threads.get()), NonZeroUsize::get);
    let limit = limit.map_or(usize::MAX, |limit| usize::try_from(limit).unwrap_or(usize::MAX));
    let kept_back = KEPT_BACK + KEPT_BACK_PER_THREAD * threads.get();
    let room = limit.saturating_sub(kept_back) / 2;
    if room < most && asked.is_some() {
        warn!(
            asked = most,
            room, limit, "the limit on open files leaves room for fewer connections"
        );
    }
    (most.min(room) / threads).max(1)
}

/// Whether an error says that this process or its machine lacks something, whoever is at the other end.
pub fn is_local(error: &io::Error) -> bool {
    matches!(
        Errno::from_io_error(error),
        Some(Errno::MFILE | Errno::NFILE | Errno::NOBUFS | Errno::NOMEM | Errno::ADDRNOTAVAIL)
    )
}

/// Most connections of one thread, where nobody asks for another number.
const MOST_CONNECTIONS: usize = 16_384;
/// Descriptors for the store, the log, Redis, and files that are read now and then.
const KEPT_BACK: usize = 64;
/// Descriptors of a thread: its listening socket, its event queue, and what it looks up.
const KEPT_BACK_PER_THREAD: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;

    fn most(asked: usize, limit: Option<u64>, threads: usize) -> usize {
        let threads = NonZeroUsize::new(threads).expect("not zero");
        most_connections(NonZeroUsize::new(asked), limit, threads)
    }

    #[test]
    fn every_connection_has_one_to_an_engine_and_what_is_kept_back_is_nobodys() {
        assert_eq!(most(0, Some(1_024), 1), (1_024 - 80) / 2);
        assert_eq!(most(0, Some(1_024), 4), (1_024 - 128) / 2 / 4);
        assert_eq!(most(0, Some(1 << 20), 2), 16_384);
        assert_eq!(most(0, None, 2), 16_384);
        assert_eq!(most(100, Some(1_024), 2), 50);
        assert_eq!(most(1_000, Some(1_024), 1), (1_024 - 80) / 2);
        assert_eq!(most(0, Some(10), 2), 1);
    }

    #[test]
    fn the_limit_is_the_most_that_there_may_be() {
        assert_eq!(raise_limit(), getrlimit(Resource::Nofile).maximum);
        assert_eq!(getrlimit(Resource::Nofile).current, getrlimit(Resource::Nofile).maximum);
    }

    #[test]
    fn a_lack_here_is_told_from_a_refusal_there() {
        for (errno, expected) in [
            (Errno::MFILE, true),
            (Errno::ADDRNOTAVAIL, true),
            (Errno::CONNREFUSED, false),
        ] {
            assert_eq!(is_local(&errno.into()), expected, "{errno:?}");
        }
        assert!(!is_local(&io::Error::other("no such name")));
    }
}
