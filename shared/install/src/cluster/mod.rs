//! The cluster's side: objects by their JSON, what is brought along, and what comes of what was changed meanwhile.

pub(crate) mod adopt;
pub(crate) mod autoscaler;
pub(crate) mod backup;
pub(crate) mod base;
pub(crate) mod crds;
pub(crate) mod merge;
pub(crate) mod objects;
pub(crate) mod own;
pub(crate) mod wait;
pub(crate) mod webhook;
