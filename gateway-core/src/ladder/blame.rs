//! Whose doing it is when engines fail at a request, from the failures of its attempts: that of one engine is its own,
//! until another one fails alike. It knows one request only, and never what others have shown.

use super::attempt_error::AttemptError;

/// What the attempts of one request have shown so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Blame {
    /// The status of a failure of which nobody knows yet whose doing it is.
    open: Option<u16>,
}

/// Whose doing a failure is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// As the error says. One that is open stays open.
    AsItSays,
    /// The next attempt will tell.
    Open,
    /// The replica's, and that of the one before it as well: they failed each in its way.
    Replicas,
    /// The request's: both replicas are well.
    Request,
}

impl Blame {
    /// An attempt failed.
    pub fn on_failure(&mut self, error: &AttemptError) -> Verdict {
        let Some((status, _)) = error.failed_with() else {
            return Verdict::AsItSays;
        };
        match self.open.replace(status) {
            None => Verdict::Open,
            Some(before) => {
                self.open = None;
                if before == status {
                    Verdict::Request
                } else {
                    Verdict::Replicas
                }
            }
        }
    }

    /// An attempt was answered, or there are no more: what was open was the replica's.
    pub fn close(&mut self) {
        self.open = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(status: u16) -> AttemptError {
        AttemptError::Status {
            status,
            retry_after: None,
            words: String::new(),
        }
    }

    #[test]
    fn the_second_replica_that_fails_alike_puts_it_on_the_request() {
        let mut blame = Blame::default();
        assert_eq!(blame.on_failure(&status(500)), Verdict::Open);
        assert_eq!(blame.on_failure(&status(503)), Verdict::AsItSays, "it has no time");
        assert_eq!(blame.on_failure(&AttemptError::FirstByteTimeout), Verdict::AsItSays);
        assert_eq!(blame.on_failure(&status(500)), Verdict::Request);
        assert_eq!(blame, Blame::default());
    }

    #[test]
    fn replicas_that_fail_each_in_its_way_fail_by_themselves() {
        let mut blame = Blame::default();
        assert_eq!(blame.on_failure(&status(500)), Verdict::Open);
        assert_eq!(blame.on_failure(&status(507)), Verdict::Replicas);
        assert_eq!(blame.on_failure(&status(500)), Verdict::Open);
        blame.close();
        assert_eq!(
            blame.on_failure(&status(500)),
            Verdict::Open,
            "another one answered in between"
        );
    }

    #[test]
    fn what_stands_before_an_engine_says_nothing_about_the_request() {
        let mut blame = Blame::default();
        for code in [429, 502, 503, 504] {
            assert_eq!(blame.on_failure(&status(code)), Verdict::AsItSays, "{code}");
        }
        assert_eq!(blame, Blame::default());
    }
}
