//! What follows from a word of AWS about an instance: until when its pods must have left.

use model::disruption::InterruptionKind;
use model::{Duration, Interruption, Timestamp};

/// Capacity that is taken back goes so many seconds after the warning (EC2's user guide, "spot interruption notices").
const NOTICE_S: i64 = 120;
/// Pods are gone so many seconds before their instance is: a turn may come late.
pub(crate) const MARGIN_S: i64 = 15;

/// When the instance is gone, if that is known.
pub(crate) fn deadline(told: Interruption) -> Option<Timestamp> {
    let noticed = || told.deadline.unwrap_or(told.at.plus(Duration(NOTICE_S)));
    match told.kind {
        InterruptionKind::SpotWarning
        | InterruptionKind::ReservationEnding
        | InterruptionKind::Stopping => Some(noticed()),
        InterruptionKind::StatusImpaired => Some(told.at),
        InterruptionKind::ScheduledChange => told.deadline,
        InterruptionKind::Rebalance => None,
    }
}

/// Whether the instance is of no more use to its pods: nothing is waited for.
pub(crate) fn is_lost(told: Interruption) -> bool {
    match told.kind {
        InterruptionKind::StatusImpaired | InterruptionKind::Stopping => true,
        InterruptionKind::SpotWarning
        | InterruptionKind::ReservationEnding
        | InterruptionKind::ScheduledChange
        | InterruptionKind::Rebalance => false,
    }
}

/// When a pod that needs so many seconds to end must begin to.
pub(crate) fn latest(deadline: Timestamp, grace_s: i64) -> Timestamp {
    deadline.plus(Duration(-grace_s - MARGIN_S))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_has_its_deadline() {
        let check = |kind, known: Option<i64>, expected: Option<i64>| {
            let told = Interruption { kind, at: Timestamp(1000), deadline: known.map(Timestamp) };
            assert_eq!(deadline(told), expected.map(Timestamp), "{kind:?}");
        };
        check(InterruptionKind::SpotWarning, None, Some(1120));
        check(InterruptionKind::SpotWarning, Some(1100), Some(1100));
        check(InterruptionKind::ReservationEnding, None, Some(1120));
        check(InterruptionKind::Stopping, None, Some(1120));
        check(InterruptionKind::StatusImpaired, None, Some(1000));
        check(InterruptionKind::ScheduledChange, None, None);
        check(InterruptionKind::ScheduledChange, Some(9000), Some(9000));
        check(InterruptionKind::Rebalance, None, None);
        assert_eq!(latest(Timestamp(1120), 30), Timestamp(1075));
    }
}
