//! Whether the nodes of a pool register: its condition `NodeRegistrationHealthy` (karpenter core, `nodepool/registrationhealth`).
//!
//! Karpenter keeps the last four outcomes in memory. Functions have none, so they stand in the condition's message.

use crate::conditions;
use crate::orders::Orders;
use crate::outcome::Outcome;
use model::step::DeleteReason;
use model::{Plan, Step};
use serde_json::Value;
use std::collections::BTreeSet;

const CONDITION: &str = "NodeRegistrationHealthy";
/// So many nodes count.
const LAST: usize = 4;
/// So many failures of them are too many.
const TOO_MANY: usize = 2;
const BEGINS: &str = "the last nodes registered (+) or not (-): ";

/// Adds what became of the pool's nodes in this turn. What failed to be written is counted when it is done.
pub(crate) fn keep(object: &mut Value, plan: &Plan, orders: &Orders<'_>, outcome: &Outcome) {
    if object["kind"] != "NodePool" {
        return;
    }
    let mut marks = known(object);
    let name = object["metadata"]["name"].as_str().unwrap_or_default();
    let new = news(name, plan, orders, outcome);
    if new.is_empty() {
        return;
    }
    marks.extend(new);
    let marks = &marks[marks.len().saturating_sub(LAST)..];
    let failures = marks.iter().filter(|mark| **mark == '-').count();
    let (status, reason) =
        if failures < TOO_MANY { ("True", CONDITION) } else { ("False", "RegistrationFailed") };
    let message = format!("{BEGINS}{}", marks.iter().collect::<String>());
    conditions::set(object, CONDITION, status, reason, &message, &orders.now());
}

/// The outcomes that the condition tells of, the oldest first.
fn known(object: &Value) -> Vec<char> {
    let conditions = object["status"]["conditions"].as_array().into_iter().flatten();
    let mut own = conditions.filter(|condition| condition["type"] == CONDITION);
    let message = own.next().and_then(|condition| condition["message"].as_str());
    let marks = message.and_then(|message| message.strip_prefix(BEGINS)).unwrap_or_default();
    marks.chars().filter(|mark| ['+', '-'].contains(mark)).collect()
}

/// What became of the pool's nodes in this turn.
fn news(pool: &str, plan: &Plan, orders: &Orders<'_>, outcome: &Outcome) -> Vec<char> {
    let failed = outcome.failures().map(|action| action.object.as_str());
    let failed = failed.collect::<BTreeSet<_>>();
    let told = plan.steps.iter().filter_map(|step| match step {
        Step::Register { claim, .. } => Some((claim, '+')),
        Step::Delete { claim, reason: DeleteReason::NotLaunched | DeleteReason::NotRegistered } => {
            Some((claim, '-'))
        }
        Step::Delete { .. }
        | Step::Launch { .. }
        | Step::Adopt { .. }
        | Step::Initialize { .. }
        | Step::MarkInterrupted { .. }
        | Step::MarkDisruption { .. }
        | Step::Uncordon { .. }
        | Step::Cordon { .. }
        | Step::Evict { .. }
        | Step::ForceDelete { .. }
        | Step::Terminate { .. }
        | Step::ReleaseNode { .. }
        | Step::ReleaseClaim { .. }
        | Step::DeleteNode { .. }
        | Step::MarkEmpty { .. } => None,
    });
    let own = told.filter(|(claim, mark)| {
        let known = orders.claim(claim).filter(|known| known.pool == pool);
        let first = known.is_some_and(|known| *mark == '-' || !known.progress.registered);
        first && !failed.contains(&***claim)
    });
    own.map(|(_, mark)| mark).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::node_class::ClusterFacts;
    use model::{NodeClaim, Snapshot};
    use serde_json::json;
    use std::collections::BTreeMap;

    fn snapshot(registered: bool) -> Snapshot {
        let claim = |(name, pool): (&str, &str)| {
            let mut claim = NodeClaim::default();
            (claim.name, claim.pool) = (name.into(), pool.to_owned());
            claim.progress.registered = registered;
            claim
        };
        let node_claims = [("a", "web"), ("b", "web"), ("c", "batch")].map(claim).into();
        Snapshot { node_claims, ..Snapshot::default() }
    }

    fn step(mark: char, claim: &str) -> Step {
        match mark {
            '+' => Step::Register { claim: claim.into(), node: "n".into() },
            _ => Step::Delete { claim: claim.into(), reason: DeleteReason::NotRegistered },
        }
    }

    /// The marks that the pool `web` begins with, what becomes of which claims, and the status and marks then.
    fn check(before: &str, steps: &[(char, &str)], registered: bool, expected: (&str, &str)) {
        let mut object = json!({ "kind": "NodePool", "metadata": { "name": "web" }, "status": {} });
        if !before.is_empty() {
            let message = format!("{BEGINS}{before}");
            conditions::set(&mut object, CONDITION, "True", CONDITION, &message, "1");
        }
        let steps = steps.iter().map(|(mark, claim)| step(*mark, claim)).collect();
        let plan = Plan { steps, ..Plan::default() };
        let mut outcome = Outcome::default();
        outcome.record("register", "b", "", Err("no".to_owned()));
        let snapshot = snapshot(registered);
        let orders = Orders {
            snapshot: &snapshot,
            classes: &BTreeMap::new(),
            pool_kubelets: &BTreeMap::new(),
            objects: &[],
            cluster: &ClusterFacts::default(),
            turn: "turn",
        };
        keep(&mut object, &plan, &orders, &outcome);
        let condition = &object["status"]["conditions"][0];
        let status = condition["status"].as_str().unwrap_or_default();
        let marks = known(&object).into_iter().collect::<String>();
        assert_eq!((status, marks.as_str()), expected, "{before} {plan:?}");
    }

    #[test]
    fn two_of_the_last_four_nodes_that_did_not_register_are_too_many() {
        check("", &[], false, ("", ""));
        check("", &[('+', "a")], false, ("True", "+"));
        check("", &[('-', "a")], false, ("True", "-"));
        check("-", &[('-', "a")], false, ("False", "--"));
        check("--", &[('+', "a")], false, ("False", "--+"));
        check("--++", &[('+', "a")], false, ("True", "-+++"));
        check("++", &[('-', "c")], false, ("True", "++"));
        check("++", &[('+', "b")], false, ("True", "++"));
        check("++", &[('+', "a")], true, ("True", "++"));
        check("odd", &[('+', "a")], false, ("True", "+"));
    }
}
