//! Carries out a plan.
//!
//! Owns: the two ports through which plans reach the world (`Cloud`, `Cluster`), the order of their calls, launch templates and
//! user data, and the adapters of the ports to EC2 and to Kubernetes. May import: `model`.
//! Does not know: how anything was read or decided; it has no choices left.

mod batches;
mod claims;
mod conditions;
pub mod ec2;
mod events;
mod hashes;
mod interruptions;
mod kubernetes;
pub mod launch_template;
mod launches;
mod objects;
mod orders;
mod outcome;
pub mod ports;
mod registrations;
mod status;
mod steps;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
mod update;

pub use interruptions::{Warned, mark};
pub use kubernetes::Kubernetes;
pub use orders::Orders;
pub use outcome::{Action, Outcome};
pub use ports::{Cloud, CloudError, Cluster, ClusterError};

use model::Plan;

/// Carries out the plan: first the steps of what is there, then the launches, then what is told about it.
/// A failed action stops only itself; the next turn sees what became of it.
pub async fn carry_out<C: Cloud, K: Cluster>(
    plan: &Plan,
    orders: &Orders<'_>,
    cloud: &C,
    cluster: &K,
) -> Outcome {
    let mut outcome = Outcome::default();
    steps::take(plan, orders, cloud, cluster, &mut outcome).await;
    launches::launch(plan, orders, cloud, cluster, &mut outcome).await;
    events::tell(plan, orders, cluster, &mut outcome).await;
    status::keep(plan, orders, cloud, cluster, &mut outcome).await;
    hashes::keep(orders, cluster, &mut outcome).await;
    outcome
}
