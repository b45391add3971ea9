//! Nodes: kubelets that register, become ready or die; the node, cloud and garbage controllers.

use super::ec2::Bootstrap;
use super::event::{Event, InstanceId, Message};
use super::world::{NodeRecord, World};
use crate::kube_scheduler::{NodeId, NodeInfo};
use model::taints::{Effect, Taint, tolerates};
use model::{Alternative, CapacityType, InstanceType, Labels, MicroUsdPerHour, Node, labels};
use std::collections::BTreeSet;

/// A node that does not answer loses its pods after so many milliseconds (Kubernetes' default toleration of 300 s).
const TAINT_EVICTION_MS: i64 = 300_000;

fn taint(key: &str, effect: Effect) -> Taint {
    Taint { key: key.to_owned(), value: String::new(), effect }
}

/// The labels that every node of the type in that place carries.
pub(super) fn labels_of(known: &InstanceType, offer: &Alternative, region: &str) -> Labels {
    let mut all = known.labels.clone();
    let own = [
        (labels::INSTANCE_TYPE, offer.instance_type.as_str()),
        (labels::ZONE, offer.zone.as_str()),
        (labels::REGION, region),
        (labels::CAPACITY_TYPE, offer.capacity_type.as_str()),
    ];
    all.extend(own.map(|(key, value)| (key.to_owned(), value.to_owned())));
    all
}

impl World {
    /// The kubelet of the instance makes its Node object, and daemonsets put their pods on it.
    pub(super) fn join_node(&mut self, id: InstanceId) {
        let Some(record) = self.instance(id).filter(|record| record.instance.is_live()) else {
            return;
        };
        let Bootstrap { labels: mut all, mut taints, startup_taints } = record.bootstrap.clone();
        let startup = !startup_taints.is_empty();
        taints.extend(startup_taints);
        taints.push(taint(labels::UNREGISTERED_TAINT, Effect::NoExecute));
        taints.push(taint(labels::NOT_READY_TAINT, Effect::NoSchedule));
        let types = self.types();
        let instance = record.instance.clone();
        let Some(known) = types.iter().find(|known| known.name == instance.instance_type) else {
            return;
        };
        all.extend(labels_of(known, &offer(&instance, record.price), &self.setup.cluster.region));
        let price = self.price_of(&instance.instance_type, &instance.zone, instance.capacity_type);
        let node = Node {
            name: instance.private_dns_name.as_str().into(),
            labels: all,
            taints,
            allocatable: known.allocatable.clone(),
            capacity: known.capacity.clone(),
            provider_id: instance.provider_id(),
            price,
            faults: vec![("Ready".to_owned(), self.now.timestamp())],
            ..Node::default()
        };
        let node = self.add_node(node, Some(id), false);
        self.log.say(self.now, || format!("{} joins", instance.private_dns_name));
        self.send(1_000, Message::NodeChanged);
        let ready_ms = self.random.between(3_000, 12_000);
        self.after_ms(ready_ms, Event::NodeReady(node));
        if startup {
            let ends_ms = self.random.between(5_000, 30_000);
            self.after_ms(ends_ms, Event::StartupEnds(node));
        }
    }

    fn add_node(&mut self, mut node: Node, instance: Option<InstanceId>, foreign: bool) -> NodeId {
        let id = NodeId(self.next_number());
        node.labels.insert(labels::HOSTNAME.to_owned(), node.name.to_string());
        node.uid = format!("node-{}", id.0);
        node.created_at = Some(self.now.timestamp());
        let info = NodeInfo {
            name: node.name.clone(),
            labels: node.labels.clone(),
            taints: node.taints.clone(),
            allocatable: node.allocatable.clone(),
        };
        let record = NodeRecord {
            name: node.name.clone(),
            instance,
            alive: true,
            foreign,
            owner: None,
            pods: BTreeSet::new(),
        };
        if let Some(instance) = instance {
            self.ec2.instances[instance.0].node = Some(id);
        }
        self.node_ids.insert(node.name.clone(), id);
        self.nodes.insert(id, record);
        self.api.create_node(id, node);
        self.cache.add_node(id, info);
        self.place_daemons(id);
        id
    }

    /// A node of someone else: tainted for add-ons, the last one open to all.
    pub(super) fn add_foreign_node(&mut self, number: usize) {
        let types = self.types();
        let Some(known) = types.first() else { return };
        let open = number > 1;
        let keeps_away = taint("example.com/add-ons", Effect::NoSchedule);
        let node = Node {
            name: format!("ip-192-168-0-{number}.ec2.internal").into(),
            labels: Labels::from([(labels::ZONE.to_owned(), "us-east-1a".to_owned())]),
            taints: if open { Vec::new() } else { vec![keeps_away] },
            allocatable: known.allocatable.clone(),
            capacity: known.capacity.clone(),
            provider_id: format!("aws:///us-east-1a/i-foreign{number}"),
            ready: true,
            ..Node::default()
        };
        self.add_node(node, None, true);
    }

    /// A node, claim and instance that upstream's Karpenter made. Nobody has told Joiner to adopt it.
    pub(super) fn add_upstream_node(&mut self) {
        let types = self.types();
        let Some(known) = types.first() else { return };
        let offer = Alternative {
            instance_type: known.name.clone(),
            zone: "us-east-1b".to_owned(),
            capacity_type: CapacityType::OnDemand,
            price: known.offerings.first().map(|first| first.price).unwrap_or_default(),
            estimated: false,
            reservation: None,
        };
        let tags = Labels::from([(labels::NODE_POOL.to_owned(), "general".to_owned())]);
        let instance = self.add_instance(&offer, tags, Bootstrap::default());
        let mut all = labels_of(known, &offer, &self.setup.cluster.region);
        let own = [(labels::NODE_POOL, "general"), (labels::INITIALIZED, "true")];
        all.extend(own.map(|(key, value)| (key.to_owned(), value.to_owned())));
        let provider_id = self.ec2.instances[instance.0].instance.provider_id();
        let node = Node {
            name: "upstream.ec2.internal".into(),
            labels: all,
            allocatable: known.allocatable.clone(),
            capacity: known.capacity.clone(),
            provider_id: provider_id.clone(),
            ready: true,
            finalizer: true,
            ..Node::default()
        };
        self.add_node(node, Some(instance), true);
        self.add_upstream_claim(known, &offer, provider_id);
    }

    /// The price changed, or is needed for the first time.
    pub(super) fn price_nodes(&mut self) {
        for id in self.nodes.keys().copied().collect::<Vec<_>>() {
            let Some(instance) = self.nodes[&id].instance.and_then(|id| self.instance(id)) else {
                continue;
            };
            let known = instance.instance.clone();
            let price = self.price_of(&known.instance_type, &known.zone, known.capacity_type);
            if let Some(node) = self.node(id) {
                node.price = price;
            }
        }
    }

    pub(super) fn ready_node(&mut self, id: NodeId) {
        if !self.nodes.get(&id).is_some_and(|node| node.alive) {
            return;
        }
        self.change_taints(id, |taints| {
            taints.retain(|known| known.key != labels::NOT_READY_TAINT)
        });
        if let Some(node) = self.node(id) {
            node.ready = true;
            node.faults.clear();
        }
        self.send(1_000, Message::NodeChanged);
    }

    pub(super) fn end_startup(&mut self, id: NodeId) {
        let startup = self.nodes.get(&id).and_then(|node| self.instance(node.instance?));
        let Some(startup) = startup.map(|record| record.bootstrap.startup_taints.clone()) else {
            return;
        };
        let registering = self.api.see_node(id).is_some_and(|node| {
            node.taints.iter().any(|known| known.key == labels::UNREGISTERED_TAINT)
        });
        // The agent takes its taint off for good only once nobody puts it on any more.
        if registering {
            self.after_ms(5_000, Event::StartupEnds(id));
        }
        self.change_taints(id, |taints| taints.retain(|known| !startup.contains(known)));
    }

    /// Changes taints, and tells the kube-scheduler.
    pub(super) fn change_taints(&mut self, id: NodeId, change: impl FnOnce(&mut Vec<Taint>)) {
        let Some(node) = self.api.node(id) else { return };
        change(&mut node.taints);
        let taints = node.taints.clone();
        self.cache.set_taints(id, taints);
        self.retry_parked();
    }

    /// Forty seconds without a word: the node counts as not ready.
    pub(super) fn lose_node(&mut self, id: NodeId) {
        if self.nodes.get(&id).is_none_or(|node| node.alive) {
            return;
        }
        let now = self.now.timestamp();
        let Some(node) = self.node(id).filter(|node| node.ready) else { return };
        node.ready = false;
        node.faults = vec![("Ready".to_owned(), now)];
        self.change_taints(id, |taints| {
            taints.push(taint(labels::UNREACHABLE_TAINT, Effect::NoSchedule));
            taints.push(taint(labels::UNREACHABLE_TAINT, Effect::NoExecute));
        });
        for pod in self.nodes.get(&id).map(|node| node.pods.clone()).unwrap_or_default() {
            if let Some(pod) = self.pod(pod) {
                pod.ready = false;
            }
        }
        self.after_ms(TAINT_EVICTION_MS, Event::NodeTaintEvicts(id));
    }

    /// Pods of a node that has not answered for five minutes are deleted; only their kubelet could end them.
    pub(super) fn evict_by_taint(&mut self, id: NodeId) {
        let Some(record) = self.nodes.get(&id).filter(|node| !node.alive) else { return };
        let unreachable = taint(labels::UNREACHABLE_TAINT, Effect::NoExecute);
        for pod in record.pods.clone() {
            let stays = self.api.see_pod(pod).is_none_or(|pod| {
                tolerates(&pod.spec.tolerations, &unreachable) || pod.deletion_at.is_some()
            });
            if !stays {
                self.delete_pod(pod, None);
            }
        }
    }

    /// The cloud controller deletes the Node of an instance that is gone.
    pub(super) fn collect_node(&mut self, id: NodeId) {
        self.delete_node(id);
    }

    /// The Node is deleted; a finalizer keeps it.
    pub(super) fn delete_node(&mut self, id: NodeId) {
        let now = self.now.timestamp();
        let Some(node) = self.node(id) else { return };
        if !node.deleting {
            (node.deleting, node.deletion_at) = (true, Some(now));
            self.send(1_000, Message::NodeDeleting);
        }
        self.drop_node_if_released(id);
    }

    /// The Node's object goes, if it is deleted and nothing keeps it.
    pub(super) fn drop_node_if_released(&mut self, id: NodeId) {
        let kept = self.api.see_node(id).is_none_or(|node| !node.deleting || node.finalizer);
        if kept {
            return;
        }
        self.api.delete_node(id);
        self.cache.remove_node(id);
        let Some(mut record) = self.nodes.remove(&id) else { return };
        self.node_ids.remove(&record.name);
        let left = std::mem::take(&mut record.pods);
        for pod in left {
            if let Some(record) = self.pods.get_mut(&pod) {
                record.assigned = false;
            }
            // The garbage collector quarantines pods of a lost node before it deletes them.
            self.after_ms(40_000, Event::PodsCollected(id));
        }
        self.log.say(self.now, || format!("node {} is gone", record.name));
        self.retry_parked();
    }

    pub(super) fn collect_pods(&mut self, id: NodeId) {
        let orphans = self.pods.iter().filter(|(_, record)| record.node == Some(id));
        for pod in orphans.map(|(pod, _)| *pod).collect::<Vec<_>>() {
            self.remove_pod(pod);
        }
    }
}

fn offer(instance: &model::Instance, price: MicroUsdPerHour) -> Alternative {
    Alternative {
        instance_type: instance.instance_type.clone(),
        zone: instance.zone.clone(),
        capacity_type: instance.capacity_type,
        price,
        estimated: false,
        reservation: None,
    }
}
