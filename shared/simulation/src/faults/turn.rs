//! Functions at work (`runtime/src/installation.rs`, `runtime/src/turn.rs`): external calls, some of them at once. A function may be
//! killed at any of them; what is on its way then may or may not have its effect.

use super::event::{Door, Event, InstanceId, Message, TurnId};
use super::pace::round_trips;
use super::work::{SentId, Work};
use super::world::World;
use crate::SimTime;
use model::{Launch, LaunchRequest, NodeClaim, Step, Timestamp, UnavailableOffering};
use std::collections::{BTreeMap, BTreeSet};
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

/// One external call, or a few of one object, one after the other.
#[derive(Clone, Debug)]
pub(super) enum Call {
    /// on-interruption reads claims, to know its own.
    FindOwn,
    /// The lease is asked for.
    AskLease,
    /// Claims and nodes are read.
    ReadFirst,
    /// Pods and instances are read, and all is decided.
    Observe,
    /// TerminateInstances.
    Terminate(Vec<String>),
    /// A step, or the first half of one.
    Step(Step),
    /// The second half of Register: the claim is told.
    RegisterClaim(Arc<str>, Arc<str>),
    /// The second half of Initialize: the claim is told.
    InitializeClaim(Arc<str>),
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
    /// People are told by an event.
    Tell,
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
    pub(super) door: Door,
    pub(super) messages: Vec<Message>,
    work: Work,
    /// Calls on their way; true if EC2 turns them away.
    sent: BTreeMap<SentId, (Call, bool)>,
    next: SentId,
    /// From when on each of the function's ways to the API server is free.
    api_free: Vec<SimTime>,
    /// What follows from the call that has just had its effect.
    pub(super) follows: Option<Work>,
    /// How far the function's clock is ahead, in seconds.
    pub(super) skew_s: i64,
    /// The moment of its snapshot.
    pub(super) now: Timestamp,
    holds: bool,
    /// It has lost its lease and finds out by the next call.
    stale: bool,
    /// It stands still until then.
    frozen_until: SimTime,
    pub(super) first_read: Option<(Vec<NodeClaim>, Vec<model::Node>)>,
    /// Instances that claims named when they were read.
    pub(super) known_instances: BTreeSet<InstanceId>,
    pub(super) batches: Vec<Batch>,
    /// The launch behind each claim of each batch.
    pub(super) planned: BTreeMap<(usize, usize), Launch>,
    /// How many set-up nodes each pool had in its snapshot.
    pub(super) nodes_of_pool: BTreeMap<String, usize>,
    /// Nodes that could not be cordoned: no pod is evicted from them.
    pub(super) open: BTreeSet<Arc<str>>,
    pub(super) unavailable: Vec<UnavailableOffering>,
    pub(super) look_again: bool,
    pub(super) launched: bool,
    pub(super) wake_at: Option<Timestamp>,
    failed: bool,
}

impl Turn {
    pub(super) fn new(id: TurnId, door: Door, messages: Vec<Message>, skew_s: i64) -> Self {
        let calls = match door {
            Door::Interruption => vec![Call::FindOwn],
            Door::PendingPods | Door::Schedule => Self::under_lease().to_vec(),
        };
        Self {
            id,
            door,
            messages,
            work: Work::sequence(calls.into_iter().map(Work::Call)),
            sent: BTreeMap::new(),
            next: 0,
            api_free: Vec::new(),
            follows: None,
            skew_s,
            now: Timestamp(0),
            holds: false,
            stale: false,
            frozen_until: SimTime::default(),
            first_read: None,
            known_instances: BTreeSet::new(),
            batches: Vec::new(),
            planned: BTreeMap::new(),
            nodes_of_pool: BTreeMap::new(),
            open: BTreeSet::new(),
            unavailable: Vec::new(),
            look_again: false,
            launched: false,
            wake_at: None,
            failed: false,
        }
    }

    /// When a call is made that is wanted now: only so many of the API server are on their way at once.
    fn begins(&mut self, now: SimTime, most: usize, call: &Call, lasts_ms: i64) -> SimTime {
        if round_trips(call) == 0 {
            return now;
        }
        self.api_free.resize(most, SimTime::default());
        let Some(free) = self.api_free.iter_mut().min() else { return now };
        let begins = now.max(*free);
        *free = begins.plus_ms(lasts_ms);
        begins
    }

    /// What every turn begins with.
    pub(super) fn under_lease() -> [Call; 3] {
        [Call::AskLease, Call::ReadFirst, Call::Observe]
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
    /// The calls that the function makes now are sent; without any, and none on their way, it is over.
    pub(super) fn send_calls(&mut self, id: TurnId) {
        let Some(turn) = self.turns.get_mut(&id) else { return };
        let mut next = turn.next;
        let calls = turn.work.send(&mut next);
        turn.next = next;
        if calls.is_empty() && turn.sent.is_empty() {
            return self.end_turn(id);
        }
        for (sent, call) in calls {
            self.send_call(id, sent, call);
        }
    }

    fn send_call(&mut self, id: TurnId, sent: SentId, call: Call) {
        let Some(turn) = self.turns.get(&id) else { return };
        let milliseconds = self.setup.pace.lasts_ms(&call, turn, &self.odds, &mut self.random);
        let asks_ec2 = matches!(call, Call::Fleet(batch) if !turn.batches[batch].failed);
        let turned_away = asks_ec2 && !self.take_fleet_token();
        if asks_ec2 && !turned_away {
            self.note_asked(id, &call);
        }
        if self.happens(self.odds.frozen) {
            let until = self.now.plus_ms(self.random.between(LEASE_MS, 3 * LEASE_MS));
            self.log.say(self.now, || format!("turn {} stands still", id.0));
            self.turns.entry(id).and_modify(|turn| turn.frozen_until = until);
        }
        let Some(turn) = self.turns.get_mut(&id) else { return };
        let begins = turn.begins(self.now, self.setup.pace.calls, &call, milliseconds);
        turn.sent.insert(sent, (call, turned_away));
        let ends = begins.plus_ms(milliseconds);
        let due = ends.since_ms(self.lease.renewed_at) >= RENEW_MS;
        if turn.holds && self.lease.holder == Some(id) && due && turn.frozen_until <= self.now {
            self.lease.renewed_at = ends;
        }
        self.events.push(ends, Event::CallEnds(id, sent));
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

    pub(super) fn end_call(&mut self, id: TurnId, sent: SentId) {
        let Some(mut turn) = self.turns.remove(&id) else { return };
        if self.now < turn.frozen_until {
            self.events.push(turn.frozen_until, Event::CallEnds(id, sent));
            self.turns.insert(id, turn);
            return;
        }
        if turn.holds && self.lease.holder != Some(id) {
            if turn.stale {
                self.log.say(self.now, || format!("turn {} has lost its lease and stops", id.0));
                return self.abandon(turn);
            }
            turn.stale = true;
        }
        let Some((call, turned_away)) = turn.sent.remove(&sent) else { return };
        let fate = if turned_away { Fate::Before } else { self.fate(&call) };
        let mut killed = fate == Fate::KilledBefore;
        let mut well = false;
        if !killed {
            let nothing = fate == Fate::Before;
            let result = if nothing { Err("no effect") } else { self.perform(&mut turn, &call) };
            killed = fate == Fate::KilledAfter;
            let result = if fate == Fate::After { Err("answer lost") } else { result };
            if let Err(problem) = result {
                self.log.say(self.now, || format!("turn {}: {call:?}: {problem}", id.0));
                call_failed(&mut turn, &call);
            }
            well = result.is_ok();
            self.check_world();
        }
        if killed {
            self.log.say(self.now, || format!("turn {} is killed at {call:?}", id.0));
            return self.abandon(turn);
        }
        let mut follows = turn.follows.take().filter(|_| well);
        turn.work.end(sent, well, &mut follows);
        self.turns.insert(id, turn);
        self.send_calls(id);
    }

    /// The function is no more: some of the calls on their way have their effect all the same. The queue gives its messages again.
    fn abandon(&mut self, mut turn: Turn) {
        for (call, turned_away) in std::mem::take(&mut turn.sent).into_values() {
            if !turned_away && self.random.below(2) == 0 {
                let told = self.perform(&mut turn, &call).is_ok();
                self.log.say(self.now, || format!("on its way still: {call:?} ({told})"));
                self.check_world();
            }
        }
        self.give_again(turn.messages);
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
            turn.work = Work::none();
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
}

/// What a failed call means for the rest of its turn; the rest of its run is dropped in any case.
fn call_failed(turn: &mut Turn, call: &Call) {
    turn.look_again = true;
    match call {
        Call::FindOwn | Call::AskLease => {
            turn.work = Work::none();
            turn.failed = true;
        }
        Call::ReadFirst | Call::Observe => {
            turn.failed = true;
            turn.look_again = false;
            turn.work = Work::Call(Call::Release);
        }
        Call::WriteClaim(batch, _) | Call::ReadClaim(batch, _) => {
            turn.batches[*batch].failed = true;
        }
        Call::Step(Step::Cordon { node }) => {
            turn.open.insert(node.clone());
        }
        Call::Release => turn.failed = true,
        Call::Step(_)
        | Call::RegisterClaim(..)
        | Call::InitializeClaim(_)
        | Call::AssignLabels(..)
        | Call::GiveUp(_)
        | Call::Terminate(_)
        | Call::Fleet(_)
        | Call::AssignStatus(..)
        | Call::GiveUpFinalizer(_)
        | Call::Tell
        | Call::Remember
        | Call::FollowUp => {}
    }
}
