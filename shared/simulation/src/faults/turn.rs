//! Turns as the runtime takes them (`runtime/src/installation.rs`, `runtime/src/turn.rs`): lease, observe, plan, carry out, follow up,
//! one external call after the other. A function may be killed between any two.

use super::event::{Door, Event, InstanceId, Message, TurnId};
use super::invariants::Rule;
use super::world::World;
use crate::SimTime;
use model::{Launch, LaunchRequest, NodeClaim, Plan, Step, Timestamp, UnavailableOffering};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

/// How long a lease lasts unless it is renewed (`runtime/src/lease.rs`).
const LEASE_MS: i64 = 15_000;
/// It is renewed so often.
const RENEW_MS: i64 = 5_000;

/// The Lease object.
#[derive(Clone, Debug, Default)]
pub(super) struct Lease {
    holder: Option<TurnId>,
    renewed_at: SimTime,
    /// The holder was asked to look again.
    again: Option<TurnId>,
    /// The next moment for which a follow-up is on its way.
    wake_at: Option<i64>,
}

/// One external call.
#[derive(Clone, Debug)]
pub(super) enum Call {
    /// on-interruption reads claims and nodes, to know its own.
    FindOwn,
    /// The lease is asked for.
    AskLease,
    /// Claims and nodes are read.
    ReadFirst,
    /// Pods and instances are read, and all is decided.
    Observe,
    /// TerminateInstances.
    Terminate(Vec<String>),
    /// A step that is one call; those of one run stop at the first that fails.
    Step(usize, Step),
    /// The second half of Register: the claim is told.
    RegisterClaim(usize, Arc<str>, Arc<str>),
    /// The second half of Initialize: the claim is told.
    InitializeClaim(usize, Arc<str>),
    /// A claim of a batch is read before its call is sent again.
    ReadClaim(usize, usize),
    /// A claim of a batch is written.
    WriteClaim(usize, usize),
    /// CreateFleet for the batch.
    Fleet(usize),
    /// The instance's labels are written on the claim, if it still has this version.
    AssignLabels(Arc<str>, InstanceId, u64),
    /// The instance is written on the claim, if it still has this version.
    AssignStatus(Arc<str>, InstanceId, u64),
    /// A claim that got no instance is deleted.
    GiveUp(Arc<str>),
    /// And its finalizer taken off.
    GiveUpFinalizer(Arc<str>),
    /// Offerings without capacity are written to their ConfigMap.
    Remember,
    /// A follow-up message is sent.
    FollowUp,
    /// The lease is let go.
    Release,
}

/// A batch that a turn buys.
#[derive(Clone, Debug)]
pub(super) struct Batch {
    pub(super) request: LaunchRequest,
    pub(super) pool: String,
    /// Names, each with the version under which it was read or written.
    pub(super) claims: Vec<(Arc<str>, Option<u64>)>,
    /// Not all claims could be written or read.
    pub(super) failed: bool,
}

/// A function at work.
pub(super) struct Turn {
    pub(super) id: TurnId,
    door: Door,
    pub(super) messages: Vec<Message>,
    pub(super) calls: VecDeque<Call>,
    /// How far the function's clock is ahead, in seconds.
    pub(super) skew_s: i64,
    /// The moment of its snapshot.
    pub(super) now: Timestamp,
    holds: bool,
    /// It has lost its lease and finds out by the next call.
    stale: bool,
    first_read: Option<(Vec<NodeClaim>, Vec<model::Node>)>,
    /// Instances that claims named when they were read.
    pub(super) known_instances: BTreeSet<InstanceId>,
    pub(super) batches: Vec<Batch>,
    /// The launch behind each claim of each batch.
    pub(super) planned: BTreeMap<(usize, usize), Launch>,
    /// How many set-up nodes each pool had in its snapshot.
    pub(super) nodes_of_pool: BTreeMap<String, usize>,
    pub(super) unavailable: Vec<UnavailableOffering>,
    pub(super) look_again: bool,
    pub(super) launched: bool,
    wake_at: Option<Timestamp>,
    pub(super) failed: bool,
}

impl Turn {
    pub(super) fn new(id: TurnId, door: Door, messages: Vec<Message>, skew_s: i64) -> Self {
        Self {
            id,
            door,
            messages,
            calls: VecDeque::new(),
            skew_s,
            now: Timestamp(0),
            holds: false,
            stale: false,
            first_read: None,
            known_instances: BTreeSet::new(),
            batches: Vec::new(),
            planned: BTreeMap::new(),
            nodes_of_pool: BTreeMap::new(),
            unavailable: Vec::new(),
            look_again: false,
            launched: false,
            wake_at: None,
            failed: false,
        }
    }
}

/// What goes wrong with a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    Fine,
    Before,
    After,
    KilledBefore,
    KilledAfter,
}

impl World {
    pub(super) fn plan_first_calls(&mut self, turn: &mut Turn) {
        if turn.door == Door::Interruption {
            turn.calls.push_back(Call::FindOwn);
        } else {
            turn.calls.extend([Call::AskLease, Call::ReadFirst, Call::Observe]);
        }
    }

    /// The turn's next call is sent; without one the turn is over.
    pub(super) fn next_call(&mut self, id: TurnId) {
        let Some(turn) = self.turns.get(&id) else { return };
        let Some(call) = turn.calls.front() else {
            return self.end_turn(id);
        };
        // Calls about different objects run sixteen at once (`execute/src/steps.rs`).
        let at_once = (turn.calls.len() as i64).clamp(1, 16);
        let (least, most) = match call {
            Call::Fleet(_) => (800, 2_500),
            Call::Terminate(_) => (200, 800),
            Call::Observe => (150, 600),
            Call::ReadFirst if self.odds.torn_ms > 0 => (50, self.odds.torn_ms),
            Call::ReadFirst | Call::AskLease | Call::FindOwn => (20, 60),
            Call::FollowUp | Call::Remember | Call::Release => (10, 40),
            Call::Step(..)
            | Call::RegisterClaim(..)
            | Call::InitializeClaim(..)
            | Call::ReadClaim(..)
            | Call::WriteClaim(..)
            | Call::AssignLabels(..)
            | Call::AssignStatus(..)
            | Call::GiveUp(_)
            | Call::GiveUpFinalizer(_) => (10 / at_once, 60 / at_once),
        };
        let mut milliseconds = self.random.between(least, most);
        if self.happens(self.odds.frozen) {
            milliseconds += self.random.between(LEASE_MS, 3 * LEASE_MS);
            self.log.say(self.now, || format!("turn {} stands still", id.0));
        } else if turn_holds(&self.turns, id)
            && self.lease.holder == Some(id)
            && self.now.plus_ms(milliseconds).since_ms(self.lease.renewed_at) >= RENEW_MS
        {
            self.lease.renewed_at = self.now.plus_ms(milliseconds);
        }
        self.after_ms(milliseconds, Event::CallEnds(id));
    }

    fn fate(&mut self, call: &Call) -> Fate {
        if self.happens(self.odds.killed) {
            let before = self.random.below(2) == 0;
            return if before { Fate::KilledBefore } else { Fate::KilledAfter };
        }
        let aws = matches!(call, Call::Fleet(_) | Call::Terminate(_) | Call::Observe);
        if aws && self.happens(self.odds.throttled) || self.happens(self.odds.before) {
            return Fate::Before;
        }
        if self.happens(self.odds.after) { Fate::After } else { Fate::Fine }
    }

    pub(super) fn end_call(&mut self, id: TurnId) {
        let Some(mut turn) = self.turns.remove(&id) else { return };
        let Some(call) = turn.calls.pop_front() else { return };
        if turn.holds && self.lease.holder != Some(id) {
            if turn.stale {
                self.log.say(self.now, || format!("turn {} has lost its lease and stops", id.0));
                return self.give_again(turn.messages);
            }
            turn.stale = true;
        }
        let fate = self.fate(&call);
        let mut killed = fate == Fate::KilledBefore;
        if !killed {
            let result = if fate == Fate::Before {
                Err("no effect")
            } else {
                self.perform(&mut turn, &call)
            };
            killed = fate == Fate::KilledAfter;
            let result = if fate == Fate::After { Err("answer lost") } else { result };
            if let Err(problem) = result {
                self.log.say(self.now, || format!("turn {}: {call:?}: {problem}", id.0));
                self.call_failed(&mut turn, &call);
            }
            self.check_world();
        }
        if killed {
            self.log.say(self.now, || format!("turn {} is killed at {call:?}", id.0));
            return self.give_again(turn.messages);
        }
        self.turns.insert(id, turn);
        self.next_call(id);
    }

    fn call_failed(&mut self, turn: &mut Turn, call: &Call) {
        turn.look_again = true;
        match call {
            Call::FindOwn | Call::AskLease => {
                turn.calls.clear();
                turn.failed = true;
            }
            Call::ReadFirst | Call::Observe => {
                turn.calls.clear();
                turn.failed = true;
                turn.look_again = false;
                turn.calls.push_back(Call::Release);
            }
            Call::Step(run, _) | Call::RegisterClaim(run, ..) | Call::InitializeClaim(run, _) => {
                drop_run(&mut turn.calls, *run);
            }
            Call::WriteClaim(batch, _) | Call::ReadClaim(batch, _) => {
                turn.batches[*batch].failed = true;
            }
            Call::GiveUp(_) => drop(turn.calls.pop_front()),
            Call::AssignLabels(claim, ..) => {
                let same =
                    |next: &Call| matches!(next, Call::AssignStatus(other, ..) if other == claim);
                turn.calls.retain(|next| !same(next));
            }
            Call::Release => turn.failed = true,
            Call::Terminate(_)
            | Call::Fleet(_)
            | Call::AssignStatus(..)
            | Call::GiveUpFinalizer(_)
            | Call::Remember
            | Call::FollowUp => {}
        }
    }

    fn end_turn(&mut self, id: TurnId) {
        let Some(turn) = self.turns.remove(&id) else { return };
        self.log.say(self.now, || format!("turn {} ends", id.0));
        // The next minute's tick is as good as a tick that comes again (`runtime/src/doors.rs`).
        if turn.failed && turn.door != Door::Schedule {
            self.give_again(turn.messages);
        }
    }

    /// Takes the lease, or leaves word with the turn that has it.
    pub(super) fn ask_lease(&mut self, turn: &mut Turn) {
        let ends_in_ms = self.lease.renewed_at.plus_ms(LEASE_MS + 1_000).since_ms(self.now);
        if let Some(holder) = self.lease.holder.filter(|_| ends_in_ms > 0) {
            if self.lease.again != Some(holder) {
                self.lease.again = Some(holder);
                self.send_follow_up(ends_in_ms / 1000 + 2);
            }
            turn.calls.clear();
            return;
        }
        self.lease.holder = Some(turn.id);
        self.lease.renewed_at = self.now;
        self.lease.again = None;
        turn.holds = true;
    }

    pub(super) fn release_lease(&mut self, turn: &mut Turn) -> Result<(), &'static str> {
        turn.holds = false;
        if self.lease.holder != Some(turn.id) {
            return Err("the lease is lost");
        }
        self.lease.holder = None;
        if self.lease.again == Some(turn.id) {
            self.send_follow_up(0);
        }
        Ok(())
    }

    /// Asks for a follow-up, unless an earlier one is on its way.
    pub(super) fn follow_up(&mut self, turn: &Turn) {
        let again = turn.look_again.then_some(5).or(turn.launched.then_some(10));
        let again = again.map(|seconds| turn.now.0 + seconds);
        let wake_at = turn.wake_at.map(|at| at.0).into_iter().chain(again).min();
        let now = self.now.timestamp().0;
        let Some(at) = wake_at else { return };
        if self.lease.wake_at.is_some_and(|known| known > now && known <= at) {
            return;
        }
        self.lease.wake_at = Some(at.max(now + 1));
        self.send_follow_up((at - now).max(1));
    }

    pub(super) fn read_first(&mut self, turn: &mut Turn) {
        if self.odds.torn_ms > 0 {
            let all = self.api.all();
            turn.first_read = Some((all.node_claims.clone(), all.nodes.clone()));
        }
    }

    /// Reads, decides, and lists the calls that carry it out, in the order of `execute::carry_out`.
    pub(super) fn observe(&mut self, turn: &mut Turn) {
        self.complete_snapshot(turn);
        let (plan, violations) = match turn.first_read.take() {
            Some((claims, nodes)) => {
                let mut torn = self.api.all().clone();
                (torn.node_claims, torn.nodes) = (claims, nodes);
                decide(&torn, &self.setup.options)
            }
            None => decide(self.api.all(), &self.setup.options),
        };
        for violation in violations {
            self.violate(Rule::PlanPassesCheck, violation);
        }
        self.log.say(self.now, || format!("turn {} plans: {}", turn.id.0, summary(&plan)));
        turn.wake_at = plan.wake_at;
        self.order(turn, plan);
        turn.calls.extend([Call::Remember, Call::FollowUp, Call::Release]);
    }

    fn order(&mut self, turn: &mut Turn, plan: Plan) {
        let ids = plan.steps.iter().filter_map(|step| {
            let Step::Terminate { instance, .. } = step else { return None };
            Some(instance.clone())
        });
        let ids = ids.collect::<Vec<_>>();
        if !ids.is_empty() {
            turn.calls.push_back(Call::Terminate(ids));
        }
        let (mut run, mut last) = (0, String::new());
        for step in plan.steps {
            let about = subject(&step);
            if about != last {
                (run, last) = (run + 1, about);
            }
            self.order_step(turn, run, step);
        }
        self.order_launches(turn, plan.launches);
    }
}

/// What a step is about: neighbouring steps of one subject are one run (`execute/src/steps.rs`).
fn subject(step: &Step) -> String {
    match step {
        Step::Launch { batch, .. } => batch.clone(),
        Step::Adopt { claim, .. }
        | Step::Register { claim, .. }
        | Step::Initialize { claim, .. }
        | Step::MarkInterrupted { claim, .. }
        | Step::MarkDisruption { claim, .. }
        | Step::Delete { claim, .. }
        | Step::ReleaseClaim { claim } => claim.to_string(),
        Step::Cordon { node }
        | Step::DeleteNode { node }
        | Step::ReleaseNode { node }
        | Step::Uncordon { node }
        | Step::MarkEmpty { node, .. } => node.to_string(),
        Step::Evict { uid, .. } | Step::ForceDelete { uid, .. } => uid.clone(),
        Step::Terminate { instance, .. } => instance.clone(),
    }
}

fn turn_holds(turns: &BTreeMap<TurnId, Turn>, id: TurnId) -> bool {
    turns.get(&id).is_some_and(|turn| turn.holds)
}

/// The rest of a run is not done once one of it has failed.
fn drop_run(calls: &mut VecDeque<Call>, run: usize) {
    let of_run = |call: &Call| {
        let (Call::Step(other, _)
        | Call::RegisterClaim(other, ..)
        | Call::InitializeClaim(other, _)) = call
        else {
            return false;
        };
        *other == run
    };
    while calls.front().is_some_and(of_run) {
        calls.pop_front();
    }
}

/// Plans, and gives up what the check refuses (`runtime/src/turn.rs`).
fn decide(snapshot: &model::Snapshot, options: &planner::Options) -> (Plan, Vec<String>) {
    let plan = planner::plan(snapshot, options);
    let told = planner::check(snapshot, &plan).iter().map(ToString::to_string).collect();
    let (plan, left) = planner::heed(snapshot, plan);
    if left.is_empty() {
        return (plan, told);
    }
    (Plan { launches: Vec::new(), removals: Vec::new(), ..plan }, told)
}

fn summary(plan: &Plan) -> String {
    let mut parts = vec![format!(
        "{} launches, {} placements, {} unschedulable",
        plan.launches.len(),
        plan.placements.len(),
        plan.unschedulable.len()
    )];
    let launches = plan.launches.iter().map(|launch| {
        format!(
            "{} {} for {} pods",
            launch.offering.instance_type,
            launch.offering.zone,
            launch.pods.len()
        )
    });
    parts.extend(launches);
    parts.extend(plan.placements.iter().map(|each| format!("{} to {}", each.pod, each.node)));
    parts.extend(
        plan.removals.iter().map(|removal| format!("remove {} {:?}", removal.node, removal.reason)),
    );
    parts.extend(plan.disruptions.iter().map(|each| {
        format!("{} {:?} {:?} saves {}", each.id, each.reason, each.stage, each.saves)
    }));
    parts.join("; ")
}
