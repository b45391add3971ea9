//! Reads the cluster, or its dump, and returns a snapshot.
//!
//! Owns: how Kubernetes objects are read from files and (feature `live`) from an API server, the core kinds' wire types as far as a
//! decision depends on them, and the assembly of a snapshot with everything odd that was found. May import: `model`, `api`, `catalog`.
//! Does not know: how anything is decided, how anything is carried out.

mod assembly;
mod buffers;
mod built_in;
mod claims;
#[cfg(feature = "live")]
pub mod cloud;
#[cfg(feature = "live")]
pub mod cluster;
mod collection;
mod costs;
mod custom;
pub mod documents;
mod dump;
mod entry;
mod finding;
mod intern;
mod kinds;
#[cfg(feature = "live")]
pub mod live;
#[cfg(feature = "live")]
pub mod observer;
mod overlays;
mod place;
mod pools;
mod wire;

pub use built_in::DEFAULT_POOL;
pub use documents::{Document, DocumentError, DocumentWarning, ReadError};
pub use dump::{Dump, DumpOptions, read_dump};
pub use finding::{DumpFinding, Place, Severity};

#[cfg(test)]
mod tests;
