//! Reads the cluster (for now: its dump) and returns a snapshot.
//!
//! Owns: how Kubernetes objects are read from files, the core kinds' wire types as far as a decision depends on them, and
//! the assembly of a snapshot with everything odd that was found. May import: `model`, `api`, `catalog`.
//! Does not know: how anything is decided, how anything is carried out.

pub mod documents;

pub use documents::{Document, DocumentError, DocumentWarning, ReadError};
