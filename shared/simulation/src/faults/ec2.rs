//! EC2: fleets with client tokens, instances as DescribeInstances shows them, spot interruptions, terminations.

use super::event::{Event, InstanceId, Message};
use super::setup::TYPES;
use super::world::World;
use crate::SimTime;
use crate::kube_scheduler::NodeId;
use model::disruption::{Interruption, InterruptionKind};
use model::{
    Alternative, CapacityType, Duration, Instance, InstanceState, InstanceType, Labels,
    LaunchRequest, MicroUsdPerHour, Taint, labels,
};
use std::collections::BTreeMap;
use std::sync::Arc;

/// A spot instance is taken so long after its warning, in milliseconds.
pub(super) const WARNING_MS: i64 = 120_000;
/// An instance shuts down within so many milliseconds.
const SHUTDOWN_MS: (i64, i64) = (3_000, 20_000);
/// A kubelet registers after this, in milliseconds from the request (aws/karpenter-provider-aws PR 3827: 28 s).
const REGISTER_MS: (i64, i64) = (26_000, 30_000);

/// Calls of CreateFleet that EC2 takes at once, and more of them a second (EC2 API Reference, "Request throttling").
const FLEET_CALLS: i64 = 50;
const FLEET_CALLS_PER_S: i64 = 5;

/// An instance, from its purchase on.
#[derive(Clone, Debug)]
pub(super) struct InstanceRecord {
    pub(super) instance: Instance,
    /// The offering's price when it was bought.
    pub(super) price: MicroUsdPerHour,
    /// What DescribeInstances shows, and from when on; before, it shows what came before, or nothing.
    shown: Vec<(SimTime, InstanceState)>,
    /// From when on DescribeSpotInstanceRequests tells of its interruption.
    warned: Option<(SimTime, Interruption)>,
    pub(super) node: Option<NodeId>,
    /// What its bootstrap gives its node.
    pub(super) bootstrap: Bootstrap,
    /// Since when it runs without an owner.
    pub(super) ownerless_since: Option<SimTime>,
}

/// What the launch template's user data tells the kubelet.
#[derive(Clone, Debug, Default)]
pub(super) struct Bootstrap {
    pub(super) labels: Labels,
    pub(super) taints: Vec<Taint>,
    pub(super) startup_taints: Vec<Taint>,
}

/// A fleet's answer, which every call with its token gets.
#[derive(Clone, Debug, Default)]
pub(super) struct FleetAnswer {
    pub(super) bought: Vec<InstanceId>,
    /// Offerings without capacity.
    pub(super) refused: Vec<Alternative>,
}

/// All instances and fleets.
#[derive(Default)]
pub(super) struct Ec2 {
    pub(super) instances: Vec<InstanceRecord>,
    fleets: BTreeMap<String, FleetAnswer>,
    /// As if calls carried no client token: a test breaks the world so, to see that it is noticed.
    pub(super) forgets_tokens: bool,
    /// By batch, how many instances were asked for, and how many were ever bought.
    pub(super) bought: BTreeMap<String, (u32, u32)>,
    /// Instances that live, by number: what is gone is not looked at again.
    pub(super) live: Vec<InstanceId>,
    /// Calls of CreateFleet that were made lately, in thousandths, as of then.
    fleet_calls: (i64, SimTime),
}

/// The number in an instance's id.
pub(super) fn number(id: &str) -> Option<InstanceId> {
    let hex = id.rsplit('/').next()?.strip_prefix("i-")?;
    usize::from_str_radix(hex, 16).ok().map(InstanceId)
}

impl World {
    pub(super) fn instance(&self, id: InstanceId) -> Option<&InstanceRecord> {
        self.ec2.instances.get(id.0)
    }

    pub(super) fn types(&self) -> Arc<Vec<InstanceType>> {
        self.setup.cluster.instance_types.get(TYPES).cloned().unwrap_or_default()
    }

    /// Whether EC2 takes another call of CreateFleet now.
    pub(super) fn take_fleet_token(&mut self) -> bool {
        let (made, at) = self.ec2.fleet_calls;
        let left = (made - FLEET_CALLS_PER_S * self.now.since_ms(at)).max(0);
        let takes = left + 1_000 <= FLEET_CALLS * 1_000;
        self.ec2.fleet_calls = (if takes { left + 1_000 } else { left }, self.now);
        takes
    }

    /// CreateFleet: the same token gets the same answer.
    pub(super) fn create_fleet(
        &mut self,
        request: &LaunchRequest,
        bootstrap: &Bootstrap,
    ) -> FleetAnswer {
        let known = self.ec2.fleets.get(&request.batch).filter(|_| !self.ec2.forgets_tokens);
        if let Some(answer) = known {
            return answer.clone();
        }
        let mut answer = FleetAnswer::default();
        let mut offers = request.offerings.clone();
        let dry_odds = self.odds.no_capacity;
        let mut dry = Vec::new();
        offers.retain(|offer| {
            let gone = self.random.below(1000) < dry_odds;
            if gone {
                dry.push(offer.clone());
            }
            !gone
        });
        answer.refused = dry;
        for _ in 0..request.size {
            // Capacity may run out in the middle of a call.
            if !answer.bought.is_empty() && self.happens(dry_odds / 10) {
                answer.refused.append(&mut offers);
            }
            let Some(offer) = self.choose(&offers) else { break };
            answer.bought.push(self.run_instance(&offer, request, bootstrap));
        }
        self.ec2.fleets.insert(request.batch.clone(), answer.clone());
        answer
    }

    /// On demand the cheapest; of spot one of the three cheapest, for EC2 weighs capacity too.
    fn choose(&mut self, offers: &[Alternative]) -> Option<Alternative> {
        let first = offers.first()?;
        let among = if first.capacity_type == CapacityType::Spot { offers.len().min(3) } else { 1 };
        offers.get(self.random.below(among as u64) as usize).cloned()
    }

    fn run_instance(
        &mut self,
        offer: &Alternative,
        request: &LaunchRequest,
        bootstrap: &Bootstrap,
    ) -> InstanceId {
        let tags = Labels::from([(labels::BATCH.to_owned(), request.batch.clone())]);
        let id = self.add_instance(offer, tags, bootstrap.clone());
        self.ec2.bought.entry(request.batch.clone()).or_insert((request.size, 0)).1 += 1;
        let fails = self.happens(self.odds.never_joins);
        if !fails {
            let joins = self.random.between(REGISTER_MS.0, REGISTER_MS.1);
            self.after_ms(joins, Event::NodeJoins(id));
        }
        let line = || {
            let fate = if fails { ", which will never join" } else { "" };
            format!("EC2 runs {} for {}{fate}", self.ec2.instances[id.0].instance.id, request.batch)
        };
        let line = line();
        self.log.say(self.now, || line);
        id
    }

    pub(super) fn add_instance(
        &mut self,
        offer: &Alternative,
        tags: Labels,
        bootstrap: Bootstrap,
    ) -> InstanceId {
        let id = InstanceId(self.ec2.instances.len());
        let instance = Instance {
            id: format!("i-{:017x}", id.0),
            instance_type: offer.instance_type.clone(),
            zone: offer.zone.clone(),
            capacity_type: offer.capacity_type,
            state: InstanceState::Running,
            launched_at: self.now.timestamp(),
            private_dns_name: format!("ip-10-{}-{}.ec2.internal", id.0 >> 8, id.0 & 255),
            image_id: String::new(),
            subnet_id: String::new(),
            security_group_ids: Vec::new(),
            reservation_id: None,
            placement_group: Vec::new(),
            tags,
            interruption: None,
        };
        let shown = vec![(self.seen_at(), InstanceState::Running)];
        self.ec2.instances.push(InstanceRecord {
            instance,
            price: offer.price,
            shown,
            warned: None,
            node: None,
            bootstrap,
            ownerless_since: None,
        });
        self.ec2.live.push(id);
        id
    }

    fn seen_at(&mut self) -> SimTime {
        let lag_ms = self.random.between(0, self.odds.unseen_ms.max(1));
        self.now.plus_ms(lag_ms)
    }

    /// What DescribeInstances answers now. Terminated instances are not asked for.
    pub(super) fn describe_instances(&mut self) -> Vec<Instance> {
        let (instances, now) = (&self.ec2.instances, self.now);
        self.ec2.live.retain(|id| {
            let last = instances[id.0].shown.last();
            last.is_none_or(|(at, state)| *at > now || *state != InstanceState::Terminated)
        });
        let shown = |id: &InstanceId| {
            let record = &self.ec2.instances[id.0];
            let seen = record.shown.iter().filter(|(from, _)| *from <= self.now);
            let state = seen.map(|(_, state)| *state).next_back()?;
            let warned = record.warned.filter(|(from, _)| *from <= self.now);
            let mut instance = record.instance.clone();
            instance.state = state;
            instance.interruption = warned.map(|(_, interruption)| interruption);
            (state != InstanceState::Terminated).then_some(instance)
        };
        self.ec2.live.iter().filter_map(shown).collect()
    }

    fn change_state(&mut self, id: InstanceId, state: InstanceState) {
        let seen_at = self.seen_at();
        let Some(record) = self.ec2.instances.get_mut(id.0) else { return };
        record.instance.state = state;
        // What is shown never goes back to an earlier state.
        let after = record.shown.last().map_or(seen_at, |(at, _)| seen_at.max(*at));
        record.shown.push((after, state));
    }

    /// TerminateInstances, or what comes to the same.
    pub(super) fn terminate_instance(&mut self, id: InstanceId) {
        let live = self.instance(id).is_some_and(|record| record.instance.is_live());
        if !live {
            return;
        }
        self.change_state(id, InstanceState::ShuttingDown);
        let node = self.ec2.instances[id.0].node;
        if let Some(host) = node.and_then(|node| self.nodes.get_mut(&node)) {
            host.alive = false;
        }
        let gone_ms = self.random.between(SHUTDOWN_MS.0, SHUTDOWN_MS.1);
        self.after_ms(gone_ms, Event::InstanceGone(id));
        self.send(500, Message::StateChange(id));
        if let Some(node) = node {
            self.after_ms(40_000, Event::NodeUnreachable(node));
        }
    }

    /// The instance is terminated; the cloud controller finds out.
    pub(super) fn end_instance(&mut self, id: InstanceId) {
        self.change_state(id, InstanceState::Terminated);
        let node = self.ec2.instances[id.0].node;
        if let Some(node) = node {
            let found_ms = self.random.between(5_000, 40_000);
            self.after_ms(found_ms, Event::NodeCollected(node));
        }
    }

    /// EC2 warns that it will take the spot instance.
    pub(super) fn warn(&mut self, id: InstanceId) {
        let Some(record) = self.instance(id) else { return };
        let spot = record.instance.capacity_type == CapacityType::Spot;
        if !spot || !record.instance.is_live() || record.warned.is_some() {
            return;
        }
        let line = format!("EC2 warns that it takes {}", record.instance.id);
        self.log.say(self.now, || line);
        let at = self.now.timestamp();
        let deadline = Some(at.plus(Duration(WARNING_MS / 1000)));
        let interruption = Interruption { kind: InterruptionKind::SpotWarning, at, deadline };
        let seen_at = self.seen_at();
        self.ec2.instances[id.0].warned = Some((seen_at, interruption));
        self.note_warning(id);
        self.after_ms(WARNING_MS, Event::Taken(id));
        if !self.happens(self.odds.warning_lost) {
            self.send(800, Message::Warning(id));
        }
    }

    /// AWS Health tells that the instance's host is retired within the hour. Nothing but the event tells it.
    pub(super) fn retire(&mut self, id: InstanceId) {
        let Some(record) = self.instance(id) else { return };
        if !record.instance.is_live() || record.warned.is_some() {
            return;
        }
        let at = self.now.timestamp();
        let left_s = self.random.between(900, 3600);
        let deadline = Some(at.plus(Duration(left_s)));
        let interruption = Interruption { kind: InterruptionKind::ScheduledChange, at, deadline };
        self.ec2.instances[id.0].warned = Some((SimTime(i64::MAX), interruption));
        self.after_ms(left_s * 1000, Event::Taken(id));
        self.send(800, Message::Warning(id));
    }

    /// The warning that a message told of.
    pub(super) fn warning_of(&self, id: InstanceId) -> Option<Interruption> {
        self.instance(id)?.warned.map(|(_, interruption)| interruption)
    }

    /// EC2 takes the instance.
    pub(super) fn take_instance(&mut self, id: InstanceId) {
        let line = self.instance(id).map(|record| format!("EC2 takes {}", record.instance.id));
        self.log.say(self.now, || line.unwrap_or_default());
        self.note_taken(id);
        self.terminate_instance(id);
    }

    /// The price of the offering now.
    pub(super) fn price_of(
        &self,
        instance_type: &str,
        zone: &str,
        capacity_type: CapacityType,
    ) -> Option<MicroUsdPerHour> {
        let types = self.types();
        let known = types.iter().find(|known| known.name == instance_type)?;
        let same = known
            .offerings
            .iter()
            .find(|offering| offering.zone == zone && offering.capacity_type == capacity_type);
        same.map(|offering| offering.price)
    }
}
