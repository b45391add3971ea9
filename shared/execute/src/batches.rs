//! From planned launches to calls: launches that any of the same offerings serves are bought together.

use crate::orders::Orders;
use crate::ports::{FleetRequest, TypeFacts};
use model::resources::PODS;
use model::{
    Alternative, CapacityType, Labels, Launch, LaunchRequest, NodePool, Pod, PodId, Resources,
};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;

/// The most instances of one call: EC2 refuses more than a thousand, and one refusal should not cost them all.
const BATCH_LIMIT: usize = 500;

/// One claim to write: its name, its request and its planned price.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct NewClaim<'a> {
    pub(crate) name: String,
    pub(crate) pool: &'a NodePool,
    pub(crate) launch: &'a Launch,
    pub(crate) request: LaunchRequest,
}

/// Elastic Fabric Adapters.
const EFA: &str = "vpc.amazonaws.com/efa";

type Pods<'a> = BTreeMap<&'a PodId, &'a Pod>;
type Key<'a> = (&'a str, CapacityType, Vec<&'a Alternative>, &'a Labels);

/// The claims of each batch, in the plan's order. Launches of pools that are not in the snapshot are left out.
pub(crate) fn batches<'a>(launches: &'a [Launch], orders: &Orders<'a>) -> Vec<Vec<NewClaim<'a>>> {
    let mut groups: BTreeMap<Key<'a>, Vec<&'a Launch>> = BTreeMap::new();
    for launch in launches {
        groups.entry(key(launch)).or_default().push(launch);
    }
    let pods = orders.snapshot.pods.iter().map(|pod| (&pod.id, pod)).collect::<Pods<'_>>();
    let chunks = groups.values().flat_map(|group| group.chunks(BATCH_LIMIT));
    let numbered = chunks.enumerate();
    numbered
        .map(|(number, chunk)| batch(&format!("{}-{number}", orders.turn), chunk, orders, &pods))
        .collect()
}

/// Only offerings paid for like the planned one: one call buys one capacity type.
fn key(launch: &Launch) -> Key<'_> {
    let way = launch.offering.capacity_type;
    let all = std::iter::once(&launch.offering).chain(&*launch.alternatives);
    let mut offerings = all.filter(|offering| offering.capacity_type == way).collect::<Vec<_>>();
    // In one order: launches that the same offerings serve are one call, whichever of equal price was planned.
    offerings.sort_by_key(|offering| (offering.price, &offering.instance_type, &offering.zone));
    (&launch.node_pool, way, offerings, &launch.labels)
}

fn batch<'a>(
    id: &str,
    launches: &[&'a Launch],
    orders: &Orders<'a>,
    pods: &Pods<'_>,
) -> Vec<NewClaim<'a>> {
    let size = u32::try_from(launches.len()).unwrap_or(u32::MAX);
    let claim = |(index, launch): (usize, &&'a Launch)| {
        let pool = orders.pool(&launch.node_pool)?;
        let (_, capacity_type, offerings, _) = key(launch);
        let request = LaunchRequest {
            batch: id.to_owned(),
            size,
            node_class: pool.node_class.clone(),
            capacity_type,
            offerings: offerings.into_iter().cloned().collect(),
            labels: labels(pool, launch),
            pods: launch.pods.clone(),
            requests: requests(launch, pods),
            replaces: launch.replaces.clone(),
        };
        Some(NewClaim { name: name(&pool.name, id, index), pool, launch, request })
    };
    launches.iter().enumerate().filter_map(claim).collect()
}

fn requests(launch: &Launch, pods: &Pods<'_>) -> Resources {
    let mut sum = Resources::new();
    let known = launch.pods.iter().filter_map(|id| pods.get(id));
    known.for_each(|pod| sum.add(&pod.spec.requests));
    sum
}

/// The labels that the node registers with: the pool's, those of requirements with one value, and those that its pods ask for.
/// Labels of the type and the zone come from the instance.
fn labels(pool: &NodePool, launch: &Launch) -> Labels {
    let single = pool.requirements.iter().filter(|(key, _)| !model::labels::is_well_known(key));
    let single = single.filter_map(|(key, set)| Some((key.to_owned(), set.single()?.to_owned())));
    let mut all = single.collect::<Labels>();
    all.extend(pool.labels.clone());
    all.extend(launch.labels.clone());
    all.insert(model::labels::NODE_POOL.to_owned(), pool.name.clone());
    let way = launch.offering.capacity_type.as_str().to_owned();
    all.insert(model::labels::CAPACITY_TYPE.to_owned(), way);
    if pool.api_version == model::pool::ApiVersion::Legacy {
        all.insert(model::labels::PROVISIONER_NAME.to_owned(), pool.name.clone());
    }
    all
}

/// A name that is the same whenever this claim is written: writing it again cannot make a second one.
fn name(pool: &str, batch: &str, index: usize) -> String {
    const LETTERS: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";
    let digest = Sha256::digest(format!("{batch}/{index}"));
    let letter = |byte: &u8| char::from(LETTERS[usize::from(byte % 32)]);
    let suffix = digest.iter().take(8).map(letter).collect::<String>();
    // Names have at most 253 letters, and node names are best kept at 63.
    let stem = pool.get(..54).unwrap_or(pool);
    format!("{stem}-{suffix}")
}

/// The call that buys a batch of which one claim's request is known.
pub(crate) fn fleet_request(
    request: &LaunchRequest,
    pool: &NodePool,
    orders: &Orders<'_>,
) -> FleetRequest {
    let types = orders.snapshot.instance_types.get(&pool.instance_types);
    let offered = |name: &str| request.offerings.iter().any(|offer| offer.instance_type == name);
    let known = types.into_iter().flat_map(|types| types.iter());
    let known = known.filter(|known| offered(&known.name)).collect::<Vec<_>>();
    let max_pods = known.iter().map(|known| (known.name.clone(), known.capacity.get(PODS)));
    let wants_efa = request.requests.get(EFA) > 0;
    let facts = known.iter().map(|known| {
        let efa = if wants_efa { known.capacity.get(EFA) } else { 0 };
        let efa = u32::try_from(efa).unwrap_or(0);
        (known.name.clone(), TypeFacts { labels: known.labels.clone(), efa })
    });
    let taints = pool.taints.iter().chain(&pool.startup_taints).cloned().collect();
    FleetRequest {
        batch: request.batch.clone(),
        size: request.size,
        node_pool: pool.name.clone(),
        capacity_type: request.capacity_type,
        offerings: request.offerings.clone(),
        labels: request.labels.clone(),
        taints,
        pool_kubelet: orders.pool_kubelets.get(&pool.name).cloned(),
        max_pods: max_pods.collect(),
        types: facts.collect(),
    }
}
