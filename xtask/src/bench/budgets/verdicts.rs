//! Figures one below the other, and whether they are what the project promises.

use crate::error::TaskError;

/// What has been judged so far.
#[derive(Debug, Default)]
pub struct Verdicts {
    missed: usize,
}

impl Verdicts {
    /// Prints a figure that has a target.
    pub fn judge(&mut self, what: &str, figure: &str, is_met: bool, target: &str) {
        self.missed += usize::from(!is_met);
        let word = if is_met { "PASS" } else { "MISS" };
        println!("{}", line(what, figure, &format!("{target}  {word}")));
    }

    /// Prints a figure that has none.
    pub fn tell(&self, what: &str, figure: &str) {
        println!("{}", line(what, figure, ""));
    }

    /// The end of it.
    ///
    /// # Errors
    /// When a target was missed.
    pub fn end(&self) -> Result<(), TaskError> {
        match self.missed {
            0 => Ok(()),
            missed => Err(TaskError::unmet(
                "bench budgets",
                format!("{missed} targets missed"),
                "every line with a target should say PASS",
            )),
        }
    }
}

fn line(what: &str, figure: &str, target: &str) -> String {
    format!("  {what:<44} {figure:>22}  {target}").trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_miss_fails_all() {
        let mut verdicts = Verdicts::default();
        verdicts.judge("a", "1", true, "1");
        assert!(verdicts.end().is_ok());
        verdicts.judge("b", "2", false, "1");
        verdicts.judge("c", "1", true, "1");
        assert!(verdicts.end().is_err());
    }
}
