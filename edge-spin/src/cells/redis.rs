//! The logs of cells in Redis: running commands is one script.

use spin_sdk::wasip3::random::random::get_random_u64;
use tidegate_core::cells::redis::{Append, Follower, Step};
use tidegate_core::cells::{CellCommand, CellError, CellId, CellReply};

use super::{Log, set_back};
use crate::log;
use crate::redis::{Failure, MOST_TRIES, Redis};

impl Log for Redis {
    type Replayed = Follower;

    async fn append(
        &self,
        id: &CellId,
        replayed: &mut Option<Follower>,
        commands: Vec<CellCommand>,
    ) -> Result<Vec<CellReply>, CellError> {
        let follower = replayed.get_or_insert_with(|| Follower::new(id));
        let mut append = Append::new(get_random_u64(), commands);
        let replies = send(self, &mut append, follower).await?;
        if follower.take_left_out() > 0 {
            log::warn("entries of a cell are left out: damaged, or of another version");
        }
        if let Some(by) = follower.take_set_back() {
            log::warn(&set_back(id, by));
        }
        if let Some(call) = follower.due_snapshot()?
            && let Err(Failure::NotSent(why) | Failure::Lost(why)) = self.run(&call).await
        {
            log::warn(&format!("no snapshot of {}: {why}", id.key()));
        }
        Ok(replies)
    }
}

/// Sends the commands until their replies are there.
async fn send(redis: &Redis, append: &mut Append, follower: &mut Follower) -> Result<Vec<CellReply>, CellError> {
    let mut failures = 0;
    loop {
        let failure = match redis.run(&append.call(follower)?).await {
            Ok(reply) => match append.on_reply(follower, &reply)? {
                Step::Done(replies) => return Ok(replies),
                Step::CaughtUp => continue,
            },
            Err(failure) => failure,
        };
        let (Failure::NotSent(why) | Failure::Lost(why)) = &failure;
        failures += 1;
        if failures == MOST_TRIES {
            return Err(CellError::Unreachable(format!("Redis: {why}")));
        }
        if let Failure::Lost(_) = failure {
            append.on_lost();
        }
    }
}
