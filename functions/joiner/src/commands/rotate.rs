//! `joiner rotate`.

use super::input::ClusterArguments;
use super::layout::{align, count};
use super::style::Style;
use anyhow::{Result, bail};
use model::{DisruptionReason, NodePool, Plan, Snapshot, Timestamp};
use std::process::ExitCode;

/// Replace a pool's nodes by new ones, within its budgets.
///
/// Without --yes nothing is changed: what would begin is printed. With --yes the annotation joiner.dev/rotate is set to the present
/// moment on the pool; from then on every node of it that was made before counts as drifted, and is replaced like any other: its
/// replacement first, as many at a time as the pool's budgets allow, never against do-not-disrupt or disruption budgets of pods.
/// Taking the annotation off ends it.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// The pool: the name of a NodePool or a Provisioner
    pool: String,
    /// Do it
    #[arg(long)]
    yes: bool,
    #[command(flatten)]
    cluster: ClusterArguments,
}

/// Runs the subcommand.
pub(crate) fn run(arguments: Arguments) -> Result<ExitCode> {
    let catalog = super::catalog::read(None)?;
    let input = super::input::Input { cluster: arguments.cluster.clone(), ..Default::default() };
    let snapshot = input.read(&catalog, &observe::DumpOptions::default(), true)?.snapshot;
    let pool = pool(&snapshot, &arguments.pool)?;
    let then = rotated(&snapshot, &pool.name);
    let plan = planner::plan(&then, &planner::Options::default());
    print!("{}", preview(&then, &pool.name, &plan, &Style::of_terminal()));
    if !arguments.yes {
        println!("Nothing was changed; say --yes to begin.");
        return Ok(ExitCode::SUCCESS);
    }
    super::cluster::rotate(&arguments.cluster, pool, &moment(snapshot.now)?)?;
    println!("Pool {} rotates.", pool.name);
    Ok(ExitCode::SUCCESS)
}

fn pool<'a>(snapshot: &'a Snapshot, name: &str) -> Result<&'a NodePool> {
    let found = snapshot.node_pools.iter().find(|pool| pool.name == name);
    let Some(pool) = found else {
        let names = snapshot.node_pools.iter().map(|pool| pool.name.as_str()).collect::<Vec<_>>();
        bail!("there is no pool {name:?}; there are {}", names.join(", "));
    };
    if let Some(problem) = &pool.problem {
        bail!("pool {name} cannot make new nodes now: {problem}");
    }
    Ok(pool)
}

/// `2026-01-31T12:00:00Z`, as the annotation is written.
fn moment(at: Timestamp) -> Result<String> {
    Ok(jiff::Timestamp::from_second(at.0)?.to_string())
}

/// The cluster with the annotation set.
fn rotated(snapshot: &Snapshot, name: &str) -> Snapshot {
    let mut then = snapshot.clone();
    let pools = then.node_pools.iter_mut().filter(|pool| pool.name == name);
    pools.for_each(|pool| pool.disruption.rotate_before = Some(snapshot.now));
    then
}

/// What begins at once, and what keeps the other nodes.
fn preview(snapshot: &Snapshot, pool: &str, plan: &Plan, style: &Style) -> String {
    let mut nodes =
        snapshot.nodes.iter().filter(|node| node.pool() == Some(pool)).collect::<Vec<_>>();
    nodes.sort_by(|a, b| a.name.cmp(&b.name));
    let drifted = |told: &&model::PlannedDisruption| told.reason == DisruptionReason::Drifted;
    let begins = |name: &str| {
        let told = plan.disruptions.iter().filter(drifted);
        told.into_iter().any(|told| told.nodes.iter().any(|node| **node == *name))
    };
    let mut rows = vec![["NODE", ""].map(String::from)];
    for node in &nodes {
        let note = if begins(&node.name) {
            "is replaced at once".to_owned()
        } else {
            later(snapshot, &node.name)
        };
        rows.push([node.name.to_string(), note]);
    }
    let first = nodes.iter().filter(|node| begins(&node.name)).count();
    let all = count(nodes.len(), "node");
    format!("Pool {pool}: {all}, {first} at once\n{}", align(&rows, &[], style))
}

fn later(snapshot: &Snapshot, name: &str) -> String {
    let told = planner::explain_node(snapshot, name, &planner::Options { steps: 1_000_000 });
    let causes = told.map(|told| told.causes).unwrap_or_default();
    let kept = causes.into_iter().find(|(reason, _)| *reason == DisruptionReason::Drifted);
    match kept {
        Some((_, Some(kept))) => format!("later: {kept}"),
        Some((_, None)) => "later, when the budgets allow".to_owned(),
        None => "stays: it is not Joiner's, or has no claim".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_written_as_kubernetes_writes_them() {
        assert_eq!(moment(Timestamp(1_767_225_600)).unwrap(), "2026-01-01T00:00:00Z");
    }

    #[test]
    fn a_pool_that_is_not_there_is_named() {
        let error = pool(&Snapshot::default(), "web").unwrap_err();
        assert!(error.to_string().contains("\"web\""));
    }

    #[test]
    fn the_pool_alone_is_marked() {
        let new = |name| NodePool::new(name, model::pool::ApiVersion::V1, "default", "all");
        let now = Timestamp(7);
        let pools = vec![new("a"), new("b")];
        let then = rotated(&Snapshot { now, node_pools: pools, ..Snapshot::default() }, "b");
        let marks = then.node_pools.iter().map(|pool| pool.disruption.rotate_before);
        assert_eq!(marks.collect::<Vec<_>>(), [None, Some(now)]);
    }
}
