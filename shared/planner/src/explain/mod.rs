//! Why things are as they are: a node stays, a pod waits, an instance type will not do; and what would change it.

mod change;
mod fix;
mod node;
mod obstacle;
mod plan;
mod pod;
mod prospect;
mod standing;
mod variant;

pub use change::Change;
pub use node::{NodeExplanation, Removed, explain_node};
pub use obstacle::Obstacle;
pub use plan::{Difference, Pattern, PlanExplanation, Shape, explain_plan};
pub use pod::{
    Group, NodeVerdict, OfferingVerdict, PodExplanation, PodState, PoolVerdict, TypeVerdict,
    explain_pod, explain_type,
};
pub use variant::Variant;
