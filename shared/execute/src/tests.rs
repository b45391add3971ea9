//! Steps of disruption, on a cluster in memory.

use crate::ports::ObjectRef;
use crate::testing::{Memory, carry_out};
use crate::{Warned, mark, objects};
use model::disruption::{InterruptionKind, Stage};
use model::pool::ApiVersion;
use model::step::DeleteReason;
use model::{
    Disruption, DisruptionReason, Duration, Interruption, LaunchRequest, NodeClaim, NodeClass,
    NodePool, Plan, PlannedDisruption, PodId, Snapshot, Step, Timestamp,
};
use serde_json::{Value, json};

const NOW: Timestamp = Timestamp(1_767_225_600);

fn node() -> (ObjectRef, Value) {
    let taints = json!([{ "key": "role", "value": "web", "effect": "NoSchedule" }]);
    let metadata = json!({ "name": "n1", "labels": { "team": "a" } });
    (objects::node("n1"), json!({ "metadata": metadata, "spec": { "taints": taints } }))
}

fn claim() -> (ObjectRef, Value) {
    (objects::claim("c1"), json!({ "metadata": { "name": "c1", "uid": "u1" }, "status": {} }))
}

fn pod() -> (ObjectRef, Value) {
    (objects::pod(&PodId::new("shop", "web")), json!({ "metadata": { "name": "web" } }))
}

/// A snapshot with the claim of that node.
fn snapshot() -> Snapshot {
    let mut pool = NodePool::new("default", ApiVersion::V1, "default", "");
    pool.hash = Some("joiner-1/7".to_owned());
    let class = NodeClass {
        name: "default".to_owned(),
        hash: Some("joiner-1/8".to_owned()),
        ..NodeClass::default()
    };
    let request = json!({
        "batch": "b", "size": 1, "nodeClass": "default", "capacityType": "spot", "offerings": [], "labels": {}, "pods": [],
    });
    let claim = NodeClaim {
        name: "c1".into(),
        uid: "u1".to_owned(),
        pool: "default".to_owned(),
        node_name: Some("n1".into()),
        launch: Some(serde_json::from_value::<LaunchRequest>(request).unwrap()),
        pool_hash: pool.hash.clone(),
        class_hash: class.hash.clone(),
        ..NodeClaim::default()
    };
    Snapshot {
        now: NOW,
        node_pools: vec![pool],
        node_classes: vec![class],
        node_claims: vec![claim],
        ..Snapshot::default()
    }
}

fn told(kind: InterruptionKind) -> Interruption {
    Interruption { kind, at: NOW, deadline: Some(NOW.plus(Duration(120))) }
}

fn warned(claim: &str, node: Option<&str>, kind: InterruptionKind) -> Warned {
    Warned {
        claim: claim.to_owned(),
        uid: "u1".to_owned(),
        node: node.map(str::to_owned),
        told: told(kind),
    }
}

fn taints(cluster: &Memory) -> Vec<String> {
    let node = cluster.object(&objects::node("n1"));
    let keys = node["spec"]["taints"].as_array().into_iter().flatten();
    keys.map(|taint| taint["key"].as_str().unwrap_or_default().to_owned()).collect()
}

fn annotation(cluster: &Memory, key: &str) -> Value {
    let claim = cluster.object(&objects::claim("c1"));
    let text = claim["metadata"]["annotations"][key].as_str().map(str::to_owned);
    text.map(|text| serde_json::from_str(&text).unwrap()).unwrap_or_default()
}

#[tokio::test]
async fn a_warned_claim_is_marked_and_its_node_cordoned() {
    let cluster = Memory::with([node(), claim()]);
    let one = warned("c1", Some("n1"), InterruptionKind::SpotWarning);
    let outcome = mark(&[one], NOW, &cluster).await;
    assert_eq!(outcome.failures().count(), 0, "{outcome:?}");
    let expected = json!({ "kind": "spot-warning", "at": NOW.0, "deadline": NOW.0 + 120 });
    assert_eq!(annotation(&cluster, "joiner.dev/interruption"), expected);
    assert_eq!(taints(&cluster), ["role", "karpenter.sh/disrupted"]);
    let node = cluster.object(&objects::node("n1"));
    let labels = json!({ "team": "a", "node.kubernetes.io/exclude-from-external-load-balancers": "karpenter" });
    assert_eq!(node["metadata"]["labels"], labels);
    assert_eq!(cluster.events(), ["SpotInterrupted c1: Spot interruption warning was triggered"]);
}

#[tokio::test]
async fn what_is_marked_already_is_not_written_again() {
    let cluster = Memory::with([node(), claim()]);
    let one = [warned("c1", Some("n1"), InterruptionKind::SpotWarning)];
    mark(&one, NOW, &cluster).await;
    assert_eq!(cluster.calls().len(), 2);
    let less = [warned("c1", Some("n1"), InterruptionKind::Rebalance)];
    for again in [&one, &less] {
        mark(again, NOW, &cluster).await;
        assert_eq!(cluster.calls(), Vec::<String>::new());
    }
    mark(&[warned("c1", Some("n1"), InterruptionKind::Stopping)], NOW, &cluster).await;
    assert_eq!(annotation(&cluster, "joiner.dev/interruption")["kind"], "stopping");
}

#[tokio::test]
async fn a_recommendation_marks_the_claim_and_leaves_the_node() {
    let cluster = Memory::with([node(), claim()]);
    mark(&[warned("c1", Some("n1"), InterruptionKind::Rebalance)], NOW, &cluster).await;
    assert_eq!(taints(&cluster), ["role"]);
    assert_eq!(annotation(&cluster, "joiner.dev/interruption")["kind"], "rebalance");
}

#[tokio::test]
async fn what_is_gone_is_as_good_as_marked_and_a_change_meanwhile_is_met() {
    let outcome =
        mark(&[warned("c1", Some("n1"), InterruptionKind::Stopping)], NOW, &Memory::default())
            .await;
    assert_eq!(outcome.failures().count(), 0, "{outcome:?}");
    let mut cluster = Memory::with([node(), claim()]);
    cluster.conflicts = 3.into();
    let outcome =
        mark(&[warned("c1", Some("n1"), InterruptionKind::Stopping)], NOW, &cluster).await;
    assert_eq!(outcome.failures().count(), 0, "{outcome:?}");
    assert_eq!(taints(&cluster), ["role", "karpenter.sh/disrupted"]);
    cluster.conflicts = 99.into();
    let other = [warned("c1", None, InterruptionKind::Rebalance)];
    assert_eq!(mark(&other, NOW, &cluster).await.failures().count(), 0, "less urgent: not written");
}

#[tokio::test]
async fn a_hundred_warnings_are_one_pass() {
    let objects = (0..100).flat_map(|number| {
        let (node, claim) = (format!("n{number}"), format!("c{number}"));
        [
            (objects::node(&node), json!({ "metadata": { "name": node } })),
            (objects::claim(&claim), json!({ "metadata": { "name": claim } })),
        ]
    });
    let cluster = Memory::with(objects);
    let all = (0..100).map(|number| {
        let node = format!("n{number}");
        warned(&format!("c{number}"), Some(&node), InterruptionKind::SpotWarning)
    });
    let outcome = mark(&all.collect::<Vec<_>>(), NOW, &cluster).await;
    assert_eq!((outcome.actions.len(), outcome.failures().count()), (200, 0));
    assert_eq!(cluster.calls().len(), 200, "one write of each claim and each node");
}

#[tokio::test]
async fn a_disruption_is_written_and_called_off() {
    let cluster = Memory::with([node(), claim()]);
    let disruption = Disruption {
        id: "d1".to_owned(),
        reason: DisruptionReason::Drifted,
        stage: Stage::Committed,
        since: NOW,
    };
    let begin = [
        Step::MarkDisruption { claim: "c1".into(), disruption: Some(disruption) },
        Step::Cordon { node: "n1".into() },
    ];
    let plan = Plan { steps: begin.to_vec(), ..Plan::default() };
    let outcome = carry_out(&plan, &snapshot(), &cluster).await;
    assert_eq!(outcome.failures().count(), 0, "{outcome:?}");
    let expected = json!({ "id": "d1", "reason": "Drifted", "stage": "committed", "since": NOW.0 });
    assert_eq!(annotation(&cluster, "joiner.dev/disruption"), expected);
    assert_eq!(taints(&cluster), ["role", "karpenter.sh/disrupted"]);
    let condition = |cluster: &Memory| {
        let claim = cluster.object(&objects::claim("c1"));
        let found = &claim["status"]["conditions"][0];
        format!("{} {} {}", found["type"], found["status"], found["reason"])
    };
    assert_eq!(condition(&cluster), r#""DisruptionReason" "True" "Drifted""#);
    let end = [
        Step::MarkDisruption { claim: "c1".into(), disruption: None },
        Step::Uncordon { node: "n1".into() },
    ];
    let plan = Plan { steps: end.to_vec(), ..Plan::default() };
    carry_out(&plan, &snapshot(), &cluster).await;
    assert_eq!(annotation(&cluster, "joiner.dev/disruption"), Value::Null);
    assert_eq!(taints(&cluster), ["role"]);
    assert_eq!(cluster.object(&objects::node("n1"))["metadata"]["labels"], json!({ "team": "a" }));
    assert_eq!(condition(&cluster), r#""DisruptionReason" "False" "CalledOff""#);
}

/// The events of these steps, on a cluster where the pod `web` is protected or not.
async fn check_events(steps: &[Step], snapshot: &Snapshot, guarded: bool, expected: &[&str]) {
    let mut cluster = Memory::with([node(), claim(), pod()]);
    cluster.guarded.extend(guarded.then(|| "web".to_owned()));
    let plan = Plan { steps: steps.to_vec(), ..Plan::default() };
    carry_out(&plan, snapshot, &cluster).await;
    assert_eq!(cluster.events(), expected);
}

#[tokio::test]
async fn steps_are_told_to_those_whom_they_concern() {
    let pod = PodId::new("shop", "web");
    let evict = Step::Evict { pod: pod.clone(), uid: "p1".to_owned(), node: "n1".into() };
    let all = [evict.clone()];
    check_events(
        &all,
        &snapshot(),
        false,
        &["Evicted web: Evicted pod: its node n1 is taken away"],
    )
    .await;
    let blocked = "FailedDraining n1: Failed to drain node: shop/web cannot be evicted yet: it would violate the pod's disruption budget";
    check_events(&all, &snapshot(), true, &[blocked]).await;
    let force = Step::ForceDelete { pod, uid: "p1".to_owned(), grace_s: 5 };
    let told = "Disrupted web: Deleted the pod with 5 s left: the time of its node is over, whatever its disruption budget says";
    check_events(&[force], &snapshot(), true, &[told]).await;
    let reason = DeleteReason::Disrupted(DisruptionReason::Expired);
    let delete = Step::Delete { claim: "c1".into(), reason };
    let told = "DisruptionTerminating c1: Disrupting NodeClaim: Disrupted(Expired)";
    check_events(&[delete], &snapshot(), false, &[told]).await;
    let cordon = Step::Cordon { node: "n1".into() };
    check_events(std::slice::from_ref(&cordon), &snapshot(), false, &[]).await;
    let mut ends = snapshot();
    ends.node_claims[0].deletion_at = Some(NOW);
    ends.node_claims[0].termination_grace_period = Some(Duration(3600));
    let told =
        "TerminationGracePeriodExpiring n1: All pods will be deleted by 2026-01-01T01:00:00Z";
    check_events(&[cordon], &ends, false, &[told]).await;
}

#[tokio::test]
async fn an_eviction_that_must_wait_is_a_failure_that_the_next_turn_sees() {
    let mut cluster = Memory::with([pod()]);
    cluster.guarded.push("web".to_owned());
    let pod = PodId::new("shop", "web");
    let evict = Step::Evict { pod, uid: "p1".to_owned(), node: "n1".into() };
    let plan = Plan { steps: vec![evict], ..Plan::default() };
    let outcome = carry_out(&plan, &Snapshot { now: NOW, ..Snapshot::default() }, &cluster).await;
    assert!(outcome.look_again);
    let error = outcome.actions[0].error.clone().unwrap();
    assert!(error.contains("pods/shop/web: not now (it would violate"), "{error}");
    assert_eq!(cluster.calls(), ["evict pods/shop/web"], "asked once a turn");
}

#[tokio::test]
async fn disruptions_are_told_while_they_go_on() {
    let check = async |stage: Option<Stage>, launches: usize, expected: &[&str]| {
        let cluster = Memory::with([node(), claim()]);
        let planned = PlannedDisruption {
            id: "d1".to_owned(),
            reason: DisruptionReason::Drifted,
            stage,
            nodes: vec!["n1".into()],
            launches: (0..launches).map(|number| format!("l{number}").into()).collect(),
            moves: Vec::new(),
            saves: 0,
            stranded: Vec::new(),
        };
        let plan = Plan { disruptions: vec![planned], ..Plan::default() };
        carry_out(&plan, &snapshot(), &cluster).await;
        assert_eq!(cluster.events(), expected);
    };
    check(Some(Stage::Proposed), 0, &[]).await;
    let launching = "DisruptionLaunching n1: Launching 2 nodes in place of this one: Drifted";
    check(Some(Stage::Committed), 2, &[launching]).await;
    let waiting =
        "DisruptionWaitingReadiness n1: Waiting for the replacement to be set up: Drifted";
    check(Some(Stage::Committed), 0, &[waiting]).await;
    check(None, 0, &[]).await;
}

#[tokio::test]
async fn hashes_that_were_made_otherwise_are_brought_up_to_date() {
    let check = async |pool: Option<&str>,
                       class: Option<&str>,
                       deleting: bool,
                       expected: &[(&str, &str)]| {
        let cluster = Memory::with([claim()]);
        let mut snapshot = snapshot();
        let known = &mut snapshot.node_claims[0];
        (known.pool_hash, known.class_hash) = (pool.map(str::to_owned), class.map(str::to_owned));
        known.deleting = deleting;
        carry_out(&Plan::default(), &snapshot, &cluster).await;
        let written = cluster.object(&objects::claim("c1"))["metadata"]["annotations"].clone();
        let written = written.as_object().cloned().unwrap_or_default();
        let written = written.iter().map(|(key, value)| (key.as_str(), value.as_str().unwrap()));
        assert_eq!(written.collect::<Vec<_>>(), expected, "{pool:?} {class:?}");
    };
    let of_pool =
        [("karpenter.sh/nodepool-hash", "7"), ("karpenter.sh/nodepool-hash-version", "joiner-1")];
    let of_class = [
        ("karpenter.k8s.aws/ec2nodeclass-hash", "8"),
        ("karpenter.k8s.aws/ec2nodeclass-hash-version", "joiner-1"),
    ];
    check(Some("joiner-1/7"), Some("joiner-1/8"), false, &[]).await;
    check(Some("joiner-1/1"), Some("joiner-1/2"), false, &[]).await;
    check(Some("v3/7"), Some("joiner-1/2"), false, &of_pool).await;
    check(None, None, false, &[&of_class[..], &of_pool[..]].concat()).await;
    check(None, None, true, &[]).await;
}

#[tokio::test]
async fn no_pod_leaves_a_node_that_would_take_its_successor() {
    let steps = [
        Step::Evict { pod: PodId::new("shop", "web"), uid: "p1".to_owned(), node: "n1".into() },
        Step::Cordon { node: "n1".into() },
    ];
    let plan = Plan { steps: steps.to_vec(), ..Plan::default() };
    let mut cluster = Memory::with([node(), pod()]);
    carry_out(&plan, &snapshot(), &cluster).await;
    assert_eq!(cluster.calls(), ["patch nodes/n1", "evict pods/shop/web"]);
    cluster = Memory::with([node(), pod()]);
    cluster.conflicts = 99.into();
    let outcome = carry_out(&plan, &snapshot(), &cluster).await;
    assert!(outcome.look_again && outcome.failures().count() == 1, "{outcome:?}");
    assert!(!cluster.calls().iter().any(|call| call.starts_with("evict")), "it is not cordoned");
}

#[tokio::test]
async fn a_node_that_was_marked_since_the_turn_began_stays_cordoned() {
    let check = async |claim: Value, expected: &[&str]| {
        let (of, mut object) = node();
        let disrupted = json!({ "key": "karpenter.sh/disrupted", "effect": "NoSchedule" });
        object["spec"]["taints"].as_array_mut().unwrap().push(disrupted);
        let cluster = Memory::with([(of, object), (objects::claim("c1"), claim)]);
        let plan = Plan { steps: vec![Step::Uncordon { node: "n1".into() }], ..Plan::default() };
        let outcome = carry_out(&plan, &snapshot(), &cluster).await;
        assert_eq!(outcome.failures().count(), 0, "{outcome:?}");
        assert_eq!(taints(&cluster), expected);
    };
    let marked = |kind: &str| {
        let told = json!({ "kind": kind, "at": 1 }).to_string();
        json!({ "metadata": { "name": "c1", "annotations": { "joiner.dev/interruption": told } } })
    };
    let kept = ["role", "karpenter.sh/disrupted"];
    check(claim().1, &["role"]).await;
    check(marked("rebalance"), &["role"]).await;
    check(marked("spot-warning"), &kept).await;
    check(
        json!({ "metadata": { "name": "c1", "deletionTimestamp": "2026-01-01T00:00:00Z" } }),
        &kept,
    )
    .await;
}

#[tokio::test]
async fn a_cordon_that_comes_between_is_not_undone() {
    let (of, mut object) = node();
    let disrupted = json!({ "key": "karpenter.sh/disrupted", "effect": "NoSchedule" });
    object["spec"]["taints"].as_array_mut().unwrap().push(disrupted);
    let mut cluster = Memory::with([(of, object), claim()]);
    cluster.conflicts = 1.into();
    let plan = Plan { steps: vec![Step::Uncordon { node: "n1".into() }], ..Plan::default() };
    let outcome = carry_out(&plan, &snapshot(), &cluster).await;
    assert!(outcome.look_again && outcome.failures().count() == 1, "{outcome:?}");
    assert_eq!(taints(&cluster), ["role", "karpenter.sh/disrupted"]);
}

#[tokio::test]
async fn a_claim_with_a_grace_period_says_when_its_pods_must_be_gone() {
    const KEY: &str = "karpenter.sh/nodeclaim-termination-timestamp";
    let with_grace = |deleted: Option<i64>| {
        let mut snapshot = snapshot();
        snapshot.node_claims[0].termination_grace_period = Some(Duration(3600));
        snapshot.node_claims[0].deletion_at = deleted.map(|ago| NOW.plus(Duration(-ago)));
        snapshot
    };
    let check = async |deleted: Option<i64>, before: Value, expected: Value| {
        let (of, mut object) = claim();
        object["metadata"]["annotations"] = json!({ KEY: before });
        let cluster = Memory::with([node(), (of, object)]);
        let plan = Plan { steps: vec![Step::Cordon { node: "n1".into() }], ..Plan::default() };
        carry_out(&plan, &with_grace(deleted), &cluster).await;
        let claim = cluster.object(&objects::claim("c1"));
        assert_eq!(claim["metadata"]["annotations"][KEY], expected);
    };
    check(Some(600), Value::Null, json!("2026-01-01T00:50:00Z")).await;
    check(Some(600), json!("2026-01-01T00:10:00Z"), json!("2026-01-01T00:10:00Z")).await;
    check(None, Value::Null, Value::Null).await;
    let reason = DeleteReason::Disrupted(DisruptionReason::Drifted);
    let plan = Plan { steps: vec![Step::Delete { claim: "c1".into(), reason }], ..Plan::default() };
    let cluster = Memory::with([node(), claim()]);
    carry_out(&plan, &with_grace(None), &cluster).await;
    assert_eq!(cluster.calls(), ["patch nodeclaims/c1", "delete nodeclaims/c1"]);
}

#[tokio::test]
async fn an_empty_node_to_which_a_pod_has_come_stays() {
    let mut snapshot = snapshot();
    snapshot.node_claims[0].node_name = Some("n1".into());
    let reason = DeleteReason::Disrupted(DisruptionReason::Empty);
    let plan = Plan { steps: vec![Step::Delete { claim: "c1".into(), reason }], ..Plan::default() };
    let check = async |change: &dyn Fn(&mut Value), expected: &[&str]| {
        let (of, mut pod) = pod();
        pod["metadata"]["namespace"] = json!("shop");
        pod["spec"]["nodeName"] = json!("n1");
        change(&mut pod);
        let cluster = Memory::with([node(), claim(), (of, pod)]);
        let outcome = carry_out(&plan, &snapshot, &cluster).await;
        assert_eq!(cluster.calls(), expected);
        let told = "nodes/n1: pod shop/web came to the empty node meanwhile, so the node stays";
        let errors = outcome.failures().filter_map(|action| action.error.clone());
        let refused = if expected.len() == 1 { vec![told.to_owned()] } else { Vec::new() };
        assert_eq!(errors.collect::<Vec<_>>(), refused);
    };
    let (stays, goes) = (["patch nodes/n1"], ["patch nodes/n1", "delete nodeclaims/c1"]);
    check(&|_| {}, &stays).await;
    check(&|pod| pod["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z"), &stays)
        .await;
    check(&|pod| pod["spec"]["nodeName"] = json!("n2"), &goes).await;
    check(&|pod| pod["status"]["phase"] = json!("Succeeded"), &goes).await;
    let owned = |pod: &mut Value, kind: &str| {
        pod["metadata"]["ownerReferences"] = json!([{ "kind": kind }]);
    };
    check(&|pod| owned(pod, "DaemonSet"), &goes).await;
    check(&|pod| owned(pod, "Node"), &goes).await;
    check(&|pod| owned(pod, "ReplicaSet"), &stays).await;
    let mirror = json!({ "kubernetes.io/config.mirror": "x" });
    check(&|pod| pod["metadata"]["annotations"] = mirror.clone(), &goes).await;
}

#[tokio::test]
async fn what_keeps_a_node_is_told_once() {
    let cluster = Memory::with([node(), claim()]);
    let kept = model::Kept {
        node: "n1".into(),
        reason: DisruptionReason::Drifted,
        by: model::Ineligible::PodDoNotDisrupt { pod: PodId::new("shop", "web") },
    };
    let plan = Plan { kept: vec![kept], ..Plan::default() };
    for _ in 0..2 {
        carry_out(&plan, &snapshot(), &cluster).await;
        let told = "DisruptionBlocked n1: Drifted: the annotation karpenter.sh/do-not-disrupt of pod shop/web forbids it";
        assert_eq!(cluster.events(), [told]);
    }
}
