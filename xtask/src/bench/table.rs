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
    /// At most so many microseconds.
    AtMostUs(f64),
    /// Nothing: the row is there to compare with.
    None,
}

#[derive(Clone, Copy, Debug)]
enum Figures {
    Throughput(Measured<Throughput>),
    /// In microseconds.
    Added(Measured<f64>),
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

    /// Added time in microseconds, with the base's beside it.
    pub fn added(what: &'static str, base: &str, measured: Measured<f64>, most_us: f64) -> Self {
        let target = Target::AtMostUs(most_us);
        Self {
            what,
            base: base.to_owned(),
            measured: Figures::Added(measured),
            target,
        }
    }

    fn is_met(&self) -> bool {
        match (self.target, self.measured) {
            (Target::AtLeast(share), Figures::Throughput(measured)) => share_of(&measured) >= share,
            (Target::AtMostUs(most), Figures::Added(measured)) => measured.ours <= most,
            (Target::None, Figures::Throughput(_) | Figures::Added(_)) => true,
            (Target::AtLeast(_), Figures::Added(_)) | (Target::AtMostUs(_), Figures::Throughput(_)) => false,
        }
    }

    fn line(&self) -> String {
        let figures = match &self.measured {
            Figures::Throughput(measured) => {
                let Measured { base, ours } = measured;
                let share = share_of(measured) * 100.0;
                let cpu = format!("{:.0} / {:.0} us", base.cpu_us, ours.cpu_us);
                format!("{:>9.0} {:>9.0} {share:>5.0}% {cpu:>14}", base.per_s, ours.per_s)
            }
            Figures::Added(Measured { base, ours }) => format!("{base:>6.0} us {ours:>6.0} us {:>21}", ""),
        };
        let verdict = if self.is_met() { "PASS" } else { "MISS" };
        let target = match self.target {
            Target::AtLeast(share) => format!(">= {:.0}%  {verdict}", share * 100.0),
            Target::AtMostUs(most) => format!("<= {most:.0} us  {verdict}"),
            Target::None => String::new(),
        };
        format!("{:<28} {:>14} {figures}  {target}", self.what, self.base)
            .trim_end()
            .to_owned()
    }
}

fn share_of(measured: &Measured<Throughput>) -> f64 {
    measured.ours.per_s / measured.base.per_s
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
        assert!(
            Row::added(
                "x",
                "nginx",
                Measured {
                    base: 40.0,
                    ours: 120.0
                },
                120.0
            )
            .is_met()
        );
        assert!(
            !Row::added(
                "x",
                "nginx",
                Measured {
                    base: 40.0,
                    ours: 121.0
                },
                120.0
            )
            .is_met()
        );
    }
}
