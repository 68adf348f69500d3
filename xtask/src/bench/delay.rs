//! What a server adds to an answer when requests come alone: what it wakes, touches and waits for anew each time.

use super::measure::{Load, Meter, Mode, Server, figure, median};
use crate::error::TaskError;
use crate::terminal;

/// Time added to a direct answer, in microseconds.
#[derive(Clone, Copy, Debug)]
pub struct Added {
    /// To the median.
    pub us_p50: f64,
    /// To the 99th percentile.
    pub us_p99: f64,
}

impl Meter {
    /// What each server adds to a direct answer at [`RATE`] requests per second over so many connections: the median of
    /// the rounds.
    ///
    /// # Errors
    /// When an answer is no success.
    pub fn added(&self, direct: &Server, servers: &[&Server], connections: u32) -> Result<Vec<Added>, TaskError> {
        let load = Load {
            mode: Mode::Requests,
            connections,
            rate: Some(RATE),
        };
        let mut rounds = vec![Vec::new(); servers.len()];
        // The first round warms all up and does not count.
        for round in 0..=self.rounds() {
            let [p50, p99] = self.delays(direct, &load)?;
            for (server, added) in servers.iter().zip(&mut rounds) {
                let [through_p50, through_p99] = self.delays(server, &load)?;
                if round == 0 {
                    continue;
                }
                terminal::note(&format!(
                    "direct {p50:.0} us (p99 {p99:.0}), {} {through_p50:.0} us (p99 {through_p99:.0})",
                    server.name
                ));
                added.push([through_p50 - p50, through_p99 - p99]);
            }
        }
        let of_rounds = |added: Vec<[f64; 2]>| Added {
            us_p50: median(added.iter().map(|[p50, _]| *p50)),
            us_p99: median(added.iter().map(|[_, p99]| *p99)),
        };
        Ok(rounds.into_iter().map(of_rounds).collect())
    }

    /// The median and the 99th percentile of a server's answers.
    fn delays(&self, server: &Server, load: &Load) -> Result<[f64; 2], TaskError> {
        let report = self.run(server, load)?;
        Ok([figure(&report, "us_p50")?, figure(&report, "us_p99")?])
    }
}

/// Requests per second.
const RATE: u32 = 200;
