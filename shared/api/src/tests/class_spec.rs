//! Classes as a launch needs them, of every API version.

use crate::{node_class_spec, pool_kubelet};
use model::node_class::{BlockDevice, ImageSelectorTerm, MetadataOptions, SelectorTerm};
use model::pool::{ApiVersion, ImageFamily};
use model::{Labels, NodeClassSpec};
use serde_json::{Value, json};

fn template(spec: Value) -> Value {
    json!({
        "apiVersion": "karpenter.k8s.aws/v1alpha1", "kind": "AWSNodeTemplate",
        "metadata": { "name": "jupyter", "uid": "1-2-3" }, "spec": spec
    })
}

fn class(version: &str, spec: Value) -> Value {
    json!({
        "apiVersion": format!("karpenter.k8s.aws/{version}"), "kind": "EC2NodeClass",
        "metadata": { "name": "default", "uid": "4-5-6" }, "spec": spec
    })
}

fn spec(object: &Value) -> NodeClassSpec {
    node_class_spec(object).unwrap()
}

fn tags(entries: &[(&str, &str)]) -> Labels {
    entries.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}

fn by_id(id: &str) -> SelectorTerm {
    SelectorTerm { id: Some(id.to_owned()), ..SelectorTerm::default() }
}

fn by_tags(entries: &[(&str, &str)]) -> SelectorTerm {
    SelectorTerm { tags: tags(entries), ..SelectorTerm::default() }
}

fn metadata(hop_limit: i64, tokens: &str) -> MetadataOptions {
    MetadataOptions {
        http_endpoint: "enabled".to_owned(),
        http_protocol_ipv6: "disabled".to_owned(),
        http_put_response_hop_limit: hop_limit,
        http_tokens: tokens.to_owned(),
    }
}

/// The template for notebooks that gen3's cloud-automation installs (facts of its files at 2026-06).
fn gen3_jupyter() -> Value {
    template(json!({
        "subnetSelector": { "karpenter.sh/discovery": "demo" },
        "securityGroupSelector": { "karpenter.sh/discovery": "demo-jupyter" },
        "tags": { "karpenter.sh/discovery": "demo", "Name": "eks-demo-jupyter-karpenter" },
        "metadataOptions": {
            "httpEndpoint": "enabled", "httpProtocolIPv6": "disabled",
            "httpPutResponseHopLimit": 2, "httpTokens": "optional"
        },
        "userData": "MIME-Version: 1.0\n",
        "blockDeviceMappings": [{
            "deviceName": "/dev/xvda",
            "ebs": { "volumeSize": "50Gi", "volumeType": "gp2", "encrypted": true, "deleteOnTermination": true }
        }]
    }))
}

#[test]
fn a_legacy_template_becomes_terms_with_the_legacy_defaults() {
    let found = spec(&gen3_jupyter());
    let root = BlockDevice {
        device_name: "/dev/xvda".to_owned(),
        size_gib: Some(50),
        volume_type: Some("gp2".to_owned()),
        encrypted: Some(true),
        delete_on_termination: Some(true),
        ..BlockDevice::default()
    };
    let expected = NodeClassSpec {
        name: "jupyter".to_owned(),
        uid: "1-2-3".to_owned(),
        api_version: Some(ApiVersion::Legacy),
        image_family: ImageFamily::Al2,
        subnets: vec![by_tags(&[("karpenter.sh/discovery", "demo")])],
        security_groups: vec![by_tags(&[("karpenter.sh/discovery", "demo-jupyter")])],
        user_data: Some("MIME-Version: 1.0\n".to_owned()),
        tags: tags(&[("Name", "eks-demo-jupyter-karpenter"), ("karpenter.sh/discovery", "demo")]),
        block_devices: vec![root],
        metadata_options: Some(metadata(2, "optional")),
        hash: found.hash.clone(),
        ..NodeClassSpec::default()
    };
    assert_eq!(found, expected);
}

#[test]
fn legacy_selectors_are_ids_or_tags() {
    let check = |selector: Value, expected: &[SelectorTerm]| {
        let found = spec(&template(json!({ "subnetSelector": selector.clone() })));
        assert_eq!(found.subnets, expected, "{selector}");
    };
    check(json!({ "aws-ids": "subnet-1a, subnet-2b" }), &[by_id("subnet-1a"), by_id("subnet-2b")]);
    check(
        json!({ "aws::ids": "subnet-1a,,subnet-2b," }),
        &[by_id("subnet-1a"), by_id("subnet-2b")],
    );
    check(json!({ "Name": "*", "team": "a, b" }), &[by_tags(&[("Name", "*"), ("team", "a,b")])]);
    check(json!({}), &[]);
}

#[test]
fn legacy_image_selectors_are_names_by_owners() {
    /// Name, owner, tags.
    type Expected<'a> = (Option<&'a str>, Option<&'a str>, &'a [(&'a str, &'a str)]);
    let check = |selector: Value, expected: &[Expected<'_>]| {
        let found = spec(&template(json!({ "amiSelector": selector.clone() })));
        let term = |(name, owner, entries): &Expected<'_>| {
            let (name, owner) = (name.map(str::to_owned), owner.map(str::to_owned));
            ImageSelectorTerm { name, owner, tags: tags(entries), ..ImageSelectorTerm::default() }
        };
        assert_eq!(found.images, expected.iter().map(term).collect::<Vec<_>>(), "{selector}");
    };
    check(
        json!({ "aws::name": "EKS-FIPS*", "aws::owners": "143731057154" }),
        &[(Some("EKS-FIPS*"), Some("143731057154"), &[])],
    );
    check(
        json!({ "aws::name": "a, b", "aws::owners": "self,amazon", "team": "x" }),
        &[
            (Some("a"), Some("self"), &[("team", "x")]),
            (Some("b"), Some("self"), &[("team", "x")]),
            (Some("a"), Some("amazon"), &[("team", "x")]),
            (Some("b"), Some("amazon"), &[("team", "x")]),
        ],
    );
    check(json!({ "team": "*" }), &[(None, None, &[("team", "*")])]);
    check(json!({}), &[]);
    let found = spec(&template(json!({ "amiSelector": { "aws::ids": "ami-1, ami-2" } })));
    let ids = found.images.iter().filter_map(|term| term.id.as_deref()).collect::<Vec<_>>();
    assert_eq!(ids, ["ami-1", "ami-2"]);
}

#[test]
fn a_launch_template_of_the_users_own_says_itself_how_metadata_is_exposed() {
    let found = spec(&template(json!({ "launchTemplate": "mine" })));
    assert_eq!((found.launch_template.as_deref(), found.metadata_options), (Some("mine"), None));
}

#[test]
fn settings_inline_in_a_provisioner_are_a_class_of_their_own() {
    let provisioner = |spec: Value| {
        json!({
            "apiVersion": "karpenter.sh/v1alpha5", "kind": "Provisioner",
            "metadata": { "name": "gpu" }, "spec": spec
        })
    };
    let settings = json!({
        "apiVersion": "extensions.karpenter.sh/v1alpha1", "kind": "AWS",
        "instanceProfile": "nodes", "subnetSelector": { "Name": "demo" }
    });
    let found = spec(&provisioner(json!({ "provider": settings.clone() })));
    assert_eq!(found.name, "provisioner/gpu");
    assert_eq!(found.subnets, [by_tags(&[("Name", "demo")])]);
    assert_eq!(found.instance_profile.as_deref(), Some("nodes"));
    assert_eq!(node_class_spec(&provisioner(json!({ "providerRef": { "name": "x" } }))), None);
    let both = provisioner(json!({ "provider": settings, "providerRef": { "name": "x" } }));
    assert_eq!(node_class_spec(&both), None);
}

fn full_class() -> Value {
    json!({
        "subnetSelectorTerms": [{ "tags": { "karpenter.sh/discovery": "demo" } }, { "id": " subnet-1 " }],
        "securityGroupSelectorTerms": [{ "name": "nodes" }],
        "amiSelectorTerms": [{ "alias": "bottlerocket@1.20.4" }],
        "capacityReservationSelectorTerms": [{ "ownerID": "123456789012", "instanceMatchCriteria": "open" }],
        "placementGroupSelector": { "name": "close" },
        "role": "nodes",
        "associatePublicIPAddress": false,
        "ipPrefixCount": 2,
        "detailedMonitoring": true,
        "instanceStorePolicy": "RAID0",
        "kubelet": {
            "clusterDNS": ["10.0.0.10"], "maxPods": 42, "kubeReserved": { "cpu": "100m", "pid": 100 },
            "evictionSoft": { "memory.available": "10%" },
            "evictionSoftGracePeriod": { "memory.available": "1m" }, "cpuCFSQuota": true
        },
        "networkInterfaces": [{ "networkCardIndex": 1, "deviceIndex": 1, "interfaceType": "efa-only" }],
        "connectionTracking": { "udpTimeout": 40 },
        "cpuOptions": { "nestedVirtualization": "enabled" },
        "enclaveOptions": { "enabled": true },
        "blockDeviceMappings": [{
            "deviceName": "/dev/xvdb", "rootVolume": true,
            "ebs": { "volumeSize": "1500Mi", "snapshotID": "snap-1", "volumeInitializationRate": 200, "iops": 3000 }
        }]
    })
}

#[test]
fn a_class_keeps_every_field() {
    let found = spec(&class("v1", full_class()));
    assert_eq!(found.subnets[1], by_id("subnet-1"));
    assert_eq!(found.security_groups[0].name.as_deref(), Some("nodes"));
    assert_eq!(found.images[0].alias.as_deref(), Some("bottlerocket@1.20.4"));
    assert_eq!(found.image_family, ImageFamily::Bottlerocket);
    let reservation = &found.capacity_reservations[0];
    assert_eq!(reservation.owner.as_deref(), Some("123456789012"));
    assert_eq!(reservation.match_criteria.as_deref(), Some("open"));
    assert_eq!(found.placement_group_name.as_deref(), Some("close"));
    assert_eq!(found.role.as_deref(), Some("nodes"));
    assert_eq!(found.associate_public_ip_address, Some(false));
    assert_eq!((found.ip_prefix_count, found.detailed_monitoring), (Some(2), Some(true)));
    assert!(found.instance_store_raid0);
    let kubelet = found.kubelet.unwrap();
    assert_eq!(kubelet.max_pods, Some(42));
    assert_eq!(kubelet.kube_reserved, tags(&[("cpu", "100m"), ("pid", "100")]));
    assert_eq!(kubelet.eviction_soft_grace_period, tags(&[("memory.available", "1m")]));
    assert_eq!((kubelet.cluster_dns[0].as_str(), kubelet.cpu_cfs_quota), ("10.0.0.10", Some(true)));
    assert_eq!(found.network_interfaces[0].interface_type, "efa-only");
    assert_eq!((found.udp_timeout_s, found.udp_stream_timeout_s), (Some(40), None));
    assert_eq!((found.nested_virtualization, found.enclave), (Some(true), Some(true)));
    let device = &found.block_devices[0];
    assert_eq!((device.size_gib, device.root_volume, device.iops), (Some(2), true, Some(3000)));
    assert_eq!(device.volume_initialization_rate, Some(200));
}

#[test]
fn metadata_defaults_are_those_of_the_version() {
    let check = |object: &Value, expected: MetadataOptions| {
        assert_eq!(spec(object).metadata_options, Some(expected), "{object}");
    };
    check(&class("v1", json!({})), metadata(1, "required"));
    check(&class("v1beta1", json!({})), metadata(2, "required"));
    check(&template(json!({})), metadata(2, "required"));
    let optional = json!({ "metadataOptions": { "httpTokens": "optional" } });
    check(&class("v1", optional.clone()), metadata(1, "optional"));
    check(&class("v1beta1", optional), metadata(2, "optional"));
}

#[test]
fn the_hash_changes_with_what_nodes_are_made_of() {
    let check = |field: &str, value: Value, changes: bool| {
        let mut changed = full_class();
        changed[field] = value;
        let (before, after) = (spec(&class("v1", full_class())), spec(&class("v1", changed)));
        assert_eq!(before.hash != after.hash, changes, "{field}");
    };
    check("userData", json!("echo"), true);
    check("tags", json!({ "a": "b" }), true);
    check("role", json!("others"), true);
    check("amiFamily", json!("Custom"), true);
    check("amiFamily", json!("Bottlerocket"), false);
    check("amiSelectorTerms", json!([{ "alias": "bottlerocket@latest" }]), false);
    check("subnetSelectorTerms", json!([{ "id": "subnet-9" }]), false);
    check("securityGroupSelectorTerms", json!([{ "id": "sg-9" }]), false);
    check("tags", json!({}), false);
    let before = spec(&class("v1", full_class())).hash;
    let mut renamed = class("v1", full_class());
    renamed["metadata"] = json!({ "name": "other", "uid": "7" });
    assert_eq!(spec(&renamed).hash, before);
    assert!(before.parse::<u64>().is_ok());
}

#[test]
fn objects_that_are_no_classes_have_no_spec() {
    let check = |object: Value| assert_eq!(node_class_spec(&object), None, "{object}");
    check(json!({}));
    check(
        json!({ "apiVersion": "karpenter.sh/v1", "kind": "NodePool", "metadata": { "name": "x" } }),
    );
    check(json!({ "apiVersion": "karpenter.k8s.aws/v1", "kind": "EC2NodeClass", "metadata": {} }));
}

#[test]
fn legacy_and_beta_pools_hold_kubelet_settings() {
    let check = |version: &str, kind: &str, spec: Value, expected: Option<i64>| {
        let object = json!({
            "apiVersion": format!("karpenter.sh/{version}"), "kind": kind,
            "metadata": { "name": "x" }, "spec": spec
        });
        assert_eq!(pool_kubelet(&object).and_then(|k| k.max_pods), expected, "{object}");
    };
    let settings = json!({ "maxPods": 10, "containerRuntime": "dockerd", "unknown": 1 });
    check("v1alpha5", "Provisioner", json!({ "kubeletConfiguration": settings.clone() }), Some(10));
    check("v1alpha5", "Provisioner", json!({}), None);
    let in_template = json!({ "template": { "spec": { "kubelet": settings } } });
    check("v1beta1", "NodePool", in_template.clone(), Some(10));
    check("v1", "NodePool", in_template, None);
    let provisioner = json!({
        "apiVersion": "karpenter.sh/v1alpha5", "kind": "Provisioner", "metadata": { "name": "x" },
        "spec": { "kubeletConfiguration": { "containerRuntime": "dockerd" } }
    });
    assert_eq!(pool_kubelet(&provisioner).unwrap().container_runtime.as_deref(), Some("dockerd"));
}
