//! Reading the live world for a turn, and keeping the slowly changing facts between functions.

use crate::aws_memory::{AwsMemory, OFFERINGS_CONFIG_MAP};
use crate::configuration::{Configuration, NAMESPACE};
use crate::observed::{Observe, ObserveError, Observed, Traffic};
use model::pool::ApiVersion;
use observe::cloud::CloudReader;
use observe::cluster::ClusterReader;
use observe::observer::{Observation, Observer, Sources};
use std::collections::BTreeMap;
use std::sync::Arc;

/// The ConfigMap of what changes slowly: images, subnets, prices.
const FACTS_CONFIG_MAP: &str = "joiner-facts";

/// The live world of one installation.
pub struct Live {
    observer: Observer,
    memory: AwsMemory,
    /// Whether what changes slowly is kept for other functions.
    pub(crate) keeps: bool,
}

impl Live {
    /// By these readers. `memory` keeps what changes slowly.
    pub fn new(
        cluster: ClusterReader,
        cloud: CloudReader,
        memory: AwsMemory,
        settings: &Configuration,
    ) -> Self {
        let sources = Sources {
            cluster_name: settings.cluster_name.clone(),
            isolated_vpc: settings.isolated_vpc,
            settings: catalog::Settings {
                vm_memory_overhead_per_mille: settings.vm_memory_overhead_per_mille,
                reserved_enis: settings.reserved_enis,
            },
            namespace: NAMESPACE.to_owned(),
            facts_config_map: FACTS_CONFIG_MAP.to_owned(),
            offerings_config_map: OFFERINGS_CONFIG_MAP.to_owned(),
            all_pods: false,
        };
        Self { observer: Observer::new(cluster, cloud, sources), memory, keeps: true }
    }

    /// Reads prices, types and offerings anew, if it is time.
    pub async fn refresh_market(&mut self) {
        let facts = self.observer.refresh_market().await;
        self.keep_facts(&facts).await;
    }

    async fn keep_facts(&self, facts: &Option<BTreeMap<String, String>>) {
        let Some(facts) = facts.as_ref().filter(|_| self.keeps) else { return };
        let data = serde_json::to_value(facts).unwrap_or_default();
        if let Err(error) = self.memory.write_config_map(FACTS_CONFIG_MAP, data).await {
            tracing::warn!(%error, "other functions read images, subnets and prices again");
        }
    }
}

impl Observe for Live {
    async fn observe(&mut self) -> Result<Observed, ObserveError> {
        let seen =
            self.observer.observe().await.map_err(|error| ObserveError(error.to_string()))?;
        self.keep_facts(&seen.facts_to_keep).await;
        Ok(observed(seen))
    }
}

/// What a function may act on. Pools that stand in where a cluster has none, or where they cannot be read, are for people who ask
/// what could be: nothing is bought for a pool that nobody has made.
fn observed(mut seen: Observation) -> Observed {
    seen.snapshot.node_pools.retain(|pool| pool.api_version != ApiVersion::BuiltIn);
    seen.findings.retain(|finding| finding.rule != "pool-built-in");
    let traffic = seen.traffic.iter();
    let traffic =
        traffic.map(|(name, (calls, bytes))| (*name, Traffic { calls: *calls, bytes: *bytes }));
    Observed {
        snapshot: Arc::new(seen.snapshot),
        classes: seen.classes,
        pool_kubelets: seen.pool_kubelets,
        objects: seen.objects,
        cluster: seen.cluster,
        findings: seen.findings.iter().map(ToString::to_string).collect(),
        stale: seen.stale,
        traffic: traffic.collect(),
    }
}
