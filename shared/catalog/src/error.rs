//! What can be wrong with a catalog file.

use thiserror::Error;

/// Why a catalog cannot be read.
#[derive(Debug, Error)]
pub enum CatalogError {
    /// It is neither text nor text compressed with gzip.
    #[error("the catalog is not UTF-8 text, plain or compressed with gzip")]
    Unreadable(#[source] std::io::Error),
    /// It is larger than any catalog can be.
    #[error("the catalog has more than 64 MiB of text, which no list of instance types needs")]
    TooLarge,
    /// A line does not follow the format.
    #[error("catalog line {line}: {problem}")]
    Line {
        /// The line, from 1.
        line: usize,
        /// What is wrong with it.
        problem: String,
    },
}
