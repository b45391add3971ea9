//! The hall: where observing, planning and carrying out meet.
//!
//! Owns: configuration, clients, the lease, telemetry, what is remembered between turns, and one turn. May import everything of
//! ours. Does not know: how anything is decided.

pub mod aws_memory;
pub mod configuration;
pub mod doors;
mod heed;
pub mod installation;
mod interruption;
pub mod lease;
pub mod live;
pub mod memory;
pub mod message;
mod metrics;
pub mod observed;
pub mod redelivery;
pub mod report;
pub mod standing;
pub mod telemetry;
pub mod trigger;
pub mod turn;

pub use configuration::Configuration;
pub use observed::{Observe, ObserveError, Observed};
pub use report::Report;
pub use trigger::Trigger;
pub use turn::{Hall, take_turn};
