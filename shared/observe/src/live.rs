//! A snapshot of a live cluster.

use crate::assembly;
use crate::cluster::{ClusterReadError, ClusterReader, ClusterReading, Scope, StaleRead, Traffic};
use crate::dump::{Dump, DumpOptions};
use crate::finding::DumpFinding;
use catalog::Catalog;
use model::{ClusterFacts, NodeClass, ResolvedNodeClass, Snapshot};
use std::collections::BTreeMap;

/// What was observed in one turn.
#[derive(Clone, Debug, Default)]
pub struct Observation {
    /// The picture that is planned on.
    pub snapshot: Snapshot,
    /// The node classes by name, with what was found for them on AWS; empty until AWS is asked.
    pub classes: BTreeMap<String, ResolvedNodeClass>,
    /// What nodes must know of their cluster; empty until AWS is asked.
    pub cluster: ClusterFacts,
    /// What is odd.
    pub findings: Vec<DumpFinding>,
    /// Pods that cannot be read, as `namespace/name`: nothing is planned for them.
    pub unreadable_pods: Vec<String>,
    /// How many objects were read.
    pub objects: usize,
    /// Kinds whose last copy stands in.
    pub stale: Vec<StaleRead>,
    /// Whether running pods were read. Where they were not, nothing waits, and no node is Joiner's.
    pub all_pods: bool,
    /// What reading the cluster cost.
    pub traffic: Traffic,
}

/// Reads the cluster and assembles a snapshot of it with what the catalog knows; AWS is not asked.
///
/// # Errors
/// Where claims, nodes or pods cannot be read.
pub async fn snapshot_of_cluster(
    reader: &mut ClusterReader,
    catalog: &Catalog,
    options: &DumpOptions,
    scope: &Scope,
) -> Result<Observation, ClusterReadError> {
    let reading = reader.read(scope).await?;
    Ok(assemble(reading, catalog, options))
}

/// The snapshot of what was read: the API server's clock counts, unless the options tell another.
pub fn assemble(reading: ClusterReading, catalog: &Catalog, options: &DumpOptions) -> Observation {
    assemble_with(reading, catalog, options, &|_| {})
}

/// The same, with what AWS has for each class.
pub fn assemble_with(
    reading: ClusterReading,
    catalog: &Catalog,
    options: &DumpOptions,
    resolve: &dyn Fn(&mut NodeClass),
) -> Observation {
    let ClusterReading { mut collection, stale, now, all_pods, traffic, .. } = reading;
    collection.snapshot.node_classes.iter_mut().for_each(resolve);
    let options = DumpOptions { now: options.now.or(Some(now)), ..options.clone() };
    let Dump { snapshot, findings, unreadable_pods, objects } =
        assembly::assemble(collection, catalog, &options);
    let observation =
        Observation { snapshot, findings, unreadable_pods, objects, ..Observation::default() };
    Observation { stale, all_pods, traffic, ..observation }
}
