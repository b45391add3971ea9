//! Kubelets: nodes that register, get their daemons, and become ready.

use super::{NodePhase, PodRecord, World};
use crate::kube_scheduler::{Class, NodeId, NodeInfo};
use model::pod::Owner;
use model::snapshot::DaemonSet;
use model::{Effect, Labels, Node, Taint, labels};
use std::sync::Arc;

impl World<'_> {
    /// The Node object appears, not ready yet; daemonsets put their pods on it.
    pub(super) fn register_node(&mut self, id: NodeId) {
        let record = &mut self.nodes[id.0];
        if record.phase != NodePhase::Launching {
            return;
        }
        record.phase = NodePhase::Registered;
        let (name, zone, price) =
            (record.name.clone(), record.offering.zone.clone(), record.offering.price);
        let instance_type = record.instance_type;
        let estimated = record.offering.estimated;
        let Some(claim) = self.api.claim(id) else { return };
        claim.node_name = Some(name.clone());
        claim.progress.registered = true;
        let mut node_labels = claim.labels.clone();
        node_labels.insert(labels::HOSTNAME.to_owned(), name.to_string());
        node_labels.insert(labels::REGISTERED.to_owned(), "true".to_owned());
        let known = &self.scenario.instance_types[instance_type];
        let not_ready = Taint {
            key: labels::NOT_READY_TAINT.to_owned(),
            value: String::new(),
            effect: Effect::NoSchedule,
        };
        let taints: Vec<Taint> =
            self.scenario.pool.taints.iter().cloned().chain([not_ready]).collect();
        let node = Node {
            name: name.clone(),
            labels: node_labels.clone(),
            taints: taints.clone(),
            allocatable: known.allocatable.clone(),
            capacity: known.capacity.clone(),
            provider_id: format!("aws:///{zone}/i-{:017x}", id.0),
            created_at: Some(self.now.timestamp()),
            ready: false,
            unschedulable: false,
            deleting: false,
            do_not_disrupt: false,
            price: Some(price),
            price_estimated: estimated,
            uid: format!("node-{}", id.0),
            finalizer: true,
            ..Node::default()
        };
        self.api.create_node(id, node);
        let info =
            NodeInfo { name, labels: node_labels, taints, allocatable: known.allocatable.clone() };
        self.cache.add_node(id, info);
        self.place_daemons(id);
    }

    /// Daemons tolerate everything here, so each daemonset puts a pod on every node.
    fn place_daemons(&mut self, id: NodeId) {
        let scenario = self.scenario;
        for daemon_set in &scenario.daemon_sets {
            self.place_daemon(id, daemon_set);
        }
    }

    fn place_daemon(&mut self, id: NodeId, daemon_set: &DaemonSet) {
        let class = Class {
            namespace: daemon_set.namespace.as_str().into(),
            labels: Arc::new(Labels::from([("app".to_owned(), daemon_set.name.clone())])),
            spec: daemon_set.spec.clone(),
        };
        let record = PodRecord {
            class: self.cache.class(&class),
            created_at: self.now,
            duration_ms: None,
            ends_at: None,
            request: None,
            replica_set: None,
            daemon: true,
            node: None,
            ending: false,
        };
        let owner = Owner { kind: "DaemonSet".to_owned(), name: daemon_set.name.clone() };
        let pod = self.add_pod(record, &class, &format!("{}-{}", daemon_set.name, id.0), owner);
        self.bind(pod, id);
    }

    /// The node is ready: its taint goes, and parked pods get another chance.
    pub(super) fn ready_node(&mut self, id: NodeId) {
        let record = &mut self.nodes[id.0];
        if record.phase != NodePhase::Registered {
            return;
        }
        record.phase = NodePhase::Ready;
        let name = record.name.clone();
        let taints = self.scenario.pool.taints.clone();
        if let Some(node) = self.api.node(id) {
            node.ready = true;
            node.taints.clone_from(&taints);
            node.labels.insert(labels::INITIALIZED.to_owned(), "true".to_owned());
        }
        if let Some(claim) = self.api.claim(id) {
            claim.progress.initialized = true;
        }
        self.mark_empty(&name);
        self.cache.set_taints(id, taints);
        self.retry_parked();
    }
}
