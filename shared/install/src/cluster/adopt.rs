//! Nodes that Karpenter made become Joiner's: each gets a claim that Joiner looks after, and none is replaced.
//!
//! A claim of today's API is marked with a launch request, by which Joiner knows its own. Nodes of older releases have none (before
//! v0.28), or a `Machine` (v0.28 to v0.32), and get a claim by what the node tells. Machines stay as they are, for the way back.
//! No hash of drift is written: those of Karpenter are of another version than Joiner's, so that nothing counts as drifted, and the
//! first turn writes today's.

use super::objects::{Named, Objects};
use crate::change::Change;
use crate::problem::Problem;
use model::labels;
use model::{CapacityType, LaunchRequest};
use serde_json::{Map, Value, json};
use std::collections::BTreeSet;

const CLAIM_API: &str = "karpenter.sh/v1";
const CLAIM: &str = "NodeClaim";
/// The batch of all that was taken over: no call bought it, so that no instance carries it as a tag.
const BATCH: &str = "adopted";

/// What is to be taken over.
#[derive(Clone, Debug, Default)]
pub(crate) struct Adoption {
    /// Claims that Karpenter made, by name, and the request that marks them.
    claims: Vec<(String, Value)>,
    /// Nodes without a claim, and the claim that each gets.
    nodes: Vec<(String, Value)>,
    /// Claims that Karpenter had begun: nothing was bought for them, and their pods are planned anew.
    begun: Vec<String>,
    /// Nodes that cannot be taken over, and why.
    left: Vec<(String, String)>,
}

impl Adoption {
    /// As changes.
    pub(crate) fn changes(&self) -> Vec<Change> {
        let claims = self.claims.iter().map(|(name, _)| {
            Change::update(format!("nodeclaim {name}"), "taken over with its node")
        });
        let nodes = self.nodes.iter().map(|(name, _)| {
            Change::update(format!("node {name}"), "gets a claim of Joiner's; it runs on")
        });
        let begun = self.begun.iter().map(|name| {
            let told = "Karpenter had begun it: it has no instance, and its pods are planned anew";
            Change::remove(format!("nodeclaim {name}"), told)
        });
        let left = self.left.iter().map(|(name, why)| Change::keep(format!("node {name}"), why));
        claims.chain(nodes).chain(begun).chain(left).collect()
    }
}

fn text<'a>(object: &'a Value, pointer: &str) -> &'a str {
    object.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

fn label<'a>(object: &'a Value, key: &str) -> &'a str {
    object["metadata"]["labels"][key].as_str().unwrap_or_default()
}

/// Looks for claims and nodes that Karpenter made.
///
/// # Errors
/// If the API server does not tell.
pub(crate) async fn look(objects: &Objects) -> Result<Adoption, Problem> {
    let claims = objects.list(CLAIM_API, CLAIM, "").await?;
    let nodes = objects.list("v1", "Node", "").await?;
    let mut pools = Vec::new();
    for (api_version, kind) in [("karpenter.sh/v1alpha5", "Provisioner"), (CLAIM_API, "NodePool")] {
        pools.extend(objects.list(api_version, kind, "").await?);
    }
    Ok(adoption(&claims, &nodes, &pools))
}

fn adoption(claims: &[Value], nodes: &[Value], pools: &[Value]) -> Adoption {
    let mut adoption = Adoption::default();
    for claim in claims {
        let own = claim["metadata"]["annotations"][labels::LAUNCH].is_string();
        let bought = !text(claim, "/status/providerID").is_empty();
        let name = text(claim, "/metadata/name").to_owned();
        match (own, bought) {
            (true, _) => {}
            (false, false) => adoption.begun.push(name),
            // Also one that is being deleted: nobody else would end its instance.
            (false, true) => {
                let of_class = text(claim, "/spec/nodeClassRef/name");
                adoption.claims.push((name, request(claim, of_class)));
            }
        }
    }
    let claimed = claims.iter().map(|claim| text(claim, "/status/providerID"));
    let claimed = claimed.filter(|id| !id.is_empty()).collect::<BTreeSet<_>>();
    for node in nodes {
        let id = text(node, "/spec/providerID");
        let name = text(node, "/metadata/name").to_owned();
        let Some((pool, version)) = pool_of(node) else { continue };
        // One that is being deleted, and that no finalizer keeps, is gone soon.
        let goes = !node["metadata"]["deletionTimestamp"].is_null() && !is_kept(node);
        if claimed.contains(id) || goes {
            continue;
        }
        match pools.iter().find(|one| text(one, "/metadata/name") == pool && one["kind"] == version)
        {
            Some(pool) if id.starts_with("aws:///") => {
                adoption.nodes.push((name, claim_of(node, pool)));
            }
            Some(_) => adoption.left.push((name, "it has no instance of EC2".to_owned())),
            None => adoption.left.push((name, format!("its pool {pool} is not there any more"))),
        }
    }
    adoption
}

/// Whether whoever ends the instance has to say so first.
fn is_kept(node: &Value) -> bool {
    let all = node["metadata"]["finalizers"].as_array().into_iter().flatten();
    all.into_iter().any(|one| one == labels::TERMINATION_FINALIZER)
}

/// The pool of a node, and the pool's kind.
fn pool_of(node: &Value) -> Option<(&str, &'static str)> {
    let of = |key: &str| Some(label(node, key)).filter(|name| !name.is_empty());
    let modern = of(labels::NODE_POOL).map(|name| (name, "NodePool"));
    modern.or_else(|| of(labels::PROVISIONER_NAME).map(|name| (name, "Provisioner")))
}

/// The request that marks a claim as Joiner's. Its instance is there, so that nothing is ever bought by it.
fn request(of: &Value, node_class: &str) -> Value {
    let capacity_type = CapacityType::parse(label(of, labels::CAPACITY_TYPE));
    let request = LaunchRequest {
        batch: BATCH.to_owned(),
        size: 1,
        node_class: node_class.to_owned(),
        capacity_type: capacity_type.unwrap_or(CapacityType::OnDemand),
        offerings: Vec::new(),
        labels: model::Labels::default(),
        pods: Vec::new(),
        requests: model::Resources::new(),
        replaces: None,
    };
    json!(serde_json::to_string(&request).unwrap_or_default())
}

/// A claim for a node that has none.
fn claim_of(node: &Value, pool: &Value) -> Value {
    let pool_name = text(pool, "/metadata/name");
    let legacy = pool["kind"] == "Provisioner";
    let (class_kind, class) = if legacy {
        let inline = if pool["spec"]["provider"].is_object() { pool_name } else { "" };
        (
            "AWSNodeTemplate",
            Some(text(pool, "/spec/providerRef/name"))
                .filter(|name| !name.is_empty())
                .unwrap_or(inline),
        )
    } else {
        ("EC2NodeClass", text(pool, "/spec/template/spec/nodeClassRef/name"))
    };
    let mut all = node["metadata"]["labels"].as_object().cloned().unwrap_or_default();
    all.retain(|key, _| {
        key != labels::HOSTNAME && key != labels::INITIALIZED && key != labels::REGISTERED
    });
    all.insert(labels::NODE_POOL.to_owned(), json!(pool_name));
    let owner = json!({
        "apiVersion": pool["apiVersion"], "kind": pool["kind"], "name": pool_name,
        "uid": pool["metadata"]["uid"], "blockOwnerDeletion": true,
    });
    let one = |key: &str, value: &str| json!({ "key": key, "operator": "In", "values": [value] });
    let told = [labels::CAPACITY_TYPE, labels::INSTANCE_TYPE, labels::ZONE];
    let told = told.iter().filter(|key| !label(node, key).is_empty());
    let mut requirements = vec![one(labels::NODE_POOL, pool_name)];
    requirements.extend(told.map(|key| one(key, label(node, key))));
    let mut claim = json!({
        "apiVersion": CLAIM_API, "kind": CLAIM,
        "metadata": {
            "name": name_of(pool_name, text(node, "/spec/providerID")),
            "labels": all,
            "annotations": { labels::LAUNCH: request(node, class), labels::BATCH: BATCH },
            "finalizers": [labels::TERMINATION_FINALIZER],
            "ownerReferences": [owner],
        },
        "spec": {
            "requirements": requirements,
            "resources": {},
            "nodeClassRef": { "group": "karpenter.k8s.aws", "kind": class_kind, "name": class },
            "expireAfter": "Never",
        },
        "status": status(node),
    });
    let source = if legacy { &pool["spec"] } else { &pool["spec"]["template"]["spec"] };
    for field in ["taints", "startupTaints"] {
        if source[field].is_array() {
            claim["spec"][field] = source[field].clone();
        }
    }
    let expires = expires(pool, legacy);
    if let Some(expires) = expires {
        claim["spec"]["expireAfter"] = json!(expires);
    }
    claim
}

/// When the pool lets its nodes expire.
fn expires(pool: &Value, legacy: bool) -> Option<String> {
    if legacy {
        return pool["spec"]["ttlSecondsUntilExpired"]
            .as_i64()
            .map(|seconds| format!("{seconds}s"));
    }
    pool.pointer("/spec/template/spec/expireAfter").and_then(Value::as_str).map(str::to_owned)
}

/// The same node gives the same name, so that a claim is made once however often it is tried.
fn name_of(pool: &str, provider_id: &str) -> String {
    let instance = provider_id.rsplit('/').next().unwrap_or_default();
    let instance = instance.strip_prefix("i-").unwrap_or(instance);
    let pool = pool.chars().take(40).collect::<String>();
    format!("{pool}-{instance}")
}

/// What is known of the node's instance.
fn status(node: &Value) -> Value {
    let joined = text(node, "/metadata/creationTimestamp");
    let ready = node["status"]["conditions"].as_array().into_iter().flatten();
    let ready = ready.into_iter().any(|one| one["type"] == "Ready" && one["status"] == "True");
    let condition = |kind: &str| json!({ "type": kind, "status": "True", "reason": kind, "message": "", "lastTransitionTime": joined });
    let mut conditions = vec![condition("Launched"), condition("Registered")];
    if label(node, labels::INITIALIZED) == "true" || ready {
        conditions.push(condition("Initialized"));
    }
    json!({
        "providerID": node["spec"]["providerID"],
        "nodeName": node["metadata"]["name"],
        "capacity": node["status"]["capacity"],
        "allocatable": node["status"]["allocatable"],
        "conditions": conditions,
    })
}

/// Takes them over, one after another: each is whole before the next begins.
///
/// # Errors
/// The first that the API server refuses; the same call again goes on there.
pub(crate) async fn carry_out(
    objects: &Objects,
    adoption: &Adoption,
    progress: &dyn Fn(&str),
) -> Result<(), Problem> {
    for (name, request) in &adoption.claims {
        progress(&format!("nodeclaim {name}"));
        let annotations = json!({ labels::LAUNCH: request, labels::BATCH: BATCH });
        let patch = json!({ "metadata": { "annotations": annotations } });
        objects.patch(&Named::new(CLAIM_API, CLAIM, None, name), "", &patch).await?;
    }
    for (name, claim) in &adoption.nodes {
        progress(&format!("node {name}"));
        adopt(objects, name, claim).await?;
    }
    for name in &adoption.begun {
        let_go(objects, name, progress).await?;
    }
    Ok(())
}

async fn let_go(objects: &Objects, name: &str, progress: &dyn Fn(&str)) -> Result<(), Problem> {
    let of = Named::new(CLAIM_API, CLAIM, None, name);
    progress(&format!("{of} goes"));
    objects.delete(&of).await?;
    // Nobody is there any more who would take its finalizer off.
    match objects.patch(&of, "", &json!({ "metadata": { "finalizers": null } })).await {
        Ok(_) | Err(Problem::NotFound { .. }) => Ok(()),
        Err(problem) => Err(problem),
    }
}

async fn adopt(objects: &Objects, node: &str, claim: &Value) -> Result<(), Problem> {
    let of = Named::of(claim);
    let stored = match objects.get(&of).await? {
        Some(stored) => stored,
        None => objects.create(claim).await?,
    };
    // The status comes after the object: a claim without one is given up by nobody, for Joiner only observes yet.
    objects.patch(&of, "status", &json!({ "status": claim["status"] })).await?;
    let pool = &claim["metadata"]["labels"][labels::NODE_POOL];
    let owner = json!({
        "apiVersion": CLAIM_API, "kind": CLAIM, "name": of.name, "uid": stored["metadata"]["uid"], "blockOwnerDeletion": true,
    });
    let of = Named::new("v1", "Node", None, node);
    let live = objects.get(&of).await?.unwrap_or_default();
    let mut finalizers = live["metadata"]["finalizers"].as_array().cloned().unwrap_or_default();
    if !finalizers.iter().any(|one| one == labels::TERMINATION_FINALIZER) {
        finalizers.push(json!(labels::TERMINATION_FINALIZER));
    }
    let mut set = Map::new();
    set.insert(labels::NODE_POOL.to_owned(), pool.clone());
    set.insert(labels::REGISTERED.to_owned(), json!("true"));
    let metadata = json!({ "labels": set, "finalizers": finalizers, "ownerReferences": [owner] });
    objects.patch(&of, "", &json!({ "metadata": metadata })).await.map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(name: &str, id: &str, labels: Value) -> Value {
        json!({ "metadata": { "name": name, "labels": labels }, "spec": { "providerID": id } })
    }

    fn provisioner(name: &str) -> Value {
        json!({
            "apiVersion": "karpenter.sh/v1alpha5", "kind": "Provisioner", "metadata": { "name": name, "uid": "u" },
            "spec": { "providerRef": { "name": "class" }, "ttlSecondsUntilExpired": 60 },
        })
    }

    #[test]
    fn claims_of_karpenter_are_marked_and_those_of_joiner_left() {
        let claim = |name: &str, annotations: Value, id: &str| {
            json!({ "metadata": { "name": name, "annotations": annotations, "labels": { "karpenter.sh/capacity-type": "spot" } },
                "spec": { "nodeClassRef": { "name": "c" } }, "status": { "providerID": id } })
        };
        let mut ending = claim("ending", json!({}), "aws:///a/i-3");
        ending["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
        let claims = [
            claim("theirs", json!({}), "aws:///a/i-1"),
            ending,
            claim("ours", json!({ "joiner.dev/launch": "{}" }), "aws:///a/i-2"),
            claim("nothing", json!({}), ""),
        ];
        let nodes = [node("n", "aws:///a/i-1", json!({ "karpenter.sh/nodepool": "p" }))];
        let adoption = adoption(&claims, &nodes, &[]);
        let names = adoption.claims.iter().map(|(name, _)| name.as_str());
        assert_eq!(names.collect::<Vec<_>>(), ["theirs", "ending"]);
        assert_eq!(adoption.begun, ["nothing"]);
        assert!(adoption.nodes.is_empty() && adoption.left.is_empty());
        let request: LaunchRequest =
            serde_json::from_str(adoption.claims[0].1.as_str().unwrap()).unwrap();
        assert_eq!((request.node_class.as_str(), request.capacity_type), ("c", CapacityType::Spot));
    }

    #[test]
    fn nodes_without_a_claim_get_one_by_what_they_tell() {
        let labels = json!({
            "karpenter.sh/provisioner-name": "default", "karpenter.sh/capacity-type": "on-demand",
            "node.kubernetes.io/instance-type": "m5.large", "topology.kubernetes.io/zone": "us-east-1a", "role": "web",
        });
        let going = |finalizers: Value| {
            let mut node = node("going", "aws:///us-east-1a/i-7", labels.clone());
            node["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
            node["metadata"]["finalizers"] = finalizers;
            node
        };
        assert!(adoption(&[], &[going(json!([]))], &[provisioner("default")]).nodes.is_empty());
        let kept = [going(json!([labels::TERMINATION_FINALIZER]))];
        assert_eq!(adoption(&[], &kept, &[provisioner("default")]).nodes.len(), 1);
        let nodes = [
            node("a", "aws:///us-east-1a/i-0abc", labels.clone()),
            node("asg", "aws:///us-east-1a/i-9", json!({ "role": "default" })),
            node(
                "orphan",
                "aws:///us-east-1a/i-8",
                json!({ "karpenter.sh/provisioner-name": "gone" }),
            ),
        ];
        let adoption = adoption(&[], &nodes, &[provisioner("default")]);
        assert_eq!(
            adoption.left,
            [("orphan".to_owned(), "its pool gone is not there any more".to_owned())]
        );
        let [(name, claim)] = &adoption.nodes[..] else { panic!("{adoption:?}") };
        assert_eq!((name.as_str(), &claim["metadata"]["name"]), ("a", &json!("default-0abc")));
        assert_eq!(claim["spec"]["nodeClassRef"]["kind"], "AWSNodeTemplate");
        assert_eq!(claim["spec"]["expireAfter"], "60s");
        assert_eq!(claim["metadata"]["labels"]["role"], "web");
        assert_eq!(claim["status"]["providerID"], "aws:///us-east-1a/i-0abc");
        let reading = api::read(claim).unwrap();
        assert_eq!(reading.findings, []);
        let api::Object::NodeClaim(claim) = &reading.objects[0] else { panic!() };
        assert!(claim.launch.is_some() && claim.pool_hash.is_none());
        assert_eq!(
            (claim.pool.as_str(), claim.instance_type.as_deref()),
            ("default", Some("m5.large"))
        );
    }
}
