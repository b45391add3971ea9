//! Rules between objects.

use crate::finding::{Finding, Severity};
use model::pool::ApiVersion;
use model::{NodeClass, NodePool};

/// Checks pools against node classes and against each other, and sets the `problem` of those that cannot be used.
/// Of several pools of one name only one stays: the newest API's, and within it the last, as applying them in order would have it.
/// Returns findings by pool name.
pub fn link(pools: &mut Vec<NodePool>, classes: &[NodeClass]) -> Vec<(String, Finding)> {
    let replaced = (0..pools.len()).map(|index| repeated(pools, index)).collect::<Vec<_>>();
    let mut stays = replaced.iter().map(Option::is_none);
    pools.retain(|_| stays.next().unwrap_or(true));
    let mut findings = replaced.into_iter().flatten().collect::<Vec<_>>();
    for pool in pools.iter_mut() {
        let finding = dangling(pool, classes);
        record(pool, finding, &mut findings);
    }
    findings
}

fn record(
    pool: &mut NodePool,
    finding: Option<(Finding, String)>,
    findings: &mut Vec<(String, Finding)>,
) {
    if let Some((finding, problem)) = finding {
        pool.problem.get_or_insert(problem);
        findings.push((pool.name.clone(), finding));
    }
}

fn kind(version: ApiVersion) -> &'static str {
    match version {
        ApiVersion::Legacy => "Provisioner",
        ApiVersion::V1Beta1 | ApiVersion::V1 | ApiVersion::BuiltIn => "NodePool",
    }
}

/// Whether another pool takes the place of the one at `index`.
fn repeated(pools: &[NodePool], index: usize) -> Option<(String, Finding)> {
    let pool = pools.get(index)?;
    let rank = |index: usize, pool: &NodePool| (pool.api_version != ApiVersion::Legacy, index);
    let mut others = pools.iter().enumerate().filter(|(_, other)| other.name == pool.name);
    let (_, other) = others.find(|(at, other)| rank(*at, other) > rank(index, pool))?;
    let message = format!(
        "there is another {} named {}, which takes its place; rename one of them",
        kind(other.api_version),
        pool.name
    );
    Some((pool.name.clone(), error("name-repeated", "metadata.name", message).0))
}

fn error(rule: &'static str, path: &str, message: String) -> (Finding, String) {
    let problem = format!("{path}: {message}");
    (Finding { severity: Severity::Error, path: path.to_owned(), rule, message }, problem)
}

/// Whether the pool's node class is missing, or cannot be used.
fn dangling(pool: &NodePool, classes: &[NodeClass]) -> Option<(Finding, String)> {
    if pool.node_class.is_empty() || pool.api_version == ApiVersion::BuiltIn {
        return None;
    }
    let (path, kind) = match pool.api_version {
        ApiVersion::Legacy => ("spec.providerRef.name", "AWSNodeTemplate"),
        ApiVersion::V1Beta1 | ApiVersion::V1 | ApiVersion::BuiltIn => {
            ("spec.template.spec.nodeClassRef.name", "EC2NodeClass")
        }
    };
    let name = &pool.node_class;
    let named = |class: &&NodeClass| class.name == *name;
    match classes.iter().rev().find(named) {
        None => {
            let message =
                format!("there is no {kind} named {name}; add it to the input or correct the name");
            Some(error("node-class-missing", path, message))
        }
        Some(class) => class.problem.as_ref().map(|problem| {
            let message = format!("the {kind} {name} cannot be used: {problem}");
            error("node-class-unusable", path, message)
        }),
    }
}
