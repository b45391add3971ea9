//! One read of the cluster: in which order, how much of it, and what a failure does.

use super::api::{Api, Traffic};
use super::error::ClusterReadError;
use super::kinds;
use super::store::Store;
use super::watch::Resumed;
use crate::collection::Collection;
use crate::entry::Item;
use crate::finding::{DumpFinding, Severity};
use api::Object;
use futures::StreamExt;
use model::{Node, NodeClaim, Pod, Timestamp};
use serde_json::Value;
use std::collections::BTreeMap;

/// How many kinds are read at once.
const AT_ONCE: usize = 12;
/// For how long a turn that does not act is content with its copy of what pods refer to, in seconds.
const IDLE_AGE_S: i64 = 300;
/// After how many seconds it is asked again whether a legacy kind exists.
const ABSENT_AGE_S: i64 = 300;
/// From how many seconds on a skew of clocks is told.
const TELLING_SKEW_S: i64 = 60;
/// Pods that no node has: what an idle turn asks for instead of all pods.
const WAITING: &str = "spec.nodeName=,status.phase=Pending";

/// A ConfigMap by namespace and name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ConfigMapName {
    /// The namespace.
    pub namespace: String,
    /// The name.
    pub name: String,
}

/// What a turn needs to know.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Scope {
    /// Whether running pods are read even if nothing seems to need them (`joiner plan --repack`, consolidation of foreign nodes).
    pub all_pods: bool,
    /// ConfigMaps of Joiner's own.
    pub config_maps: Vec<ConfigMapName>,
}

/// A kind that could not be read now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StaleRead {
    /// The kind: `PersistentVolume`.
    pub kind: String,
    /// How old the copy is that stands in, in seconds; `None` if there is none.
    pub age_s: Option<i64>,
    /// Why.
    pub error: ClusterReadError,
}

/// What was read.
#[derive(Debug)]
pub struct ClusterReading {
    /// Everything that goes into the snapshot.
    pub(crate) collection: Collection,
    /// Pools and node classes of every API as they are in the cluster, without managed fields.
    pub classes: Vec<Value>,
    /// The data of the ConfigMaps asked for; those that do not exist are not here.
    pub config_maps: BTreeMap<ConfigMapName, BTreeMap<String, String>>,
    /// Kinds that could not be read, which do not stop the turn.
    pub stale: Vec<StaleRead>,
    /// The API server's clock.
    pub now: Timestamp,
    /// By how many seconds the local clock is ahead of it.
    pub skew_s: i64,
    /// Whether running pods were read. Where they were not, nothing waits, and no node is Joiner's.
    pub all_pods: bool,
    /// What it cost.
    pub traffic: Traffic,
}

/// Reads one cluster, and keeps what it read as a hint for the next turn.
pub struct ClusterReader {
    api: Api,
    claims: Store,
    nodes: Store,
    pods: Store,
    /// Pods that wait, read where all pods are not needed. Never kept.
    waiting: Store,
    quick: Vec<Store>,
    slow: Vec<Store>,
    config_maps: BTreeMap<ConfigMapName, Store>,
}

impl ClusterReader {
    /// A reader that knows nothing yet.
    pub fn new(client: kube::Client) -> Self {
        let class = |kind: &str| {
            matches!(kind, "EC2NodeClass" | "AWSNodeTemplate" | "NodePool" | "Provisioner")
        };
        let quick = |kind: &'static kinds::Kind| match class(kind.name) {
            true => Store::new(kind).keeping_raw(),
            false => Store::new(kind),
        };
        Self {
            api: Api::new(client),
            claims: Store::new(&kinds::NODE_CLAIM),
            nodes: Store::new(&kinds::NODE),
            pods: Store::new(&kinds::POD),
            waiting: Store::new(&kinds::POD).selecting("", WAITING),
            quick: kinds::QUICK.iter().map(quick).collect(),
            slow: kinds::SLOW.iter().map(Store::new).collect(),
            config_maps: BTreeMap::new(),
        }
    }

    /// Reads what the scope asks for: claims, then nodes, then pods, and beside them everything else.
    ///
    /// # Errors
    /// Only where claims, nodes or pods cannot be read. Anything else falls back to its last copy, which `stale` tells.
    pub async fn read(&mut self, scope: &Scope) -> Result<ClusterReading, ClusterReadError> {
        self.api.take_traffic();
        self.know_config_maps(scope);
        let Self { api, claims, nodes, pods, waiting, quick, config_maps, .. } = self;
        waiting.forget();
        let core = read_core(api, scope, claims, nodes, pods, waiting);
        let others = quick.iter_mut().chain(config_maps.values_mut());
        let (core, mut stale) = futures::join!(core, refresh_each(api, others.collect()));
        core?;
        // Room is free only beside what runs.
        let buffers = self.quick.iter().find(|store| store.kind.name == kinds::BUFFER);
        if !self.pods.is_warm() && buffers.is_some_and(|store| store.entries().next().is_some()) {
            self.waiting.forget();
            refresh(&self.api, &mut self.pods).await?;
        }
        let age = if self.acts() { 0 } else { IDLE_AGE_S };
        let now = self.api.now();
        let due = |store: &&mut Store| store.age_s(now).is_none_or(|old| old >= age);
        let slow = self.slow.iter_mut().filter(due).collect();
        stale.extend(refresh_each(&self.api, slow).await);
        Ok(self.reading(stale))
    }

    fn know_config_maps(&mut self, scope: &Scope) {
        self.config_maps.retain(|name, _| scope.config_maps.contains(name));
        for name in &scope.config_maps {
            let store = || {
                let selector = format!("metadata.name={}", name.name);
                let store = Store::new(&kinds::CONFIG_MAP).keeping_raw();
                store.selecting(&name.namespace, &selector)
            };
            self.config_maps.entry(name.clone()).or_insert_with(store);
        }
    }

    /// Whether something is to be done soon: a pod waits, a claim is on its way, or something goes.
    fn acts(&self) -> bool {
        let waits = |store: &Store| pods(store).any(Pod::is_provisionable);
        waits(&self.pods)
            || waits(&self.waiting)
            || claims(&self.claims).any(is_on_the_move)
            || nodes(&self.nodes).any(|node| node.deleting)
    }

    fn reading(&self, stale: Vec<StaleRead>) -> ClusterReading {
        let mut collection = Collection { live: true, ..Collection::default() };
        let all_pods = self.pods.is_warm();
        let pods = if all_pods { &self.pods } else { &self.waiting };
        let stores = [&self.claims, &self.nodes, pods].into_iter();
        for store in stores.chain(&self.quick).chain(&self.slow) {
            for entry in store.entries() {
                collection.add(store.kind.name, entry.clone(), None);
            }
        }
        let (now, skew_s) = (self.api.now(), self.api.skew_s());
        collection.findings.extend(stale.iter().map(finding));
        collection.findings.extend(skew_finding(skew_s));
        let class = self.quick.iter().flat_map(Store::raw).cloned();
        let config_maps = self.config_maps.iter();
        let data = |(name, store): (&ConfigMapName, &Store)| {
            store.raw().next().map(|object| (name.clone(), data(object)))
        };
        ClusterReading {
            collection,
            classes: class.collect(),
            config_maps: config_maps.filter_map(data).collect(),
            stale,
            now,
            skew_s,
            all_pods,
            traffic: self.api.take_traffic(),
        }
    }
}

fn data(config_map: &Value) -> BTreeMap<String, String> {
    let fields = config_map.get("data").and_then(Value::as_object).into_iter().flatten();
    let text = |(key, value): (&String, &Value)| Some((key.clone(), value.as_str()?.to_owned()));
    fields.filter_map(text).collect()
}

/// Claims, nodes and pods, each as new as what was read before it or newer.
async fn read_core(
    api: &Api,
    scope: &Scope,
    claims: &mut Store,
    nodes: &mut Store,
    pods: &mut Store,
    waiting: &mut Store,
) -> Result<(), ClusterReadError> {
    let warm = claims.is_warm() && nodes.is_warm() && pods.is_warm();
    if warm && resume_core(api, claims, nodes, pods).await? {
        return Ok(());
    }
    // What had to be listed is newer than what was resumed before, so all that follows is read again.
    let mut anew = !warm;
    for store in [&mut *claims, &mut *nodes] {
        if anew || !store.is_warm() {
            anew = true;
            refresh(api, store).await?;
        }
    }
    if pods.is_warm() || scope.all_pods || has_own_nodes(claims, nodes) {
        return refresh(api, pods).await;
    }
    waiting.list(api).await?;
    if self::pods(waiting).any(Pod::is_provisionable) {
        waiting.forget();
        return refresh(api, pods).await;
    }
    Ok(())
}

/// Brings warm copies of all three up to date; whether that went well. The marks are made one after the other, the bursts side by side.
async fn resume_core(
    api: &Api,
    claims: &mut Store,
    nodes: &mut Store,
    pods: &mut Store,
) -> Result<bool, ClusterReadError> {
    let marks = [claims.mark(api).await?, nodes.mark(api).await?, pods.mark(api).await?];
    let [Some(of_claims), Some(of_nodes), Some(of_pods)] = marks else {
        [claims, nodes, pods].into_iter().for_each(Store::distrust);
        return Ok(false);
    };
    let resumed = futures::join!(
        claims.resume(api, Some(of_claims)),
        nodes.resume(api, Some(of_nodes)),
        pods.resume(api, Some(of_pods)),
    );
    let whole = |resumed| matches!(resumed, Ok(Resumed::Whole));
    Ok(whole(resumed.0) && whole(resumed.1) && whole(resumed.2))
}

/// The objects as they are now: by a watch if there is a copy, else, or if that is odd, by a list.
async fn refresh(api: &Api, store: &mut Store) -> Result<(), ClusterReadError> {
    if store.is_warm() {
        let mark = store.mark(api).await?;
        if mark.is_some() && matches!(store.resume(api, mark).await, Ok(Resumed::Whole)) {
            return Ok(());
        }
    }
    // Two copies of all pods would not fit into a small function.
    store.forget();
    store.list(api).await
}

/// Refreshes kinds that do not stop a turn, several at once; those that failed.
async fn refresh_each(api: &Api, stores: Vec<&mut Store>) -> Vec<StaleRead> {
    let mut each = Vec::new();
    for store in stores {
        each.push(refresh_optional(api, store));
    }
    let all = futures::stream::iter(each).buffered(AT_ONCE).collect::<Vec<_>>().await;
    all.into_iter().flatten().collect()
}

async fn refresh_optional(api: &Api, store: &mut Store) -> Option<StaleRead> {
    let age_s = store.age_s(api.now());
    let legacy = store.kind.version.starts_with("v1alpha");
    if legacy && store.is_absent() && age_s.is_some_and(|age| age < ABSENT_AGE_S) {
        return None;
    }
    let resumed = store.is_warm() && matches!(store.resume(api, None).await, Ok(Resumed::Whole));
    if resumed {
        return None;
    }
    let error = store.list(api).await.err()?;
    Some(StaleRead { kind: store.kind.name.to_owned(), age_s, error })
}

/// Whether a claim's node comes or goes.
fn is_on_the_move(claim: &NodeClaim) -> bool {
    let goes = claim.deleting || claim.interruption.is_some() || claim.disruption.is_some();
    goes || !claim.progress.initialized
}

/// Whether a node may be Joiner's: then its pods must be known, for a node without pods may be taken away.
fn has_own_nodes(all_claims: &Store, all_nodes: &Store) -> bool {
    all_claims.entries().next().is_some() || nodes(all_nodes).any(|node| node.pool().is_some())
}

fn pods(store: &Store) -> impl Iterator<Item = &Pod> {
    items(store).filter_map(|item| if let Item::Pod(read) = item { Some(&read.pod) } else { None })
}

fn nodes(store: &Store) -> impl Iterator<Item = &Node> {
    items(store).filter_map(|item| if let Item::Node(read) = item { Some(&read.0) } else { None })
}

fn claims(store: &Store) -> impl Iterator<Item = &NodeClaim> {
    fn objects(item: &Item) -> &[Object] {
        if let Item::Custom(custom) = item { &custom.objects } else { &[] }
    }
    let objects = items(store).flat_map(objects);
    objects.filter_map(|object| match object {
        Object::NodeClaim(claim) => Some(claim),
        Object::NodePool(_) | Object::NodeClass(_) | Object::NodeOverlay(_) => None,
    })
}

fn items(store: &Store) -> impl Iterator<Item = &Item> {
    store.entries().flat_map(|entry| &entry.items)
}

fn finding(stale: &StaleRead) -> DumpFinding {
    let StaleRead { error, age_s, kind } = stale;
    let instead = match age_s {
        Some(age) => format!("the copy of {age} s ago stands in"),
        None => format!("this turn knows no {kind}"),
    };
    let message = format!("{error}; {instead}");
    DumpFinding::general(Severity::Warning, "cluster-read", message)
}

fn skew_finding(skew_s: i64) -> Option<DumpFinding> {
    let side = if skew_s > 0 { "ahead of" } else { "behind" };
    let message = format!(
        "the local clock is {} s {side} the API server's, whose time counts; set the clock, or AWS may refuse requests",
        skew_s.abs()
    );
    let tell = skew_s.abs() > TELLING_SKEW_S;
    tell.then(|| DumpFinding::general(Severity::Warning, "clock-skew", message))
}
