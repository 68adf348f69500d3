//! Many steps in a row, where one that fails does not keep the independent ones from being run.

use std::time::{Duration, Instant};

use crate::error::TaskError;
use crate::{processes, terminal};

/// Steps and how they went.
#[derive(Debug)]
pub struct Steps {
    fail_fast: bool,
    done: Vec<Done>,
    remarks: Vec<String>,
}

/// What a step left for those after it.
#[derive(Debug)]
pub struct Outcome<T> {
    step: &'static str,
    value: Option<T>,
}

#[derive(Debug)]
struct Done {
    step: &'static str,
    took: Duration,
    error: Option<TaskError>,
}

impl Steps {
    /// No steps yet; with `fail_fast`, none is run after one that failed.
    pub fn new(fail_fast: bool) -> Self {
        Self {
            fail_fast,
            done: Vec::new(),
            remarks: Vec::new(),
        }
    }

    /// Has that said behind how the steps went.
    pub fn remark(&mut self, remark: String) {
        self.remarks.push(remark);
    }

    /// Runs one step.
    pub fn run<T>(&mut self, step: &'static str, work: impl FnOnce() -> Result<T, TaskError>) -> Outcome<T> {
        let begun = Instant::now();
        let failed = self.done.iter().find(|done| done.error.is_some());
        let result = match failed {
            _ if processes::stopped() => Err(TaskError::Stopped),
            Some(done) if self.fail_fast => Err(TaskError::Needs(done.step)),
            Some(_) | None => terminal::step(step, work),
        };
        let (value, error) = match result {
            Ok(value) => (Some(value), None),
            Err(error) => (None, Some(error)),
        };
        if let Some(error) = &error {
            terminal::note(&format!("{step}: {error}"));
        }
        self.done.push(Done {
            step,
            took: begun.elapsed(),
            error,
        });
        Outcome { step, value }
    }

    /// Prints how each step went, and fails when one did.
    pub fn conclude(self) -> Result<(), TaskError> {
        println!();
        for Done { step, took, error } in &self.done {
            let word = match error {
                None => "passed",
                Some(TaskError::Needs(_) | TaskError::Stopped) => "NOT RUN",
                Some(_) => "FAILED",
            };
            println!("{step:<32} {:>6.0} s  {word}", took.as_secs_f64());
        }
        for remark in &self.remarks {
            println!("\n{remark}");
        }
        let failed: Vec<&Done> = self.done.iter().filter(|done| done.error.is_some()).collect();
        for Done { step, error, .. } in &failed {
            println!(
                "\n{step}: {}",
                error.as_ref().map(ToString::to_string).unwrap_or_default()
            );
        }
        let total: Duration = self.done.iter().map(|done| done.took).sum();
        println!("\nin {:.0} s", total.as_secs_f64());
        println!(
            "steps: {} passed, {} failed",
            self.done.len() - failed.len(),
            failed.len()
        );
        if failed.is_empty() {
            Ok(())
        } else {
            Err(TaskError::Failed { steps: failed.len() })
        }
    }
}

impl<T> Outcome<T> {
    /// Of a step that nothing will need.
    pub fn unwanted() -> Self {
        Self {
            step: "a step that was left out",
            value: None,
        }
    }

    /// What the step made.
    ///
    /// # Errors
    /// When it made nothing: then what needs it is not run.
    pub fn get(&self) -> Result<&T, TaskError> {
        self.value.as_ref().ok_or(TaskError::Needs(self.step))
    }
}
