use super::lifecycle;
use crate::leaving::Leaving;
use crate::places::Places;
use crate::view::View;
use model::claim::Progress;
use model::node_class::InstanceState;
use model::pod::{Owner, PodPhase};
use model::pool::ApiVersion;
use model::taints::{Effect, Taint};
use model::{
    CapacityType, Duration, Instance, Labels, LaunchRequest, Node, NodeClaim, NodePool, Plan, Pod,
    PodId, PodSpec, Removal, Resources, Snapshot, Timestamp, labels,
};
use std::sync::Arc;

const NOW: i64 = 10_000;

/// A cluster of one claim `a` of batch `b`, which was written so many seconds ago.
fn world(age_s: i64) -> Snapshot {
    let mut pool = NodePool::new("default", ApiVersion::V1, "default", "default");
    pool.disruption.consolidate_after = Some(Duration(30));
    Snapshot {
        now: Timestamp(NOW),
        node_pools: vec![pool],
        node_claims: vec![claim("a", 1, age_s)],
        instances: Some(Vec::new()),
        ..Snapshot::default()
    }
}

fn claim(name: &str, size: u32, age_s: i64) -> NodeClaim {
    let launch = LaunchRequest {
        batch: "b".to_owned(),
        size,
        node_class: "default".to_owned(),
        capacity_type: CapacityType::Spot,
        offerings: Vec::new(),
        labels: Labels::new(),
        pods: Vec::new(),
        requests: Resources::new(),
        replaces: None,
    };
    NodeClaim {
        name: name.into(),
        pool: "default".to_owned(),
        created_at: Some(Timestamp(NOW - age_s)),
        launch: Some(launch),
        finalizer: true,
        ..NodeClaim::default()
    }
}

fn instance(id: &str, state: InstanceState) -> Instance {
    Instance {
        id: id.to_owned(),
        instance_type: "m5.large".to_owned(),
        zone: "us-east-1a".to_owned(),
        capacity_type: CapacityType::Spot,
        state,
        launched_at: Timestamp(NOW - 100),
        private_dns_name: String::new(),
        image_id: String::new(),
        subnet_id: String::new(),
        security_group_ids: Vec::new(),
        reservation_id: None,
        placement_group: Vec::new(),
        interruption: None,
        tags: [(labels::BATCH.to_owned(), "b".to_owned())].into(),
    }
}

/// The claim `a` has the instance `i-1` in this state.
fn launched(age_s: i64, state: InstanceState) -> Snapshot {
    let mut world = world(age_s);
    world.node_claims[0].provider_id = Some("aws:///us-east-1a/i-1".to_owned());
    world.node_claims[0].progress.launched = true;
    world.instances = Some(vec![instance("i-1", state)]);
    world
}

/// The claim `a` has joined and is set up as node `n`.
fn joined() -> Snapshot {
    let mut world = launched(600, InstanceState::Running);
    world.node_claims[0].progress =
        Progress { launched: true, registered: true, initialized: true };
    let pairs = [(labels::NODE_POOL, "default"), (labels::INITIALIZED, "true")];
    world.nodes = vec![Node {
        name: "n".into(),
        provider_id: "aws:///us-east-1a/i-1".to_owned(),
        labels: pairs.map(|(key, value)| (key.to_owned(), value.to_owned())).into(),
        ready: true,
        finalizer: true,
        ..Node::default()
    }];
    world
}

/// The claim of node `n` is being deleted, for so many seconds.
fn ending(since_s: i64) -> Snapshot {
    let mut world = joined();
    world.node_claims[0].deleting = true;
    world.node_claims[0].deletion_at = Some(Timestamp(NOW - since_s));
    world
}

fn pod(name: &str) -> Pod {
    Pod {
        uid: format!("uid-{name}"),
        node_name: Some("n".into()),
        phase: PodPhase::Running,
        unschedulable: false,
        ..Pod::waiting(PodId::new("shop", name), Arc::default(), Arc::default())
    }
}

fn with_pods(mut world: Snapshot, pods: Vec<Pod>) -> Snapshot {
    world.pods = pods;
    world
}

fn tainted(key: &str) -> Vec<Taint> {
    vec![Taint { key: key.to_owned(), value: String::new(), effect: Effect::NoSchedule }]
}

fn steps_of(world: &Snapshot, plan: &Plan) -> super::Lifecycle {
    let view = View::new(world);
    lifecycle(&view, &Leaving::of(&view), &Places::default(), plan)
}

/// The steps, in short: `launch b a`, `adopt a i-1`.
fn check(world: &Snapshot, expected: &[&str]) {
    let found = steps_of(world, &Plan::default());
    let told = found.steps.iter().map(|step| serde_json::to_value(step).unwrap()).map(|step| {
        let part = |key: &str| match &step[key] {
            serde_json::Value::String(text) => Some(text.clone()),
            serde_json::Value::Array(list) => {
                Some(list.iter().map(|item| item.as_str().unwrap()).collect::<Vec<_>>().join(","))
            }
            serde_json::Value::Null
            | serde_json::Value::Bool(_)
            | serde_json::Value::Number(_)
            | serde_json::Value::Object(_) => None,
        };
        let keys = ["step", "batch", "claim", "claims", "node", "pod", "instance", "reason"];
        keys.iter().filter_map(|key| part(key)).collect::<Vec<_>>().join(" ")
    });
    assert_eq!(told.collect::<Vec<_>>(), expected);
}

#[test]
fn a_claim_without_instance_is_adopted_bought_again_or_given_up() {
    check(&world(1), &["launch b a"]);
    check(&world(299), &["launch b a"]);
    check(&world(300), &["delete a NotLaunched"]);
    let mut bought = world(1);
    bought.instances = Some(vec![instance("i-1", InstanceState::Pending)]);
    check(&bought, &["adopt a i-1"]);
    let mut unknown = world(1);
    unknown.instances = None;
    check(&unknown, &[]);
    let mut of_another = world(1);
    of_another.node_claims[0].launch = None;
    check(&of_another, &[]);
}

#[test]
fn a_batch_is_bought_again_only_while_all_its_claims_are_there() {
    let mut half = world(1);
    half.node_claims = vec![claim("a", 2, 1)];
    check(&half, &["delete a NotLaunched"]);
    let mut whole = world(1);
    whole.node_claims = vec![claim("a", 2, 1), claim("c", 2, 1)];
    check(&whole, &["launch b a,c"]);
    whole.instances = Some(vec![instance("i-1", InstanceState::Running)]);
    // The call's answer would name i-1 too, which is on its way to `a`.
    check(&whole, &["adopt a i-1"]);
    whole.node_claims[0].provider_id = Some("aws:///us-east-1a/i-1".to_owned());
    check(&whole, &["launch b c"]);
}

#[test]
fn a_node_registers_and_is_initialised_when_it_is_set_up() {
    check(&launched(60, InstanceState::Running), &[]);
    check(&launched(900, InstanceState::Running), &["delete a NotRegistered"]);
    let mut came = joined();
    came.node_claims[0].progress = Progress { launched: true, ..Progress::default() };
    came.pods = vec![pod("p")];
    check(&came, &["register a n", "initialize a n"]);
    came.nodes[0].ready = false;
    check(&came, &["register a n"]);
    let mut closed = came.clone();
    closed.nodes[0].ready = true;
    closed.nodes[0].taints = tainted(labels::UNREGISTERED_TAINT);
    closed.nodes[0].taints[0].effect = Effect::NoExecute;
    check(&closed, &["register a n"]);
    closed.node_claims[0].progress.registered = true;
    closed.nodes[0].taints[0].effect = Effect::NoSchedule;
    check(&closed, &["register a n", "initialize a n"]);
    let mut starting = joined();
    starting.pods = vec![pod("p")];
    starting.node_claims[0].progress.initialized = false;
    starting.node_claims[0].startup_taints = tainted("cni");
    starting.nodes[0].taints = tainted("cni");
    check(&starting, &[]);
    starting.nodes[0].taints = tainted(labels::NOT_READY_TAINT);
    check(&starting, &[]);
    starting.nodes[0].taints = tainted("other");
    check(&starting, &["initialize a n"]);
    let launch = starting.node_claims[0].launch.as_mut().unwrap();
    launch.requests.set("nvidia.com/gpu", 1);
    check(&starting, &[]);
    starting.nodes[0].capacity.set("nvidia.com/gpu", 1);
    check(&starting, &["initialize a n"]);
}

#[test]
fn a_claim_whose_instance_is_gone_goes() {
    check(&launched(60, InstanceState::Terminated), &["delete a InstanceGone"]);
    let mut absent = launched(60, InstanceState::Running);
    absent.instances = Some(Vec::new());
    check(&absent, &[]);
    absent.node_claims[0].created_at = Some(Timestamp(NOW - 120));
    check(&absent, &["delete a InstanceGone"]);
    let mut serving = joined();
    serving.pods = vec![pod("p")];
    serving.instances = Some(Vec::new());
    check(&serving, &[]);
    serving.nodes[0].ready = false;
    check(&serving, &["delete a InstanceGone"]);
    let mut deleted = joined();
    deleted.nodes[0].deleting = true;
    check(&deleted, &["delete a NodeDeleted"]);
}

#[test]
fn an_ending_node_is_cordoned_drained_by_tiers_terminated_and_let_go() {
    let mut daemon = pod("daemon");
    daemon.owner = Some(Owner { kind: "DaemonSet".to_owned(), name: "d".to_owned() });
    let mut critical = pod("critical");
    critical.spec = Arc::new(PodSpec { priority: 2_000_000_000, ..PodSpec::default() });
    let all = vec![critical.clone(), daemon.clone(), pod("web")];
    check(&with_pods(ending(5), all), &["cordon n", "evict n shop/web"]);
    let mut world = ending(5);
    world.nodes[0].taints = tainted(labels::DISRUPTED_TAINT);
    check(&with_pods(world.clone(), vec![critical.clone(), daemon]), &["evict n shop/daemon"]);
    check(&with_pods(world.clone(), vec![critical]), &["evict n shop/critical"]);
    let mut leaving = pod("web");
    leaving.deletion_at = Some(Timestamp(NOW));
    check(&with_pods(world.clone(), vec![leaving.clone()]), &[]);
    leaving.deletion_at = Some(Timestamp(NOW - 61));
    check(&with_pods(world.clone(), vec![leaving]), &["terminate i-1 Drained"]);
    world.attached_volumes = [("n".to_owned(), vec!["pv".to_owned()])].into();
    check(&world, &[]);
    world.attached_volumes.clear();
    check(&world, &["terminate i-1 Drained"]);
    world.instances = Some(vec![instance("i-1", InstanceState::ShuttingDown)]);
    check(&world, &[]);
    world.instances = Some(vec![instance("i-1", InstanceState::Terminated)]);
    check(&world, &["deleteNode n", "releaseNode n", "releaseClaim a"]);
    world.instances = None;
    check(&world, &[]);
}

#[test]
fn an_instance_that_aws_does_not_show_is_gone_once_its_node_had_joined() {
    let mut world = ending(5);
    world.node_claims[0].created_at = Some(Timestamp(NOW - 100));
    world.instances = Some(Vec::new());
    check(&world, &["deleteNode n", "releaseNode n", "releaseClaim a"]);
    world.nodes.clear();
    world.node_claims[0].progress.registered = false;
    check(&world, &["terminate i-1 Drained"]);
    world.node_claims[0].created_at = Some(Timestamp(NOW - 120));
    check(&world, &["releaseClaim a"]);
}

#[test]
fn pods_that_must_not_be_disturbed_wait_for_the_deadline() {
    let mut world = ending(100);
    world.nodes[0].taints = tainted(labels::DISRUPTED_TAINT);
    let mut kept = pod("kept");
    kept.do_not_disrupt = true;
    kept.spec = Arc::new(PodSpec { termination_grace_period_s: 30, ..PodSpec::default() });
    world.pods = vec![kept];
    check(&world, &[]);
    world.node_claims[0].termination_grace_period = Some(Duration(131));
    check(&world, &[]);
    world.node_claims[0].termination_grace_period = Some(Duration(130));
    check(&world, &["forceDelete shop/kept"]);
}

#[test]
fn an_instance_without_claim_is_terminated_once_it_is_old_enough() {
    let mut world = world(1);
    world.node_claims.clear();
    world.instances = Some(vec![instance("i-1", InstanceState::Running)]);
    check(&world, &["terminate i-1 NoClaim"]);
    world.now = Timestamp(NOW - 71);
    check(&world, &[]);
    world.now = Timestamp(NOW);
    world.instances.as_mut().unwrap()[0].tags.clear();
    check(&world, &[]);
}

#[test]
fn nodes_that_are_not_joiners_are_never_taken_away() {
    let mut world = joined();
    world.node_claims[0].launch = None;
    world.instances = Some(Vec::new());
    let removal = Removal { node: "n".into(), reason: model::DisruptionReason::Empty, saves: None };
    let plan = Plan { removals: vec![removal], ..Plan::default() };
    assert_eq!(steps_of(&world, &plan).steps, []);
    assert_eq!(steps_of(&joined(), &plan).steps.len(), 2);
}

#[test]
fn empty_nodes_are_marked_and_the_mark_goes_with_the_first_pod() {
    check(&joined(), &["markEmpty n"]);
    check(&with_pods(joined(), vec![pod("p")]), &[]);
    let mut marked = joined();
    marked.empty_since = [("n".to_owned(), Timestamp(NOW - 10))].into();
    check(&marked, &[]);
    check(&with_pods(marked, vec![pod("p")]), &["markEmpty n"]);
}
