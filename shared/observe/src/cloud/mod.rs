//! Reading AWS: instances every turn, everything else as often as it changes.
//!
//! Only a failed read of instances is an error. What else cannot be read stays as it was last read, with its age; a class of
//! which nothing is known has a problem, and costs only its own pools.

#![allow(
    clippy::wildcard_enum_match_arm,
    reason = "the enums of AWS grow; ours are matched in full"
)]

pub mod call;
mod classes;
mod clients;
mod cluster;
mod config_map;
mod error;
mod facts;
mod gate;
mod images;
mod instances;
mod interruptions;
mod market;
mod network;
mod reservations;
mod selectors;
mod shelf;
#[cfg(test)]
mod tests;
mod unavailable;

pub use call::Call;
pub use classes::apply;
pub use error::CloudReadError;
pub use facts::Facts;
pub(crate) use reservations::count_launched;
pub use unavailable::UnavailableOfferings;

use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_credential_types::provider::ProvideCredentials;
use catalog::{Catalog, Current};
use classes::ClassFailures;
use clients::Clients;
use facts::ClassFacts;
use interruptions::Interruptions;
use market::ReadTimes;
use model::{ClusterFacts, Instance, NodeClassSpec, ResolvedNodeClass, Timestamp};
use selectors::Term;
use shelf::{Dated, Failures, Shelf};
use std::collections::BTreeMap;
use std::sync::Arc;

/// How long a cluster's version, endpoint and network stay as they are, in seconds.
const CLUSTER_TTL_S: i64 = 300;

/// What a turn wants to know.
#[derive(Clone, Copy, Debug)]
pub struct Ask<'a> {
    /// The time, by which ages are counted.
    pub now: Timestamp,
    /// The cluster, as `CloudReader::cluster` read it.
    pub cluster: &'a ClusterFacts,
    /// All node classes.
    pub classes: &'a [Arc<NodeClassSpec>],
    /// Whether types, offerings and prices may be read anew; they take seconds every twelve hours.
    pub refresh_market: bool,
    /// Whether the price list cannot be reached (Karpenter's `ISOLATED_VPC`).
    pub isolated_vpc: bool,
    /// Whether the cluster has instances of Joiner's, whose status is asked for.
    pub has_instances: bool,
    /// Whether some of them are spot instances.
    pub has_spot: bool,
}

/// What was read.
#[derive(Clone, Debug)]
pub struct CloudReading {
    /// The cluster's instances, by id.
    pub instances: Vec<Instance>,
    /// The classes asked for, in that order, with what was found for them.
    pub classes: Vec<ResolvedNodeClass>,
    /// Types, offerings and prices: the base catalog with all that was read laid over it.
    pub catalog: Arc<Catalog>,
    /// What could not be read anew.
    pub stale: Vec<Stale>,
    /// The calls made, pages counted singly, retries not counted.
    pub calls: BTreeMap<Call, u32>,
}

/// Something that could not be read anew.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stale {
    /// What: `subnets`, `spot prices`.
    pub what: String,
    /// The age in seconds of the copy in use; `None` if there is none, and the embedded catalog or nothing takes its place.
    pub age_s: Option<i64>,
    /// Why, and what to do.
    pub error: String,
}

/// Reads AWS; keeps its connections and what it knows of the cluster between turns.
#[derive(Debug)]
pub struct CloudReader {
    clients: Clients,
    base: Arc<Catalog>,
    current: Option<(ReadTimes, Arc<Catalog>)>,
    clusters: BTreeMap<String, Dated<ClusterFacts>>,
    interruptions: Interruptions,
}

impl CloudReader {
    /// A reader with these credentials and region, over that catalog (the embedded one, or a file's).
    pub fn new(config: &SdkConfig, base: Catalog) -> Self {
        let base = Arc::new(base);
        Self {
            clients: Clients::new(config),
            base,
            current: None,
            clusters: BTreeMap::new(),
            interruptions: Interruptions::default(),
        }
    }

    /// What EKS knows of the cluster of that name: read every five minutes. If that fails, what was read last.
    ///
    /// # Errors
    /// If it cannot be read and never was.
    pub async fn cluster(
        &mut self,
        name: &str,
        now: Timestamp,
    ) -> Result<ClusterFacts, CloudReadError> {
        let known = self.clusters.get(name);
        if let Some(fresh) = known.filter(|known| known.is_fresh(now, CLUSTER_TTL_S)) {
            return Ok(fresh.value.clone());
        }
        match (cluster::read(&self.clients, name).await, known) {
            (Ok(value), _) => {
                self.clusters.insert(name.to_owned(), Dated { read_at: now, value: value.clone() });
                Ok(value)
            }
            (Err(_), Some(known)) => Ok(known.value.clone()),
            (Err(error), None) => Err(error),
        }
    }

    /// Reads what the turn wants to know: all at once, and only what is not fresh in `memory`.
    ///
    /// # Errors
    /// If the instances cannot be read: then nothing can be decided.
    pub async fn read(
        &mut self,
        ask: &Ask<'_>,
        memory: &mut Facts,
    ) -> Result<CloudReading, CloudReadError> {
        let Facts { classes: class_facts, market } = memory;
        let (instances, failures, mut stale, not_told) = futures::join!(
            instances::read(&self.clients, &ask.cluster.name),
            read_classes(&self.clients, ask, class_facts),
            market::refresh(&self.clients, market, &self.base, ask),
            self.interruptions.refresh(&self.clients, ask),
        );
        let mut instances = instances?;
        self.interruptions.apply(&mut instances);
        stale.extend(not_told);
        stale.extend(stale_classes(class_facts, &failures, ask.now));
        let resolve = |spec| classes::resolve(spec, class_facts, &failures, ask.cluster, ask.now);
        let classes = ask.classes.iter().map(resolve).collect();
        images::forget_gone(&mut class_facts.images, ask.classes, &ask.cluster.version);
        Ok(CloudReading {
            instances,
            classes,
            catalog: self.catalog(memory),
            stale,
            calls: self.clients.gate.take_counts(),
        })
    }

    /// Reads of types, offerings and prices what is due, which takes seconds every twelve hours. Whether anything was read.
    pub async fn refresh_market(
        &mut self,
        cluster: &ClusterFacts,
        now: Timestamp,
        isolated_vpc: bool,
        memory: &mut Facts,
    ) -> bool {
        let before = memory.market.read_times();
        let ask = Ask {
            now,
            cluster,
            classes: &[],
            refresh_market: true,
            isolated_vpc,
            has_instances: false,
            has_spot: false,
        };
        market::refresh(&self.clients, &mut memory.market, &self.base, &ask).await;
        memory.market.read_times() != before
    }

    /// The base catalog with what was read of this region laid over it.
    pub fn catalog(&mut self, memory: &Facts) -> Arc<Catalog> {
        let times = memory.market.read_times();
        if let Some((of, catalog)) = &self.current
            && *of == times
        {
            return Arc::clone(catalog);
        }
        let catalog = match memory.market.current(&self.clients.region) {
            Some(current) => Arc::new(Catalog::clone(&self.base).with_current(&current)),
            None => Arc::clone(&self.base),
        };
        self.current = Some((times, Arc::clone(&catalog)));
        catalog
    }
}

/// The configuration of the environment: credentials from variables, profiles, containers, web identities or the instance.
/// Profiles with `sso_session` or `credential_process` are read where aws-config is built with those features, as the command's is.
pub async fn environment(region: Option<String>) -> SdkConfig {
    let loader = aws_config::defaults(BehaviorVersion::latest());
    match region {
        Some(region) => loader.region(Region::new(region)).load().await,
        None => loader.load().await,
    }
}

/// What the region of the configuration offers now, of which `known` may know types already; `None` if nothing could be read.
/// Beside it what could not be read, and why.
///
/// # Errors
/// If there are no credentials.
pub async fn read_market(
    config: &SdkConfig,
    known: &Catalog,
    now: Timestamp,
) -> Result<(Option<Current>, Vec<Stale>), CloudReadError> {
    if let Some(provider) = config.credentials_provider() {
        let call = call::DESCRIBE_INSTANCE_TYPE_OFFERINGS;
        let credentials = provider.provide_credentials().await;
        credentials.map_err(|error| CloudReadError::no_credentials(call, &error))?;
    }
    Ok(market::read(&Clients::new(config), known, now).await)
}

async fn read_classes(clients: &Clients, ask: &Ask<'_>, facts: &mut ClassFacts) -> ClassFailures {
    let ClassFacts { subnets, security_groups, reservations: reserved, images } = facts;
    let (now, vpc) = (ask.now, ask.cluster.vpc_id.as_str());
    let specs = ask.classes;
    let of = |terms: fn(&NodeClassSpec) -> &[_]| {
        specs
            .iter()
            .flat_map(move |spec| terms(spec).iter().map(|term| Term::of(term, spec.api_version)))
    };
    let of_subnets = selectors::questions(of(|spec| &spec.subnets), network::SUBNET_FILTERS, vpc);
    let of_groups =
        selectors::questions(of(|spec| &spec.security_groups), network::GROUP_FILTERS, vpc);
    let of_reservations = specs.iter().flat_map(|spec| &spec.capacity_reservations);
    let of_reservations = of_reservations.map(reservations::search).collect();
    let (subnets, security_groups, reservations, images) = futures::join!(
        subnets.refresh(
            of_subnets,
            now,
            |_| network::TTL_S,
            |question| { network::read_subnets(clients, question) }
        ),
        security_groups.refresh(
            of_groups,
            now,
            |_| network::TTL_S,
            |question| { network::read_groups(clients, question) }
        ),
        reserved.refresh(
            of_reservations,
            now,
            |_| reservations::TTL_S,
            |search| { reservations::read(clients, search) }
        ),
        images::refresh(clients, images, specs, &ask.cluster.version, now),
    );
    ClassFailures { subnets, security_groups, reservations, images }
}

fn stale_classes(facts: &ClassFacts, failures: &ClassFailures, now: Timestamp) -> Vec<Stale> {
    let images = &facts.images;
    [
        stale("subnets", &facts.subnets, &failures.subnets, now),
        stale("security groups", &facts.security_groups, &failures.security_groups, now),
        stale("capacity reservations", &facts.reservations, &failures.reservations, now),
        stale("image parameters", &images.parameters, &failures.images.parameters, now),
        stale("images", &images.images, &failures.images.images, now),
    ]
    .into_iter()
    .flatten()
    .collect()
}

fn stale<V>(what: &str, shelf: &Shelf<V>, failures: &Failures, now: Timestamp) -> Option<Stale> {
    let error = failures.values().next()?.to_string();
    Some(Stale { what: what.to_owned(), age_s: shelf.age_s(failures, now), error })
}
