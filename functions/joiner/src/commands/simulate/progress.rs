//! Progress on a terminal.

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use simulation::run::{PARTS, Part};
use std::io::IsTerminal;

/// One bar for each part of the run; none if standard error is no terminal.
pub(super) struct Bars(Vec<(Part, ProgressBar)>);

impl Bars {
    /// Bars for a run of this length.
    pub(super) fn new(length_s: i64) -> Self {
        if !std::io::stderr().is_terminal() {
            return Self(Vec::new());
        }
        let all = MultiProgress::new();
        let style = ProgressStyle::with_template("  {prefix:14} {bar:40} {percent:>3}%").ok();
        let bar = |part: &Part| {
            let bar = all.add(ProgressBar::new(length_s.max(0) as u64).with_prefix(part.label()));
            if let Some(style) = &style {
                bar.set_style(style.clone());
            }
            bar.tick();
            (*part, bar)
        };
        Self(PARTS.iter().map(bar).collect())
    }

    /// A part has come to this second.
    pub(super) fn advance(&self, part: Part, at_s: i64) {
        if let Some((_, bar)) = self.0.iter().find(|(of, _)| *of == part) {
            bar.set_position(at_s.max(0) as u64);
        }
    }

    /// Takes the bars away.
    pub(super) fn clear(&self) {
        for (_, bar) in &self.0 {
            bar.finish_and_clear();
        }
    }
}
