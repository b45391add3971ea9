//! A canary's life from end to end: a pod is made that only a new node can hold, Joiner buys one, the pod gets it, and both go again.

use super::{Changes, Done, Progress, Work, verify};
use crate::change::Change;
use crate::cluster::objects::{Named, Objects};
use crate::cluster::wait::{Looked, until};
use crate::problem::Problem;
use crate::site::Site;
use model::labels::HOSTNAME;
use model::mode::{MODE, Mode, NAMESPACE};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::time::Duration;

/// The pod's name, by which one that an earlier run left is found.
const NAME: &str = "joiner-canary";
/// The annotation of the pod that names the nodes which were there before it, with commas between.
const BEFORE: &str = "joiner.dev/nodes-before";
/// A function wakes within seconds and an instance is a node within minutes; slow images take longer.
const PATIENCE: Duration = Duration::from_secs(600);
const CLAIM_API: &str = "karpenter.sh/v1";

/// A canary's life from end to end.
pub(super) struct Canary {
    /// The pool that is tried; the first that can be served if none is named.
    pub(super) pool: Option<String>,
}

fn pod() -> Named {
    Named::new("v1", "Pod", Some(NAMESPACE), NAME)
}

/// The pool that is tried, and the label of its nodes.
async fn chosen(site: &Site, wanted: Option<&str>) -> Result<(String, &'static str), Problem> {
    let all = verify::pools(site).await?;
    let found = all.iter().find(|(name, _, serves)| match wanted {
        Some(wanted) => name == wanted,
        None => *serves,
    });
    match (found, wanted) {
        (Some((name, version, _)), _) => Ok((name.clone(), version.pool_label())),
        (None, Some(wanted)) => {
            let names = all.iter().map(|(name, ..)| name.as_str()).collect::<Vec<_>>().join(", ");
            Err(Problem::input(
                format!("pool {wanted}"),
                format!("there is none; there are: {names}"),
            ))
        }
        (None, None) => Err(Problem::unfinished(
            "a canary",
            "no pool can be served",
            "mend a pool or its class and run the same command again",
        )),
    }
}

/// Where nothing acts the canary would wait in vain.
async fn acts(objects: &Objects) -> Result<(), Problem> {
    let settings = objects.get(&super::namespace::settings()).await?.unwrap_or_default();
    match settings["data"][MODE].as_str() {
        None => Ok(()),
        Some(mode) if mode == Mode::Act.as_str() => Ok(()),
        Some(mode) => Err(Problem::conflict(
            super::namespace::settings().to_string(),
            format!("{MODE} is {mode}, so that no node would be bought"),
            "run `joiner resume`, or `joiner install` to the end, and the same command again",
        )),
    }
}

/// The pod: small, for that pool alone, on none of the nodes that are there.
fn made(pool: &str, label: &str, image: &str, before: &[String]) -> Value {
    let mut rules = vec![json!({ "key": label, "operator": "In", "values": [pool] })];
    if !before.is_empty() {
        rules.push(json!({ "key": HOSTNAME, "operator": "NotIn", "values": before }));
    }
    let terms = json!({ "nodeSelectorTerms": [{ "matchExpressions": rules }] });
    json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": { "name": NAME, "namespace": NAMESPACE, "annotations": { BEFORE: before.join(",") } },
        "spec": {
            "restartPolicy": "Never", "activeDeadlineSeconds": PATIENCE.as_secs(), "terminationGracePeriodSeconds": 0,
            "automountServiceAccountToken": false,
            "affinity": { "nodeAffinity": { "requiredDuringSchedulingIgnoredDuringExecution": terms } },
            // Whatever the pool's taints are.
            "tolerations": [{ "operator": "Exists" }],
            "securityContext": { "runAsNonRoot": true, "runAsUser": 65_532, "seccompProfile": { "type": "RuntimeDefault" } },
            "containers": [{
                "name": "canary", "image": image, "args": ["--help"],
                "resources": { "requests": { "cpu": "100m", "memory": "128Mi" } },
                "securityContext": { "allowPrivilegeEscalation": false, "capabilities": { "drop": ["ALL"] } },
            }],
        },
    })
}

/// The webhook's image: the nodes of the cluster can pull it, and no registry of others is asked.
async fn image(objects: &Objects) -> Result<String, Problem> {
    let webhook = Named::new("apps/v1", "Deployment", Some(NAMESPACE), "joiner-webhook");
    let found = objects.get(&webhook).await?.unwrap_or_default();
    let image = found["spec"]["template"]["spec"]["containers"][0]["image"].as_str();
    image
        .map(str::to_owned)
        .ok_or_else(|| Problem::not_found(webhook.to_string(), "", "run `joiner install` first"))
}

/// The names of the pool's nodes, as their label of the hostname has them.
async fn hostnames(objects: &Objects, pool: &str, label: &str) -> Result<Vec<String>, Problem> {
    let nodes = objects.list("v1", "Node", &format!("{label}={pool}")).await?;
    let names = nodes.iter().filter_map(|node| node["metadata"]["labels"][HOSTNAME].as_str());
    Ok(names.map(str::to_owned).collect())
}

fn holds(object: &Value, condition: &str) -> bool {
    let all = object["status"]["conditions"].as_array().into_iter().flatten();
    all.into_iter().any(|one| one["type"] == condition && one["status"] == "True")
}

/// How far the canary is: on its node, or what it waits for.
async fn reached(objects: &Objects) -> Result<Looked, Problem> {
    let found = objects.get(&pod()).await?;
    let Some(found) = found else {
        let todo = "run the same command again";
        return Err(Problem::unfinished(pod().to_string(), "somebody deleted it", todo));
    };
    let Some(name) = found["spec"]["nodeName"].as_str() else {
        return Ok(Looked::NotYet("it waits for a node".to_owned()));
    };
    let node = objects.get(&Named::new("v1", "Node", None, name)).await?.unwrap_or_default();
    if !holds(&node, "Ready") {
        return Ok(Looked::NotYet(format!("its node {name} is not ready yet")));
    }
    // It prints its usage and ends, or cannot on a machine of another architecture: either way its node runs pods.
    let status = &found["status"];
    match status["phase"].as_str() {
        Some("Running" | "Succeeded" | "Failed") => Ok(Looked::Ready),
        _ => {
            let waiting = &status["containerStatuses"][0]["state"]["waiting"]["reason"];
            let why = waiting.as_str().map(|why| format!(": {why}")).unwrap_or_default();
            Ok(Looked::NotYet(format!("{name} is ready and starts the pod{why}")))
        }
    }
}

/// The pod goes, and so does the node that came for it, unless another pod lives there by now.
async fn tidy(objects: &Objects, progress: Progress<'_>) -> Result<(), Problem> {
    let Some(found) = objects.get(&pod()).await? else { return Ok(()) };
    objects.delete(&pod()).await?;
    let before = found["metadata"]["annotations"][BEFORE].as_str().unwrap_or_default();
    let before = before.split(',').collect::<BTreeSet<_>>();
    let Some(node) = found["spec"]["nodeName"].as_str().filter(|name| !before.contains(name))
    else {
        return Ok(());
    };
    let claims = objects.list(CLAIM_API, "NodeClaim", "").await?;
    let Some(claim) = claims.iter().find(|claim| claim["status"]["nodeName"] == node) else {
        return Ok(());
    };
    let pods = objects.list("v1", "Pod", "").await?;
    if let Some(other) = pods.iter().find(|pod| lives_on(pod, node)) {
        progress(&format!("{} lives on {node}, which stays", Named::of(other)));
        return Ok(());
    }
    let claim = Named::of(claim);
    progress(&format!("{claim} goes, and {node} with it"));
    objects.delete(&claim).await?;
    let look = || async {
        let there = objects.get(&claim).await?.is_some();
        Ok(if there {
            Looked::NotYet(format!("{node} is drained and ended"))
        } else {
            Looked::Ready
        })
    };
    let names = (
        "the canary's node",
        "see what holds it with `joiner explain node NAME`, and `joiner status`",
    );
    until(names, PATIENCE, progress, look).await
}

/// Whether the pod would miss the node: those of daemonsets come and go with it.
fn lives_on(pod: &Value, node: &str) -> bool {
    let owners = pod["metadata"]["ownerReferences"].as_array().into_iter().flatten();
    let of_node = owners.into_iter().any(|one| one["kind"] == "DaemonSet" || one["kind"] == "Node");
    let ended = matches!(pod["status"]["phase"].as_str(), Some("Succeeded" | "Failed"));
    pod["spec"]["nodeName"] == node && pod["metadata"]["name"] != NAME && !of_node && !ended
}

async fn carry_out(site: &Site, pool: Option<&str>, progress: Progress<'_>) -> Result<(), Problem> {
    let objects = Objects::new(&site.kube);
    acts(&objects).await?;
    tidy(&objects, progress).await?;
    let (pool, label) = chosen(site, pool).await?;
    let before = hostnames(&objects, &pool, label).await?;
    let wanted = made(&pool, label, &image(&objects).await?, &before);
    objects.create(&wanted).await?;
    progress(&format!("{} waits for a node of pool {pool}", pod()));
    let names = (
        "the canary",
        "see `joiner status` and `kubectl -n joiner describe pod joiner-canary`; the same command again takes it away and tries anew",
    );
    until(names, PATIENCE, progress, || reached(&objects)).await?;
    let found = objects.get(&pod()).await?.unwrap_or_default();
    let node = found["spec"]["nodeName"].as_str().unwrap_or_default();
    progress(&format!("{} runs on {node}, which came for it", pod()));
    tidy(&objects, progress).await?;
    progress(&format!("{} and its node have gone", pod()));
    Ok(())
}

impl Work for Canary {
    fn name(&self) -> &'static str {
        "canary"
    }

    async fn look(&self, site: &Site) -> Changes {
        let objects = Objects::new(&site.kube);
        let left = objects.get(&pod()).await?.is_some();
        Ok(vec![match left {
            true => Change::update(
                pod().to_string(),
                "an earlier run left it: it goes, and is made anew",
            ),
            false => {
                Change::create(pod().to_string(), "waits for a node of its own, then both go again")
            }
        }])
    }

    async fn carry_out(&self, site: &Site, _changes: &[Change], progress: Progress<'_>) -> Done {
        carry_out(site, self.pool.as_deref(), progress).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::labels::PROVISIONER_NAME;

    #[test]
    fn the_canary_is_for_a_new_node_of_its_pool_alone() {
        let rules = |before: &[String]| {
            let pod = made("default", PROVISIONER_NAME, "image", before);
            let terms = &pod["spec"]["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"];
            terms["nodeSelectorTerms"][0]["matchExpressions"].clone()
        };
        let pool = json!({ "key": PROVISIONER_NAME, "operator": "In", "values": ["default"] });
        assert_eq!(rules(&[]), json!([pool]));
        let others = json!({ "key": HOSTNAME, "operator": "NotIn", "values": ["a", "b"] });
        assert_eq!(rules(&["a".to_owned(), "b".to_owned()]), json!([pool, others]));
    }

    #[test]
    fn a_node_on_which_somebody_lives_stays() {
        let check = |name: &str, owner: &str, phase: &str, node: &str, expected: bool| {
            let pod = json!({
                "metadata": { "name": name, "ownerReferences": [{ "kind": owner }] },
                "spec": { "nodeName": node }, "status": { "phase": phase },
            });
            assert_eq!(lives_on(&pod, "n"), expected, "{pod}");
        };
        check("web", "ReplicaSet", "Running", "n", true);
        check("web", "ReplicaSet", "Pending", "n", true);
        check("web", "ReplicaSet", "Running", "m", false);
        check("aws-node", "DaemonSet", "Running", "n", false);
        check("done", "Job", "Succeeded", "n", false);
        check(NAME, "", "Running", "n", false);
    }
}
