//! A Karpenter of v1, with pools, classes and claims as it writes them, is taken over with its nodes.

use super::world::{CLAIMS, CLASSES, NODES, POOLS, SETTINGS, World, own, run};
use super::{KARPENTER, deployment, function, turn};
use install::steps;
use serde_json::{Value, json};

const CLAIM: &str = "default-x7k2p";
/// One that Karpenter had begun, and for which it had no instance yet.
const BEGUN: &str = "default-begun";

/// What tells the same of pool, class and claim: hashes of Karpenter's own version.
fn hashes() -> Value {
    json!({
        "karpenter.sh/nodepool-hash": "12345678901234567890", "karpenter.sh/nodepool-hash-version": "v3",
        "karpenter.k8s.aws/ec2nodeclass-hash": "9876543210987654321", "karpenter.k8s.aws/ec2nodeclass-hash-version": "v4",
    })
}

fn pool() -> Value {
    let zones =
        json!({ "key": "karpenter.sh/capacity-type", "operator": "In", "values": ["on-demand"] });
    json!({
        "apiVersion": "karpenter.sh/v1", "kind": "NodePool", "metadata": { "name": "default", "annotations": hashes() },
        "spec": {
            "limits": { "cpu": "333" },
            "disruption": { "consolidationPolicy": "WhenEmpty", "consolidateAfter": "Never" },
            "template": {
                "metadata": { "labels": { "team": "web" } },
                "spec": {
                    "expireAfter": "720h", "requirements": [zones],
                    "nodeClassRef": { "group": "karpenter.k8s.aws", "kind": "EC2NodeClass", "name": "default" },
                },
            },
        },
    })
}

/// A class by which the instance is what it would launch.
fn class(world: &World, image: &str) -> Value {
    let found = json!([{ "tags": { "karpenter.sh/discovery": world.site.vpc.name } }]);
    json!({
        "apiVersion": "karpenter.k8s.aws/v1", "kind": "EC2NodeClass", "metadata": { "name": "default", "annotations": hashes() },
        "spec": {
            "amiFamily": "AL2", "amiSelectorTerms": [{ "id": image }], "role": format!("KarpenterNodeRole-{}", world.site.cluster),
            "subnetSelectorTerms": found, "securityGroupSelectorTerms": found,
        },
    })
}

fn claim(name: &str, pool: &Value, status: &Value) -> Value {
    let owner = json!({
        "apiVersion": "karpenter.sh/v1", "kind": "NodePool", "name": "default", "uid": pool["metadata"]["uid"], "blockOwnerDeletion": true,
    });
    json!({
        "apiVersion": "karpenter.sh/v1", "kind": "NodeClaim",
        "metadata": {
            "name": name, "finalizers": ["karpenter.sh/termination"], "ownerReferences": [owner], "annotations": hashes(),
            "labels": {
                "karpenter.sh/nodepool": "default", "karpenter.sh/capacity-type": "on-demand", "team": "web",
                "node.kubernetes.io/instance-type": "m5.xlarge", "karpenter.k8s.aws/ec2nodeclass": "default",
            },
        },
        "spec": {
            "expireAfter": "720h",
            "nodeClassRef": { "group": "karpenter.k8s.aws", "kind": "EC2NodeClass", "name": "default" },
            "requirements": [{ "key": "node.kubernetes.io/instance-type", "operator": "In", "values": ["m5.xlarge"] }],
            "resources": { "requests": { "cpu": "1", "memory": "1Gi" } },
        },
        "status": status,
    })
}

/// Its pool, class, claim and node, and itself at work. The node, once it is one.
async fn make(world: &World) -> Value {
    for definition in api::custom_resource_definitions() {
        world.make(super::CRDS, &definition).await;
    }
    let space = json!({ "metadata": { "name": "karpenter" } });
    let _ = world.api("POST", "/api/v1/namespaces", &space).await;
    let accounts = "/api/v1/namespaces/karpenter/serviceaccounts";
    let _ = world.api("POST", accounts, &space).await;
    let label = ("app.kubernetes.io/name", "karpenter");
    let works = deployment("karpenter", label, "public.ecr.aws/karpenter/controller:1.8.1");
    world.make("/apis/apps/v1/namespaces/karpenter/deployments", &works).await;
    world.eventually("pools are served", async || world.get(POOLS).await.is_some()).await;
    let pool = world.make(POOLS, &pool()).await;
    let labels = "karpenter.sh/nodepool=default,karpenter.sh/capacity-type=on-demand,karpenter.sh/registered=true,karpenter.sh/initialized=true,team=web";
    let instance = world.launch(labels).await;
    world
        .tag(&instance, &[("karpenter.sh/nodepool", "default"), ("karpenter.sh/nodeclaim", CLAIM)])
        .await;
    let node = world.node_of(&instance).await;
    let image = world.image_of(&instance).await;
    world.make(CLASSES, &class(world, &image)).await;
    let known = |kind: &str| json!({ "type": kind, "status": "True", "reason": kind, "message": "", "lastTransitionTime": node["metadata"]["creationTimestamp"] });
    let conditions = ["Launched", "Registered", "Initialized", "Ready"].map(known);
    let status = json!({
        "providerID": node["spec"]["providerID"], "nodeName": node["metadata"]["name"], "imageID": image,
        "capacity": node["status"]["capacity"], "allocatable": node["status"]["allocatable"],
        "conditions": conditions,
    });
    for (name, status) in [(CLAIM, status), (BEGUN, json!({}))] {
        world.make(CLAIMS, &claim(name, &pool, &status)).await;
        let path = format!("{CLAIMS}/{name}/status");
        world.api("PATCH", &path, &json!({ "status": status })).await.unwrap();
    }
    let made = world.get(&format!("{CLAIMS}/{CLAIM}")).await.unwrap();
    let owner = json!({
        "apiVersion": "karpenter.sh/v1", "kind": "NodeClaim", "name": CLAIM, "uid": made["metadata"]["uid"], "blockOwnerDeletion": true,
    });
    let owned = json!({ "metadata": { "finalizers": ["karpenter.sh/termination"], "ownerReferences": [owner] } });
    let path = format!("{NODES}/{}", node["metadata"]["name"].as_str().unwrap());
    world.api("PATCH", &path, &owned).await.unwrap()
}

/// Spec, owners and finalizers: what a takeover leaves as it was. Taints by which the node controller tells how a node is come and go.
fn kept(object: &Value) -> [Value; 4] {
    let metadata = &object["metadata"];
    let mut spec = object["spec"].clone();
    let taints = spec["taints"].as_array().cloned().unwrap_or_default();
    let of_people =
        |taint: &Value| !taint["key"].as_str().unwrap().starts_with("node.kubernetes.io/");
    spec["taints"] = taints.into_iter().filter(of_people).collect();
    let [uid, owners, finalizers] =
        ["uid", "ownerReferences", "finalizers"].map(|of| metadata[of].clone());
    [spec, uid, owners, finalizers]
}

#[tokio::test]
async fn claims_of_v1_are_taken_over_with_their_nodes() {
    let Some(world) = World::open().await else { return };
    let node = make(&world).await;
    let path = format!("{NODES}/{}", node["metadata"]["name"].as_str().unwrap());
    let of = async |path: String| kept(&world.get(&path).await.unwrap());
    let paths = [
        format!("{POOLS}/default"),
        format!("{CLASSES}/default"),
        format!("{CLAIMS}/{CLAIM}"),
        path.clone(),
    ];
    let mut before = Vec::new();
    for path in &paths {
        before.push(of(path.clone()).await);
    }
    let error = run(&own(steps::install()), &world.site).await.failed("karpenter");
    assert!(error.contains("--replace-karpenter"), "{error}");

    let site = world.with(|options| options.replace_karpenter = true);
    let told = run(&own(steps::install()), &site).await.ended_well();
    assert!(told.has(&format!("nodeclaim {CLAIM}: taken over with its node")), "{told:#?}");
    assert_eq!(world.get(KARPENTER).await.unwrap()["spec"]["replicas"], 0);
    assert_eq!(world.get(SETTINGS).await.unwrap()["data"]["MODE"], "act");
    let claim = world.get(&format!("{CLAIMS}/{CLAIM}")).await.unwrap();
    assert!(claim["metadata"]["annotations"]["joiner.dev/launch"].is_string(), "{claim}");
    assert!(told.has(&format!("nodeclaim {BEGUN}: Karpenter had begun it")), "{told:#?}");
    assert_eq!(world.list(CLAIMS).await.len(), 1, "what has no instance is gone");
    let again = run(&own(steps::install()), &site).await.ended_well();
    assert!(!again.has("taken over with its node"), "once more is the same: {again:#?}");

    // Joiner acts from now on: the claim is its own, and its node runs on.
    let mut function = function(&world).await;
    for number in 0..4 {
        let report = turn(&mut function, number).await;
        assert_eq!((report.launched, report.terminated), (0, 0), "{report:#?}");
    }
    for (path, before) in paths.iter().zip(&before) {
        assert_eq!(&of(path.clone()).await, before, "{path}");
    }
    let claim = world.get(&format!("{CLAIMS}/{CLAIM}")).await.unwrap();
    assert_eq!(claim["metadata"]["deletionTimestamp"], Value::Null);
    let conditions = claim["status"]["conditions"].as_array().unwrap();
    assert!(!conditions.iter().any(|one| one["type"] == "Drifted"), "{conditions:#?}");

    // And it ends as one of Joiner's when somebody deletes its claim.
    world.api("DELETE", &format!("{CLAIMS}/{CLAIM}"), &Value::Null).await.unwrap();
    let mut number = 4;
    world
        .eventually("the node is drained and ended", async || {
            turn(&mut function, number).await;
            number += 1;
            world.get(&format!("{CLAIMS}/{CLAIM}")).await.is_none()
        })
        .await;
}
