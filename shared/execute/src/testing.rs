//! A cluster in memory, for tests: it stores, merges and numbers objects as an API server does.

use crate::Orders;
use crate::ports::{Cluster, ClusterError, ObjectRef};
use model::{ClusterFacts, Snapshot};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::Mutex;

/// The cluster.
#[derive(Debug, Default)]
pub(crate) struct Memory {
    objects: Mutex<BTreeMap<ObjectRef, Value>>,
    /// Every call that changed or tried to change something, in the order of their coming.
    calls: Mutex<Vec<String>>,
    /// Evictions that are refused, by the pod's name.
    pub(crate) guarded: Vec<String>,
    /// How many writes fail because somebody else has written meanwhile.
    pub(crate) conflicts: Mutex<usize>,
}

impl Memory {
    /// With these objects.
    pub(crate) fn with(objects: impl IntoIterator<Item = (ObjectRef, Value)>) -> Self {
        let number = |(of, mut object): (ObjectRef, Value)| {
            object["metadata"]["resourceVersion"] = json!("1");
            (of, object)
        };
        let objects = Mutex::new(objects.into_iter().map(number).collect());
        Self { objects, ..Self::default() }
    }

    pub(crate) fn object(&self, of: &ObjectRef) -> Value {
        self.objects.lock().unwrap().get(of).cloned().unwrap_or_default()
    }

    /// The calls since this was last asked.
    pub(crate) fn calls(&self) -> Vec<String> {
        std::mem::take(&mut self.calls.lock().unwrap())
    }

    /// `reason involved: message` of all events.
    pub(crate) fn events(&self) -> Vec<String> {
        let objects = self.objects.lock().unwrap();
        let events = objects.iter().filter(|(of, _)| of.resource == "events");
        let told = events.map(|(_, event)| {
            let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
            let (reason, name) = (text(&event["reason"]), text(&event["involvedObject"]["name"]));
            format!("{reason} {name}: {}", text(&event["message"]))
        });
        told.collect()
    }

    fn note(&self, verb: &str, of: &ObjectRef) {
        if of.resource != "events" {
            self.calls.lock().unwrap().push(format!("{verb} {of}"));
        }
    }

    fn missing(of: &ObjectRef) -> ClusterError {
        ClusterError::NotFound { object: of.to_string() }
    }

    fn changed(of: &ObjectRef) -> ClusterError {
        ClusterError::Conflict { object: of.to_string(), message: "has changed".to_owned() }
    }
}

fn merge(object: &mut Value, patch: &Value) {
    let Some(fields) = patch.as_object() else { return *object = patch.clone() };
    if !object.is_object() {
        *object = json!({});
    }
    for (key, value) in fields {
        if value.is_null() {
            object.as_object_mut().unwrap().remove(key);
        } else {
            merge(&mut object[key], value);
        }
    }
}

impl Cluster for Memory {
    async fn create(&self, of: &ObjectRef, object: &Value) -> Result<Value, ClusterError> {
        self.note("create", of);
        let mut objects = self.objects.lock().unwrap();
        if objects.contains_key(of) {
            return Err(Self::changed(of));
        }
        objects.insert(of.clone(), object.clone());
        Ok(object.clone())
    }

    async fn get(&self, of: &ObjectRef) -> Result<Value, ClusterError> {
        self.objects.lock().unwrap().get(of).cloned().ok_or_else(|| Self::missing(of))
    }

    async fn pods_on(&self, node: &str) -> Result<Vec<Value>, ClusterError> {
        let objects = self.objects.lock().unwrap();
        let pods = objects.iter().filter(|(of, _)| of.resource == "pods").map(|(_, pod)| pod);
        Ok(pods.filter(|pod| pod["spec"]["nodeName"] == node).cloned().collect())
    }

    async fn patch(
        &self,
        of: &ObjectRef,
        subresource: Option<&'static str>,
        patch: &Value,
    ) -> Result<Value, ClusterError> {
        let part = subresource.map(|part| format!("/{part}")).unwrap_or_default();
        self.note(&format!("patch{part}"), of);
        let mut conflicts = self.conflicts.lock().unwrap();
        if *conflicts > 0 {
            *conflicts -= 1;
            return Err(Self::changed(of));
        }
        let mut objects = self.objects.lock().unwrap();
        let object = objects.get_mut(of).ok_or_else(|| Self::missing(of))?;
        let (wanted, found) =
            (&patch["metadata"]["resourceVersion"], &object["metadata"]["resourceVersion"]);
        if !wanted.is_null() && wanted != found {
            return Err(Self::changed(of));
        }
        let next = found.as_str().unwrap_or("0").parse::<u64>().unwrap() + 1;
        merge(object, patch);
        object["metadata"]["resourceVersion"] = json!(next.to_string());
        Ok(object.clone())
    }

    async fn delete(
        &self,
        of: &ObjectRef,
        _: Option<&str>,
        _: Option<i64>,
    ) -> Result<(), ClusterError> {
        self.note("delete", of);
        self.objects.lock().unwrap().remove(of).map(drop).ok_or_else(|| Self::missing(of))
    }

    async fn evict(&self, namespace: &str, name: &str, _: &str) -> Result<(), ClusterError> {
        let of = crate::objects::pod(&model::PodId::new(namespace, name));
        self.note("evict", &of);
        if self.guarded.iter().any(|guarded| guarded == name) {
            let message = "it would violate the pod's disruption budget".to_owned();
            return Err(ClusterError::Later { object: of.to_string(), message });
        }
        self.objects.lock().unwrap().remove(&of).map(drop).ok_or_else(|| Self::missing(&of))
    }
}

/// An account that is not asked for anything.
#[derive(Debug, Default)]
pub(crate) struct NoCloud;

impl crate::Cloud for NoCloud {
    async fn launch(
        &self,
        _: &crate::ports::FleetRequest,
        _: &model::ResolvedNodeClass,
        _: &ClusterFacts,
    ) -> Result<crate::ports::FleetAnswer, crate::CloudError> {
        panic!("nothing is launched here")
    }

    async fn prepare(
        &self,
        _: &model::ResolvedNodeClass,
        _: &ClusterFacts,
    ) -> Result<Option<String>, crate::CloudError> {
        Ok(None)
    }

    async fn terminate(&self, ids: &[String]) -> Result<Vec<String>, crate::CloudError> {
        Ok(ids.to_vec())
    }

    async fn tag(&self, _: &str, _: &model::Labels) -> Result<(), crate::CloudError> {
        Ok(())
    }

    async fn clean_launch_templates(&self, _: i64) -> Result<usize, crate::CloudError> {
        Ok(0)
    }
}

/// Carries out a plan on the cluster in memory.
pub(crate) async fn carry_out(
    plan: &model::Plan,
    snapshot: &Snapshot,
    cluster: &Memory,
) -> crate::Outcome {
    let orders = Orders {
        snapshot,
        classes: &BTreeMap::new(),
        pool_kubelets: &BTreeMap::new(),
        objects: &[],
        cluster: &ClusterFacts::default(),
        turn: "turn",
    };
    crate::carry_out(plan, &orders, &NoCloud, cluster).await
}
