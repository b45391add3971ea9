//! What a stack's status means for whoever wants to make, change or remove it.

use aws_sdk_cloudformation::types::StackStatus;

/// What a stack's status means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    /// It was never made: only a change set is there.
    Planned,
    /// Something is being done with it.
    Busy,
    /// It is whole.
    Sound,
    /// It was never whole, or is half deleted: it can only be deleted.
    Broken,
    /// A change failed, and so did going back.
    Stuck,
}

/// Of the stack's status.
pub(crate) fn of(status: &StackStatus) -> State {
    match status.as_str() {
        "REVIEW_IN_PROGRESS" => State::Planned,
        "CREATE_FAILED" | "ROLLBACK_COMPLETE" | "ROLLBACK_FAILED" | "DELETE_FAILED" => {
            State::Broken
        }
        "UPDATE_ROLLBACK_FAILED" | "UPDATE_FAILED" => State::Stuck,
        other if other.ends_with("_IN_PROGRESS") => State::Busy,
        _ => State::Sound,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_status_means_something() {
        let check = |status: &str, expected| {
            assert_eq!(of(&StackStatus::from(status)), expected, "{status}")
        };
        check("CREATE_COMPLETE", State::Sound);
        check("UPDATE_COMPLETE", State::Sound);
        check("UPDATE_ROLLBACK_COMPLETE", State::Sound);
        check("REVIEW_IN_PROGRESS", State::Planned);
        check("CREATE_IN_PROGRESS", State::Busy);
        check("UPDATE_COMPLETE_CLEANUP_IN_PROGRESS", State::Busy);
        check("DELETE_IN_PROGRESS", State::Busy);
        check("ROLLBACK_COMPLETE", State::Broken);
        check("CREATE_FAILED", State::Broken);
        check("DELETE_FAILED", State::Broken);
        check("UPDATE_ROLLBACK_FAILED", State::Stuck);
    }
}
