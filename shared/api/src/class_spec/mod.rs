//! Node classes as a launch needs them: all that the object says, with the defaults of its API version.
//!
//! Findings are not made here: `read` has made them of the same object. What does not fit is left out.

mod legacy;
mod modern;
mod parts;

use crate::block_devices::BlockDeviceMapping;
use crate::digest;
use crate::finding::Findings;
use crate::kubelet::KubeletConfiguration;
use crate::object::decode_part;
use crate::{node_pool, provisioner};
use model::NodeClassSpec;
use model::node_class::{BlockDevice, KubeletSettings};
use model::pool::ImageFamily;
use serde_json::Value;

/// What an EC2NodeClass (v1, v1beta1), an AWSNodeTemplate, or a Provisioner with inline settings says of its nodes.
/// `None` for any other object, and for one without a name.
pub fn node_class_spec(object: &Value) -> Option<NodeClassSpec> {
    let text = |key: &str| object.get(key).and_then(Value::as_str);
    let spec = match (text("apiVersion")?, text("kind")?) {
        ("karpenter.sh/v1alpha5", "Provisioner") => legacy::read_inline(object),
        ("karpenter.k8s.aws/v1alpha1", "AWSNodeTemplate") => legacy::read(object),
        ("karpenter.k8s.aws/v1", "EC2NodeClass") => modern::read(object),
        ("karpenter.k8s.aws/v1beta1", "EC2NodeClass") => modern::read_beta(object),
        _ => None,
    }?;
    let uid = object.pointer("/metadata/uid").and_then(Value::as_str).unwrap_or_default();
    let hash = digest::of_class(&spec);
    Some(NodeClassSpec { uid: uid.to_owned(), hash, ..spec })
}

/// The volumes of a class's nodes: those that it names, else those of its image family.
pub(crate) fn volumes(named: Vec<BlockDeviceMapping>, family: ImageFamily) -> Vec<BlockDevice> {
    let named = parts::devices(Some(named));
    if named.is_empty() { BlockDevice::of_family(family) } else { named }
}

/// The kubelet's settings that a pool itself holds (Provisioner, NodePool of v1beta1), as its nodes' bootstrap needs them.
/// `None` if it holds none: those of v1 are the class's.
pub fn pool_kubelet(object: &Value) -> Option<KubeletSettings> {
    let text = |key: &str| object.get(key).and_then(Value::as_str);
    let (schema, path) = match (text("apiVersion")?, text("kind")?) {
        ("karpenter.sh/v1alpha5", "Provisioner") => {
            (provisioner::schema(), &["spec", "kubeletConfiguration"][..])
        }
        ("karpenter.sh/v1beta1", "NodePool") => {
            (node_pool::beta_schema(), &["spec", "template", "spec", "kubelet"][..])
        }
        _ => return None,
    };
    let schema = path.iter().fold(schema, |schema, name| &schema["properties"][*name]);
    let settings = path.iter().try_fold(object, |value, name| value.get(*name))?;
    let wire: KubeletConfiguration = decode_part(schema, settings, "", &mut Findings::default());
    settings.is_object().then(|| wire.into())
}
