//! Installs Joiner in an account and a cluster, looks after what it installed, and takes it away again.
//!
//! Owns: the facts of one installation ([`Site`]), the steps and their order ([`steps`]), what a step finds and changes
//! ([`Change`]), and why it fails ([`Problem`]). May import: `model`, `api`, `catalog`, `observe`, `planner`, `execute`.
//! Does not know: arguments, terminals, consent; whoever runs the steps tells what they say.

mod aws_auth;
mod calls;
mod change;
mod clients;
mod cluster;
mod emptying;
mod image;
mod installed;
pub mod manifest;
mod names;
mod network;
mod options;
mod pause;
mod problem;
mod problem_of;
mod profile;
mod proxy;
mod release;
mod run;
mod site;
mod stack;
mod standing;
pub mod steps;

pub use change::{Change, Verb};
pub use clients::Clients;
pub use names::{NameError, Names};
pub use options::{Mode, Options};
pub use problem::Problem;
pub use problem_of::{Call, of_aws, of_kube};
pub use run::{Event, StepError, Tell, carry_out, look};
pub use site::{Account, Authentication, NodeRole, Site, Vpc};
pub use stack::Outputs;
pub use steps::{Doing, Progress, Step};
