//! What there is in a world, and what it ought to be.

use serde_json::{Value, json};
use std::collections::BTreeSet;

/// What there is.
pub(crate) struct Seen {
    pub(crate) claims: Vec<Value>,
    pub(crate) nodes: Vec<Value>,
    pub(crate) pods: Vec<Value>,
    /// Instances since the round began, as the emulator describes them, those that ended too.
    pub(crate) instances: Vec<Value>,
}

impl std::fmt::Debug for Seen {
    /// An object a line, without what is long and tells nothing.
    fn fmt(&self, to: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for object in [&self.claims, &self.nodes, &self.pods, &self.instances].into_iter().flatten()
        {
            let mut object = object.clone();
            for (within, field) in [("", "userData"), ("/metadata", "managedFields")] {
                if let Some(Value::Object(within)) = object.pointer_mut(within) {
                    within.remove(field);
                }
            }
            writeln!(to, "{object}")?;
        }
        Ok(())
    }
}

impl Seen {
    pub(crate) fn live(&self) -> impl Iterator<Item = &Value> {
        self.instances
            .iter()
            .filter(|each| each["state"] == "running" || each["state"] == "pending")
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.claims.is_empty()
            && self.nodes.is_empty()
            && self.pods.is_empty()
            && self.live().next().is_none()
    }

    /// Every claim has an instance and every instance a claim, and no more were ever bought; labels and finalizers are where they belong.
    pub(crate) fn is_whole(&self, count: usize, about: &str) {
        let claimed = self.claims.iter().map(instance_of).collect::<BTreeSet<_>>();
        let live = self.live().map(|each| text(each, "/id").to_owned()).collect::<BTreeSet<_>>();
        assert_eq!(claimed, live, "{about}: {self:#?}");
        let counts = (live.len(), self.instances.len());
        assert_eq!(counts, (count, count), "{about}: {:#?}", self.instances);
        let finalizers = json!(["karpenter.sh/termination"]);
        for claim in &self.claims {
            let own = self.live().find(|each| instance_of(claim) == text(each, "/id")).unwrap();
            let labels = &claim["metadata"]["labels"];
            assert_eq!(
                labels["node.kubernetes.io/instance-type"], own["type"],
                "{about}: {claim:#}"
            );
            assert_eq!(labels["topology.kubernetes.io/zone"], own["zone"], "{about}: {claim:#}");
            assert_eq!(claim["metadata"]["finalizers"], finalizers, "{about}");
            assert_eq!(own["tags"]["karpenter.sh/nodeclaim"], claim["metadata"]["name"], "{about}");
        }
        for node in &self.nodes {
            let taints = node["spec"]["taints"].as_array().cloned().unwrap_or_default();
            assert!(taints.is_empty(), "{about}: {taints:?}");
            assert_eq!(node["metadata"]["labels"]["karpenter.sh/initialized"], "true", "{about}");
            assert_eq!(node["metadata"]["finalizers"], finalizers, "{about}");
            assert_eq!(node["metadata"]["ownerReferences"].as_array().unwrap().len(), 1, "{about}");
        }
    }

    /// Whether so many pods run.
    pub(crate) fn running(&self, count: usize) -> bool {
        let running = self.pods.iter().filter(|pod| pod["status"]["phase"] == "Running");
        running.count() == count && self.pods.len() == count
    }

    /// Whether all claims have this condition, and there are so many.
    pub(crate) fn claims_are(&self, condition: &str, count: usize) -> bool {
        let holds = |claim: &&Value| is_true(claim, condition);
        self.claims.len() == count && self.claims.iter().filter(holds).count() == count
    }
}

/// A text in an object; empty if it is not there.
pub(crate) fn text<'a>(object: &'a Value, pointer: &str) -> &'a str {
    object.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

/// The id of a claim's instance.
pub(crate) fn instance_of(claim: &Value) -> String {
    text(claim, "/status/providerID").rsplit('/').next().unwrap_or_default().to_owned()
}

/// Whether an object has this condition.
pub(crate) fn is_true(object: &Value, condition: &str) -> bool {
    let all = object["status"]["conditions"].as_array().into_iter().flatten();
    all.into_iter().any(|each| each["type"] == condition && each["status"] == "True")
}
