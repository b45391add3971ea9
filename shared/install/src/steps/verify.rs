//! A dry decision from end to end: the cluster and AWS are read as a function reads them, and a pod that waits is decided for, for each
//! pool. Nothing is written.

use super::{Changes, Done, Progress, Work};
use crate::change::Change;
use crate::cluster::objects::Objects;
use crate::problem::Problem;
use crate::site::Site;
use model::pool::ApiVersion;
use model::taints::Toleration;
use model::{NodePool, Plan, Pod, PodId, PodSpec, Resources, Snapshot};
use observe::cloud::CloudReader;
use observe::cluster::ClusterReader;
use observe::observer::{Observation, Observer, Sources};
use std::sync::Arc;
use std::time::Duration;

/// The pod that is decided for; it is never made.
const CANARY: &str = "joiner-canary";

/// A dry decision from end to end.
pub(super) struct Verify;

/// What came of a pool.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Decision {
    /// What would be bought.
    Buys(String),
    /// Why nothing would.
    Nothing(String),
}

impl Decision {
    fn buys(&self) -> bool {
        matches!(self, Self::Buys(_))
    }
}

async fn observe(site: &Site) -> Result<Observation, Problem> {
    let unread = |cause: String| {
        let todo = "mend that and run the same command again; `joiner plan` shows the same";
        Problem::unfinished("a dry decision", cause, todo)
    };
    let catalog = catalog::Catalog::embedded().map_err(|error| unread(error.to_string()))?;
    let sources = Sources {
        cluster_name: site.cluster.clone(),
        isolated_vpc: false,
        settings: catalog::Settings::default(),
        namespace: model::mode::NAMESPACE.to_owned(),
        facts_config_map: "joiner-facts".to_owned(),
        offerings_config_map: "joiner-offerings".to_owned(),
        all_pods: false,
    };
    let cluster = ClusterReader::new(site.kube.clone());
    let cloud = CloudReader::new(&site.config, catalog);
    let seen = Observer::new(cluster, cloud, sources).observe().await;
    seen.map_err(|error| unread(error.to_string()))
}

/// The pools of the cluster, of which API they are, and whether a waiting pod would get a node of theirs.
pub(super) async fn pools(site: &Site) -> Result<Vec<(String, ApiVersion, bool)>, Problem> {
    let snapshot = observe(site).await?.snapshot;
    let version = |name: &str| {
        let pool = snapshot.node_pools.iter().find(|pool| pool.name == name);
        pool.map_or(ApiVersion::V1, |pool| pool.api_version)
    };
    let all = decisions(&snapshot).into_iter();
    Ok(all.map(|(name, decision)| (name.clone(), version(&name), decision.buys())).collect())
}

/// The pools of the cluster, with what a waiting pod of each would get.
fn decisions(snapshot: &Snapshot) -> Vec<(String, Decision)> {
    let pools = snapshot.node_pools.iter().filter(|pool| pool.api_version != ApiVersion::BuiltIn);
    let decide = |pool: &NodePool| {
        let world = canary_world(snapshot, pool);
        let plan = planner::plan(&world, &planner::Options { steps: 1_000_000 });
        (pool.name.clone(), decision(pool, &plan))
    };
    pools.map(decide).collect()
}

/// The pool alone in an empty cluster with one pod that waits for it: what others run, and how full the pool is, says nothing of
/// whether it can be served.
fn canary_world(snapshot: &Snapshot, pool: &NodePool) -> Snapshot {
    Snapshot {
        pods: vec![canary()],
        nodes: Vec::new(),
        node_claims: Vec::new(),
        node_pools: vec![pool.clone()],
        instances: None,
        ..snapshot.clone()
    }
}

fn canary() -> Pod {
    let requests = Resources::new().with("cpu", 100).with("memory", 128 << 20);
    // Whatever the pool's taints are.
    let tolerations =
        vec![Toleration { key: None, exists: true, value: String::new(), effect: None }];
    let spec = PodSpec { requests, tolerations, ..PodSpec::default() };
    let id = PodId::new(model::mode::NAMESPACE, CANARY);
    Pod { uid: CANARY.to_owned(), ..Pod::waiting(id, Arc::default(), Arc::new(spec)) }
}

fn decision(pool: &NodePool, plan: &Plan) -> Decision {
    if let Some(launch) = plan.launches.first() {
        let (offering, price) = (&launch.offering, launch.offering.price.0);
        return Decision::Buys(format!(
            "{} in {}, {}, ${}.{:04} an hour",
            offering.instance_type,
            offering.zone,
            offering.capacity_type,
            price / 1_000_000,
            price % 1_000_000 / 100
        ));
    }
    let reason = plan.unschedulable.first().and_then(|left| left.reasons.first());
    let reason = reason.map(ToString::to_string).or_else(|| pool.problem.clone());
    Decision::Nothing(reason.unwrap_or_else(|| "nothing was decided".to_owned()))
}

fn told(all: &[(String, Decision)]) -> Vec<Change> {
    let change = |(pool, decision): &(String, Decision)| {
        let object = format!("pool {pool}");
        match decision {
            Decision::Buys(what) => {
                Change::keep(object, format!("a pod that waits would get {what}"))
            }
            Decision::Nothing(why) => {
                Change::keep(object, format!("a pod that waits would get nothing: {why}"))
            }
        }
    };
    all.iter().map(change).collect()
}

/// Nothing is proved if no pool can be served.
fn proved(all: &[(String, Decision)]) -> Result<(), Problem> {
    if all.iter().any(|(_, decision)| decision.buys()) {
        return Ok(());
    }
    let why = all.iter().map(|(pool, decision)| match decision {
        Decision::Buys(what) => format!("{pool}: {what}"),
        Decision::Nothing(why) => format!("{pool}: {why}"),
    });
    let why = why.collect::<Vec<_>>().join("; ");
    let cause = if why.is_empty() { "there is no pool".to_owned() } else { why };
    let todo = "mend a pool or its class and run the same command again";
    Err(Problem::unfinished("a dry decision", format!("no pool can be served: {cause}"), todo))
}

impl Work for Verify {
    fn name(&self) -> &'static str {
        "verify"
    }

    async fn look(&self, site: &Site) -> Changes {
        let objects = Objects::new(&site.kube);
        if !crate::cluster::crds::all_served(&objects).await? {
            return Ok(vec![Change::update(
                "a dry decision",
                "once the custom resources are there",
            )]);
        }
        let all = decisions(&observe(site).await?.snapshot);
        if all.is_empty() {
            return Ok(vec![Change::update("a dry decision", "once there are pools")]);
        }
        Ok(told(&all))
    }

    async fn carry_out(&self, site: &Site, _changes: &[Change], progress: Progress<'_>) -> Done {
        let objects = Objects::new(&site.kube);
        super::webhook::ready(&objects, Duration::ZERO, progress).await?;
        proved(&decisions(&observe(site).await?.snapshot))
    }

    fn proves(&self) -> bool {
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decided(all: &[(&str, Option<&str>)]) -> Vec<(String, Decision)> {
        let of = |(pool, buys): &(&str, Option<&str>)| {
            let decision = match buys {
                Some(what) => Decision::Buys((*what).to_owned()),
                None => Decision::Nothing("no subnet".to_owned()),
            };
            ((*pool).to_owned(), decision)
        };
        all.iter().map(of).collect()
    }

    #[test]
    fn one_pool_that_can_be_served_is_proof_enough_and_none_is_not() {
        assert_eq!(proved(&decided(&[("a", None), ("b", Some("m5.large"))])), Ok(()));
        let error = |all: &[(&str, Option<&str>)]| proved(&decided(all)).unwrap_err().to_string();
        assert!(error(&[("a", None)]).contains("no pool can be served: a: no subnet"));
        assert!(error(&[]).contains("there is no pool"));
    }

    #[test]
    fn the_canary_waits_and_stands_all_taints() {
        assert!(canary().is_provisionable());
    }
}
