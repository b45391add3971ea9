//! The decider's turns: what wakes it, and how its plans are carried out.

use super::event::Event;
use super::{Delivery, Knock, TurnOutcome, World};
use crate::decider::wake_at;
use crate::{Cadence, SimTime};
use model::{DisruptionReason, Plan};

/// How many violations are kept as text.
const KEPT_VIOLATIONS: usize = 20;

/// The state of the turns.
#[derive(Default)]
pub(super) struct Turns {
    /// When the open window of pending pods was opened.
    opened_at: Option<SimTime>,
    /// Its number; an older one's closing means nothing.
    window: u64,
    /// A turn is running, as the lease would say.
    running: bool,
    /// Someone knocked meanwhile.
    again: bool,
}

impl World<'_> {
    /// A pod was newly found unschedulable: the window opens, or stays open a little longer.
    pub(super) fn pod_unschedulable(&mut self) {
        let Cadence::Batched { idle_ms, max_ms, .. } = self.decider.cadence() else { return };
        let opened_at = *self.turns.opened_at.get_or_insert(self.now);
        let closes = self.now.plus_ms(idle_ms).min(opened_at.plus_ms(max_ms));
        self.turns.window += 1;
        let knock = Knock::PodsPending(self.turns.window);
        self.knock_after(closes.since_ms(self.now), knock);
    }

    /// Sends a knock, if no fault prevents it.
    pub(super) fn knock_after(&mut self, milliseconds: i64, knock: Knock) {
        let delivery = match knock {
            Knock::PodsPending(_) | Knock::FollowUp | Knock::Schedule => {
                self.faults.knock(self.now, knock)
            }
        };
        let delays = match delivery {
            Delivery::Once => vec![0],
            Delivery::Lost => vec![],
            Delivery::Twice => vec![0, 0],
            Delivery::Late(late_ms) => vec![late_ms],
        };
        for delay in delays {
            self.after_ms(milliseconds + delay, Event::Knock(knock));
        }
    }

    /// A knock arrives.
    pub(super) fn answer(&mut self, knock: Knock) {
        match knock {
            Knock::PodsPending(window) if window != self.turns.window => return,
            Knock::PodsPending(_) => self.turns.opened_at = None,
            Knock::Schedule => {
                let period = self.decider.cadence().period_ms();
                self.knock_after(period, Knock::Schedule);
            }
            Knock::FollowUp => {}
        }
        if self.turns.running {
            self.turns.again = true;
        } else {
            self.take_turn();
        }
    }

    fn take_turn(&mut self) {
        self.complete_snapshot();
        let snapshot = self.api.read(self.now.timestamp());
        let plan = self.decider.decide(snapshot);
        let violations = self.decider.violations(snapshot, &plan);
        self.meter.turn(violations, KEPT_VIOLATIONS);
        if self.faults.turn(self.now) == TurnOutcome::Killed {
            return;
        }
        self.turns.running = true;
        let latency_ms = self.decider.latency_ms();
        self.after_ms(latency_ms, Event::PlanExecutes(Box::new(plan)));
    }

    /// Carries a plan out. Where pods go is for the kube-scheduler to say, so placements are not used.
    pub(super) fn execute(&mut self, plan: Plan) {
        self.turns.running = false;
        if let Some(at) = wake_at(&plan, self.now) {
            self.knock_after(at.since_ms(self.now), Knock::FollowUp);
        }
        for removal in &plan.removals {
            self.take_away(removal);
        }
        let for_cost = |removal: &model::Removal| removal.reason == DisruptionReason::Underutilized;
        if plan.removals.iter().any(for_cost) {
            self.meter.consolidated(self.now);
        }
        for step in plan.steps {
            self.take_step(step);
        }
        self.check_budget();
        for launch in plan.launches {
            self.launch(launch);
        }
        if std::mem::take(&mut self.turns.again) {
            self.take_turn();
        }
    }
}
