use super::*;
use crate::board::{Delta, PendingPod};
use jiff::Timestamp;

fn s(s: u64) -> Duration {
    Duration::from_secs(s)
}

fn knocker() -> Knocker {
    Knocker::new("demo", Batcher::new(s(1), s(10)))
}

fn pod(id: u64) -> Change {
    let since = Timestamp::from_second(i64::try_from(id).unwrap()).unwrap();
    let pod = PendingPod { since, name: format!("n/pod-{id:05}").into() };
    Change::Pods(Delta::Apply(format!("uid-{id}").into(), pod))
}

fn gone(id: u64) -> Change {
    Change::Pods(Delta::Delete(format!("uid-{id}").into()))
}

#[test]
fn fifty_pods_are_one_knock() {
    let mut knocker = knocker();
    knocker.lead(Some(s(100)), s(0));
    (0..50).for_each(|id| knocker.change(pod(id), s(0)));
    assert_eq!(knocker.due(s(0)), Some(s(1)));
    let knocks = knocker.take(s(1));
    let details = knocks.iter().map(Knock::detail).collect::<Vec<_>>();
    assert_eq!(
        details,
        [concat!(
            r#"{"cluster":"demo","count":50,"oldest":"1970-01-01T00:00:00Z","#,
            r#""pods":["n/pod-00000","n/pod-00001","n/pod-00002","n/pod-00003","n/pod-00004"],"#,
            r#""objects":[],"reason":"the kube-scheduler found no node"}"#
        )]
    );
}

#[test]
fn pods_that_find_a_place_in_time_are_not_knocked_for() {
    let mut knocker = knocker();
    knocker.lead(Some(s(100)), s(0));
    knocker.change(pod(1), s(0));
    knocker.change(gone(1), s(0));
    assert_eq!(knocker.take(s(1)), []);
    assert_eq!(knocker.due(s(1)), None);
}

#[test]
fn only_the_leader_knocks() {
    let mut knocker = knocker();
    knocker.change(pod(1), s(0));
    assert_eq!(knocker.due(s(0)), None);
    assert_eq!(knocker.take(s(100)), []);
    knocker.lead(Some(s(110)), s(100));
    assert_eq!(knocker.due(s(100)), Some(s(101)));
    assert_eq!(knocker.take(s(101)).len(), 1);
}

#[test]
fn a_leader_that_cannot_renew_stops_knocking() {
    let mut knocker = knocker();
    knocker.lead(Some(s(10)), s(0));
    knocker.change(pod(1), s(9));
    assert_eq!(knocker.take(s(10)), []);
    assert_eq!(knocker.due(s(10)), None);
    knocker.change(pod(2), s(11));
    assert_eq!(knocker.take(s(20)), []);
    knocker.lead(Some(s(40)), s(30));
    let knocks = knocker.take(s(31));
    assert!(knocks[0].detail().contains("\"count\":2"), "{knocks:?}");
}

#[test]
fn a_renewal_changes_nothing() {
    let mut knocker = knocker();
    knocker.lead(Some(s(10)), s(0));
    knocker.change(pod(1), s(0));
    assert_eq!(knocker.take(s(1)).len(), 1);
    knocker.sent(Vec::new(), s(1), 0.5);
    knocker.lead(Some(s(15)), s(5));
    assert_eq!(knocker.due(s(5)), Some(s(11)));
}

#[test]
fn nothing_is_lost_when_the_bus_takes_nothing_for_a_while() {
    let mut knocker = knocker();
    knocker.lead(Some(s(100_000)), s(0));
    knocker.change(pod(1), s(0));
    let mut now = s(0);
    let mut attempts = 0;
    while now < s(3600) {
        now = knocker.due(now).unwrap().max(now);
        let knocks = knocker.take(now);
        assert!(knocks.len() + knocker.waiting() <= 1);
        if !knocks.is_empty() {
            attempts += 1;
            knocker.sent(knocks, now, 1.0);
        }
    }
    assert!((180..250).contains(&attempts), "{attempts} attempts in an hour");
    let knocks = knocker.take(now + s(20));
    assert_eq!(knocks.len(), 1);
    knocker.sent(Vec::new(), now + s(20), 1.0);
    assert_eq!(knocker.waiting(), 0);
}

#[test]
fn while_knocks_are_on_their_way_others_wait_without_a_busy_loop() {
    let mut knocker = knocker();
    knocker.lead(Some(s(1000)), s(0));
    knocker.change(pod(1), s(0));
    assert_eq!(knocker.take(s(1)).len(), 1);
    knocker.change(pod(2), s(2));
    assert_eq!(knocker.take(s(3)), []);
    assert_eq!(knocker.due(s(3)), Some(s(13)));
    knocker.sent(Vec::new(), s(4), 1.0);
    assert_eq!(knocker.due(s(4)), Some(s(0)));
    assert_eq!(knocker.take(s(4)).len(), 1);
}

#[test]
fn what_waits_is_sent_when_the_process_ends() {
    let mut knocker = knocker();
    knocker.change(pod(1), s(0));
    assert_eq!(knocker.flush(s(0)), []);
    knocker.lead(Some(s(10)), s(0));
    assert_eq!(knocker.flush(s(0)).len(), 1);
}

#[test]
fn ten_thousand_pods_are_one_small_knock() {
    let mut knocker = knocker();
    knocker.lead(Some(s(100)), s(0));
    (0..10_000).for_each(|id| knocker.change(pod(id), s(0)));
    let knocks = knocker.take(s(1));
    assert_eq!(knocks.len(), 1);
    assert!(knocks[0].detail().len() < 1024);
}
