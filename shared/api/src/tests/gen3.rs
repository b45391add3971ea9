//! The pools and templates that gen3's cloud-automation installs, in our own words (facts of its files at 2026-06).

use super::*;
use model::pool::{ConsolidationPolicy, ImageFamily};
use model::{Duration, Labels, labels};

fn gen3_provisioner(name: &str, requirements: Value, rest: Value) -> Value {
    let mut spec = json!({
        "requirements": requirements,
        "limits": { "resources": { "cpu": 1000 } },
        "providerRef": { "name": name }
    });
    for (key, value) in rest.as_object().unwrap() {
        spec[key] = value.clone();
    }
    with(with(provisioner(), "metadata.name", json!(name)), "spec", spec)
}

fn within(key: &str, values: &[&str]) -> Value {
    json!({ "key": key, "operator": "In", "values": values })
}

const CATEGORY: &str = "karpenter.k8s.aws/instance-category";
const FAMILY: &str = "karpenter.k8s.aws/instance-family";

fn check_pool(object: &Value, facts: &[(&str, &str)], taints: &[&str], labels: &[(&str, &str)]) {
    check_findings(object, &[]);
    let pool = pool(object);
    for (key, set) in facts {
        assert_eq!(pool.requirements.get(key).unwrap().to_string(), *set, "{key}");
    }
    assert_eq!(pool.taints.iter().map(ToString::to_string).collect::<Vec<_>>(), taints);
    let expected: Labels =
        labels.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
    assert_eq!(pool.labels, expected);
    assert_eq!(pool.limits.get("cpu"), 1_000_000);
    assert_eq!(pool.node_class, pool.name);
}

#[test]
fn the_default_pool() {
    let requirements = json!([
        within(labels::CAPACITY_TYPE, &["on-demand", "spot"]),
        within(labels::ARCH, &["amd64"]),
        within(CATEGORY, &["c", "m", "r", "t"])
    ]);
    let rest = json!({ "consolidation": { "enabled": true }, "ttlSecondsUntilExpired": 604800 });
    let object = gen3_provisioner("default", requirements, rest);
    let facts = [
        (labels::CAPACITY_TYPE, "In [on-demand, spot]"),
        (labels::ARCH, "In [amd64]"),
        (labels::OS, "In [linux]"),
        (CATEGORY, "In [c, m, r, t]"),
    ];
    check_pool(&object, &facts, &[], &[]);
    let pool = pool(&object);
    assert_eq!(pool.requirements.get("karpenter.k8s.aws/instance-generation"), None);
    assert_eq!(pool.expire_after, Some(Duration(604_800)));
    assert_eq!(pool.disruption.policy, ConsolidationPolicy::WhenEmptyOrUnderutilized);
    assert_eq!(pool.disruption.consolidate_after, Some(Duration(0)));
    let budgets = pool.disruption.budgets.iter().map(|budget| budget.nodes.as_str());
    assert_eq!(budgets.collect::<Vec<_>>(), ["10%"]);
}

#[test]
fn the_jupyter_and_workflow_pools() {
    for name in ["jupyter", "workflow"] {
        let requirements = json!([
            within(labels::CAPACITY_TYPE, &["on-demand"]),
            within(labels::ARCH, &["amd64"]),
            within(CATEGORY, &["c", "m", "r", "t"])
        ]);
        let rest = json!({
            "taints": [{ "key": "role", "value": name, "effect": "NoSchedule" }],
            "labels": { "role": name },
            "consolidation": { "enabled": true },
            "ttlSecondsUntilExpired": 2592000
        });
        let object = gen3_provisioner(name, requirements, rest);
        let taint = format!("role={name}:NoSchedule");
        check_pool(
            &object,
            &[(labels::CAPACITY_TYPE, "In [on-demand]")],
            &[&taint],
            &[("role", name)],
        );
        assert_eq!(pool(&object).expire_after, Some(Duration(2_592_000)));
    }
}

#[test]
fn the_gpu_pools() {
    let types = ["g4dn.xlarge", "g4dn.2xlarge", "g4dn.4xlarge", "g4dn.12xlarge"];
    let pools = [
        ("gpu", labels::INSTANCE_TYPE, &types[..], "nvidia.com/gpu"),
        ("gpu-shared", FAMILY, &["g4dn", "g5", "p4", "p3"][..], "nvidia.com/gpu-shared"),
    ];
    for (name, key, values, taint) in pools {
        let requirements = json!([
            within(key, values),
            within(labels::CAPACITY_TYPE, &["spot", "on-demand"]),
            within(labels::ARCH, &["amd64"])
        ]);
        let rest = json!({
            "taints": [{ "key": taint, "effect": "NoSchedule" }],
            "labels": { "jina.ai/node-type": name, "jina.ai/gpu-type": "nvidia" },
            "ttlSecondsAfterEmpty": 30
        });
        let object = gen3_provisioner(name, requirements, rest);
        let expected = [("jina.ai/node-type", name), ("jina.ai/gpu-type", "nvidia")];
        check_pool(&object, &[], &[&format!("{taint}:NoSchedule")], &expected);
        let pool = pool(&object);
        assert_eq!(pool.requirements.get(key).unwrap().values.len(), 4);
        assert_eq!(pool.requirements.get(CATEGORY), None);
        assert_eq!(pool.disruption.policy, ConsolidationPolicy::WhenEmpty);
        assert_eq!(pool.disruption.consolidate_after, Some(Duration(30)));
        assert_eq!(pool.expire_after, None);
    }
}

fn gen3_template(name: &str, size: &str) -> Value {
    let spec = json!({
        "subnetSelector": { "karpenter.sh/discovery": "vpc" },
        "securityGroupSelector": { "karpenter.sh/discovery": format!("vpc-{name}") },
        "tags": { "karpenter.sh/discovery": "vpc", "Environment": "vpc", "Name": format!("eks-vpc-{name}-karpenter"), "purpose": name },
        "metadataOptions": { "httpEndpoint": "enabled", "httpProtocolIPv6": "disabled", "httpPutResponseHopLimit": 2, "httpTokens": "optional" },
        "userData": "MIME-Version: 1.0\n",
        "blockDeviceMappings": [{ "deviceName": "/dev/xvda", "ebs": { "volumeSize": size, "volumeType": "gp2", "encrypted": true, "deleteOnTermination": true } }]
    });
    with(with(node_template(), "metadata.name", json!(name)), "spec", spec)
}

#[test]
fn the_templates() {
    for (name, size, gib) in
        [("default", "50Gi", 50), ("jupyter", "50Gi", 50), ("gpu", "200Gi", 200)]
    {
        let object = gen3_template(name, size);
        check_findings(&object, &[]);
        let class = class(&object);
        assert_eq!((class.name.as_str(), class.image_family), (name, ImageFamily::Al2));
        assert_eq!(class.ephemeral_storage_bytes, gib << 30);
    }
}

#[test]
fn an_image_id_with_a_space_behind_it_is_read() {
    let path = "spec.amiSelector";
    let object = with(
        gen3_template("default", "50Gi"),
        path,
        json!({ "aws::ids": "ami-0d3eabf74e1e2258b" }),
    );
    check_findings(&object, &[]);
    let object = with(object, path, json!({ "aws::ids": "ami-0d3eabf74e1e2258b " }));
    check_findings(&object, &["warning spec.amiSelector[\"aws::ids\"] selector-id-spaces"]);
}

#[test]
fn the_pool_of_one_workflow_in_v1beta1() {
    let requirements = json!([
        within(labels::CAPACITY_TYPE, &["on-demand"]),
        within(labels::ARCH, &["amd64"]),
        within(labels::OS, &["linux"]),
        within(labels::INSTANCE_TYPE, &["c6a.large", "m6a.2xlarge", "r7iz.24xlarge"])
    ]);
    let spec = json!({
        "template": {
            "metadata": { "labels": { "role": "run-1" } },
            "spec": {
                "requirements": requirements,
                "taints": [{ "key": "role", "value": "run-1", "effect": "NoSchedule" }],
                "nodeClassRef": { "apiVersion": "karpenter.k8s.aws/v1beta1", "kind": "EC2NodeClass", "name": "workflow-run-1" }
            }
        },
        "limits": { "cpu": "4k" },
        "disruption": { "consolidationPolicy": "WhenEmpty", "consolidateAfter": "10s", "expireAfter": "48h0m0s" }
    });
    let object = with(beta_node_pool(), "spec", spec);
    check_findings(&object, &[]);
    let pool = pool(&object);
    assert_eq!(pool.limits.get("cpu"), 4_000_000);
    assert_eq!(pool.expire_after, Some(Duration(172_800)));
    assert_eq!(pool.disruption.consolidate_after, Some(Duration(10)));
}

#[test]
fn an_operator_in_a_taint_is_left_out_with_a_warning() {
    let taint = json!([{ "key": "nvidia.com/gpu", "operator": "Equal", "value": "true", "effect": "NoSchedule" }]);
    let object = with(node_pool(), "spec.template.spec.taints", taint);
    check_findings(&object, &["warning spec.template.spec.taints[0].operator unknown-field"]);
    assert_eq!(pool(&object).taints.len(), 1);
}
