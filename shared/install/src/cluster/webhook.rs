//! Whether the webhook is there: two replicas, ready, on two nodes that Joiner does not manage.

use super::objects::{Named, Objects};
use crate::problem::Problem;
use model::labels::{NODE_POOL, PROVISIONER_NAME};
use model::mode::NAMESPACE;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// The label of its pods.
const SELECTOR: &str = "app.kubernetes.io/name=joiner-webhook";
/// The name of its Deployment.
const NAME: &str = "joiner-webhook";
/// How many replicas there must be.
const REPLICAS: usize = 2;

/// How it is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Readiness {
    /// Nodes on which a ready replica is, by name, and whether a pool manages them.
    nodes: BTreeMap<String, bool>,
    /// Ready replicas.
    ready: usize,
    /// Why others are not, as the kube-scheduler and the kubelets say.
    why: BTreeSet<String>,
    /// What is left of the rollout: until it is done the ready replicas are of the version before.
    rollout: Option<String>,
}

impl Readiness {
    /// What is wrong; `None` if nothing is.
    pub(crate) fn problem(&self) -> Option<String> {
        let managed =
            self.nodes.iter().filter(|(_, managed)| **managed).map(|(name, _)| name.as_str());
        let managed = managed.collect::<Vec<_>>();
        if !managed.is_empty() {
            return Some(format!(
                "replicas run on nodes that Joiner manages: {}",
                managed.join(", ")
            ));
        }
        if self.ready < REPLICAS {
            let why = self.why.iter().map(|why| format!(": {why}")).next().unwrap_or_default();
            return Some(format!("{} of {REPLICAS} replicas are ready{why}", self.ready));
        }
        if self.nodes.len() < REPLICAS {
            return Some("both replicas are on one node".to_owned());
        }
        self.rollout.clone()
    }
}

/// Whether a pool manages the node, Joiner's or Karpenter's.
fn is_managed(node: &Value) -> bool {
    let labels = &node["metadata"]["labels"];
    [NODE_POOL, PROVISIONER_NAME].iter().any(|label| labels[*label].is_string())
}

fn holds(object: &Value, condition: &str) -> bool {
    let all = object["status"]["conditions"].as_array().into_iter().flatten();
    all.into_iter().any(|one| one["type"] == condition && one["status"] == "True")
}

/// Looks at the pods and their nodes.
///
/// # Errors
/// If the API server does not tell.
pub(crate) async fn look(objects: &Objects) -> Result<Readiness, Problem> {
    let pods = objects.list("v1", "Pod", SELECTOR).await?;
    let nodes = objects.list("v1", "Node", "").await?;
    let managed =
        |name: &str| nodes.iter().any(|node| node["metadata"]["name"] == name && is_managed(node));
    let own = pods.iter().filter(|pod| {
        pod["metadata"]["namespace"] == NAMESPACE && pod["metadata"]["deletionTimestamp"].is_null()
    });
    let deployment = Named::new("apps/v1", "Deployment", Some(NAMESPACE), NAME);
    let deployment = objects.get(&deployment).await?.unwrap_or_default();
    let mut found = Readiness { rollout: rollout(&deployment), ..Readiness::default() };
    for pod in own {
        if holds(pod, "Ready") {
            let node = pod["spec"]["nodeName"].as_str().unwrap_or_default();
            found.nodes.insert(node.to_owned(), managed(node));
            found.ready += 1;
        } else {
            found.why.extend(why(pod));
        }
    }
    Ok(found)
}

/// What `kubectl rollout status` waits for.
fn rollout(deployment: &Value) -> Option<String> {
    let status = |field: &str| deployment["status"][field].as_i64().unwrap_or_default();
    if status("observedGeneration") < deployment["metadata"]["generation"].as_i64().unwrap_or(1) {
        return Some("its rollout has not begun".to_owned());
    }
    let (all, updated) = (status("replicas"), status("updatedReplicas"));
    let wanted = deployment["spec"]["replicas"].as_i64().unwrap_or_default();
    let available = status("availableReplicas");
    let done = updated == wanted && all == updated && available == updated;
    (!done).then(|| {
        format!("its rollout goes on: of {all} replicas {updated} are new, {available} available")
    })
}

/// Why a pod is not ready.
fn why(pod: &Value) -> Option<String> {
    let waiting = &pod["status"]["containerStatuses"][0]["state"]["waiting"];
    let kubelet = ["reason", "message"].map(|field| waiting[field].as_str().unwrap_or_default());
    let kubelet = kubelet.join(" ").trim().to_owned();
    let conditions = pod["status"]["conditions"].as_array().into_iter().flatten();
    let mut unscheduled =
        conditions.filter(|one| one["type"] == "PodScheduled" && one["status"] == "False");
    let scheduler = unscheduled.find_map(|one| one["message"].as_str().map(str::to_owned));
    scheduler.or_else(|| (!kubelet.is_empty()).then_some(kubelet))
}

/// How many ready nodes there are outside Joiner's and Karpenter's management.
///
/// # Errors
/// If the API server does not tell.
pub(crate) async fn nodes(objects: &Objects) -> Result<usize, Problem> {
    let nodes = objects.list("v1", "Node", "").await?;
    Ok(nodes.iter().filter(|node| !is_managed(node) && holds(node, "Ready")).count())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    /// Row 31 of gen3's page: two nodes outside of its management.
    #[test]
    fn row_31_two_replicas_on_two_nodes_that_joiner_does_not_manage() {
        let check = |nodes: &[(&str, bool)], ready: usize, expected: Option<&str>| {
            let nodes = nodes.iter().map(|(name, managed)| ((*name).to_owned(), *managed));
            let found = Readiness { nodes: nodes.collect(), ready, ..Readiness::default() };
            assert_eq!(found.problem().as_deref(), expected);
        };
        check(&[("a", false), ("b", false)], 2, None);
        check(&[("a", false)], 2, Some("both replicas are on one node"));
        check(&[("a", false)], 1, Some("1 of 2 replicas are ready"));
        check(
            &[("a", false), ("b", true)],
            2,
            Some("replicas run on nodes that Joiner manages: b"),
        );
        check(&[], 0, Some("0 of 2 replicas are ready"));
    }

    #[test]
    fn two_ready_replicas_of_the_version_before_are_not_enough() {
        let deployment = |observed: i64, updated: i64, all: i64, available: i64| {
            json!({
                "metadata": { "generation": 2 },
                "spec": { "replicas": 2 },
                "status": {
                    "observedGeneration": observed, "updatedReplicas": updated,
                    "replicas": all, "availableReplicas": available,
                },
            })
        };
        let cases = [
            (deployment(1, 2, 2, 2), Some("its rollout has not begun")),
            (
                deployment(2, 1, 2, 2),
                Some("its rollout goes on: of 2 replicas 1 are new, 2 available"),
            ),
            (
                deployment(2, 2, 3, 2),
                Some("its rollout goes on: of 3 replicas 2 are new, 2 available"),
            ),
            (
                deployment(2, 2, 2, 1),
                Some("its rollout goes on: of 2 replicas 2 are new, 1 available"),
            ),
            (deployment(2, 2, 2, 2), None),
            (Value::Null, Some("its rollout has not begun")),
        ];
        for (deployment, expected) in cases {
            let nodes = [("a".to_owned(), false), ("b".to_owned(), false)].into();
            let rollout = rollout(&deployment);
            let found = Readiness { nodes, ready: 2, rollout, ..Readiness::default() };
            assert_eq!(found.problem().as_deref(), expected, "{deployment}");
        }
    }
}
