use super::*;
use crate::batch::Batcher;
use crate::board::{Board, Occurrence};

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

fn knock(topic: Topic, objects: &[&str]) -> Knock {
    let mut batcher = Batcher::new(ms(1), ms(1));
    for object in objects {
        let occurrence = Occurrence { topic, object: (*object).into(), reason: "r" };
        batcher.note(&occurrence, ms(0));
    }
    let (topic, batch) = batcher.flush().remove(0);
    Knock::new(&"demo".into(), topic, batch, &Board::default())
}

#[test]
fn knocks_of_one_topic_become_one() {
    let mut outbox = Outbox::default();
    for object in 0..1000 {
        outbox.put(knock(Topic::NodeDeleting, &[&format!("node-{object}")]));
    }
    outbox.put(knock(Topic::PodsPending, &["a"]));
    assert_eq!(outbox.len(), 2);
    let taken = outbox.take(ms(0));
    assert_eq!(taken.len(), 2);
    let detail = taken[1].detail();
    assert!(detail.contains("\"count\":1000"), "{detail}");
    assert_eq!(outbox.len(), 0);
    assert_eq!(outbox.due(), None);
}

#[test]
fn an_event_stays_small_whatever_it_is_about() {
    let long = "x".repeat(253);
    let mut outbox = Outbox::default();
    for object in 0..100 {
        outbox.put(knock(Topic::NodeChanged, &[&format!("{long}{object}"), &long]));
    }
    let detail = outbox.take(ms(0))[0].detail();
    assert!(detail.len() < 4096, "{} bytes", detail.len());
}

#[test]
fn failures_are_tried_again_ever_more_rarely() {
    let mut outbox = Outbox::default();
    let mut now = ms(0);
    let mut waits = Vec::new();
    outbox.put(knock(Topic::NodeDeleting, &["a"]));
    for _ in 0..10 {
        let taken = outbox.take(now);
        assert_eq!(taken.len(), 1, "at {now:?}");
        outbox.sent(taken, now, 1.0);
        let due = outbox.due().unwrap();
        assert!(outbox.take(due - ms(1)).is_empty());
        waits.push((due - now).as_millis());
        now = due;
    }
    assert_eq!(waits, [200, 400, 800, 1600, 3200, 6400, 12_800, 20_000, 20_000, 20_000]);
    let taken = outbox.take(now);
    outbox.sent(Vec::new(), now, 1.0);
    assert_eq!(taken.len(), 1);
    outbox.put(knock(Topic::NodeDeleting, &["b"]));
    outbox.sent(vec![knock(Topic::NodeDeleting, &["a"])], now, 0.0);
    assert_eq!(outbox.due(), Some(now + ms(100)));
}

#[test]
fn what_failed_is_one_with_what_came_meanwhile() {
    let mut outbox = Outbox::default();
    outbox.put(knock(Topic::NodeDeleting, &["a"]));
    let taken = outbox.take(ms(0));
    outbox.put(knock(Topic::NodeDeleting, &["b"]));
    outbox.sent(taken, ms(10), 1.0);
    assert_eq!(outbox.len(), 1);
    let detail = outbox.take(ms(1000))[0].detail();
    assert!(detail.contains("\"objects\":[\"a\",\"b\"]"), "{detail}");
}
