//! The core kinds, as far as a decision depends on them.

pub(crate) mod attachment;
pub(crate) mod buffers;
pub(crate) mod metadata;
pub(crate) mod node;
pub(crate) mod pod;
pub(crate) mod pod_spec;
pub(crate) mod requests;
pub(crate) mod selectors;
pub(crate) mod volumes;
pub(crate) mod workloads;
