//! What the tests of launch templates start from.

use crate::ports::{FleetRequest, TypeFacts};
use model::node_class::{
    ClusterFacts, Image, KubeletSettings, NodeClassSpec, ResolvedNodeClass, SecurityGroup,
};
use model::pool::{ApiVersion, ImageFamily};
use model::{
    Alternative, CapacityType, Effect, Labels, MicroUsdPerHour, Operator, Requirement,
    Requirements, Taint, labels,
};
use std::sync::Arc;

/// `a=1 b=2` as labels.
pub(crate) fn map(text: &str) -> Labels {
    let pair = |word: &str| {
        let (key, value) = word.split_once('=').unwrap_or((word, ""));
        (key.to_owned(), value.to_owned())
    };
    text.split_whitespace().map(pair).collect()
}

pub(crate) fn cluster() -> ClusterFacts {
    ClusterFacts {
        name: "demo".to_owned(),
        endpoint: "https://demo.eks".to_owned(),
        certificate_authority: "Y2E=".to_owned(),
        version: "1.33".to_owned(),
        service_cidr: "10.100.0.0/16".to_owned(),
        region: "us-east-1".to_owned(),
        ..ClusterFacts::default()
    }
}

pub(crate) fn class(family: ImageFamily, user_data: &str) -> NodeClassSpec {
    NodeClassSpec {
        name: "default".to_owned(),
        uid: "u-1".to_owned(),
        api_version: Some(ApiVersion::V1),
        image_family: family,
        instance_profile: Some("nodes".to_owned()),
        user_data: Some(user_data.to_owned()).filter(|text| !text.is_empty()),
        ..NodeClassSpec::default()
    }
}

pub(crate) fn resolved(spec: NodeClassSpec) -> ResolvedNodeClass {
    let of_arch = |arch: &str| {
        Requirements::from_list(&[Requirement::new(labels::ARCH, Operator::In, [arch])])
    };
    let image = |id: &str, arch: &str| Image {
        id: id.to_owned(),
        requirements: of_arch(arch),
        ..Image::default()
    };
    ResolvedNodeClass {
        spec: Arc::new(spec),
        images: vec![image("ami-amd", "amd64"), image("ami-arm", "arm64")],
        security_groups: vec![SecurityGroup { id: "sg-1".to_owned(), name: "nodes".to_owned() }],
        ..ResolvedNodeClass::default()
    }
}

pub(crate) fn offering(instance_type: &str, zone: &str) -> Alternative {
    Alternative {
        instance_type: instance_type.to_owned(),
        zone: zone.to_owned(),
        capacity_type: CapacityType::Spot,
        price: MicroUsdPerHour(40_000),
        estimated: false,
        reservation: None,
    }
}

/// Two types of amd64 and one of arm64.
pub(crate) fn request() -> FleetRequest {
    let facts = |arch: &str| TypeFacts { labels: map(&format!("{}={arch}", labels::ARCH)), efa: 0 };
    let types = [("m7i.large", "amd64"), ("c7i.large", "amd64"), ("m7g.large", "arm64")];
    FleetRequest {
        batch: "b-1".to_owned(),
        size: 1,
        node_pool: "general".to_owned(),
        capacity_type: CapacityType::Spot,
        offerings: types.iter().map(|(name, _)| offering(name, "us-east-1a")).collect(),
        labels: map("team=a kubernetes.io/hostname=x"),
        taints: vec![Taint {
            key: "role".to_owned(),
            value: "jupyter".to_owned(),
            effect: Effect::NoSchedule,
        }],
        pool_kubelet: None,
        max_pods: types.iter().map(|(name, _)| ((*name).to_owned(), 29)).collect(),
        types: types.iter().map(|(name, arch)| ((*name).to_owned(), facts(arch))).collect(),
    }
}

/// Every setting that a class can have.
pub(crate) fn all_kubelet_settings() -> KubeletSettings {
    KubeletSettings {
        cluster_dns: vec!["10.0.0.53".to_owned()],
        max_pods: Some(110),
        pods_per_core: Some(8),
        container_runtime: Some("dockerd".to_owned()),
        system_reserved: map("cpu=100m memory=1Gi"),
        kube_reserved: map("cpu=200m"),
        eviction_hard: map("memory.available=5%"),
        eviction_soft: map("memory.available=10%"),
        eviction_soft_grace_period: map("memory.available=1m0s"),
        eviction_max_pod_grace_period: Some(120),
        image_gc_high_threshold_percent: Some(85),
        image_gc_low_threshold_percent: Some(80),
        cpu_cfs_quota: Some(false),
    }
}
