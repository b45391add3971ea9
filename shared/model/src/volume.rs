//! Persistent volumes and claims, as far as they tie pods to places.

use crate::pod::NodeSelectorTerm;
use serde::{Deserialize, Serialize};

/// A persistent volume claim.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct VolumeClaim {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// The volume that it is bound to.
    pub volume: Option<String>,
    /// Its storage class, if it names one.
    pub storage_class: Option<String>,
    /// Its phase: `Pending`, `Bound` or `Lost`.
    pub phase: String,
    /// Whether it is being deleted.
    pub deleting: bool,
}

/// A persistent volume.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Volume {
    /// Its name.
    pub name: String,
    /// The node affinity: terms are alternatives; empty means any node. Zone labels carry today's names.
    pub node_affinity: Vec<NodeSelectorTerm>,
    /// The CSI driver, or the one that an in-tree volume migrates to.
    pub driver: Option<String>,
    /// Whether it is a local or hostPath volume, whose hostname term is no reason to keep a pod from a new node.
    pub local: bool,
}

/// A storage class.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StorageClass {
    /// Its name.
    pub name: String,
    /// The provisioner.
    pub provisioner: String,
    /// Whether volumes are bound only when a pod is placed (`WaitForFirstConsumer`).
    pub waits_for_consumer: bool,
    /// Where volumes may be made: alternatives; empty means anywhere.
    pub allowed_topologies: Vec<NodeSelectorTerm>,
    /// Whether it is the default class; of several the newest counts.
    pub is_default: bool,
    /// When it was created.
    #[serde(default)]
    pub created_at: Option<crate::Timestamp>,
}

/// How many volumes of each driver a node can attach.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CsiNode {
    /// The node's name.
    pub node: String,
    /// Attachments by driver.
    pub limits: Vec<(String, u32)>,
}
