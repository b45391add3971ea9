//! Reasons in few lines: pools that share a cause are named together.

use model::Reason;

/// Rank, text, and the pools that it concerns.
type Cause<'a> = (u8, String, Vec<&'a str>);

/// The rank of taints, the last.
const TAINT: u8 = 6;

/// The causes, the most telling first: what no pool can mend, then what some pool nearly has, then pools meant for others.
pub(crate) fn causes(reasons: &[Reason]) -> Vec<String> {
    let mut causes: Vec<Cause<'_>> = Vec::new();
    for reason in reasons {
        let (rank, pool) = rank_and_pool(reason);
        let text = reason.to_string();
        let cause = pool.and_then(|pool| text.strip_prefix(pool)?.strip_prefix(": "));
        let cause = cause.unwrap_or(&text).to_owned();
        match causes
            .iter_mut()
            .find(|(_, known, pools)| *known == cause && pools.is_empty() == pool.is_none())
        {
            Some((_, _, pools)) => pools.extend(pool),
            None => causes.push((rank, cause, pool.into_iter().collect())),
        }
    }
    causes.sort_by_key(|(rank, _, _)| *rank);
    join_taints(&mut causes);
    causes.into_iter().map(|(_, cause, pools)| told(&cause, &pools)).collect()
}

/// Taints of this many kinds are told one by one.
const MOST_TAINTS: usize = 2;

/// A pod that belongs to one group of many would else be told the taints of all the others.
fn join_taints(causes: &mut Vec<Cause<'_>>) {
    let first = causes.iter().position(|(rank, _, _)| *rank == TAINT).unwrap_or(causes.len());
    if causes.len() - first > MOST_TAINTS {
        let pools = causes.drain(first..).flat_map(|(_, _, pools)| pools).collect();
        causes.push((TAINT, "their taints are not tolerated".to_owned(), pools));
    }
}

fn told(cause: &str, pools: &[&str]) -> String {
    match pools {
        [] => cause.to_owned(),
        [one, two, three, _, ..] => {
            format!("{one}, {two}, {three}, +{}: {cause}", pools.len() - 3)
        }
        few => format!("{}: {cause}", few.join(", ")),
    }
}

/// How telling the reason is (0 is the most), and the pool that it is about.
fn rank_and_pool(reason: &Reason) -> (u8, Option<&str>) {
    match reason {
        Reason::NoNodePool
        | Reason::Unsupported { .. }
        | Reason::Check { .. }
        | Reason::Volume { .. }
        | Reason::Spread { .. }
        | Reason::PodAffinity { .. }
        | Reason::PodAntiAffinity { .. } => (0, None),
        Reason::Limit { pool, .. } => (1, Some(pool)),
        Reason::TooLarge { pool, .. } => (2, Some(pool)),
        Reason::NoOffering { pool } | Reason::HostPort { pool, .. } => (3, Some(pool)),
        Reason::PoolNotReady { pool, .. } => (4, Some(pool)),
        Reason::Requirements { pool, .. } => (5, Some(pool)),
        Reason::Taint { pool, .. } => (TAINT, Some(pool)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted(pool: &str, wanted: &str) -> Reason {
        Reason::Requirements { pool: pool.to_owned(), wanted: wanted.to_owned() }
    }

    fn check(reasons: &[Reason], expected: &[&str]) {
        assert_eq!(causes(reasons), expected);
    }

    #[test]
    fn pools_with_the_same_cause_stand_together_and_taints_come_last() {
        let taint = Reason::Taint { pool: "a".to_owned(), taint: "t:NoSchedule".to_owned() };
        check(&[], &[]);
        check(&[Reason::NoNodePool], &["there is no node pool"]);
        check(
            &[taint, wanted("b", "x"), wanted("c", "y"), wanted("d", "x")],
            &[
                "b, d: no node of it would meet x",
                "c: no node of it would meet y",
                "a: taint t:NoSchedule is not tolerated",
            ],
        );
        let taint =
            |pool: &str| Reason::Taint { pool: pool.to_owned(), taint: pool.to_uppercase() };
        check(
            &[taint("a"), taint("b")],
            &["a: taint A is not tolerated", "b: taint B is not tolerated"],
        );
        check(&[taint("a"), taint("b"), taint("c")], &["a, b, c: their taints are not tolerated"]);
        let many = ["a", "b", "c", "d", "e"].map(|pool| wanted(pool, "x"));
        check(&many, &["a, b, c, +2: no node of it would meet x"]);
    }
}
