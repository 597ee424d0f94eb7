//! Stages with their times, so that a slow one is seen.

use std::time::{Duration, Instant};

use crate::command::{Failed, say};

/// Stages run so far.
#[derive(Debug, Default)]
pub(crate) struct Stages {
    done: Vec<(&'static str, Duration)>,
}

impl Stages {
    /// Runs one stage; the first that fails ends the run, with the times so far.
    pub(crate) fn run(
        &mut self,
        name: &'static str,
        stage: impl FnOnce() -> Result<(), Failed>,
    ) -> Result<(), Failed> {
        say(&format!("\n=== {name}"));
        let begin = Instant::now();
        let result = stage();
        self.done.push((name, begin.elapsed()));
        if result.is_err() {
            self.report();
        }
        result
    }

    /// Prints the table.
    pub(crate) fn report(&self) {
        say("\nstage                      seconds");
        for (name, time) in &self.done {
            say(&format!("{name:<24} {:>9.1}", time.as_secs_f64()));
        }
        let total: Duration = self.done.iter().map(|(_, time)| *time).sum();
        say(&format!("{:<24} {:>9.1}", "total", total.as_secs_f64()));
    }
}
