//! The two nodes outside Joiner's management are replaced, one at a time: the next one only when the webhook is ready on two nodes again.

use super::preflight::group::{self, Group};
use super::{Changes, Done, Progress, Work, webhook};
use crate::calls::{
    AUTOSCALING_TERMINATE_INSTANCE_IN_AUTO_SCALING_GROUP, EC2_DESCRIBE_LAUNCH_TEMPLATES,
};
use crate::change::{Change, Verb};
use crate::cluster::objects::Objects;
use crate::cluster::wait::{Looked, until};
use crate::problem::Problem;
use crate::problem_of::{of_aws, of_kube};
use crate::site::Site;
use crate::standing::{self, Standing};
use k8s_openapi::api::core::v1::{Node, Pod};
use kube::Api;
use kube::api::{EvictParams, ListParams, Patch, PatchParams};
use serde_json::json;
use std::time::Duration;

/// Pods end, an instance boots, a kubelet joins.
const PATIENCE: Duration = Duration::from_secs(900);

/// The group's nodes that are not of its newest template; with `--force` all of them.
pub(super) struct Rotate;

impl Work for Rotate {
    fn name(&self) -> &'static str {
        "rotate"
    }

    async fn look(&self, site: &Site) -> Changes {
        let nodes = nodes(site).await?;
        match nodes.is_empty() {
            true => Ok(vec![Change::keep(
                "the two nodes",
                "they are in no auto scaling group; of a managed node group: aws eks update-nodegroup-version",
            )]),
            false => Ok(nodes.iter().map(Candidate::change).collect()),
        }
    }

    async fn carry_out(&self, site: &Site, _changes: &[Change], progress: Progress<'_>) -> Done {
        let objects = Objects::new(&site.kube);
        for node in nodes(site).await?.iter().filter(|node| node.goes) {
            webhook::ready(&objects, PATIENCE, progress).await?;
            replace(site, node, progress).await?;
            let wanted = node.of;
            two_again(site, &node.standing, wanted, progress).await?;
        }
        webhook::ready(&objects, PATIENCE, progress).await
    }
}

/// A node of a group.
struct Candidate {
    standing: Standing,
    instance: String,
    group: String,
    /// How many nodes stand outside Joiner's management.
    of: usize,
    goes: bool,
}

impl Candidate {
    fn change(&self) -> Change {
        let object = format!("node {} ({})", self.standing.name, self.instance);
        let verb = if self.goes { Verb::Update } else { Verb::Keep };
        let told = if self.goes { "is replaced" } else { "is of the newest template" };
        Change::new(verb, object, format!("{told}, in auto scaling group {}", self.group))
    }
}

async fn nodes(site: &Site) -> Result<Vec<Candidate>, Problem> {
    let standing = standing::unmanaged(site).await?;
    let groups = group::find(site, &standing).await?;
    let mut nodes = Vec::new();
    for group in groups.iter().filter(|group| !group.is_managed()) {
        let newest = newest(site, group).await?;
        for node in &standing {
            let found =
                group.instances.iter().find(|each| Some(&each.id) == node.instance.as_ref());
            nodes.extend(found.map(|found| Candidate {
                standing: node.clone(),
                instance: found.id.clone(),
                group: group.name.clone(),
                of: standing.len(),
                goes: site.options.force || !newest.is_empty() && found.made_of != newest,
            }));
        }
    }
    Ok(nodes)
}

/// What the group makes new instances of, as its instances tell it: a launch configuration, or a version of a launch template.
async fn newest(site: &Site, group: &Group) -> Result<String, Problem> {
    let Some((template, version)) =
        group.template.as_ref().filter(|(_, version)| version.starts_with('$'))
    else {
        return Ok(match &group.template {
            Some((_, version)) => version.clone(),
            None => group.configuration.clone().unwrap_or_default(),
        });
    };
    let asked = site.aws.ec2.describe_launch_templates().launch_template_ids(template);
    let answer = asked.send().await;
    let answer = answer.map_err(|error| {
        of_aws(EC2_DESCRIBE_LAUNCH_TEMPLATES, format!("launch template {template}"), &error)
    })?;
    let found = answer.launch_templates().first();
    let number = found.and_then(|found| match version.as_str() {
        "$Default" => found.default_version_number(),
        _ => found.latest_version_number(),
    });
    Ok(number.map(|number| number.to_string()).unwrap_or_default())
}

/// Cordons, evicts within disruption budgets, and ends the instance; the group makes another.
async fn replace(site: &Site, node: &Candidate, progress: Progress<'_>) -> Result<(), Problem> {
    let name = &node.standing.name;
    progress(&format!("node {name} is drained"));
    let nodes: Api<Node> = Api::all(site.kube.clone());
    let cordon = Patch::Merge(json!({ "spec": { "unschedulable": true } }));
    let cordoned = nodes.patch(name, &PatchParams::default(), &cordon).await;
    cordoned.map_err(|error| of_kube("patch", "nodes", format!("node {name}"), &error))?;
    let object = format!("node {name}");
    let todo = "see which pods stay on it (disruption budgets), and run the same command again";
    until((&object, todo), PATIENCE, progress, || drained(site, name)).await?;
    let asked = site.aws.autoscaling.terminate_instance_in_auto_scaling_group();
    let asked = asked.instance_id(&node.instance).should_decrement_desired_capacity(false);
    let ended = asked.send().await;
    ended.map_err(|error| {
        of_aws(
            AUTOSCALING_TERMINATE_INSTANCE_IN_AUTO_SCALING_GROUP,
            format!("instance {}", node.instance),
            &error,
        )
    })?;
    progress(&format!("instance {} is ended; its group makes another", node.instance));
    Ok(())
}

/// Evicts what is left, and tells how much there is.
async fn drained(site: &Site, node: &str) -> Result<Looked, Problem> {
    let pods: Api<Pod> = Api::all(site.kube.clone());
    let listed = pods.list(&ListParams::default().fields(&format!("spec.nodeName={node}"))).await;
    let listed =
        listed.map_err(|error| of_kube("list", "pods", format!("pods of node {node}"), &error))?;
    let left = listed.items.iter().filter(|pod| is_evicted(pod)).collect::<Vec<_>>();
    for pod in &left {
        let meta = &pod.metadata;
        let (namespace, name) =
            (meta.namespace.clone().unwrap_or_default(), meta.name.clone().unwrap_or_default());
        let own: Api<Pod> = Api::namespaced(site.kube.clone(), &namespace);
        match own.evict(&name, &EvictParams::default()).await {
            Ok(_) => {}
            // Gone already, or its budget does not allow it yet.
            Err(kube::Error::Api(status)) if status.code == 404 || status.code == 429 => {}
            Err(error) => {
                return Err(of_kube(
                    "create",
                    "pods/eviction",
                    format!("pod {namespace}/{name}"),
                    &error,
                ));
            }
        }
    }
    Ok(match left.len() {
        0 => Looked::Ready,
        number => Looked::NotYet(format!("{number} pods are still on node {node}")),
    })
}

/// Whether a pod has to go before its node: not one that belongs to the node itself.
fn is_evicted(pod: &Pod) -> bool {
    let owners = pod.metadata.owner_references.as_deref().unwrap_or_default();
    let daemon = owners.iter().any(|owner| owner.kind == "DaemonSet");
    let mirror = pod
        .metadata
        .annotations
        .as_ref()
        .is_some_and(|all| all.contains_key("kubernetes.io/config.mirror"));
    let phase = pod.status.as_ref().and_then(|status| status.phase.as_deref());
    !daemon && !mirror && !matches!(phase, Some("Succeeded" | "Failed"))
}

/// Waits until as many nodes as before are ready without the one that went.
async fn two_again(
    site: &Site,
    gone: &Standing,
    wanted: usize,
    progress: Progress<'_>,
) -> Result<(), Problem> {
    let look = || async {
        let standing = standing::unmanaged_ready(site).await?;
        let others =
            standing.iter().filter(|node| node.name != gone.name || node.instance != gone.instance);
        let ready = others.count();
        Ok(match ready >= wanted {
            true => Looked::Ready,
            false => Looked::NotYet(format!("{ready} of {wanted} nodes are ready")),
        })
    };
    let todo = "see the group's activities (aws autoscaling describe-scaling-activities), and run the same command again";
    until(("the node that replaces it", todo), PATIENCE, progress, look).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_belongs_to_a_node_stays_until_it_goes() {
        let pod = |kind: &str, phase: &str| -> Pod {
            serde_json::from_value(json!({
                "metadata": { "name": "a", "ownerReferences": [{ "apiVersion": "apps/v1", "kind": kind, "name": "o", "uid": "1" }] },
                "status": { "phase": phase },
            }))
            .unwrap()
        };
        assert!(is_evicted(&pod("ReplicaSet", "Running")));
        assert!(!is_evicted(&pod("DaemonSet", "Running")));
        assert!(!is_evicted(&pod("Job", "Succeeded")));
    }
}
