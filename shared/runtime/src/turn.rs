//! One turn: observe, plan, check, execute, report.

use crate::configuration::Mode;
use crate::memory::{KeptTurn, Memory};
use crate::observed::{Observe, ObserveError, Observed};
use crate::report::Report;
use crate::{metrics, telemetry};
use execute::{Cloud, Cluster, Orders, Outcome};
use model::{Plan, Snapshot};
use planner::Options;
use std::sync::Arc;
use std::time::Instant;

/// What turns need beside what they read.
#[derive(Clone, Copy, Debug)]
pub struct Hall<'a, C, K, M> {
    /// AWS.
    pub cloud: &'a C,
    /// The cluster.
    pub cluster: &'a K,
    /// What is remembered.
    pub memory: &'a M,
    /// How hard the planner looks.
    pub options: Options,
    /// Which metrics are written.
    pub metrics: crate::configuration::Metrics,
    /// Whether the plan is carried out, or only told.
    pub mode: Mode,
}

/// Takes one turn. The caller holds the lease, unless the turn only observes. A paused installation takes none.
///
/// # Errors
/// If the world could not be read: then nothing is done.
pub async fn take_turn<O: Observe, C: Cloud, K: Cluster, M: Memory>(
    turn: &str,
    trigger: &str,
    observe: &mut O,
    hall: &Hall<'_, C, K, M>,
) -> Result<Report, ObserveError> {
    let begun = Instant::now();
    let mut report = Report {
        turn: turn.to_owned(),
        trigger: trigger.to_owned(),
        mode: hall.mode,
        ..Report::default()
    };
    let observed = observe.observe().await?;
    lap(&mut report, "observe", begun);
    telemetry::seen(&observed);
    let plan = decide(&observed, hall.options, &mut report).await;
    report.findings.extend(observed.findings.iter().chain(&observed.stale).cloned());
    let outcome = match hall.mode {
        Mode::Act => act(turn, trigger, &plan, &observed, hall, &mut report).await,
        Mode::Observe | Mode::Paused => {
            telemetry::would(turn, &plan);
            keep(turn, trigger, &plan, &observed.snapshot, hall).await;
            Outcome::default()
        }
    };
    report.traffic = observed.traffic;
    report.outcome(&outcome);
    lap(&mut report, "turn", begun);
    telemetry::told(&report, &outcome);
    metrics::write(hall.metrics, &observed.cluster.name, &report);
    Ok(report)
}

fn lap(report: &mut Report, part: &'static str, begun: Instant) {
    let spent = u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX);
    report.milliseconds.insert(part, spent);
}

/// Plans, and gives up what the check refuses. Planning is work for a processor: others go on meanwhile.
async fn decide(observed: &Observed, options: Options, report: &mut Report) -> Plan {
    let begun = Instant::now();
    let snapshot = Arc::clone(&observed.snapshot);
    let work = move || {
        let plan = planner::plan(&snapshot, &options);
        planner::heed(&snapshot, plan)
    };
    let (plan, violations) = match tokio::task::spawn_blocking(work).await {
        Ok(decided) => decided,
        Err(error) => {
            tracing::error!(%error, "the planner failed: nothing is decided this turn");
            (Plan::default(), Vec::new())
        }
    };
    for violation in &violations {
        tracing::error!(%violation, "the check refuses a part of the plan");
    }
    lap(report, "plan", begun);
    report.violations = violations.len();
    report.plan(&plan);
    let ours = observed.snapshot.node_claims.iter().filter(|claim| claim.launch.is_some());
    report.claims = ours.clone().count();
    report.nodes_micro_usd_per_hour =
        ours.filter_map(|claim| Some((claim.price? - claim.premium).0)).sum();
    // What is still refused after pods were given up cannot be trusted as a whole.
    if violations.is_empty() {
        plan
    } else {
        Plan { launches: Vec::new(), removals: Vec::new(), ..plan }
    }
}

/// Carries out what was decided, keeps it, and remembers what came of it.
async fn act<C: Cloud, K: Cluster, M: Memory>(
    turn: &str,
    trigger: &str,
    plan: &Plan,
    observed: &Observed,
    hall: &Hall<'_, C, K, M>,
    report: &mut Report,
) -> Outcome {
    let begun = Instant::now();
    let orders = Orders {
        snapshot: &observed.snapshot,
        classes: &observed.classes,
        pool_kubelets: &observed.pool_kubelets,
        objects: &observed.objects,
        cluster: &observed.cluster,
        turn,
    };
    let outcome = execute::carry_out(plan, &orders, hall.cloud, hall.cluster).await;
    // Afterwards: compressing takes memory and a processor, which pods that wait should not wait for.
    keep(turn, trigger, plan, &observed.snapshot, hall).await;
    remember(&outcome, &observed.snapshot, hall).await;
    // What failed is seen again soon; what was bought, when it may have joined.
    let again = outcome.look_again.then_some(5).or((outcome.launched > 0).then_some(10));
    let again = again.map(|seconds| observed.snapshot.now.0 + seconds);
    report.wake_at = report.wake_at.into_iter().chain(again).min();
    lap(report, "execute", begun);
    outcome
}

async fn keep<C, K, M: Memory>(
    turn: &str,
    trigger: &str,
    plan: &Plan,
    snapshot: &Arc<Snapshot>,
    hall: &Hall<'_, C, K, M>,
) {
    if plan.launches.is_empty() && plan.steps.is_empty() {
        return;
    }
    let kept = KeptTurn {
        turn: turn.to_owned(),
        trigger: trigger.to_owned(),
        planner_steps: hall.options.steps,
        snapshot: Arc::clone(snapshot),
        plan: plan.clone(),
    };
    if let Err(error) = hall.memory.keep(&kept).await {
        tracing::warn!(%error, "this turn cannot be replayed later");
    }
}

async fn remember<C, K, M: Memory>(
    outcome: &Outcome,
    snapshot: &Snapshot,
    hall: &Hall<'_, C, K, M>,
) {
    if outcome.unavailable.is_empty() {
        return;
    }
    if let Err(error) = hall.memory.add_unavailable(&outcome.unavailable, snapshot.now).await {
        tracing::warn!(%error, "offerings without capacity are tried again in the next turn");
    }
}
