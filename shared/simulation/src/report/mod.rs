//! The report.

