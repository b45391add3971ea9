//! What happened, for people who replay a seed.

use crate::SimTime;

/// The most lines that are kept.
const LINES: usize = 200_000;

/// Lines of what happened, if they are wanted.
#[derive(Clone, Debug, Default)]
pub(super) struct Log {
    wanted: bool,
    lines: Vec<String>,
}

impl Log {
    /// A log that keeps its lines, or one that keeps none.
    pub(super) fn new(wanted: bool) -> Self {
        Self { wanted, lines: Vec::new() }
    }

    /// Adds a line.
    pub(super) fn say(&mut self, now: SimTime, line: impl FnOnce() -> String) {
        if self.wanted && self.lines.len() < LINES {
            self.lines.push(format!("{:>9.3} s  {}", now.0 as f64 / 1000.0, line()));
        }
    }

    /// The lines.
    pub(super) fn into_lines(self) -> Vec<String> {
        self.lines
    }
}
