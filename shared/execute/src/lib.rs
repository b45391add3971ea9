//! Carries out a plan.
//!
//! Owns: the two ports through which plans reach the world (`Cloud`, `Cluster`), the order of their calls, launch templates and
//! user data, and the adapters of the ports to EC2 and to Kubernetes. May import: `model`.
//! Does not know: how anything was read or decided; it has no choices left.

pub mod ports;

pub use ports::{Cloud, CloudError, Cluster, ClusterError};
