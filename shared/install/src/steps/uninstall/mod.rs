//! The way back, each step in a file of its own.

pub(super) mod cluster_autoscaler;
pub(super) mod delivery;
pub(super) mod drain;
pub(super) mod functions;
pub(super) mod identity;
pub(super) mod stack;
pub(super) mod tags;
pub(super) mod webhook;
