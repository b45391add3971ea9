//! The tags of what a launch makes.

use crate::ports::FleetRequest;
use model::node_class::{ClusterFacts, NodeClassSpec};
use model::pool::ApiVersion;
use model::{Labels, labels};

/// What the names of our launch templates begin with.
pub const PREFIX: &str = "joiner/";

/// The tags of the launch template itself: those that its clean-up and the write policy's conditions go by.
pub fn template_tags(
    request: &FleetRequest,
    spec: &NodeClassSpec,
    cluster: &ClusterFacts,
) -> Labels {
    common(request, spec, cluster)
}

/// The tags of instances, volumes and the fleet: with the batch, by which a later turn finds what a lost answer bought.
pub fn instance_tags(
    request: &FleetRequest,
    spec: &NodeClassSpec,
    cluster: &ClusterFacts,
) -> Labels {
    let mut tags = common(request, spec, cluster);
    tags.insert(labels::BATCH.to_owned(), request.batch.clone());
    tags
}

/// The user's tags and ours, which win; a legacy class's `Name` is the user's if there is one.
pub(super) fn common(
    request: &FleetRequest,
    spec: &NodeClassSpec,
    cluster: &ClusterFacts,
) -> Labels {
    let legacy = spec.api_version == Some(ApiVersion::Legacy);
    let mut tags = Labels::new();
    if legacy {
        let name = format!("{}/{}", labels::PROVISIONER_NAME, request.node_pool);
        tags.insert("Name".to_owned(), name);
    }
    tags.extend(spec.tags.clone());
    if legacy {
        tags.insert(labels::PROVISIONER_NAME.to_owned(), request.node_pool.clone());
    }
    tags.insert(format!("{}{}", labels::CLUSTER_TAG_PREFIX, cluster.name), "owned".to_owned());
    tags.insert(labels::NODE_POOL.to_owned(), request.node_pool.clone());
    tags.insert(labels::NODE_CLASS_TAG.to_owned(), spec.name.clone());
    tags.insert(labels::EKS_CLUSTER_TAG.to_owned(), cluster.name.clone());
    tags
}
