use super::*;
use model::pool::ImageFamily;

fn check(path: &str, value: Value, expected: &[&str]) {
    check_findings(&with(node_template(), path, value), expected);
}

#[test]
fn every_field_of_the_reference_is_known() {
    let spec = json!({
        "amiFamily": "Bottlerocket",
        "subnetSelector": { "aws-ids": "subnet-1,subnet-2" },
        "securityGroupSelector": { "aws::ids": "sg-1" },
        "amiSelector": { "aws::name": "x*", "aws::owners": "self,amazon" },
        "instanceProfile": "nodes",
        "userData": "x",
        "context": "y",
        "detailedMonitoring": true,
        "tags": { "Name": "karpenter" },
        "metadataOptions": {
            "httpEndpoint": "enabled", "httpProtocolIPv6": "disabled",
            "httpPutResponseHopLimit": 2, "httpTokens": "optional"
        },
        "blockDeviceMappings": [{ "deviceName": "/dev/xvdb", "ebs": {
            "deleteOnTermination": true, "encrypted": true, "iops": 3000, "kmsKeyID": "k", "snapshotID": "snap-1",
            "throughput": 125, "volumeSize": "100Gi", "volumeType": "gp3"
        } }]
    });
    let status = json!({
        "subnets": [{ "id": "subnet-1", "zone": "us-east-1b" }, { "id": "subnet-2", "zone": "us-east-1a" }],
        "securityGroups": [{ "id": "sg-1", "name": "nodes" }],
        "amis": [{ "id": "ami-1", "name": "x", "requirements": [
            { "key": "kubernetes.io/arch", "operator": "In", "values": ["amd64"] }
        ] }]
    });
    let object = with(with(node_template(), "spec", spec), "status", status);
    check_findings(&object, &[]);
    let class = class(&object);
    assert_eq!(class.image_family, ImageFamily::Bottlerocket);
    assert_eq!(class.ephemeral_storage_bytes, 100 << 30);
    assert_eq!(class.zones, ["us-east-1a", "us-east-1b"]);
}

#[test]
fn the_image_family_is_al2_unless_named() {
    assert_eq!(class(&node_template()).image_family, ImageFamily::Al2);
    check("spec.amiFamily", json!("Ubuntu"), &[]);
    check("spec.amiFamily", json!("AL2023"), &["error spec.amiFamily enum"]);
    check("spec.amiFamily", json!("Custom"), &["error spec.amiSelector custom-needs-ami-selector"]);
    let custom = with(node_template(), "spec.amiFamily", json!("Custom"));
    check_findings(&with(custom, "spec.amiSelector", json!({ "aws-ids": "ami-1" })), &[]);
}

#[test]
fn subnets_and_security_groups_are_required() {
    check("spec.subnetSelector", Value::Null, &["error spec.subnetSelector required"]);
    check("spec.subnetSelector", json!({}), &["error spec.subnetSelector required"]);
    check(
        "spec.securityGroupSelector",
        Value::Null,
        &["error spec.securityGroupSelector required"],
    );
    check(
        "spec.subnetSelector",
        json!({ "a": "" }),
        &["error spec.subnetSelector.a selector-value"],
    );
    check(
        "spec.subnetSelector",
        json!({ "aws-ids": "x" }),
        &["error spec.subnetSelector[\"aws-ids\"] selector-id"],
    );
}

#[test]
fn a_launch_template_excludes_what_it_says_itself() {
    let spec = json!({ "subnetSelector": { "a": "b" }, "launchTemplate": "mine" });
    let object = with(node_template(), "spec", spec);
    check_findings(&object, &[]);
    let excluded = [
        ("securityGroupSelector", json!({ "a": "b" })),
        ("metadataOptions", json!({})),
        ("amiFamily", json!("AL2")),
        ("instanceProfile", json!("p")),
        ("blockDeviceMappings", json!([])),
        ("userData", json!("x")),
        ("amiSelector", json!({ "a": "b" })),
    ];
    for (name, value) in excluded {
        let finding = format!("error spec.{name} launch-template");
        check_findings(&with(object.clone(), &format!("spec.{name}"), value), &[&finding]);
    }
}

#[test]
fn metadata_options_are_enumerated_and_hops_bounded() {
    let at = |name: &str| format!("spec.metadataOptions.{name}");
    for name in ["httpEndpoint", "httpProtocolIPv6", "httpTokens"] {
        check(&at(name), json!("maybe"), &[&format!("error spec.metadataOptions.{name} enum")]);
    }
    check(&at("httpTokens"), json!("optional"), &[]);
    check(&at("httpEndpoint"), json!("disabled"), &[]);
    for (hops, rules) in [
        (1, &[][..]),
        (64, &[]),
        (0, &["error spec.metadataOptions.httpPutResponseHopLimit range"]),
        (65, &["error spec.metadataOptions.httpPutResponseHopLimit range"]),
    ] {
        check(&at("httpPutResponseHopLimit"), json!(hops), rules);
    }
}

#[test]
fn devices_have_a_name_and_a_size() {
    let device = |device: Value| json!([device]);
    let path = "spec.blockDeviceMappings";
    check(path, device(json!({ "deviceName": "/dev/xvda", "ebs": { "volumeSize": "50Gi" } })), &[]);
    check(
        path,
        device(json!({ "ebs": { "volumeSize": "50Gi" } })),
        &["error spec.blockDeviceMappings[0].deviceName required"],
    );
    check(
        path,
        device(json!({ "deviceName": "/dev/xvda", "ebs": {} })),
        &["error spec.blockDeviceMappings[0].ebs volume-size"],
    );
    check(
        path,
        device(json!({ "deviceName": "/dev/xvda", "ebs": { "volumeSize": "65T" } })),
        &["error spec.blockDeviceMappings[0].ebs.volumeSize volume-size"],
    );
    check(
        path,
        device(
            json!({ "deviceName": "/dev/xvda", "ebs": { "volumeSize": "1G", "volumeType": "gp9" } }),
        ),
        &["error spec.blockDeviceMappings[0].ebs.volumeType enum"],
    );
    check(
        path,
        device(json!({ "deviceName": "/dev/xvda", "rootVolume": true })),
        &["warning spec.blockDeviceMappings[0].rootVolume unknown-field"],
    );
}

#[test]
fn tags_of_the_autoscaler_are_refused() {
    check("spec.tags", json!({ "Name": "a" }), &[]);
    check(
        "spec.tags",
        json!({ "karpenter.sh/managed-by": "a" }),
        &["error spec.tags[\"karpenter.sh/managed-by\"] tag-restricted"],
    );
}
