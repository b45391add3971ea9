//! From a dump's files to a snapshot.

use crate::assembly;
use crate::collection::Collection;
use crate::documents::{self, ReadError};
use crate::finding::DumpFinding;
use catalog::Catalog;
use model::{Snapshot, Timestamp};
use std::path::PathBuf;

/// What a dump does not say itself.
#[derive(Clone, Debug, Default)]
pub struct DumpOptions {
    /// The region; else the nodes' labels tell it.
    pub region: Option<String>,
    /// The moment of the dump; else the latest that an object tells of.
    pub now: Option<Timestamp>,
    /// Settings of the installation that change what pods may use of a node.
    pub settings: catalog::Settings,
}

/// A dump, read.
#[derive(Clone, Debug, Default)]
pub struct Dump {
    /// The picture of the cluster.
    pub snapshot: Snapshot,
    /// What is odd about the input, in its order; what concerns the whole comes last.
    pub findings: Vec<DumpFinding>,
    /// Pods that cannot be read, as `namespace/name`: they are not in the snapshot, so nothing is planned for them.
    pub unreadable_pods: Vec<String>,
    /// How many objects the input has, of any kind.
    pub objects: usize,
}

/// Reads a dump's files into a snapshot. Whatever cannot be read is left out and found in the findings; only a file that
/// cannot be opened is an error.
pub fn read_dump(
    paths: &[PathBuf],
    catalog: &Catalog,
    options: &DumpOptions,
) -> Result<Dump, ReadError> {
    let mut collection = Collection::default();
    documents::read_files(paths, &mut |result| collection.take(result))?;
    Ok(assembly::assemble(collection, catalog, options))
}
