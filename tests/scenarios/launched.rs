//! The node that a planned launch becomes.

use model::{InstanceType, Labels, Launch, Node, NodePool, Snapshot, labels};

/// The pool and the type that the launch names.
pub(crate) fn parts<'a>(
    snapshot: &'a Snapshot,
    launch: &Launch,
) -> (&'a NodePool, &'a InstanceType) {
    let pool = snapshot.node_pools.iter().find(|pool| pool.name == launch.node_pool).unwrap();
    let types = &snapshot.instance_types[&pool.instance_types];
    let bought = types.iter().find(|found| found.name == launch.offering.instance_type);
    (pool, bought.unwrap())
}

/// The labels of the launch's node, but for its hostname.
pub(crate) fn node_labels(snapshot: &Snapshot, launch: &Launch) -> Labels {
    let (pool, bought) = parts(snapshot, launch);
    let mut all = bought.labels.clone();
    all.extend(pool.labels.clone());
    all.extend(launch.labels.clone());
    let own = [
        (labels::NODE_POOL, launch.node_pool.as_str()),
        (labels::ZONE, &launch.offering.zone),
        (labels::CAPACITY_TYPE, launch.offering.capacity_type.as_str()),
    ];
    all.extend(own.map(|(key, value)| (key.to_owned(), value.to_owned())));
    all
}

/// The node, ready.
pub(crate) fn node(snapshot: &Snapshot, launch: &Launch) -> Node {
    let (pool, bought) = parts(snapshot, launch);
    let mut own = node_labels(snapshot, launch);
    own.insert(labels::HOSTNAME.to_owned(), launch.name.to_string());
    own.insert(labels::INITIALIZED.to_owned(), "true".to_owned());
    Node {
        name: launch.name.clone(),
        labels: own,
        taints: pool.taints.clone(),
        allocatable: bought.allocatable.clone(),
        capacity: bought.capacity.clone(),
        provider_id: format!("aws:///{}/i-{}", launch.offering.zone, launch.name),
        created_at: Some(snapshot.now),
        ready: true,
        unschedulable: false,
        deleting: false,
        do_not_disrupt: false,
        price: Some(launch.offering.price),
        price_estimated: launch.offering.estimated,
        ..Node::default()
    }
}
