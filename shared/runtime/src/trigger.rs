//! Why a turn begins. An event is only a knock: everything is decided from the snapshot.

use model::Interruption;

/// What woke a function.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trigger {
    /// Pods wait, or the cluster changed.
    Cluster {
        /// The event's detail-type: `Pods Pending`.
        kind: String,
    },
    /// EC2 or AWS Health tell of instances.
    Instances {
        /// The event's detail-type: `EC2 Spot Instance Interruption Warning`.
        kind: String,
        /// The instances; none if the event has nothing to say of any.
        ids: Vec<String>,
        /// What it tells of them; `None` if they go on as before.
        told: Option<Interruption>,
    },
    /// A minute has passed.
    Schedule,
    /// An earlier turn asked to look again.
    FollowUp,
    /// A person asked.
    Command,
}

impl Trigger {
    /// Its name in logs and metrics.
    pub fn name(&self) -> &str {
        match self {
            Self::Cluster { kind } | Self::Instances { kind, .. } => kind,
            Self::Schedule => "Schedule",
            Self::FollowUp => "Follow-up",
            Self::Command => "Command",
        }
    }
}
