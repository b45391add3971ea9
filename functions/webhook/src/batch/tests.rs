use super::*;

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

fn batcher() -> Batcher {
    Batcher::new(ms(1000), ms(10_000))
}

fn note(batcher: &mut Batcher, topic: Topic, at_ms: u64) {
    let occurrence = Occurrence {
        topic,
        object: format!(
            "o{at_ms}-{}",
            batcher.open.len() + batcher.open.values().map(|batch| batch.count).sum::<usize>()
        )
        .into(),
        reason: "r",
    };
    batcher.note(&occurrence, ms(at_ms));
}

/// Notes pods at these times, and says when the first window closes.
fn check(noted_ms: &[u64], closes_ms: u64) {
    let mut batcher = batcher();
    for at in noted_ms {
        assert!(batcher.close(ms(*at), true).is_empty(), "closed before {at}");
        note(&mut batcher, Topic::PodsPending, *at);
    }
    assert_eq!(batcher.due(), Some(ms(closes_ms)), "{noted_ms:?}");
    assert!(batcher.close(ms(closes_ms - 1), true).is_empty(), "{noted_ms:?}");
    let closed = batcher.close(ms(closes_ms), true);
    assert_eq!(closed.len(), 1);
    assert_eq!(closed[0].1.count, noted_ms.len());
    assert_eq!(closed[0].1.objects.len(), noted_ms.len().min(NAMED));
}

#[test]
fn a_window_closes_after_the_idle_time_or_the_longest() {
    check(&[0], 1000);
    check(&[0, 900], 1900);
    check(&[500, 500, 501], 1501);
    let every = (0..12).map(|at| at * 900).collect::<Vec<_>>();
    check(&every, 10_000);
}

#[test]
fn each_topic_has_a_window_of_its_own() {
    let mut batcher = batcher();
    note(&mut batcher, Topic::PodsPending, 0);
    note(&mut batcher, Topic::NodeDeleting, 400);
    let topics = |closed: Vec<(Topic, Batch)>| {
        closed.into_iter().map(|(topic, _)| topic).collect::<Vec<_>>()
    };
    assert_eq!(topics(batcher.close(ms(1000), true)), [Topic::PodsPending]);
    assert_eq!(topics(batcher.close(ms(1400), true)), [Topic::NodeDeleting]);
    assert_eq!(topics(batcher.flush()), []);
    note(&mut batcher, Topic::NodeChanged, 1500);
    assert_eq!(topics(batcher.flush()), [Topic::NodeChanged]);
}

/// When it knocks for pods until `end_ms`, if pods come at these times and never go.
fn knocks(noted_ms: &[u64], end_ms: u64) -> Vec<u64> {
    let mut batcher = batcher();
    let mut noted = noted_ms.iter().copied().peekable();
    let mut knocks = Vec::new();
    loop {
        let due = batcher.due().map_or(u64::MAX, |due| due.as_millis() as u64);
        let next = noted.peek().copied().unwrap_or(u64::MAX);
        if due.min(next) > end_ms {
            return knocks;
        }
        if next <= due {
            note(&mut batcher, Topic::PodsPending, next);
            noted.next();
        } else if !batcher.close(ms(due), true).is_empty() {
            knocks.push(due);
        }
    }
}

#[test]
fn it_knocks_again_ever_more_rarely_until_a_new_pod_comes() {
    let s = |all: &[u64]| all.iter().map(|s| s * 1000).collect::<Vec<_>>();
    assert_eq!(knocks(&[0], 200_000), s(&[1, 11, 31, 71, 131, 191]));
    assert_eq!(knocks(&[0, 40_000], 90_000), s(&[1, 11, 31, 41, 51, 71]));
    // The window that is open when the repetition comes due knocks in its place.
    assert_eq!(knocks(&[0, 10_500], 30_000), [1000, 11_500, 21_500]);
}

#[test]
fn it_does_not_knock_again_when_no_pod_is_left() {
    let mut batcher = batcher();
    note(&mut batcher, Topic::PodsPending, 0);
    assert_eq!(batcher.close(ms(1000), true).len(), 1);
    assert_eq!(batcher.close(ms(11_000), false), []);
    assert_eq!(batcher.due(), None);
}

#[test]
fn what_is_forgotten_does_not_come_back() {
    let mut batcher = batcher();
    note(&mut batcher, Topic::PodsPending, 0);
    batcher.close(ms(1000), true);
    note(&mut batcher, Topic::NodeDeleting, 1000);
    batcher.clear();
    assert_eq!(batcher.due(), None);
}
