//! The two baselines that Joiner is compared with, written by us from what their documentation says they do.

mod consolidation;
pub mod node_group;
pub mod packer;
pub mod problem;
pub mod upstream;
mod view;
mod what_if;

pub use consolidation::UpstreamConsolidation;
pub use node_group::NodeGroup;
pub use upstream::Upstream;
