use super::*;
use model::disruption::{InterruptionKind, Stage};
use model::{CapacityType, Interruption, Timestamp};

#[test]
fn a_claim_carries_what_its_node_will() {
    let object = node_claim();
    assert_eq!(findings(&object), Vec::<String>::new());
    let claim = claim(&object);
    assert_eq!((&*claim.name, claim.pool.as_str()), ("default-x1", "default"));
    assert_eq!(claim.node_name.as_deref(), Some("ip-10-0-0-1.ec2.internal"));
    assert_eq!(claim.provider_id.as_deref(), Some("aws:///us-east-1a/i-1"));
    assert_eq!(claim.instance_type.as_deref(), Some("m5.large"));
    assert_eq!(claim.zone.as_deref(), Some("us-east-1a"));
    assert_eq!(claim.capacity_type, Some(CapacityType::Spot));
    assert_eq!(claim.labels.get("kubernetes.io/arch"), None, "two values say nothing of the label");
    assert_eq!((claim.taints.len(), claim.startup_taints.len()), (1, 1));
    assert_eq!(claim.node_class, "default");
    assert_eq!((claim.capacity.get("cpu"), claim.allocatable.get("cpu")), (2_000, 1_930));
    assert_eq!(claim.allocatable.get("pods"), 29);
    assert_eq!(claim.created_at, Some(Timestamp(1_767_225_600)));
    assert_eq!((claim.price, claim.deleting), (None, false));
}

#[test]
fn a_claims_own_labels_win_over_its_requirements() {
    let labels = json!({ "node.kubernetes.io/instance-type": "m5.xlarge", "karpenter.sh/capacity-type": "on-demand" });
    let claim = claim(&with(node_claim(), "metadata.labels", labels));
    assert_eq!(claim.instance_type.as_deref(), Some("m5.xlarge"));
    assert_eq!(claim.capacity_type, Some(CapacityType::OnDemand));
}

#[test]
fn a_claim_may_be_new_or_going() {
    let new = claim(&with(node_claim(), "status", Value::Null));
    assert_eq!((new.node_name, new.provider_id), (None, None));
    assert!(new.allocatable.is_empty());
    let going = with(node_claim(), "metadata.deletionTimestamp", json!("2026-01-01T00:00:00Z"));
    assert!(claim(&going).deleting);
}

#[test]
fn requirements_of_a_claim_may_name_its_pool() {
    let pool = json!([{ "key": "karpenter.sh/nodepool", "operator": "In", "values": ["gpu"] }]);
    let object = with(with(node_claim(), "spec.requirements", pool), "metadata.labels", json!({}));
    assert_eq!(findings(&object), Vec::<String>::new());
    assert_eq!(claim(&object).pool, "gpu");
}

#[test]
fn v1beta1_is_read_too() {
    let object = with(node_claim(), "apiVersion", json!("karpenter.sh/v1beta1"));
    let object = with(object, "spec.nodeClassRef", json!({ "name": "default" }));
    let object = with(object, "spec.kubelet", json!({ "maxPods": 3 }));
    assert_eq!(findings(&object), Vec::<String>::new());
    assert_eq!(claim(&object).pool, "default");
}

#[test]
fn a_broken_status_is_a_warning() {
    let object = with(node_claim(), "status.capacity", json!({ "cpu": "lots", "memory": "8Gi" }));
    let object = with(object, "status.future", json!(1));
    assert_eq!(findings(&object), ["warning status.capacity.cpu quantity"]);
    assert_eq!(claim(&object).capacity.get("memory"), 8 << 30);
}

const LAUNCH: &str = r#"{"batch":"b-1","size":2,"nodeClass":"default","capacityType":"spot","offerings":[{"instanceType":"c7g.large","zone":"us-east-1b","capacityType":"spot","priceMicroUsdPerHour":31000,"priceEstimated":false}],"labels":{"a":"b"},"pods":["shop/cart-0","shop/cart-1"]}"#;

#[test]
fn a_claim_before_its_launch_is_what_it_is_launched_by() {
    let object = with(node_claim(), "status", Value::Null);
    let object = with(object, "metadata.labels", json!({ "karpenter.sh/nodepool": "default" }));
    let object = with(object, "spec.requirements", json!([]));
    let annotations = json!({ "joiner.dev/launch": LAUNCH });
    let claim = claim(&with(object, "metadata.annotations", annotations));
    assert_eq!(claim.instance_type.as_deref(), Some("c7g.large"));
    assert_eq!(claim.zone.as_deref(), Some("us-east-1b"));
    assert_eq!(claim.capacity_type, Some(CapacityType::Spot));
    let pods = claim.nominated.iter().map(ToString::to_string).collect::<Vec<_>>();
    assert_eq!(pods, ["shop/cart-0", "shop/cart-1"]);
    assert_eq!(claim.launch.map(|launch| (launch.batch, launch.size)), Some(("b-1".to_owned(), 2)));
}

#[test]
fn a_launch_request_that_cannot_be_read_is_found() {
    let annotations = json!({ "joiner.dev/launch": "{\"batch\":" });
    let object = with(node_claim(), "metadata.annotations", annotations);
    let path = "metadata.annotations[\"joiner.dev/launch\"]";
    assert_eq!(findings(&object), [format!("warning {path} claim-annotation")]);
    assert_eq!(claim(&object).launch, None);
}

#[test]
fn a_claim_tells_how_far_it_has_come_and_how_it_goes() {
    let conditions = json!([
        { "type": "Launched", "status": "True" },
        { "type": "Registered", "status": "True" },
        { "type": "Initialized", "status": "Unknown" },
    ]);
    let object = with(node_claim(), "status.conditions", conditions);
    let object = with(object, "metadata.uid", json!("u-1"));
    let object = with(object, "metadata.finalizers", json!(["karpenter.sh/termination"]));
    let object = with(object, "metadata.deletionTimestamp", json!("2026-01-01T00:00:05Z"));
    let claim = claim(&with(object, "spec.terminationGracePeriod", json!("1h")));
    let progress = &claim.progress;
    assert_eq!((progress.launched, progress.registered, progress.initialized), (true, true, false));
    assert_eq!((claim.uid.as_str(), claim.finalizer), ("u-1", true));
    assert_eq!(claim.deletion_at, Some(Timestamp(1_767_225_605)));
    assert_eq!(claim.termination_grace_period, Some(model::Duration(3600)));
}

#[test]
fn a_claim_tells_why_and_how_far_it_is_on_its_way_out() {
    let annotations = json!({
        "joiner.dev/interruption": "{\"kind\":\"spot-warning\",\"at\":100,\"deadline\":220}",
        "joiner.dev/disruption": "{\"id\":\"d-1\",\"reason\":\"Drifted\",\"stage\":\"committed\",\"since\":90}",
        "karpenter.sh/nodepool-hash": "1", "karpenter.sh/nodepool-hash-version": "v3",
        "karpenter.k8s.aws/ec2nodeclass-hash": "2",
    });
    let object = with(node_claim(), "metadata.annotations", annotations);
    assert_eq!(findings(&object), Vec::<String>::new());
    let claim = claim(&object);
    let interruption = Interruption {
        kind: InterruptionKind::SpotWarning,
        at: Timestamp(100),
        deadline: Some(Timestamp(220)),
    };
    assert_eq!(claim.interruption, Some(interruption));
    let disruption = claim.disruption.unwrap();
    assert_eq!((disruption.id.as_str(), disruption.stage), ("d-1", Stage::Committed));
    assert_eq!(claim.pool_hash.as_deref(), Some("v3/1"));
    assert_eq!(claim.class_hash, None, "a hash without its version says nothing");
}

#[test]
fn what_joiner_wrote_on_a_claim_and_cannot_be_read_is_found() {
    for key in ["joiner.dev/interruption", "joiner.dev/disruption"] {
        for text in ["", "{}", "yes", "{\"kind\":\"fire\",\"at\":1}"] {
            let object = with(node_claim(), "metadata.annotations", json!({ key: text }));
            let path = format!("metadata.annotations[\"{key}\"]");
            assert_eq!(findings(&object), [format!("warning {path} claim-annotation")]);
            let claim = claim(&object);
            assert_eq!((claim.interruption, claim.disruption), (None, None));
        }
    }
}

#[test]
fn a_claim_tells_its_age_limit() {
    let check = |text: &str, expected: Option<i64>| {
        let object = with(node_claim(), "spec.expireAfter", json!(text));
        assert_eq!(claim(&object).expire_after, expected.map(model::Duration), "{text}");
    };
    check("720h", Some(2_592_000));
    check("60s", Some(60));
    check("Never", None);
    assert_eq!(claim(&node_claim()).expire_after, Some(model::Duration(2_592_000)), "the default");
}
