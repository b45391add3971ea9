//! Digests of the fields of pools and classes whose change makes nodes drift.

use model::node_class::KubeletSettings;
use model::pool::ApiVersion;
use model::{NodeClassSpec, NodePool};
use serde_json::{Value, json};

/// How these digests are made. Those that Karpenter or another release made say nothing beside ours, so whoever changes what counts
/// changes this too, and no node drifts by it.
pub(crate) const VERSION: &str = "joiner-1";

/// Fields of classes that do not count: which subnets, groups, images and reservations are found is compared by itself, and where an
/// object came from says nothing of its nodes (karpenter-provider-aws v1, the fields marked to be ignored by its hash).
const IGNORED: [&str; 9] = [
    "name",
    "uid",
    "api_version",
    "hash",
    "subnets",
    "security_groups",
    "images",
    "capacity_reservations",
    "ip_prefix_count",
];

/// The digest of a class, as decimal text.
pub(crate) fn of_class(spec: &NodeClassSpec) -> String {
    let mut fields = serde_json::to_value(spec).unwrap_or_default();
    if let Some(fields) = fields.as_object_mut() {
        fields.retain(|name, _| !IGNORED.contains(&name.as_str()));
    }
    of(fields)
}

/// The digest of a pool's template. Requirements do not count: they are compared with the labels of each node. In the legacy API the
/// class's name and the expiration do not count either (karpenter core v0.31 `provisioner.go`, v1 `nodepool.go`).
pub(crate) fn of_pool(pool: &NodePool, kubelet: Option<&KubeletSettings>) -> String {
    let mut fields = json!({
        "labels": pool.labels,
        "annotations": pool.annotations,
        "taints": pool.taints,
        "startup_taints": pool.startup_taints,
        "kubelet": kubelet,
    });
    if pool.api_version != ApiVersion::Legacy {
        fields["node_class"] = json!(pool.node_class);
        fields["expire_after"] = json!(pool.expire_after);
        fields["termination_grace_period"] = json!(pool.termination_grace_period);
    }
    of(fields)
}

/// Empty fields and the order of lists do not count, so a field that a later release adds changes the digest of nothing that does
/// not use it.
fn of(fields: Value) -> String {
    fnv(canonical(fields).unwrap_or_default().to_string().as_bytes()).to_string()
}

/// The value without what is empty, its lists sorted; `None` if nothing is left.
fn canonical(value: Value) -> Option<Value> {
    match value {
        Value::Null | Value::Bool(false) => None,
        Value::Bool(true) | Value::Number(_) => Some(value),
        Value::String(text) => (!text.is_empty()).then_some(Value::String(text)),
        Value::Array(items) => {
            let mut items = items.into_iter().filter_map(canonical).collect::<Vec<_>>();
            items.sort_by_cached_key(Value::to_string);
            (!items.is_empty()).then_some(Value::Array(items))
        }
        Value::Object(fields) => {
            let fields = fields.into_iter();
            let kept = fields.filter_map(|(name, value)| Some((name, canonical(value)?)));
            let kept = kept.collect::<serde_json::Map<_, _>>();
            (!kept.is_empty()).then_some(Value::Object(kept))
        }
    }
}

/// The 64-bit FNV-1a digest: it need only tell edits apart, not resist anyone.
fn fnv(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |digest, byte| {
        (digest ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    })
}
