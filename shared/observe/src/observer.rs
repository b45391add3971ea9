//! A whole turn's reading: the cluster, then what AWS has for it, in one picture.

use crate::cloud::{
    self, Ask, CloudReadError, CloudReader, CloudReading, Facts, UnavailableOfferings,
};
use crate::cluster::{ClusterReadError, ClusterReader, ClusterReading, ConfigMapName, Scope};
use crate::{DumpFinding, DumpOptions, Severity, live};
use model::node_class::{ClusterFacts, KubeletSettings, ResolvedNodeClass};
use model::pool::ApiVersion;
use model::{CapacityType, NodeClaim, NodeClassSpec, Snapshot, Timestamp};
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Facts are written anew at most so often, in seconds: most of them change every few minutes and matter little.
const KEEP_FACTS_EVERY_S: i64 = 600;

/// What other functions keep is taken up so often, in seconds.
const RECALL_EVERY_S: i64 = 3600;

/// The kinds of node classes.
const CLASSES: [&str; 2] = ["EC2NodeClass", "AWSNodeTemplate"];

/// What is read, and where.
#[derive(Clone, Debug)]
pub struct Sources {
    /// The EKS cluster.
    pub cluster_name: String,
    /// Whether the price list cannot be reached.
    pub isolated_vpc: bool,
    /// Settings that change what pods may use of a node.
    pub settings: catalog::Settings,
    /// The namespace of Joiner's own ConfigMaps.
    pub namespace: String,
    /// The ConfigMap of what changes slowly.
    pub facts_config_map: String,
    /// The ConfigMap of offerings without capacity.
    pub offerings_config_map: String,
    /// Whether running pods are read even if nothing seems to need them.
    pub all_pods: bool,
}

/// Why nothing can be decided.
#[derive(Debug, thiserror::Error)]
pub enum ObserverError {
    /// Claims, nodes or pods.
    #[error(transparent)]
    Cluster(#[from] ClusterReadError),
    /// Instances, or the cluster itself.
    #[error(transparent)]
    Cloud(#[from] CloudReadError),
}

/// What was observed.
#[derive(Clone, Debug, Default)]
pub struct Observation {
    /// The picture that is planned on.
    pub snapshot: Snapshot,
    /// Node classes by name, with what was found for them.
    pub classes: BTreeMap<String, ResolvedNodeClass>,
    /// Kubelet settings of pools that hold them.
    pub pool_kubelets: BTreeMap<String, KubeletSettings>,
    /// Pools and node classes as they were read.
    pub objects: Vec<Value>,
    /// The cluster.
    pub cluster: ClusterFacts,
    /// What is odd.
    pub findings: Vec<DumpFinding>,
    /// Pods that cannot be read, as `namespace/name`.
    pub unreadable_pods: Vec<String>,
    /// How many objects were read.
    pub count: usize,
    /// What stands for itself from an earlier time.
    pub stale: Vec<String>,
    /// Calls and bytes by source; bytes of AWS's answers are not counted.
    pub traffic: BTreeMap<&'static str, (u64, u64)>,
    /// The facts to keep, if it is time.
    pub facts_to_keep: Option<BTreeMap<String, String>>,
}

/// Reads the cluster and AWS, and keeps what it read as a hint for the next turn.
pub struct Observer {
    cluster: ClusterReader,
    cloud: CloudReader,
    sources: Sources,
    facts: Option<Facts>,
    kept: Option<(Timestamp, BTreeMap<String, String>)>,
    /// When the facts that other functions keep were last taken up.
    recalled_at: Option<Timestamp>,
    seen_at: Option<Timestamp>,
}

impl Observer {
    /// An observer that knows nothing yet.
    pub fn new(cluster: ClusterReader, cloud: CloudReader, sources: Sources) -> Self {
        Self { cluster, cloud, sources, facts: None, kept: None, recalled_at: None, seen_at: None }
    }

    /// Reads types, offerings and prices anew, if it is time. It takes seconds, so it is done beside the turns, which use what it read
    /// from then on. Returns the facts to keep, if anything was read.
    pub async fn refresh_market(&mut self) -> Option<BTreeMap<String, String>> {
        let (mut facts, now) = (self.facts.take()?, self.seen_at?);
        let name = &self.sources.cluster_name;
        let read = match self.cloud.cluster(name, now).await {
            Ok(cluster) => {
                let isolated = self.sources.isolated_vpc;
                self.cloud.refresh_market(&cluster, now, isolated, &mut facts).await
            }
            Err(_) => false,
        };
        let data = read.then(|| facts.to_config_map_data());
        self.facts = Some(facts);
        self.kept = data.clone().map(|data| (now, data)).or_else(|| self.kept.take());
        data
    }

    /// Observes once.
    ///
    /// # Errors
    /// If claims, nodes, pods, instances, or (never yet read) the cluster's facts cannot be read.
    pub async fn observe(&mut self) -> Result<Observation, ObserverError> {
        let reading = self.cluster.read(&self.scope()).await?;
        let now = reading.now;
        let mut findings = self.recall(&reading);
        let cluster = self.cloud.cluster(&self.sources.cluster_name, now).await?;
        let specs = specs(&reading.classes);
        let mut facts = self.facts.take().unwrap_or_default();
        let claims = &reading.collection.snapshot.node_claims;
        let launched = || claims.iter().filter(|claim| claim.provider_id.is_some());
        let ask = Ask {
            now,
            cluster: &cluster,
            classes: &specs,
            refresh_market: false,
            isolated_vpc: self.sources.isolated_vpc,
            has_instances: launched().next().is_some(),
            has_spot: launched().any(is_spot),
        };
        let cloud = self.cloud.read(&ask, &mut facts).await;
        let facts_to_keep = self.facts_to_keep(&facts, now);
        self.facts = Some(facts);
        let cloud = cloud?;
        let unavailable = self.unavailable(&reading, &mut findings);
        let mut seen = self.together(reading, cloud, cluster, &unavailable);
        let odd = findings
            .drain(..)
            .map(|message| DumpFinding::general(Severity::Warning, "facts-unreadable", message));
        seen.findings.extend(odd);
        seen.facts_to_keep = facts_to_keep;
        Ok(seen)
    }

    fn scope(&self) -> Scope {
        let named = |name: &String| ConfigMapName {
            namespace: self.sources.namespace.clone(),
            name: name.clone(),
        };
        let facts = self.recalls().then_some(&self.sources.facts_config_map);
        let config_maps = facts.into_iter().chain([&self.sources.offerings_config_map]).map(named);
        Scope { all_pods: self.sources.all_pods, config_maps: config_maps.collect() }
    }

    /// Facts are in memory from the first turn on; prices that another function has read are taken up every hour.
    fn recalls(&self) -> bool {
        let recent = |(at, now): (Timestamp, Timestamp)| now.since(at).0 < RECALL_EVERY_S;
        self.facts.is_none() || !self.recalled_at.zip(self.seen_at).is_some_and(recent)
    }

    fn data<'a>(
        &self,
        reading: &'a ClusterReading,
        name: &str,
    ) -> Option<&'a BTreeMap<String, String>> {
        let namespace = self.sources.namespace.clone();
        reading.config_maps.get(&ConfigMapName { namespace, name: name.to_owned() })
    }

    /// Takes up what an earlier function knew.
    fn recall(&mut self, reading: &ClusterReading) -> Vec<String> {
        self.seen_at = Some(reading.now);
        let data = self.data(reading, &self.sources.facts_config_map).cloned();
        if data.is_none() && self.facts.is_some() {
            return Vec::new();
        }
        self.recalled_at = Some(reading.now);
        let (facts, findings) = data.as_ref().map(Facts::from_config_map_data).unwrap_or_default();
        self.kept = data.map(|data| (reading.now, data));
        self.facts = Some(facts);
        findings
    }

    fn facts_to_keep(&mut self, facts: &Facts, now: Timestamp) -> Option<BTreeMap<String, String>> {
        let recent = |(at, _): &(Timestamp, _)| now.since(*at).0 < KEEP_FACTS_EVERY_S;
        if self.kept.as_ref().is_some_and(recent) {
            return None;
        }
        let data = facts.to_config_map_data();
        let same = self.kept.as_ref().is_some_and(|(_, kept)| *kept == data);
        self.kept = Some((now, data.clone()));
        (!same).then_some(data)
    }

    fn unavailable(
        &self,
        reading: &ClusterReading,
        findings: &mut Vec<String>,
    ) -> UnavailableOfferings {
        let data = self.data(reading, &self.sources.offerings_config_map);
        let (unavailable, odd) =
            data.map(UnavailableOfferings::from_config_map_data).unwrap_or_default();
        findings.extend(odd);
        unavailable
    }

    fn together(
        &self,
        mut reading: ClusterReading,
        cloud: CloudReading,
        cluster: ClusterFacts,
        unavailable: &UnavailableOfferings,
    ) -> Observation {
        let objects = reading.classes.clone();
        let now = reading.now;
        for pool in &mut reading.collection.snapshot.node_pools {
            // A pool that was not ready is judged anew: its status is what an earlier turn wrote of its class.
            let legacy = pool.api_version == ApiVersion::Legacy;
            let kind = if legacy { "Provisioner" } else { "NodePool" };
            pool.problem = problem_of_spec(&objects, &[kind], &pool.name);
        }
        let calls = cloud.calls.values().map(|count| u64::from(*count)).sum();
        let classes = cloud.classes.into_iter().map(|class| (class.spec.name.clone(), class));
        let classes = classes.collect::<BTreeMap<_, _>>();
        let options = DumpOptions {
            region: Some(cluster.region.clone()),
            now: Some(now),
            settings: self.sources.settings,
        };
        let seen = live::assemble_with(reading, &cloud.catalog, &options, &|class| {
            if let Some(resolved) = classes.get(&class.name) {
                // Whether AWS has what the class asks for is read anew: what its status says of that may be of yesterday.
                class.problem = problem_of_spec(&objects, &CLASSES, &class.name);
                cloud::apply(resolved, class);
                cloud::count_launched(&mut class.reservations, &cloud.instances, now);
            }
        });
        let mut snapshot = seen.snapshot;
        for types in snapshot.instance_types.values_mut() {
            unavailable.apply(types, now);
        }
        snapshot.instances = Some(cloud.instances);
        let of_cluster = seen.stale.iter().map(|stale| format!("{}: {}", stale.kind, stale.error));
        let of_cloud = cloud.stale.iter().map(|stale| format!("{}: {}", stale.what, stale.error));
        Observation {
            snapshot,
            classes,
            pool_kubelets: pool_kubelets(&objects),
            objects,
            cluster,
            findings: seen.findings,
            unreadable_pods: seen.unreadable_pods,
            count: seen.objects,
            stale: of_cluster.chain(of_cloud).collect(),
            traffic: [("cluster", (seen.traffic.calls, seen.traffic.bytes)), ("aws", (calls, 0))]
                .into(),
            facts_to_keep: None,
        }
    }
}

/// What is wrong with a pool's or class's object itself, its status aside.
fn problem_of_spec(objects: &[Value], kinds: &[&str], name: &str) -> Option<String> {
    let own = |object: &&Value| {
        object["metadata"]["name"] == name && kinds.iter().any(|kind| object["kind"] == *kind)
    };
    let mut object = objects.iter().find(own)?.clone();
    object.as_object_mut()?.remove("status");
    api::read(&object)?.objects.into_iter().find_map(|object| match object {
        api::Object::NodeClass(class) => class.problem,
        api::Object::NodePool(pool) => pool.problem,
        api::Object::NodeClaim(_) | api::Object::NodeOverlay(_) => None,
    })
}

fn is_spot(claim: &NodeClaim) -> bool {
    claim.capacity_type == Some(CapacityType::Spot)
}

fn specs(objects: &[Value]) -> Vec<Arc<NodeClassSpec>> {
    objects.iter().filter_map(api::node_class_spec).map(Arc::new).collect()
}

fn pool_kubelets(objects: &[Value]) -> BTreeMap<String, KubeletSettings> {
    let named = |object: &Value| {
        let name = object["metadata"]["name"].as_str()?.to_owned();
        Some((name, api::pool_kubelet(object)?))
    };
    objects.iter().filter_map(named).collect()
}
