//! The report: one HTML page with charts, without anything from outside.

mod chart;
mod number;
mod page;
mod series;
mod stack;

use crate::summary::Summary;

/// The page, complete: styles, charts, script, data.
pub fn render(summary: &Summary) -> String {
    page::page(summary)
}

/// Text as it may stand in HTML.
fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests;
