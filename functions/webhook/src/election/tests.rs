use super::*;

fn s(s: u64) -> Duration {
    Duration::from_secs(s)
}

fn held_by(holder: &str, renewed: &str) -> Option<Record> {
    Some(Record { holder: holder.into(), renewed: renewed.into(), duration: LEASE })
}

#[test]
fn a_lease_is_taken_when_its_holder_was_silent_for_its_whole_duration() {
    let mut election = Election::new("b");
    let mut check = |lease: Option<Record>, at: u64, expected: Move| {
        assert_eq!(election.decide(lease, s(at)), expected, "at {at}");
    };
    check(None, 0, Move::Create);
    check(held_by("a", "1"), 0, Move::Wait);
    check(held_by("a", "1"), 14, Move::Wait);
    check(held_by("a", "2"), 14, Move::Wait);
    check(held_by("a", "2"), 28, Move::Wait);
    check(held_by("a", "2"), 29, Move::Take);
    check(held_by("", "3"), 30, Move::Take);
    check(held_by("b", "4"), 30, Move::Renew);
    check(held_by("c", "5"), 31, Move::Wait);
    let short = Record { holder: "c".into(), renewed: "6".into(), duration: s(1) };
    check(Some(short.clone()), 40, Move::Wait);
    check(Some(short), 41, Move::Take);
}

#[test]
fn a_leader_leads_for_ten_seconds_after_its_last_renewal() {
    let mut election = Election::new("a");
    assert_eq!(election.leads_until(s(0)), None);
    election.written(s(0));
    assert_eq!(election.leads_until(s(9)), Some(s(10)));
    assert_eq!(election.leads_until(s(10)), None);
    election.written(s(20));
    election.lost();
    assert_eq!(election.leads_until(s(20)), None);
    election.written(s(20));
    election.decide(held_by("b", "1"), s(21));
    assert_eq!(election.leads_until(s(21)), None);
}

#[test]
fn leaders_renew_others_look_and_the_unlucky_hurry() {
    let mut election = Election::new("a");
    assert_eq!(election.next(s(0), true), s(2));
    assert_eq!(election.next(s(0), false), s(2));
    election.written(s(0));
    assert_eq!(election.next(s(0), true), s(5));
    assert_eq!(election.next(s(5), false), s(6));
    assert_eq!(election.next(s(10), false), s(12));
}

/// Two replicas, one lease, and a leader whose process ends at `dies`: never two leaders, and how long there is none.
fn failover(dies: u64) -> u64 {
    let mut replicas = [Election::new("a"), Election::new("b")];
    let mut lease: Option<Record> = None;
    let mut next = [s(0), s(1)];
    let mut dead = None;
    for second in 0..200 {
        let now = s(second);
        for index in 0..2 {
            if dead == Some(index) || next[index] > now {
                continue;
            }
            let replica = &mut replicas[index];
            if replica.decide(lease.clone(), now) != Move::Wait {
                lease = held_by(&replica.me, &second.to_string());
                replica.written(now);
            }
            next[index] = replica.next(now, true);
        }
        let leads =
            [0, 1].map(|index| dead != Some(index) && replicas[index].leads_until(now).is_some());
        assert_ne!(leads, [true, true], "at {second}");
        if second == dies {
            dead = leads.iter().position(|leads| *leads);
        } else if second > dies && leads.contains(&true) {
            return second - dies;
        }
    }
    panic!("no leader ever");
}

#[test]
fn another_replica_leads_within_20_seconds() {
    for dies in 10..40 {
        let seconds = failover(dies);
        assert!((5..20).contains(&seconds), "{seconds} s without a leader after {dies}");
    }
}
