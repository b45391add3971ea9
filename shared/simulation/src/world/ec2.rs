//! EC2 and its calls: launching, and terminating.

use super::event::Event;
use super::taking::for_cost;
use super::{LaunchOutcome, NodePhase, NodeRecord, World};
use crate::kube_scheduler::NodeId;
use model::{
    Alternative, InstanceType, Labels, Launch, LaunchRequest, NodeClaim, PodId, Resources, labels,
};
use std::collections::BTreeSet;
use std::sync::Arc;

/// CreateFleet answers after this, in milliseconds (measured on EC2: 1 to 2 s).
const FLEET_MS: (i64, i64) = (1_000, 2_000);
/// The kubelet registers after this, in milliseconds from the request (aws/karpenter-provider-aws PR 3827: 28 s).
const REGISTER_MS: (i64, i64) = (26_000, 30_000);
/// The node is ready after this, in milliseconds from the request (typically 30 to 40 s).
const READY_MS: (i64, i64) = (31_000, 40_000);

impl World<'_> {
    /// Asks EC2 for a node: the planned offering, else the first alternative that can be had.
    pub(super) fn launch(&mut self, launch: Launch) {
        let offers =
            std::iter::once(launch.offering.clone()).chain(launch.alternatives.iter().cloned());
        let now = self.now;
        let mut had =
            offers.filter(|offer| self.faults.launch(now, offer) == LaunchOutcome::Launched);
        let Some(offering) = had.next() else { return };
        drop(had);
        let types = self.scenario.instance_types.iter();
        let Some(instance_type) =
            types.clone().position(|known| known.name == offering.instance_type)
        else {
            return;
        };
        let id = NodeId(self.nodes.len());
        let claim_name: Arc<str> = format!("{}-{:05}", launch.node_pool, id.0).into();
        let known = &self.scenario.instance_types[instance_type];
        let labels = self.node_labels(known, &offering, &launch.labels);
        if for_cost(launch.replaces.as_deref()) {
            self.meter.bought_for_cost(offering.price, launch.replaces.as_deref());
        }
        self.names.claims.insert(claim_name.clone(), id);
        let claim = NodeClaim {
            launch: Some(self.request(id, &launch, &offering)),
            nominated: launch.pods,
            node_class: self.scenario.class.name.clone(),
            uid: format!("claim-{}", id.0),
            finalizer: true,
            name: claim_name,
            pool: launch.node_pool,
            node_name: None,
            provider_id: None,
            instance_type: Some(offering.instance_type.clone()),
            zone: Some(offering.zone.clone()),
            capacity_type: Some(offering.capacity_type),
            labels,
            taints: self.scenario.pool.taints.clone(),
            allocatable: known.allocatable.clone(),
            capacity: known.capacity.clone(),
            price: Some(offering.price),
            created_at: Some(self.now.timestamp()),
            deleting: false,
            ..NodeClaim::default()
        };
        self.api.create_claim(id, claim);
        self.live.insert(id);
        let name: Arc<str> =
            format!("ip-10-{}-{}-{}.ec2.internal", id.0 >> 16, (id.0 >> 8) & 255, id.0 & 255)
                .into();
        self.names.nodes.insert(name.clone(), id);
        let phase = NodePhase::Launching;
        self.nodes.push(NodeRecord {
            name,
            instance_type,
            offering,
            phase,
            billed: false,
            pods: BTreeSet::new(),
            work: 0,
        });
        self.plan_boot(id);
    }

    fn request(&self, id: NodeId, launch: &Launch, offering: &Alternative) -> LaunchRequest {
        LaunchRequest {
            batch: format!("batch-{}", id.0),
            size: 1,
            node_class: self.scenario.class.name.clone(),
            capacity_type: offering.capacity_type,
            offerings: Vec::new(),
            labels: Labels::new(),
            requests: self.requests(&launch.pods),
            pods: Vec::new(),
            replaces: launch.replaces.clone(),
        }
    }

    /// What the pods ask for together.
    fn requests(&self, pods: &[PodId]) -> Resources {
        let mut all = Resources::new();
        for pod in pods.iter().filter_map(|pod| self.names.pods.get(pod)) {
            let class = self.pods[pod.0].class;
            all.add(&self.cache.known(class).class.spec.requests);
        }
        all
    }

    fn plan_boot(&mut self, id: NodeId) {
        let steps = [
            (FLEET_MS, Event::InstanceStarts(id)),
            (REGISTER_MS, Event::NodeRegisters(id)),
            (READY_MS, Event::NodeReady(id)),
        ];
        for ((least, most), event) in steps {
            let milliseconds = self.random.between(least, most);
            self.after_ms(milliseconds, event);
        }
    }

    /// The labels of a node: the type's, the offering's, the pool's, and those asked for.
    fn node_labels(&self, known: &InstanceType, offering: &Alternative, more: &Labels) -> Labels {
        let mut all = known.labels.clone();
        all.extend(self.scenario.pool.labels.clone());
        all.extend(more.clone());
        let zone_id = known
            .offerings
            .iter()
            .find(|other| other.zone == offering.zone)
            .map(|other| other.zone_id.clone());
        let own = [
            (labels::INSTANCE_TYPE, offering.instance_type.clone()),
            (labels::ZONE, offering.zone.clone()),
            (labels::ZONE_ID, zone_id.unwrap_or_default()),
            (labels::REGION, self.scenario.region.clone()),
            (labels::CAPACITY_TYPE, offering.capacity_type.as_str().to_owned()),
            (labels::NODE_POOL, self.scenario.pool.name.clone()),
        ];
        all.extend(
            own.into_iter()
                .filter(|(_, value)| !value.is_empty())
                .map(|(key, value)| (key.to_owned(), value)),
        );
        all
    }

    /// The instance runs, and is paid for.
    pub(super) fn start_instance(&mut self, id: NodeId) {
        let record = &mut self.nodes[id.0];
        if record.phase != NodePhase::Launching {
            return;
        }
        record.billed = true;
        let (zone, price) = (record.offering.zone.clone(), record.offering.price);
        self.meter.node_started(self.now, &record.offering.instance_type, price);
        if let Some(claim) = self.api.claim(id) {
            claim.provider_id = Some(format!("aws:///{zone}/i-{:017x}", id.0));
            claim.progress.launched = true;
        }
    }
}
