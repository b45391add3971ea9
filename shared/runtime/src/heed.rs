//! Heeding what AWS tells of instances: at once, before any turn and without its lease.

use crate::memory::Memory;
use crate::{Trigger, metrics, telemetry};
use execute::{Cluster, Warned};
use model::disruption::InterruptionKind;
use model::{CapacityType, Duration, Interruption, Timestamp, UnavailableOffering, labels};
use serde_json::Value;
use std::collections::BTreeMap;

/// Claims of one page.
const PAGE: usize = 500;
/// What was taken back is not bought again for so long (aws, `pkg/cache/cache.go`).
const UNAVAILABLE_FOR: Duration = Duration(180);

/// A claim of Joiner's that has an instance.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Owned {
    name: String,
    uid: String,
    node: Option<String>,
    instance_type: String,
    zone: String,
    capacity_type: Option<CapacityType>,
    told: Option<Interruption>,
}

/// Joiner's claims by instance.
pub(crate) type Instances = BTreeMap<String, Owned>;

/// What a batch of events comes to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Heeded {
    /// Claims to mark, by name; each once, with the most urgent of what was told.
    warned: Vec<Warned>,
    /// Offerings that were taken back.
    unavailable: Vec<UnavailableOffering>,
    /// What a turn looks at: events of Joiner's instances, and whatever else came.
    pub(crate) triggers: Vec<Trigger>,
    /// Events of instances that are not Joiner's. EC2 tells every cluster of all instances of the account.
    pub(crate) foreign: usize,
    /// Events after which instances go on as before.
    pub(crate) no_news: usize,
}

impl Heeded {
    /// The marks, one for each claim.
    pub(crate) fn warned(&self) -> &[Warned] {
        &self.warned
    }
}

/// Reads Joiner's claims, page by page, and keeps little of them.
pub(crate) async fn instances(client: &kube::Client) -> Result<Instances, kube::Error> {
    let mut all = Instances::new();
    let mut next = String::new();
    loop {
        let path = format!("/apis/karpenter.sh/v1/nodeclaims?limit={PAGE}&continue={next}");
        let request = http::Request::get(path).body(Vec::new()).map_err(kube::Error::HttpError)?;
        let list = client.request::<Value>(request).await?;
        all.extend(list["items"].as_array().into_iter().flatten().filter_map(owned));
        next = text(&list, "/metadata/continue");
        if next.is_empty() {
            return Ok(all);
        }
    }
}

fn text(object: &Value, pointer: &str) -> String {
    object.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned()
}

/// A claim by its instance. Claims that Joiner did not launch are another's to look after.
fn owned(claim: &Value) -> Option<(String, Owned)> {
    let annotations = &claim["metadata"]["annotations"];
    annotations.get(labels::LAUNCH)?;
    let provider_id = claim["status"]["providerID"].as_str().filter(|id| !id.is_empty())?;
    let id = provider_id.rsplit('/').next()?.to_owned();
    let label =
        |key: &str| claim["metadata"]["labels"][key].as_str().unwrap_or_default().to_owned();
    let told = annotations.get(labels::INTERRUPTION).and_then(Value::as_str);
    let owned = Owned {
        name: text(claim, "/metadata/name"),
        uid: text(claim, "/metadata/uid"),
        node: Some(text(claim, "/status/nodeName")).filter(|name| !name.is_empty()),
        instance_type: label(labels::INSTANCE_TYPE),
        zone: label(labels::ZONE),
        capacity_type: CapacityType::parse(&label(labels::CAPACITY_TYPE)),
        told: told.and_then(|text| serde_json::from_str(text).ok()),
    };
    Some((id, owned))
}

/// Works out what the events come to.
pub(crate) fn heeded(triggers: Vec<Trigger>, instances: &Instances, now: Timestamp) -> Heeded {
    let mut heeded = Heeded::default();
    let mut urgent: BTreeMap<&str, (&Owned, Interruption)> = BTreeMap::new();
    for trigger in triggers {
        let (ids, told) = match &trigger {
            Trigger::Instances { ids, told: Some(told), .. } => (ids, told),
            Trigger::Instances { told: None, .. } => {
                heeded.no_news += 1;
                continue;
            }
            Trigger::Cluster { .. } | Trigger::Schedule | Trigger::FollowUp | Trigger::Command => {
                heeded.triggers.push(trigger);
                continue;
            }
        };
        let mut ours = false;
        for owned in ids.iter().filter_map(|id| instances.get(id)) {
            ours = true;
            let most = urgent.entry(&owned.name).or_insert((owned, *told));
            if told.outweighs(Some(&most.1)) {
                most.1 = *told;
            }
        }
        if ours {
            heeded.triggers.push(trigger);
        } else {
            heeded.foreign += 1;
        }
    }
    for (owned, told) in urgent.into_values() {
        heeded.unavailable.extend(taken_back(owned, told, now));
        if told.outweighs(owned.told.as_ref()) {
            let (claim, uid, node) = (owned.name.clone(), owned.uid.clone(), owned.node.clone());
            heeded.warned.push(Warned { claim, uid, node, told });
        }
    }
    heeded.unavailable.dedup();
    heeded
}

/// The offering that has no more capacity, as its instance is taken back for want of it.
fn taken_back(owned: &Owned, told: Interruption, now: Timestamp) -> Option<UnavailableOffering> {
    let (capacity_type, code) = match told.kind {
        InterruptionKind::SpotWarning => (CapacityType::Spot, "SpotInterruption"),
        InterruptionKind::ReservationEnding => {
            (CapacityType::Reserved, "CapacityReservationInterruption")
        }
        InterruptionKind::Rebalance
        | InterruptionKind::ScheduledChange
        | InterruptionKind::Stopping
        | InterruptionKind::StatusImpaired => return None,
    };
    let known = !owned.instance_type.is_empty() && !owned.zone.is_empty();
    let paid_so = owned.capacity_type.is_none_or(|way| way == capacity_type);
    (known && paid_so).then(|| UnavailableOffering {
        instance_type: owned.instance_type.clone(),
        zone: owned.zone.clone(),
        capacity_type,
        until: now.plus(UNAVAILABLE_FOR),
        code: code.to_owned(),
    })
}

/// Marks claims, keeps new pods off their nodes, and remembers what was taken back. What fails is found again by the turn that follows,
/// which asks AWS itself.
pub(crate) async fn carry_out<K: Cluster, M: Memory>(
    heeded: &Heeded,
    now: Timestamp,
    (cluster, memory): (&K, &M),
    (which, name): (crate::configuration::Metrics, &str),
) {
    let remember = async {
        if heeded.unavailable.is_empty() {
            return;
        }
        if let Err(error) = memory.add_unavailable(&heeded.unavailable, now).await {
            tracing::warn!(%error, "what was taken back may be bought again at once");
        }
    };
    let (outcome, ()) = futures::join!(execute::mark(&heeded.warned, now, cluster), remember);
    telemetry::heeded(&outcome, heeded);
    metrics::heeded(which, name, heeded.triggers.len(), heeded.foreign);
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const NOW: Timestamp = Timestamp(1_000);

    fn claim(name: &str, id: &str, way: &str) -> Value {
        json!({
            "metadata": {
                "name": name, "uid": format!("uid-{name}"), "annotations": { "joiner.dev/launch": "{}" },
                "labels": {
                    "node.kubernetes.io/instance-type": "m5.large", "topology.kubernetes.io/zone": "us-east-1a",
                    "karpenter.sh/capacity-type": way,
                },
            },
            "status": { "providerID": format!("aws:///us-east-1a/{id}"), "nodeName": format!("node-{name}") },
        })
    }

    fn instances() -> Instances {
        let mut marked = claim("marked", "i-3", "spot");
        marked["metadata"]["annotations"]["joiner.dev/interruption"] =
            json!(r#"{"kind":"spot-warning","at":900}"#);
        let mut others = claim("karpenters", "i-4", "spot");
        others["metadata"]["annotations"] = json!({});
        let mut new = claim("new", "", "spot");
        new["status"] = json!({});
        let all = [claim("a", "i-1", "spot"), claim("b", "i-2", "on-demand"), marked, others, new];
        all.iter().filter_map(owned).collect()
    }

    fn event(kind: Option<InterruptionKind>, ids: &[&str]) -> Trigger {
        let told = kind.map(|kind| Interruption { kind, at: NOW, deadline: None });
        let ids = ids.iter().map(|id| (*id).to_owned()).collect();
        Trigger::Instances { kind: "event".to_owned(), ids, told }
    }

    /// `claim kind` of the marks, `capacity type` of what was taken back, and the counts of events: ours, foreign, no news.
    fn check(
        events: Vec<Trigger>,
        warned: &[&str],
        taken_back: &[&str],
        counts: (usize, usize, usize),
    ) {
        let heeded = heeded(events, &instances(), NOW);
        let marks = heeded.warned.iter().map(|one| format!("{} {:?}", one.claim, one.told.kind));
        assert_eq!(marks.collect::<Vec<_>>(), warned);
        let gone = heeded.unavailable.iter().map(|one| {
            assert_eq!((one.until, one.instance_type.as_str()), (Timestamp(1_180), "m5.large"));
            one.capacity_type.as_str()
        });
        assert_eq!(gone.collect::<Vec<_>>(), taken_back);
        assert_eq!((heeded.triggers.len(), heeded.foreign, heeded.no_news), counts);
    }

    #[test]
    fn events_of_joiners_instances_are_marks_and_others_are_dropped_and_counted() {
        use InterruptionKind::{Rebalance, ReservationEnding, SpotWarning, Stopping};
        check(vec![event(Some(SpotWarning), &["i-1"])], &["a SpotWarning"], &["spot"], (1, 0, 0));
        check(vec![event(Some(SpotWarning), &["i-9"])], &[], &[], (0, 1, 0));
        check(vec![event(Some(SpotWarning), &["i-4"])], &[], &[], (0, 1, 0));
        check(vec![event(None, &["i-1"])], &[], &[], (0, 0, 1));
        check(vec![event(Some(Stopping), &["i-2"])], &["b Stopping"], &[], (1, 0, 0));
        check(vec![event(Some(Rebalance), &["i-1"])], &["a Rebalance"], &[], (1, 0, 0));
        let ends = event(Some(ReservationEnding), &["i-2"]);
        check(vec![ends], &["b ReservationEnding"], &[], (1, 0, 0));
        check(vec![Trigger::Schedule], &[], &[], (1, 0, 0));
    }

    #[test]
    fn of_many_events_of_one_instance_the_most_urgent_is_written_once() {
        use InterruptionKind::{Rebalance, SpotWarning, Stopping};
        let all = [Rebalance, SpotWarning, Rebalance, SpotWarning];
        let events = all.map(|kind| event(Some(kind), &["i-1"])).to_vec();
        check(events, &["a SpotWarning"], &["spot"], (4, 0, 0));
        let again = event(Some(SpotWarning), &["i-3"]);
        check(vec![again], &[], &["spot"], (1, 0, 0));
        check(vec![event(Some(Stopping), &["i-3"])], &["marked Stopping"], &[], (1, 0, 0));
        let both = event(Some(Stopping), &["i-1", "i-2", "i-9"]);
        check(vec![both], &["a Stopping", "b Stopping"], &[], (1, 0, 0));
    }
}
