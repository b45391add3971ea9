//! The report.

use crate::summary::Summary;

/// The page.
pub fn render(_summary: &Summary) -> String {
    String::new()
}
