//! Capacity buffers become pods that exist nowhere else: planned after all others, never bound, and kept a place for.

use crate::collection::Collection;
use crate::finding::{DumpFinding, Severity};
use crate::kinds::buffers::{Buffer, KIND, Shape, Template};
use model::pod::Owner;
use model::{Labels, Pod, PodId, PodSpec};
use std::collections::BTreeMap;
use std::sync::Arc;

/// A buffer has at most so many pods.
const MOST: i64 = 1_000;
/// Pods of buffers come after all others.
const PRIORITY: i32 = i32::MIN;

/// Adds the pods of all buffers.
pub(crate) fn add(all: &mut Collection) {
    let buffers = std::mem::take(&mut all.buffers);
    let buffers = buffers.into_iter().map(|own| ((own.namespace.clone(), own.name.clone()), own));
    for buffer in buffers.collect::<BTreeMap<_, _>>().into_values() {
        match pods(all, &buffer) {
            Ok(pods) => all.snapshot.pods.extend(pods),
            Err(problem) => all.findings.push(DumpFinding {
                severity: Severity::Warning,
                place: None,
                object: format!("CapacityBuffer {}/{}", buffer.namespace, buffer.name),
                path: "spec".to_owned(),
                rule: "buffer".to_owned(),
                message: format!("{problem}; nothing is kept free for it"),
            }),
        }
    }
}

fn pods(all: &mut Collection, buffer: &Buffer) -> Result<Vec<Pod>, String> {
    let (labels, spec, there) = match &buffer.shape {
        Shape::Template(name) => {
            let own = |template: &&Template| {
                template.namespace == buffer.namespace && template.name == *name
            };
            let found = all.templates.iter().rev().find(own);
            let found = found.ok_or_else(|| format!("there is no PodTemplate {name}"))?;
            (found.labels.clone(), found.spec.clone(), 0)
        }
        Shape::Workload(kind, name) => workload(all, &buffer.namespace, kind, name)?,
    };
    let count = count(buffer, &spec, there)?;
    let spec = PodSpec { priority: PRIORITY, resource_claims: false, volumes: Vec::new(), ..spec };
    let (spec, labels) = (all.interner.spec(spec), all.interner.labels(labels));
    Ok((0..count).map(|at| pod(buffer, at, &spec, &labels)).collect())
}

/// What the newest pod of the workload is like, and how many it has.
fn workload(
    all: &Collection,
    namespace: &str,
    kind: &str,
    name: &str,
) -> Result<(Labels, PodSpec, i64), String> {
    let owned = |owner: &Owner| match kind {
        // A deployment's replica sets are called after it and a hash.
        "Deployment" => {
            let set = owner.name.rsplit_once('-').map(|(stem, _)| stem);
            owner.kind == "ReplicaSet" && set == Some(name)
        }
        kind => owner.kind == kind && owner.name == name,
    };
    let own = |pod: &&Pod| {
        let owned = pod.owner.as_ref().is_some_and(owned);
        owned && &*pod.id.namespace == namespace && !pod.is_terminal() && pod.deletion_at.is_none()
    };
    let pods = all.snapshot.pods.iter().filter(own);
    let newest = pods.clone().max_by_key(|pod| (pod.created_at, std::cmp::Reverse(&pod.id)));
    let newest =
        newest.ok_or_else(|| format!("{kind} {name} has no pods to learn its shape from"))?;
    Ok(((*newest.labels).clone(), (*newest.spec).clone(), pods.count() as i64))
}

/// The larger of `replicas` and the percentage of the workload, rounded up; without either as many as the limits hold.
fn count(buffer: &Buffer, spec: &PodSpec, there: i64) -> Result<i64, String> {
    let limited = buffer.limits.iter().filter_map(|(name, limit)| {
        let own = spec.requests.get(name.as_str());
        (own > 0).then(|| (limit / own).max(0))
    });
    let limited = limited.min();
    let share = buffer.percentage.map(|share| {
        (there.saturating_mul(share.max(0)).saturating_add(99) / 100).max(i64::from(share > 0))
    });
    let wanted = buffer.replicas.max(share).or(limited);
    let wanted = wanted
        .ok_or("it has neither replicas, nor a percentage, nor limits that its pods would reach")?;
    Ok(wanted.min(limited.unwrap_or(wanted)).clamp(0, MOST))
}

/// No object of Kubernetes has such a name.
fn pod(buffer: &Buffer, at: i64, spec: &Arc<PodSpec>, labels: &Arc<Labels>) -> Pod {
    let id = PodId::new(&buffer.namespace, &format!("{}~{at}", buffer.name));
    let owner = Owner { kind: KIND.to_owned(), name: buffer.name.clone() };
    Pod { owner: Some(owner), ..Pod::waiting(id, labels.clone(), spec.clone()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::Resources;
    use model::resources::CPU;

    #[test]
    fn a_buffer_has_replicas_or_a_share_of_its_workload_within_its_limits() {
        let check = |replicas, percentage, limit: i64, there, expected: Option<i64>| {
            let limits = Resources::new();
            let limits = if limit > 0 { limits.with(CPU, limit) } else { limits };
            let (namespace, name) = (String::new(), String::new());
            let shape = Shape::Template(String::new());
            let buffer = Buffer { namespace, name, shape, replicas, percentage, limits };
            let spec = PodSpec { requests: Resources::new().with(CPU, 500), ..PodSpec::default() };
            let found = count(&buffer, &spec, there).ok();
            assert_eq!(found, expected, "{replicas:?} {percentage:?} {limit} {there}");
        };
        check(Some(3), None, 0, 0, Some(3));
        check(Some(3), None, 1_200, 0, Some(2));
        check(Some(3), Some(50), 0, 10, Some(5));
        check(Some(7), Some(50), 0, 10, Some(7));
        check(None, Some(10), 0, 11, Some(2));
        check(None, Some(10), 0, 0, Some(1));
        check(None, Some(0), 0, 10, Some(0));
        check(None, None, 2_000, 0, Some(4));
        check(None, None, 0, 0, None);
        check(Some(-1), None, 0, 0, Some(0));
        check(Some(i64::MAX), None, 0, 0, Some(MOST));
    }
}
