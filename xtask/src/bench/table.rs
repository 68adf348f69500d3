//! The bench's table: figures, shares, and whether they are what the project promises.

use super::measure::Measured;
use crate::error::TaskError;

/// One comparison.
#[derive(Debug)]
pub struct Row {
    what: &'static str,
    base: String,
    measured: Measured,
    figure: Figure,
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
enum Figure {
    PerSecond,
    AddedUs,
}

impl Row {
    /// Answers per second as a share of the base's.
    pub fn share(what: &'static str, base: &str, measured: Measured, target: Target) -> Self {
        Self {
            what,
            base: base.to_owned(),
            measured,
            figure: Figure::PerSecond,
            target,
        }
    }

    /// Added time, with the base's beside it.
    pub fn added(what: &'static str, base: &str, measured: Measured, most_us: f64) -> Self {
        let target = Target::AtMostUs(most_us);
        Self {
            what,
            base: base.to_owned(),
            measured,
            figure: Figure::AddedUs,
            target,
        }
    }

    fn ratio(&self) -> f64 {
        self.measured.ours / self.measured.base
    }

    fn is_met(&self) -> bool {
        match self.target {
            Target::AtLeast(share) => self.ratio() >= share,
            Target::AtMostUs(most) => self.measured.ours <= most,
            Target::None => true,
        }
    }

    fn line(&self) -> String {
        let unit = match self.figure {
            Figure::PerSecond => "",
            Figure::AddedUs => " us",
        };
        let [base, ours] = [self.measured.base, self.measured.ours].map(|figure| format!("{figure:.0}{unit}"));
        let ratio = match self.figure {
            Figure::PerSecond => format!("{:.0}%", self.ratio() * 100.0),
            Figure::AddedUs => String::new(),
        };
        let verdict = if self.is_met() { "PASS" } else { "MISS" };
        let target = match self.target {
            Target::AtLeast(share) => format!(">= {:.0}%  {verdict}", share * 100.0),
            Target::AtMostUs(most) => format!("<= {most:.0} us  {verdict}"),
            Target::None => String::new(),
        };
        let line = format!(
            "{:<28} {:>15} {base:>10} {ours:>10} {ratio:>6}  {target}",
            self.what, self.base
        );
        line.trim_end().to_owned()
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
        let row = |ours, target| Row::share("x", "nginx", Measured { base: 1000.0, ours }, target);
        assert!(row(600.0, Target::AtLeast(0.6)).is_met());
        assert!(!row(590.0, Target::AtLeast(0.6)).is_met());
        assert!(row(1.0, Target::None).is_met());
        assert!(row(590.0, Target::AtLeast(0.6)).line().ends_with("59%  >= 60%  MISS"));
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
