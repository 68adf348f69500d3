//! The bench's table: figures, shares, and whether they are what the project promises.

use super::measure::{Measured, Throughput};
use crate::error::TaskError;

/// One comparison.
#[derive(Debug)]
pub struct Row {
    what: &'static str,
    /// What the gateway is compared with.
    base: String,
    measured: Figures,
    target: Target,
}

/// What is promised.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Target {
    /// At least this share of the base.
    AtLeast(f64),
    /// At most this share of the base.
    AtMost(f64),
    /// At most so many MB.
    AtMostMb(f64),
    /// Nothing: the row is there to compare with.
    None,
}

#[derive(Clone, Copy, Debug)]
enum Figures {
    Throughput(Measured<Throughput>),
    /// In microseconds.
    Added(Measured<f64>),
    /// In MB.
    Memory(Measured<f64>),
}

impl Row {
    /// Answers per second as a share of the base's.
    pub fn share(what: &'static str, base: &str, measured: Measured<Throughput>, target: Target) -> Self {
        Self {
            what,
            base: base.to_owned(),
            measured: Figures::Throughput(measured),
            target,
        }
    }

    /// Added time in microseconds, at most this share of the base's.
    pub fn added(what: &'static str, base: &str, measured: Measured<f64>, most: f64) -> Self {
        Self {
            what,
            base: base.to_owned(),
            measured: Figures::Added(measured),
            target: Target::AtMost(most),
        }
    }

    /// Resident memory in MB, with the base's beside it.
    pub fn memory(what: &'static str, base: &str, measured: Measured<f64>, most_mb: f64) -> Self {
        Self {
            what,
            base: base.to_owned(),
            measured: Figures::Memory(measured),
            target: Target::AtMostMb(most_mb),
        }
    }

    fn is_met(&self) -> bool {
        match (self.target, self.measured) {
            (Target::AtLeast(share), figures) => figures.share() >= share,
            (Target::AtMost(share), figures) => figures.share() <= share,
            (Target::AtMostMb(most), Figures::Memory(measured)) => measured.ours <= most,
            (Target::AtMostMb(_), Figures::Throughput(_) | Figures::Added(_)) => false,
            (Target::None, _) => true,
        }
    }

    fn line(&self) -> String {
        let share = self.measured.share() * 100.0;
        let figures = match &self.measured {
            Figures::Throughput(Measured { base, ours }) => {
                let cpu = format!("{:.0} / {:.0} us", base.cpu_us, ours.cpu_us);
                format!("{:>9.0} {:>9.0} {share:>5.0}% {cpu:>14}", base.per_s, ours.per_s)
            }
            Figures::Added(Measured { base, ours }) => {
                format!("{base:>6.0} us {ours:>6.0} us {share:>5.0}% {:>14}", "")
            }
            Figures::Memory(Measured { base, ours }) => {
                format!("{base:>6.1} MB {ours:>6.1} MB {share:>5.0}% {:>14}", "")
            }
        };
        let verdict = if self.is_met() { "PASS" } else { "MISS" };
        let target = match self.target {
            Target::AtLeast(share) => format!(">= {:.0}%  {verdict}", share * 100.0),
            Target::AtMost(share) => format!("<= {:.0}%  {verdict}", share * 100.0),
            Target::AtMostMb(most) => format!("<= {most:.0} MB  {verdict}"),
            Target::None => String::new(),
        };
        format!("{:<28} {:>14} {figures}  {target}", self.what, self.base)
            .trim_end()
            .to_owned()
    }
}

impl Figures {
    /// The gateway's as a share of the base's.
    fn share(&self) -> f64 {
        match self {
            Self::Throughput(Measured { base, ours }) => ours.per_s / base.per_s,
            Self::Added(Measured { base, ours }) | Self::Memory(Measured { base, ours }) => ours / base,
        }
    }
}

/// Prints all rows.
///
/// # Errors
/// When a target is missed.
pub fn print(rows: &[Row]) -> Result<(), TaskError> {
    println!(
        "\n{:<28} {:>15} {:>10} {:>10} {:>6}  target",
        "", "compared with", "it has", "this has", "share"
    );
    for row in rows {
        println!("{}", row.line());
    }
    match rows.iter().filter(|row| !row.is_met()).count() {
        0 => Ok(()),
        missed => Err(TaskError::unmet(
            "bench",
            format!("{missed} targets missed"),
            "every line should say PASS",
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_is_met_or_missed() {
        let row = |per_s, target| {
            let [base, ours] = [1000.0, per_s].map(|per_s| Throughput { per_s, cpu_us: 50.0 });
            Row::share("x", "nginx", Measured { base, ours }, target)
        };
        assert!(row(600.0, Target::AtLeast(0.6)).is_met());
        assert!(!row(590.0, Target::AtLeast(0.6)).is_met());
        assert!(row(1.0, Target::None).is_met());
        assert!(
            row(590.0, Target::AtLeast(0.6))
                .line()
                .ends_with("59%     50 / 50 us  >= 60%  MISS")
        );
        let added = |us| {
            let measured = Measured { base: 100.0, ours: us };
            Row::added("x", "nginx", measured, 1.3)
        };
        assert!(added(130.0).is_met());
        assert!(!added(131.0).is_met());
        assert!(added(131.0).line().contains("131%"));
        let memory = |mb| Row::memory("x", "nginx", Measured { base: 7.0, ours: mb }, 12.0);
        assert!(memory(12.0).is_met());
        assert!(!memory(12.1).is_met());
    }
}
