//! `VolumeAttachment`.

use crate::wire::{Read, deep, required, string};
use serde_json::Value;

/// A volume that is attached to a node, or on its way there or away.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Attachment {
    /// The node.
    pub(crate) node: String,
    /// The persistent volume.
    pub(crate) volume: String,
}

/// Reads an attachment; `None` if it names no persistent volume (its source is inline). One that is not attached yet counts: its
/// node waits for the object to go (Karpenter's termination controller).
pub(crate) fn read(object: &Value) -> Read<Option<Attachment>> {
    let node = required(object, "spec", |spec| required(spec, "nodeName", string))?;
    let volume = deep(object, &["spec", "source", "persistentVolumeName"], string)?;
    Ok(volume.map(|volume| Attachment { node, volume }))
}
