//! What whoever installs has decided.

use std::path::PathBuf;

/// Whether Joiner acts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mode {
    /// It buys and takes away nodes.
    #[default]
    Act,
    /// It decides and tells, beside another autoscaler, and changes nothing.
    Observe,
}

/// What whoever installs has decided.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// The EKS cluster.
    pub cluster: String,
    /// The name of its VPC; must be that of the cluster's own.
    pub vpc: Option<String>,
    /// Whether the pool that takes nodes of Arm is to be there; as it is if nothing is said.
    pub arm: Option<bool>,
    /// Whether the pools of nodes with accelerators are to be there; as they are if nothing is said.
    pub gpu: Option<bool>,
    /// Pools and classes of one's own instead of the base ones.
    pub config: Option<PathBuf>,
    /// Takes back what somebody has changed in pools and classes since they were applied.
    pub overwrite: bool,
    /// Goes over conflicts that can be gone over.
    pub force: bool,
    /// Takes over from a Karpenter that is there.
    pub replace_karpenter: bool,
    /// Whether it will act.
    pub mode: Mode,
    /// The release archive or the directory that holds its files.
    pub artifacts: Option<PathBuf>,
    /// An image of the webhook of one's own, instead of the release's.
    pub webhook_image: Option<String>,
    /// The proxy by which functions in the VPC and the webhook reach AWS, or `none`; the one that is found if nothing is said.
    pub proxy: Option<String>,
    /// The role of the nodes, where it cannot be found.
    pub node_role: Option<String>,
    /// Mends the auto scaling group of the two nodes.
    pub fix_asg: bool,
    /// Goes to the cluster by this kubeconfig instead of by EKS.
    pub kubeconfig: Option<PathBuf>,
    /// By this context of it.
    pub context: Option<String>,
}
