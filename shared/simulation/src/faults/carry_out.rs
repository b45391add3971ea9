//! What each call does to the cluster and to EC2 (`execute/src/steps.rs`, `execute/src/launches.rs`, `execute/src/steps/*.rs`).

use super::ec2::{self, Bootstrap};
use super::event::{ClaimId, InstanceId, Message};
use super::nodes::labels_of;
use super::turn::{Batch, Call, Turn};
use super::work::Work;
use super::world::{ClaimRecord, World};
use model::claim::Progress;
use model::{
    Alternative, CapacityType, Duration, InstanceType, Launch, LaunchRequest, NodeClaim, Step,
    Timestamp, UnavailableOffering, labels,
};
use std::collections::BTreeMap;
use std::sync::Arc;

/// An offering without capacity is left alone for so many seconds (`execute/src/launches.rs`).
const UNAVAILABLE_FOR: Duration = Duration(180);

/// What a call came to; an error says why.
pub(super) type Done = Result<(), &'static str>;

impl World {
    /// The calls of one step.
    pub(super) fn order_step(&mut self, turn: &mut Turn, step: &Step) -> Work {
        let first = Call::Step(step.clone());
        match step {
            Step::Terminate { .. } => Work::none(),
            Step::Launch { batch: _, claims } => self.order_relaunch(turn, claims),
            Step::Register { claim, node } => {
                Work::run([first, Call::RegisterClaim(claim.clone(), node.clone())])
            }
            Step::Initialize { claim, .. } => {
                Work::run([first, Call::InitializeClaim(claim.clone())])
            }
            Step::Adopt { .. }
            | Step::Delete { .. }
            | Step::MarkInterrupted { .. }
            | Step::MarkDisruption { .. }
            | Step::Uncordon { .. }
            | Step::Cordon { .. }
            | Step::Evict { .. }
            | Step::ForceDelete { .. }
            | Step::ReleaseNode { .. }
            | Step::ReleaseClaim { .. }
            | Step::DeleteNode { .. }
            | Step::MarkEmpty { .. } => Work::Call(first),
        }
    }

    /// A batch's call is sent again for those of its claims that have no instance, as they are read just before.
    fn order_relaunch(&mut self, turn: &mut Turn, names: &[Arc<str>]) -> Work {
        let known = names.iter().find_map(|name| {
            let claim = self.api.see_claim(*self.claim_ids.get(name)?)?;
            Some((claim.launch.clone()?, claim.pool.clone()))
        });
        let Some((request, pool)) = known else { return Work::none() };
        let claims = names.iter().map(|name| (name.clone(), None)).collect::<Vec<_>>();
        let number = turn.batches.len();
        let reads = (0..claims.len()).map(|at| Work::Call(Call::ReadClaim(number, at)));
        let reads = Work::at_once(self.setup.pace.steps, reads);
        turn.batches.push(Batch { request, pool, claims, failed: false });
        Work::sequence([reads, Work::Call(Call::Fleet(number))])
    }

    /// Launches that the same offerings serve are one batch, which is bought once all of its claims are written
    /// (`execute/src/batches.rs`).
    pub(super) fn order_launches(&mut self, turn: &mut Turn, launches: Vec<Launch>) -> Work {
        let mut groups: BTreeMap<_, Vec<Launch>> = BTreeMap::new();
        for launch in launches {
            let offerings = offerings(&launch);
            let key = (launch.node_pool.clone(), offerings, launch.labels.clone());
            groups.entry(key).or_default().push(launch);
        }
        let (pace, mut all) = (self.setup.pace, Vec::new());
        for (part, ((pool, offerings, _), group)) in groups.into_iter().enumerate() {
            let number = turn.batches.len();
            let id = format!("{}-t{}-{part}", self.setup.seed, turn.id.0);
            let Some(batch) = self.batch(&id, &pool, &offerings, &group) else { continue };
            let writes = (0..group.len()).map(|at| Work::Call(Call::WriteClaim(number, at)));
            let writes = Work::at_once(pace.writes, writes);
            all.push(Work::sequence([writes, Work::Call(Call::Fleet(number))]));
            turn.batches.push(batch);
            for (at, launch) in group.into_iter().enumerate() {
                turn.planned.insert((number, at), launch);
            }
        }
        Work::at_once(pace.fleets, all)
    }

    fn batch(
        &self,
        id: &str,
        pool: &str,
        offerings: &[Alternative],
        group: &[Launch],
    ) -> Option<Batch> {
        let first = group.first()?;
        let known = self.api.all().node_pools.iter().find(|known| known.name == pool)?;
        let mut labels = known.labels.clone();
        labels.extend(first.labels.clone());
        labels.insert(labels::NODE_POOL.to_owned(), pool.to_owned());
        let way = first.offering.capacity_type;
        labels.insert(labels::CAPACITY_TYPE.to_owned(), way.as_str().to_owned());
        let request = LaunchRequest {
            batch: id.to_owned(),
            size: group.len() as u32,
            node_class: known.node_class.clone(),
            capacity_type: way,
            offerings: offerings.to_vec(),
            labels,
            pods: Vec::new(),
            requests: model::Resources::new(),
            replaces: first.replaces.clone(),
        };
        let claims = (0..group.len()).map(|at| (format!("{pool}-{id}-{at}").into(), None));
        Some(Batch { request, pool: pool.to_owned(), claims: claims.collect(), failed: false })
    }

    /// The call's effect.
    pub(super) fn perform(&mut self, turn: &mut Turn, call: &Call) -> Done {
        match call {
            Call::FindOwn => self.find_own(turn),
            Call::AskLease => self.ask_lease(turn),
            Call::ReadFirst => self.read_first(turn),
            Call::Observe => self.observe(turn),
            Call::Terminate(ids) => self.terminate(turn, ids),
            Call::Step(step) => return self.take_step(turn, step),
            Call::RegisterClaim(claim, node) => return self.register_claim(claim, node),
            Call::InitializeClaim(claim) => return self.initialize_claim(claim),
            Call::ReadClaim(batch, at) => return self.read_claim(turn, *batch, *at),
            Call::WriteClaim(batch, at) => self.write_claim(turn, *batch, *at),
            Call::Fleet(batch) => self.buy(turn, *batch),
            Call::AssignLabels(claim, instance, version) => {
                return self.assign_labels(turn, claim, *instance, *version);
            }
            Call::AssignStatus(claim, instance, version) => {
                return self.assign_status(claim, *instance, *version);
            }
            Call::GiveUp(claim) => {
                if let Some(id) = self.claim_ids.get(claim) {
                    self.delete_claim(*id);
                }
            }
            Call::GiveUpFinalizer(claim) => self.release_claim(claim),
            Call::Tell => {}
            Call::Remember => self.unavailable.append(&mut turn.unavailable),
            Call::FollowUp => self.follow_up(turn),
            Call::Release => return self.release_lease(turn),
        }
        Ok(())
    }

    /// on-interruption marks its own claims, cordons their nodes and remembers what was taken back, all at once and without the lease,
    /// and then takes a turn (`runtime/src/heed.rs`, `execute/src/interruptions.rs`).
    fn find_own(&mut self, turn: &mut Turn) {
        let (mut own, mut marks) = (false, Vec::new());
        for message in turn.messages.clone() {
            let (Message::Warning(id) | Message::StateChange(id)) = message else { continue };
            let Some(claim) = self.claim_of(id) else { continue };
            let Some(known) = self.api.see_claim(claim).filter(|claim| claim.launch.is_some())
            else {
                continue;
            };
            own = true;
            let (name, node) = (known.name.clone(), known.node_name.clone());
            let told = self.warning_of(id).filter(|_| matches!(message, Message::Warning(_)));
            let Some(told) = told else { continue };
            let outweighs = told.outweighs(known.interruption.as_ref());
            let now = self.now.timestamp().plus(Duration(turn.skew_s));
            turn.unavailable.extend(taken_back(known, now));
            if outweighs {
                let mark = Step::MarkInterrupted { claim: name, interruption: told };
                let cordon = node.map(|node| Step::Cordon { node });
                let both =
                    [mark].into_iter().chain(cordon).map(|step| Work::Call(Call::Step(step)));
                marks.push(Work::sequence([Work::at_once(2, both), Work::Call(Call::Tell)]));
            }
        }
        if own {
            turn.unavailable.dedup();
            let marks = Work::at_once(self.setup.pace.marks, marks);
            let remember = (!turn.unavailable.is_empty()).then_some(Work::Call(Call::Remember));
            let heed = Work::at_once(2, [marks].into_iter().chain(remember));
            let rest = Turn::under_lease().map(Work::Call);
            turn.follows = Some(Work::sequence([heed].into_iter().chain(rest)));
        }
    }

    pub(super) fn claim_of(&self, instance: InstanceId) -> Option<ClaimId> {
        let of = self.claims.iter().find(|(_, record)| record.instance == Some(instance));
        of.map(|(id, _)| *id)
    }

    fn terminate(&mut self, turn: &mut Turn, ids: &[String]) {
        for id in ids {
            self.log.say(self.now, || format!("turn {} terminates {id}", turn.id.0));
            self.check_termination(id);
            if let Some(instance) = ec2::number(id) {
                self.terminate_instance(instance);
            }
        }
    }

    fn write_claim(&mut self, turn: &mut Turn, batch: usize, at: usize) {
        let (name, pool) =
            (turn.batches[batch].claims[at].0.clone(), turn.batches[batch].pool.clone());
        let Some(launch) = turn.planned.get(&(batch, at)) else { return };
        if !self.claim_ids.contains_key(&name) {
            let mut request = turn.batches[batch].request.clone();
            request.pods.clone_from(&launch.pods);
            request.replaces.clone_from(&launch.replaces);
            for pod in &launch.pods {
                if let Some(pod) = self.pod_keys.get(pod).and_then(|key| self.api.see_pod(*key)) {
                    request.requests.add(&pod.spec.requests);
                }
            }
            self.create_claim(&name, &pool, request);
        }
        let id = self.claim_ids.get(&name);
        let version = id.and_then(|id| self.claims.get(id)).map(|record| record.version);
        turn.batches[batch].claims[at].1 = version;
        self.log.say(self.now, || format!("turn {} writes claim {name}", turn.id.0));
    }

    fn create_claim(&mut self, name: &Arc<str>, pool: &str, request: LaunchRequest) {
        let id = ClaimId(self.next_number());
        let Some(known) = self.api.all().node_pools.iter().find(|known| known.name == pool) else {
            return;
        };
        let planned = request.offerings.first().cloned();
        let types = self.types();
        let of_type = planned.as_ref().and_then(|offer| type_of(&types, &offer.instance_type));
        let mut labels = request.labels.clone();
        for (key, value) in of_type.iter().flat_map(|known| &known.labels) {
            labels.entry(key.clone()).or_insert_with(|| value.clone());
        }
        let claim = NodeClaim {
            name: name.clone(),
            pool: pool.to_owned(),
            instance_type: planned.as_ref().map(|offer| offer.instance_type.clone()),
            zone: planned.as_ref().map(|offer| offer.zone.clone()),
            capacity_type: Some(request.capacity_type),
            labels,
            taints: known.taints.clone(),
            startup_taints: known.startup_taints.clone(),
            allocatable: of_type.map(|known| known.allocatable.clone()).unwrap_or_default(),
            capacity: of_type.map(|known| known.capacity.clone()).unwrap_or_default(),
            price: planned.map(|offer| offer.price),
            nominated: request.pods.clone(),
            created_at: Some(self.now.timestamp()),
            uid: format!("claim-{}", id.0),
            node_class: known.node_class.clone(),
            finalizer: true,
            termination_grace_period: known.termination_grace_period,
            expire_after: known.expire_after,
            pool_hash: known.hash.clone(),
            launch: Some(request),
            ..NodeClaim::default()
        };
        self.insert_claim(id, claim, None);
    }

    fn insert_claim(&mut self, id: ClaimId, claim: NodeClaim, instance: Option<InstanceId>) {
        self.claim_ids.insert(claim.name.clone(), id);
        let record = ClaimRecord { name: claim.name.clone(), version: 1, instance };
        self.claims.insert(id, record);
        self.api.create_claim(id, claim);
    }

    /// A claim that upstream's Karpenter wrote.
    pub(super) fn add_upstream_claim(
        &mut self,
        known: &InstanceType,
        offer: &Alternative,
        provider_id: String,
    ) {
        let claim = NodeClaim {
            name: "upstream".into(),
            pool: "general".to_owned(),
            node_name: Some("upstream.ec2.internal".into()),
            instance_type: Some(offer.instance_type.clone()),
            zone: Some(offer.zone.clone()),
            capacity_type: Some(offer.capacity_type),
            labels: labels_of(known, offer, &self.setup.cluster.region),
            allocatable: known.allocatable.clone(),
            capacity: known.capacity.clone(),
            price: Some(offer.price),
            created_at: Some(self.now.timestamp()),
            progress: Progress { launched: true, registered: true, initialized: true },
            finalizer: true,
            provider_id: Some(provider_id.clone()),
            ..NodeClaim::default()
        };
        let id = ClaimId(self.next_number());
        self.insert_claim(id, claim, ec2::number(&provider_id));
    }

    fn read_claim(&mut self, turn: &mut Turn, batch: usize, at: usize) -> Done {
        let name = &turn.batches[batch].claims[at].0;
        let id = self.claim_ids.get(name).ok_or("the claim is not there")?;
        let version = self.claims.get(id).map(|record| record.version);
        turn.batches[batch].claims[at].1 = version;
        Ok(())
    }

    /// CreateFleet, and then what it answered is written on the claims.
    fn buy(&mut self, turn: &mut Turn, number: usize) {
        let batch = turn.batches[number].clone();
        if batch.failed {
            turn.look_again = true;
            return;
        }
        let mut waiting = batch.claims;
        let served = |name: &Arc<str>| {
            let record = self.claim_ids.get(name).and_then(|id| self.claims.get(id));
            record.and_then(|record| record.instance)
        };
        waiting.retain(|(name, _)| served(name).is_none());
        if waiting.is_empty() {
            return;
        }
        let known = self.api.all().node_pools.iter().find(|known| known.name == batch.pool);
        let bootstrap = Bootstrap {
            labels: batch.request.labels.clone(),
            taints: known.map(|known| known.taints.clone()).unwrap_or_default(),
            startup_taints: known.map(|known| known.startup_taints.clone()).unwrap_or_default(),
        };
        let mut answer = self.create_fleet(&batch.request, &bootstrap);
        self.note_unavailable(turn, &answer.refused);
        answer.bought.retain(|id| !turn.known_instances.contains(id));
        answer.bought.sort();
        waiting.sort();
        turn.launched |= !answer.bought.is_empty();
        let (mut assigns, mut rest) = (Vec::new(), Vec::new());
        let mut bought = answer.bought.into_iter();
        for (claim, version) in waiting {
            match bought.next() {
                Some(instance) => {
                    let version = version.unwrap_or_default();
                    let labels = Call::AssignLabels(claim.clone(), instance, version);
                    let status = Call::AssignStatus(claim, instance, version + 1);
                    assigns.push(Work::run([labels, status]));
                }
                None if answer.refused.is_empty() => turn.look_again = true,
                None => {
                    turn.look_again = true;
                    rest.push(Work::run([
                        Call::GiveUp(claim.clone()),
                        Call::GiveUpFinalizer(claim),
                    ]));
                }
            }
        }
        let assigns = Work::at_once(self.setup.pace.writes, assigns);
        turn.follows = Some(Work::sequence([assigns].into_iter().chain(rest)));
    }

    fn note_unavailable(&mut self, turn: &mut Turn, refused: &[Alternative]) {
        turn.unavailable.extend(refused.iter().map(|offer| UnavailableOffering {
            instance_type: offer.instance_type.clone(),
            zone: offer.zone.clone(),
            capacity_type: offer.capacity_type,
            until: turn.now.plus(UNAVAILABLE_FOR),
            code: "InsufficientInstanceCapacity".to_owned(),
        }));
    }
}

/// The spot offering that has no more capacity, as its instance is taken back.
fn taken_back(claim: &NodeClaim, now: Timestamp) -> Option<UnavailableOffering> {
    let spot = claim.capacity_type == Some(CapacityType::Spot);
    Some(UnavailableOffering {
        instance_type: claim.instance_type.clone().filter(|_| spot)?,
        zone: claim.zone.clone()?,
        capacity_type: CapacityType::Spot,
        until: now.plus(UNAVAILABLE_FOR),
        code: "SpotInterruption".to_owned(),
    })
}

/// The offerings of the planned capacity type, in one order.
fn offerings(launch: &Launch) -> Vec<Alternative> {
    let way = launch.offering.capacity_type;
    let all = std::iter::once(&launch.offering).chain(&*launch.alternatives);
    let mut all = all.filter(|offer| offer.capacity_type == way).cloned().collect::<Vec<_>>();
    all.sort_by(|a, b| {
        (a.price, &a.instance_type, &a.zone).cmp(&(b.price, &b.instance_type, &b.zone))
    });
    all
}

pub(super) fn type_of<'a>(types: &'a [InstanceType], name: &str) -> Option<&'a InstanceType> {
    types.iter().find(|known| known.name == name)
}
