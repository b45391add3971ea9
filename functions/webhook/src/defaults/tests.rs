use super::*;
use model::labels;

fn provisioner(requirements: Value) -> Value {
    json!({
        "apiVersion": "karpenter.sh/v1alpha5",
        "kind": "Provisioner",
        "spec": { "requirements": requirements },
    })
}

fn keys(object: &Value) -> Vec<String> {
    let patch = patch(object, false);
    patch.iter().filter_map(|add| add["value"]["key"].as_str().map(str::to_owned)).collect()
}

#[test]
fn provisioners_get_the_keys_that_they_lack() {
    const CATEGORY: &str = "karpenter.k8s.aws/instance-category";
    const GENERATION: &str = "karpenter.k8s.aws/instance-generation";
    let check = |given: &[&str], expected: &[&str]| {
        let given = given.iter().map(|key| json!({ "key": key, "operator": "Exists" }));
        assert_eq!(keys(&provisioner(given.collect())), expected);
    };
    check(&[], &[labels::OS, labels::ARCH, labels::CAPACITY_TYPE, CATEGORY, GENERATION]);
    check(&[labels::OS, labels::ARCH], &[labels::CAPACITY_TYPE, CATEGORY, GENERATION]);
    check(&["beta.kubernetes.io/arch"], &[labels::OS, labels::CAPACITY_TYPE, CATEGORY, GENERATION]);
    for chosen in [labels::INSTANCE_TYPE, "karpenter.k8s.aws/instance-family", CATEGORY, GENERATION]
    {
        check(&[chosen], &[labels::OS, labels::ARCH, labels::CAPACITY_TYPE]);
    }
    check(&[labels::OS, labels::ARCH, labels::CAPACITY_TYPE, labels::INSTANCE_TYPE], &[]);
}

#[test]
fn a_patch_can_be_applied_to_what_is_there() {
    let list = json!({ "op": "add", "path": "/spec/requirements", "value": [] });
    assert_eq!(patch(&provisioner(Value::Null), false)[0], list);
    assert_eq!(patch(&provisioner(json!([])), false)[0]["path"], "/spec/requirements/-");
    let without_spec = json!({ "apiVersion": "karpenter.sh/v1alpha5", "kind": "Provisioner" });
    assert_eq!(patch(&without_spec, true), Vec::<Value>::new());
    let generation = patch(&provisioner(json!([])), false).pop().unwrap();
    let expected = json!({
        "key": "karpenter.k8s.aws/instance-generation", "operator": "Gt", "values": ["2"],
    });
    assert_eq!(generation["value"], expected);
}

#[test]
fn node_templates_get_their_family_when_they_are_made() {
    let check = |spec: Value, is_new: bool, expected: usize| {
        let template = json!({ "apiVersion": "karpenter.k8s.aws/v1alpha1", "kind": "AWSNodeTemplate", "spec": spec });
        assert_eq!(patch(&template, is_new).len(), expected, "{template} {is_new}");
    };
    check(json!({}), true, 1);
    check(json!({}), false, 0);
    check(json!({ "amiFamily": "Bottlerocket" }), true, 0);
    check(json!({ "launchTemplate": "own" }), true, 0);
}

#[test]
fn other_kinds_are_never_touched() {
    for (version, kind) in [
        ("karpenter.sh/v1", "NodePool"),
        ("karpenter.sh/v1", "Provisioner"),
        ("karpenter.k8s.aws/v1", "EC2NodeClass"),
        ("v1", "Pod"),
    ] {
        let object = json!({ "apiVersion": version, "kind": kind, "spec": {} });
        assert_eq!(patch(&object, true), Vec::<Value>::new(), "{kind}");
    }
}
