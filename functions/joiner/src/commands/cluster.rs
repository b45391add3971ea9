//! The cluster of a kubeconfig, read-only.

use super::input::ClusterArguments;
use anyhow::{Context, Result};
use catalog::Catalog;
use observe::cluster::{ClusterReader, Connection, Scope, list_objects};
use observe::live::{Observation, snapshot_of_cluster};
use observe::{Dump, DumpOptions};
use serde_json::Value;

/// Reads the cluster as a plan needs it.
pub(super) fn read(
    arguments: &ClusterArguments,
    catalog: &Catalog,
    options: &DumpOptions,
    all_pods: bool,
) -> Result<Dump> {
    runtime()?.block_on(async {
        let connection = connect(arguments).await?;
        let mut reader = ClusterReader::new(connection.client.clone());
        let scope = Scope { all_pods, ..Scope::default() };
        let read = snapshot_of_cluster(&mut reader, catalog, options, &scope).await;
        let Observation { snapshot, findings, unreadable_pods, objects, .. } =
            read.with_context(|| of(&connection))?;
        Ok(Dump { snapshot, findings, unreadable_pods, objects })
    })
}

/// All objects of these kinds as a dump keeps them, or why they could not be read; `None` for kinds that the cluster does not have.
pub(super) fn objects(
    arguments: &ClusterArguments,
    kinds: &[&str],
    each: &mut dyn FnMut(&str, Result<Option<Vec<Value>>>) -> Result<()>,
) -> Result<()> {
    runtime()?.block_on(async {
        let connection = connect(arguments).await?;
        for kind in kinds {
            let mask = |object| super::dump::masked(&object);
            let objects = list_objects(&connection.client, kind, mask).await;
            each(kind, objects.with_context(|| of(&connection)))?;
        }
        Ok(())
    })
}

fn of(connection: &Connection) -> String {
    format!("the cluster of the context {:?}", connection.name)
}

async fn connect(arguments: &ClusterArguments) -> Result<Connection> {
    let (file, context) = (arguments.kubeconfig.as_deref(), arguments.context.as_deref());
    let connection = Connection::from_kubeconfig(file, context).await;
    connection.context(
        "no cluster can be read; name one with --kubeconfig and --context, or files with -f",
    )
}

fn runtime() -> Result<tokio::runtime::Runtime> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.context("the runtime cannot be started")
}
