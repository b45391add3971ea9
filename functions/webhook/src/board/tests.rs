use super::*;

fn pod(name: &str) -> PendingPod {
    PendingPod { since: Timestamp::UNIX_EPOCH, name: name.into() }
}

fn node(id: &str) -> Node {
    Node {
        name: format!("node-{id}").into(),
        provider_id: Some(format!("aws:///z/i-{id}")),
        ours: true,
        deleting: false,
        readiness: Readiness::default(),
    }
}

fn claim(id: &str) -> Claim {
    Claim {
        name: format!("claim-{id}").into(),
        provider_id: Some(format!("aws:///z/i-{id}")),
        initialized: false,
        deleting: false,
    }
}

fn ready(taints: &[&str], resources: &[&str]) -> Readiness {
    let set = |all: &[&str]| all.iter().map(|one| (*one).to_owned()).collect();
    Readiness { ready: true, taints: set(taints), resources: set(resources) }
}

fn found(board: &mut Board, change: Change) -> Vec<(Topic, String)> {
    let found = board.apply(change);
    found.into_iter().map(|found| (found.topic, found.object.to_string())).collect()
}

fn apply_node(node: Node) -> Change {
    Change::Nodes(Delta::Apply(Arc::clone(&node.name), node))
}

fn apply_claim(claim: Claim) -> Change {
    Change::Claims(Delta::Apply(Arc::clone(&claim.name), claim))
}

const NONE: [(Topic, String); 0] = [];

#[test]
fn only_new_pods_are_worth_a_knock() {
    let mut board = Board::default();
    let mut check = |delta, expected: &[&str]| {
        let names = found(&mut board, Change::Pods(delta)).into_iter().map(|(_, name)| name);
        assert_eq!(names.collect::<Vec<_>>(), expected);
    };
    check(Delta::Apply("1".into(), pod("a")), &["a"]);
    check(Delta::Apply("1".into(), pod("a")), &[]);
    let list = |names: &[(&str, &str)]| {
        Delta::Replace(names.iter().map(|(uid, name)| ((*uid).into(), pod(name))).collect())
    };
    check(list(&[("1", "a"), ("2", "b")]), &["b"]);
    check(list(&[("2", "b")]), &[]);
    check(Delta::Delete("2".into()), &[]);
    check(Delta::Delete("9".into()), &[]);
    check(Delta::Apply("2".into(), pod("b")), &["b"]);
    assert_eq!(board.pods().len(), 1);
}

#[test]
fn the_deletion_of_our_nodes_and_claims_is_worth_a_knock_once() {
    let deleting = |id: &str| Node { deleting: true, ..node(id) };
    let knock = |name: &str| vec![(Topic::NodeDeleting, name.to_owned())];
    let mut board = Board::default();
    assert_eq!(found(&mut board, apply_node(node("1"))), NONE);
    assert_eq!(found(&mut board, apply_node(deleting("1"))), knock("node-1"));
    assert_eq!(found(&mut board, apply_node(deleting("1"))), NONE);
    assert_eq!(found(&mut board, apply_node(deleting("2"))), knock("node-2"));
    assert_eq!(found(&mut board, apply_node(Node { ours: false, ..deleting("3") })), NONE);
    assert_eq!(found(&mut board, Change::Nodes(Delta::Delete("node-1".into()))), NONE);
    let gone = Claim { deleting: true, ..claim("9") };
    assert_eq!(found(&mut board, apply_claim(gone.clone())), knock("claim-9"));
    assert_eq!(found(&mut board, apply_claim(gone)), NONE);
}

#[test]
fn a_node_that_a_claim_waits_for_is_worth_a_knock_at_each_step_forward() {
    let mut board = Board::default();
    let with = |readiness| Node { ours: false, readiness, ..node("1") };
    assert_eq!(found(&mut board, apply_claim(claim("1"))), NONE);
    let unready = Readiness { ready: false, ..ready(&["s:NoSchedule"], &["cpu"]) };
    let steps = [
        (unready.clone(), true, "it appears"),
        (unready, false, "nothing changes"),
        (ready(&["s:NoSchedule"], &["cpu"]), true, "it turns ready"),
        (
            ready(&["s:NoSchedule", "t:NoSchedule"], &["cpu"]),
            false,
            "a taint more is no step forward",
        ),
        (ready(&["t:NoSchedule"], &["cpu"]), true, "a startup taint goes"),
        (ready(&["t:NoSchedule"], &["cpu", "gpu"]), true, "a resource comes"),
        (Readiness { ready: false, ..ready(&["t:NoSchedule"], &["cpu"]) }, false, "it falls back"),
    ];
    for (readiness, expected, why) in steps {
        let found = found(&mut board, apply_node(with(readiness)));
        assert_eq!(found.len(), usize::from(expected), "{why}");
        assert!(found.iter().all(|(topic, _)| *topic == Topic::NodeChanged), "{why}");
    }
}

#[test]
fn a_node_that_no_claim_waits_for_is_not_worth_a_knock() {
    let check = |claim: Claim| {
        let mut board = Board::default();
        found(&mut board, apply_claim(claim));
        assert_eq!(found(&mut board, apply_node(node("1"))), NONE);
    };
    check(claim("2"));
    check(Claim { provider_id: None, ..claim("1") });
    check(Claim { initialized: true, ..claim("1") });
    check(Claim { deleting: true, ..claim("1") });
}

#[test]
fn a_claim_may_come_to_know_its_node_after_the_node() {
    let mut board = Board::default();
    let knock = vec![(Topic::NodeChanged, "node-1".to_owned())];
    assert_eq!(found(&mut board, apply_node(node("1"))), NONE);
    assert_eq!(found(&mut board, apply_claim(Claim { provider_id: None, ..claim("1") })), NONE);
    assert_eq!(found(&mut board, apply_claim(claim("1"))), knock);
    assert_eq!(found(&mut board, apply_claim(claim("1"))), NONE);
}

#[test]
fn changed_specs_are_worth_a_knock_and_the_first_list_is_not() {
    let mut board = Board::default();
    let mut check = |delta, expected: &[&str]| {
        let names =
            found(&mut board, Change::Specs("NodePool", delta)).into_iter().map(|(_, name)| name);
        assert_eq!(names.collect::<Vec<_>>(), expected);
    };
    let list = |specs: &[(&str, i64)]| {
        let specs =
            specs.iter().map(|(name, generation)| ((*name).into(), ((*name).into(), *generation)));
        Delta::Replace(specs.collect())
    };
    check(list(&[("a", 1)]), &[]);
    check(Delta::Apply("a".into(), ("a".into(), 1)), &[]);
    check(Delta::Apply("a".into(), ("a".into(), 2)), &["a"]);
    check(Delta::Apply("b".into(), ("b".into(), 1)), &["b"]);
    check(list(&[("a", 2), ("b", 2)]), &["b"]);
    check(list(&[("b", 2)]), &["a"]);
    check(Delta::Delete("b".into()), &["b"]);
}

#[test]
fn a_new_leader_knocks_for_all_there_is() {
    let mut board = Board::default();
    board.apply(Change::Pods(Delta::Apply("1".into(), pod("a"))));
    board.apply(apply_node(Node { deleting: true, ..node("1") }));
    board.apply(apply_node(node("2")));
    board.apply(apply_claim(claim("2")));
    board.apply(Change::Specs("NodePool", Delta::Apply("p".into(), ("p".into(), 1))));
    let topics = |board: &mut Board| {
        let mut topics =
            board.everything().into_iter().map(|found| found.topic).collect::<Vec<_>>();
        topics.sort();
        topics
    };
    assert_eq!(topics(&mut board), Topic::ALL);
    assert_eq!(topics(&mut board), Topic::ALL);
    assert_eq!(topics(&mut Board::default()), []);
}
