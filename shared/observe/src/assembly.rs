//! The snapshot, from all objects together: what one object says of another, and what the catalog adds.

use crate::collection::Collection;
use crate::finding::{DumpFinding, Severity};
use crate::kinds::{node, workloads};
use crate::{Dump, DumpOptions, buffers, built_in, claims, costs, custom, overlays, place, pools};
use catalog::Catalog;
use model::node_class::CapacityReservation;
use model::snapshot::DaemonSet;
use model::{Snapshot, Timestamp};
use std::collections::{BTreeMap, BTreeSet};

/// Makes a dump of what was collected.
pub(crate) fn assemble(mut all: Collection, catalog: &Catalog, options: &DumpOptions) -> Dump {
    drop_repeated(&mut all);
    custom::link(&mut all);
    all.snapshot.now = options.now.or(all.latest).unwrap_or(Timestamp(0));
    forget_hashes(&mut all);
    protect(&mut all);
    choose_default_class(&mut all);
    close_nodes_of_unreadable(&mut all);
    daemons_from_pods(&mut all);
    buffers::add(&mut all);
    all.snapshot.region = place::region(&all.snapshot, options, &mut all.findings);
    let zones = place::zones(&all.snapshot, &all.zone_ids, catalog, &mut all.findings);
    price(&mut all.snapshot, catalog);
    built_in::add(&mut all.snapshot, &mut all.findings);
    end_blocks(&mut all.snapshot);
    pools::resolve_types(&mut all.snapshot, catalog, &zones, options);
    overlays::apply(&mut all);
    costs::add(&mut all.snapshot, catalog);
    claims::complete(&mut all.snapshot);
    let now = all.snapshot.now;
    all.snapshot.node_pools.iter_mut().for_each(|pool| api::set_windows(pool, now));
    notice_gaps(&mut all);
    let objects = all.kinds.values().sum();
    let Collection { snapshot, findings, mut unreadable_pods, .. } = all;
    unreadable_pods.sort();
    unreadable_pods.dedup();
    Dump { snapshot, findings, unreadable_pods, objects }
}

/// Sorts objects by name and keeps the last of those with the same name, as applying them in order would.
fn drop_repeated(all: &mut Collection) {
    let snapshot = &mut all.snapshot;
    let mut dropped = BTreeMap::new();
    let mut count = |kind: &'static str, number: usize| {
        if number > 0 {
            dropped.insert(kind, number);
        }
    };
    count("Pod", keep_last(&mut snapshot.pods, |pod| pod.id.clone()));
    count("Node", keep_last(&mut snapshot.nodes, |node| node.name.clone()));
    count("NodeClaim", keep_last(&mut snapshot.node_claims, |claim| claim.name.clone()));
    let name = |set: &DaemonSet| (set.namespace.clone(), set.name.clone());
    count("DaemonSet", keep_last(&mut snapshot.daemon_sets, name));
    count(
        "PodDisruptionBudget",
        keep_last(&mut snapshot.pod_disruption_budgets, |b| (b.namespace.clone(), b.name.clone())),
    );
    count(
        "PersistentVolumeClaim",
        keep_last(&mut snapshot.volume_claims, |c| (c.namespace.clone(), c.name.clone())),
    );
    count("PersistentVolume", keep_last(&mut snapshot.volumes, |volume| volume.name.clone()));
    count("StorageClass", keep_last(&mut snapshot.storage_classes, |class| class.name.clone()));
    count("CSINode", keep_last(&mut snapshot.csi_nodes, |csi| csi.node.clone()));
    for (kind, number) in dropped {
        let message = format!(
            "objects of kind {kind} that come again later: {number}; the last of each name counts"
        );
        all.findings.push(DumpFinding::general(Severity::Warning, "object-repeated", message));
    }
}

/// How many were dropped.
fn keep_last<T, K: Ord>(objects: &mut Vec<T>, key: impl Fn(&T) -> K) -> usize {
    let before = objects.len();
    // Sorting is stable: of equal names the last read comes first once the order is turned around.
    objects.reverse();
    objects.sort_by_cached_key(&key);
    objects.dedup_by(|later, kept| key(later) == key(kept));
    before - objects.len()
}

/// A dump leaves out user data and other secrets of classes, so that hashes made of it would tell of a change that was none.
fn forget_hashes(all: &mut Collection) {
    if !all.live {
        all.snapshot.node_pools.iter_mut().for_each(|pool| pool.hash = None);
        all.snapshot.node_classes.iter_mut().for_each(|class| class.hash = None);
    }
}

/// Pods that must not be disrupted for some time after their creation.
fn protect(all: &mut Collection) {
    let spans = std::mem::take(&mut all.protected).into_iter().collect::<BTreeMap<_, _>>();
    let now = all.snapshot.now;
    for pod in &mut all.snapshot.pods {
        let end = spans.get(&pod.id).zip(pod.created_at).map(|(span, at)| at.plus(*span));
        pod.do_not_disrupt |= end.is_some_and(|end| now < end);
    }
}

/// Of several default storage classes the newest counts, as in Kubernetes.
fn choose_default_class(all: &mut Collection) {
    let newest = all.default_classes.iter().max().map(|(_, name)| name.clone());
    for class in &mut all.snapshot.storage_classes {
        class.is_default = newest.as_ref() == Some(&class.name);
    }
}

/// How much room is left beside a pod that cannot be read is not known, so nothing new goes there.
fn close_nodes_of_unreadable(all: &mut Collection) {
    for found in &mut all.snapshot.nodes {
        if all.nodes_of_unreadable.contains(&*found.name) {
            node::cordon(found);
            let message = format!(
                "node {} takes no new pods in this plan, because a pod on it cannot be read",
                found.name
            );
            all.findings.push(DumpFinding::general(Severity::Warning, "node-closed", message));
        }
    }
}

/// A daemonset's load is that of its newest pod, which shows what admission added; without the daemonsets, their pods tell of them.
fn daemons_from_pods(all: &mut Collection) {
    let mut newest = BTreeMap::new();
    for pod in all.snapshot.pods.iter().filter(|pod| pod.is_daemon() && !pod.is_terminal()) {
        let owner = pod.owner.as_ref().map(|owner| owner.name.clone()).unwrap_or_default();
        let key = (pod.id.namespace.to_string(), owner);
        let newer = |other: &&model::Pod| other.created_at < pod.created_at;
        if newest.get(&key).is_none_or(newer) {
            newest.insert(key, pod);
        }
    }
    let mut unknown = Vec::new();
    let mut sets = std::mem::take(&mut all.snapshot.daemon_sets);
    for ((namespace, name), pod) in newest {
        let spec = all.interner.spec(workloads::spec_of_daemon(pod));
        match sets.iter_mut().find(|set| set.namespace == namespace && set.name == name) {
            Some(set) => set.spec = spec,
            None => unknown.push(DaemonSet { namespace, name, spec }),
        }
    }
    if !unknown.is_empty() {
        let names = unknown.iter().map(|set| format!("{}/{}", set.namespace, set.name));
        let names = names.collect::<Vec<_>>().join(", ");
        let message =
            format!("the input lacks the daemonsets {names}; their pods show what they need");
        all.findings.push(DumpFinding::general(Severity::Note, "daemonset-missing", message));
    }
    sets.append(&mut unknown);
    sets.sort_by(|a, b| (&a.namespace, &a.name).cmp(&(&b.namespace, &b.name)));
    all.snapshot.daemon_sets = sets;
}

/// EC2 begins to end the instances of a capacity block 30 minutes before the block's end; from 40 minutes on Karpenter (aws
/// `pkg/apis/v1/ec2nodeclass_status.go`, state `expiring`) buys none.
const BLOCK_RESTS_S: i64 = 40 * 60;

/// Leaves out capacity blocks that are about to end.
fn end_blocks(snapshot: &mut Snapshot) {
    let now = snapshot.now;
    let ends = |own: &CapacityReservation| {
        own.is_block() && own.ends_at.is_some_and(|end| end.since(now).0 <= BLOCK_RESTS_S)
    };
    snapshot.node_classes.iter_mut().for_each(|class| class.reservations.retain(|own| !ends(own)));
}

/// Prices of what runs already.
fn price(snapshot: &mut Snapshot, catalog: &Catalog) {
    let region = snapshot.region.as_str();
    for found in &mut snapshot.nodes {
        let bought = node::bought_as(found);
        let price = bought.and_then(|(name, way)| catalog.price(region, name, way));
        found.price = price.map(|(price, _)| price);
        found.price_estimated = price.is_some_and(|(_, estimated)| estimated);
    }
    for claim in &mut snapshot.node_claims {
        let bought = claim.instance_type.as_deref().zip(claim.capacity_type);
        let price = bought.and_then(|(name, way)| catalog.price(region, name, way));
        claim.price = price.map(|(price, _)| price);
    }
}

/// What is missing from the input and changes the plan.
fn notice_gaps(all: &mut Collection) {
    let snapshot = &all.snapshot;
    let nodes = snapshot.nodes.iter().map(|node| &*node.name).collect::<BTreeSet<_>>();
    let lost = |pod: &&model::Pod| {
        let node = pod.node_name.as_deref();
        !pod.is_terminal() && node.is_some_and(|node| !nodes.contains(node))
    };
    let lost = snapshot.pods.iter().filter(lost).count();
    let claims = |pod: &model::Pod| {
        pod.spec.volumes.iter().any(|v| matches!(v, model::pod::PodVolume::Claim(_)))
    };
    let unpriced = snapshot
        .nodes
        .iter()
        .filter(|node| node.price.is_none() && node::bought_as(node).is_some());
    let unpriced = unpriced.map(|node| &*node.name).collect::<Vec<_>>();
    let workloads = ["Deployment", "ReplicaSet", "StatefulSet", "Job", "CronJob"];
    let workloads = workloads.iter().filter(|kind| all.kinds.contains_key(**kind)).copied();
    let workloads = workloads.collect::<Vec<_>>();
    let (live, findings) = (all.live, &mut all.findings);
    let mut say = |severity, rule, message| {
        findings.push(DumpFinding::general(severity, rule, message));
    };
    if let Some(first) = unpriced.first() {
        let message = format!("{} nodes have no known price, {first} first", unpriced.len());
        say(Severity::Warning, "price-unknown", message);
    }
    if live {
        return;
    }
    if lost > 0 {
        let message = format!("{lost} pods run on nodes that are not in the input; dump nodes too");
        say(Severity::Warning, "node-missing", message);
    }
    if snapshot.volume_claims.is_empty() && snapshot.pods.iter().any(claims) {
        let message = "pods name volume claims, but the input has none; dump pvc and pv too";
        say(Severity::Warning, "claims-missing", message.to_owned());
    }
    if snapshot.pods.is_empty() && !workloads.is_empty() {
        let kinds = workloads.join(", ");
        let message = format!("there are no pods; {kinds} objects are not expanded into pods");
        say(Severity::Warning, "pods-missing", message);
    }
}
