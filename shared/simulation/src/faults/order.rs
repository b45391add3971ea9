//! What a turn decides, and the order of the calls that carry it out (`execute/src/lib.rs`, `steps.rs`, `launches.rs`).

use super::invariants::Rule;
use super::turn::{Call, Turn};
use super::work::Work;
use super::world::World;
use model::{Plan, Step};

impl World {
    pub(super) fn read_first(&mut self, turn: &mut Turn) {
        if self.odds.torn_ms > 0 {
            let all = self.api.all();
            turn.first_read = Some((all.node_claims.clone(), all.nodes.clone()));
        }
    }

    /// Reads, decides, and lists the calls that carry it out.
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
        self.note_plan(&plan);
        let mut parts = self.order(turn, plan);
        parts.extend([Call::Tell, Call::Remember, Call::FollowUp, Call::Release].map(Work::Call));
        turn.follows = Some(Work::sequence(parts));
    }

    fn order(&mut self, turn: &mut Turn, plan: Plan) -> Vec<Work> {
        let mut parts = Vec::new();
        let ids = plan.steps.iter().filter_map(|step| {
            let Step::Terminate { instance, .. } = step else { return None };
            Some(instance.clone())
        });
        let ids = ids.collect::<Vec<_>>();
        if !ids.is_empty() {
            parts.push(Work::Call(Call::Terminate(ids)));
        }
        let (cordons, rest): (Vec<_>, Vec<_>) =
            plan.steps.into_iter().partition(|step| matches!(step, Step::Cordon { .. }));
        for steps in [cordons, rest] {
            let runs = steps.chunk_by(|a, b| subject(a) == subject(b));
            let runs = runs.map(|run| self.order_run(turn, run)).collect::<Vec<_>>();
            parts.push(Work::at_once(self.setup.pace.steps, runs));
        }
        parts.push(self.order_launches(turn, plan.launches));
        parts
    }

    fn order_run(&mut self, turn: &mut Turn, steps: &[Step]) -> Work {
        let parts = steps.iter().map(|step| self.order_step(turn, step)).collect();
        Work::Run(parts)
    }
}

/// What a step is about: neighbouring steps of one subject are one run (`execute/src/steps.rs`).
fn subject(step: &Step) -> &str {
    match step {
        Step::Launch { batch, .. } => batch,
        Step::Adopt { claim, .. }
        | Step::Register { claim, .. }
        | Step::Initialize { claim, .. }
        | Step::MarkInterrupted { claim, .. }
        | Step::MarkDisruption { claim, .. }
        | Step::Delete { claim, .. }
        | Step::ReleaseClaim { claim } => claim,
        Step::Cordon { node }
        | Step::DeleteNode { node }
        | Step::ReleaseNode { node }
        | Step::Uncordon { node }
        | Step::MarkEmpty { node, .. } => node,
        Step::Evict { uid, .. } | Step::ForceDelete { uid, .. } => uid,
        Step::Terminate { instance, .. } => instance,
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
    let stranded = plan.disruptions.iter().flat_map(|each| &each.stranded);
    let left = stranded.chain(&plan.unschedulable).map(|lost| {
        let reasons = lost.reasons.iter().map(ToString::to_string).collect::<Vec<_>>();
        format!("{} has no place: {}", lost.pod, reasons.join(", "))
    });
    parts.extend(left);
    parts.join("; ")
}
