//! What a claim means only together with the rest of the cluster.

use model::resources::PODS;
use model::{NodeClaim, PodId, Snapshot, Timestamp};
use std::collections::BTreeMap;

/// Fills in what claims are expected to have while nobody has written it on them yet, and drops nominations that are over.
pub(crate) fn complete(snapshot: &mut Snapshot) {
    let mut claims = std::mem::take(&mut snapshot.node_claims);
    expect(&mut claims, snapshot);
    let nominated = claims.iter().filter(|claim| claim.progress.initialized);
    let nominated =
        nominated.flat_map(|claim| &claim.nominated).collect::<std::collections::BTreeSet<_>>();
    let unbound = snapshot.pods.iter().filter(|pod| pod.node_name.is_none());
    let waiting = unbound.filter(|pod| !pod.is_virtual() && nominated.contains(&pod.id));
    let waiting = waiting.map(|pod| (pod.id.clone(), pod.created_at)).collect::<BTreeMap<_, _>>();
    claims.iter_mut().for_each(|claim| drop_past(claim, &waiting));
    snapshot.node_claims = claims;
}

/// Its type's resources and labels, from the types that its pool may launch: a turn may end between writing a claim and its status.
fn expect(claims: &mut [NodeClaim], snapshot: &Snapshot) {
    for claim in claims.iter_mut().filter(|claim| !claim.allocatable.contains(PODS)) {
        let pool = snapshot.node_pools.iter().find(|pool| pool.name == claim.pool);
        let types = pool.and_then(|pool| snapshot.instance_types.get(&pool.instance_types));
        let name = claim.instance_type.as_deref();
        let found =
            types.and_then(|types| types.iter().find(|found| Some(found.name.as_str()) == name));
        if let Some(found) = found {
            claim.allocatable = found.allocatable.clone();
            claim.capacity = found.capacity.clone();
            for (key, value) in &found.labels {
                claim.labels.entry(key.clone()).or_insert_with(|| value.clone());
            }
        }
    }
}

/// Once its node is set up, a claim keeps its room only for pods that were there when it was bought and are not bound yet: a pod of the
/// same name that came later has no right to it.
fn drop_past(claim: &mut NodeClaim, waiting: &BTreeMap<PodId, Option<Timestamp>>) {
    if claim.progress.initialized {
        let bought_at = claim.created_at;
        let was_there = |pod: &PodId| waiting.get(pod).is_some_and(|created| *created <= bought_at);
        claim.nominated.retain(was_there);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::resources::CPU;
    use model::{Pod, Resources};

    fn pod(name: &str, node: Option<&str>, created_at: i64) -> Pod {
        let text = format!(
            r#"{{"metadata":{{"name":"{name}","namespace":"shop"}},"spec":{{"containers":[{{}}]}}}}"#
        );
        let object = serde_json::from_str(&text).unwrap();
        let metadata = crate::kinds::metadata::read(&object).unwrap();
        let mut interner = crate::intern::Interner::default();
        let read = crate::kinds::pod::read(&object, metadata, &mut interner).unwrap();
        let created_at = Some(Timestamp(created_at));
        Pod { node_name: node.map(Into::into), created_at, ..read.pod }
    }

    fn check(initialized: bool, pods: Vec<Pod>, expected: &[&str]) {
        let ids = ["bound", "waits", "came-later", "gone"].map(|name| PodId::new("shop", name));
        let mut claim = NodeClaim { nominated: ids.to_vec(), ..NodeClaim::default() };
        claim.created_at = Some(Timestamp(100));
        claim.progress.initialized = initialized;
        let mut snapshot = Snapshot { pods, node_claims: vec![claim], ..Snapshot::default() };
        complete(&mut snapshot);
        let left = snapshot.node_claims[0].nominated.iter().map(|pod| &*pod.name);
        assert_eq!(left.collect::<Vec<_>>(), expected);
    }

    #[test]
    fn a_claim_keeps_room_for_pods_that_are_not_bound_yet() {
        let pods = || {
            vec![pod("bound", Some("n1"), 90), pod("waits", None, 90), pod("came-later", None, 110)]
        };
        check(true, pods(), &["waits"]);
        check(false, pods(), &["bound", "waits", "came-later", "gone"]);
        check(true, vec![], &[]);
    }

    #[test]
    fn a_claim_without_a_status_is_expected_to_have_what_its_type_has() {
        let path = std::path::PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("fixtures/v1.yaml");
        let catalog = catalog::Catalog::embedded().unwrap();
        let dump = crate::read_dump(&[path], &catalog, &crate::DumpOptions::default()).unwrap();
        let mut snapshot = dump.snapshot;
        let pool =
            snapshot.node_pools.iter().find(|pool| pool.problem.is_none()).unwrap().name.clone();
        let instance_type = Some("m5.xlarge".to_owned());
        let written = Resources::new().with(CPU, 1).with(PODS, 5);
        snapshot.node_claims = vec![
            NodeClaim {
                pool: pool.clone(),
                instance_type: instance_type.clone(),
                ..NodeClaim::default()
            },
            NodeClaim { pool, instance_type, allocatable: written.clone(), ..NodeClaim::default() },
        ];
        complete(&mut snapshot);
        assert_eq!(snapshot.node_claims[0].capacity.get(CPU), 4000);
        assert!(snapshot.node_claims[0].allocatable.get(CPU) > 3000);
        assert_eq!(snapshot.node_claims[1].allocatable, written, "what is written counts");
    }
}
