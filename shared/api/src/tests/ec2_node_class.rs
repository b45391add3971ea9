use super::*;
use model::pool::ImageFamily;

fn check(path: &str, value: Value, expected: &[&str]) {
    check_findings(&with(node_class(), path, value), expected);
}

#[test]
fn every_field_of_the_reference_is_known() {
    let spec = json!({
        "subnetSelectorTerms": [{ "tags": { "a": "*" } }, { "id": "subnet-1" }],
        "securityGroupSelectorTerms": [{ "tags": { "a": "b" } }, { "id": "sg-1" }, { "name": "nodes" }],
        "amiSelectorTerms": [{ "tags": { "a": "b" }, "name": "x*", "owner": "self" }, { "id": "ami-1" }, { "ssmParameter": "/x" }],
        "capacityReservationSelectorTerms": [{ "id": "cr-1" }, { "tags": { "a": "b" }, "ownerID": "123456789012", "instanceMatchCriteria": "open" }],
        "placementGroupSelector": { "name": "near" },
        "amiFamily": "Bottlerocket",
        "instanceProfile": "nodes",
        "userData": "x", "context": "y", "detailedMonitoring": true, "associatePublicIPAddress": false, "ipPrefixCount": 1,
        "tags": { "vadc:purpose": "x" },
        "kubelet": { "maxPods": 20, "evictionHard": { "memory.available": "5%" } },
        "blockDeviceMappings": [
            { "deviceName": "/dev/xvdb", "rootVolume": true, "ebs": {
                "deleteOnTermination": true, "encrypted": true, "iops": 3000, "kmsKeyID": "k", "snapshotID": "snap-1",
                "throughput": 125, "volumeInitializationRate": 100, "volumeSize": "100Gi", "volumeType": "gp3" } }
        ],
        "instanceStorePolicy": "RAID0",
        "networkInterfaces": [{ "networkCardIndex": 0, "deviceIndex": 0, "interfaceType": "efa-only" }],
        "metadataOptions": { "httpEndpoint": "enabled", "httpProtocolIPv6": "disabled", "httpPutResponseHopLimit": 1, "httpTokens": "required" },
        "connectionTracking": { "tcpEstablishedTimeout": 60, "udpStreamTimeout": 60, "udpTimeout": 30 },
        "cpuOptions": { "nestedVirtualization": "enabled" }
    });
    let status = json!({
        "subnets": [{ "id": "subnet-1", "zone": "us-east-1b", "zoneID": "use1-az1" }],
        "securityGroups": [{ "id": "sg-1" }],
        "amis": [{ "id": "ami-1", "name": "x", "deprecated": false, "requirements": [] }],
        "capacityReservations": [{ "id": "cr-1", "availabilityZone": "a", "instanceType": "m5.large", "instanceMatchCriteria": "open", "ownerID": "1", "reservationType": "default", "state": "active" }],
        "instanceProfile": "p",
        "conditions": [{ "type": "Ready", "status": "True" }]
    });
    let object = with(with(node_class(), "spec", spec), "status", status);
    check_findings(&object, &[]);
    let class = class(&object);
    assert_eq!(class.image_family, ImageFamily::Bottlerocket);
    assert_eq!(class.ephemeral_storage_bytes, 100 << 30);
    assert!(class.instance_store_raid0);
    assert_eq!(class.zones, ["us-east-1b"]);
    assert_eq!(class.zone_ids["us-east-1b"], "use1-az1");
    assert_eq!(class.kubelet.unwrap().max_pods, Some(20));
}

#[test]
fn terms_are_required_bounded_and_never_empty() {
    for name in ["subnetSelectorTerms", "securityGroupSelectorTerms", "amiSelectorTerms"] {
        let path = format!("spec.{name}");
        let missing =
            with(with(node_class(), "spec.amiFamily", json!("AL2023")), &path, Value::Null);
        check_findings(&missing, &[&format!("error {path} required")]);
        let family = with(node_class(), "spec.amiFamily", json!("AL2023"));
        check_findings(&with(family.clone(), &path, json!([])), &[&format!("error {path} length")]);
        check_findings(
            &with(family.clone(), &path, json!([{}])),
            &[&format!("error {path}[0] term-empty")],
        );
        check_findings(
            &with(family.clone(), &path, json!(vec![json!({ "tags": { "a": "b" } }); 30])),
            &[],
        );
        check_findings(
            &with(family.clone(), &path, json!(vec![json!({ "tags": { "a": "b" } }); 31])),
            &[&format!("error {path} length")],
        );
        check_findings(
            &with(family, &path, json!([{ "tags": { "a": "" } }])),
            &[&format!("error {path}[0].tags.a term-tag")],
        );
    }
}

#[test]
fn ids_and_names_stand_alone_and_ids_have_their_prefix() {
    let both = |id: &str| json!([{ "tags": { "a": "b" }, "id": id }]);
    check(
        "spec.subnetSelectorTerms",
        both("subnet-1"),
        &["error spec.subnetSelectorTerms[0].id term-exclusive"],
    );
    check(
        "spec.securityGroupSelectorTerms",
        both("sg-1"),
        &["error spec.securityGroupSelectorTerms[0].id term-exclusive"],
    );
    check(
        "spec.securityGroupSelectorTerms",
        json!([{ "name": "a", "tags": { "a": "b" } }]),
        &["error spec.securityGroupSelectorTerms[0].name term-exclusive"],
    );
    check(
        "spec.subnetSelectorTerms",
        json!([{ "id": "sg-1" }]),
        &["error spec.subnetSelectorTerms[0].id selector-id"],
    );
    check(
        "spec.subnetSelectorTerms",
        json!([{ "id": "subnet-1 " }]),
        &["warning spec.subnetSelectorTerms[0].id selector-id-spaces"],
    );
    let custom = with(node_class(), "spec.amiFamily", json!("Custom"));
    check_findings(
        &with(custom.clone(), "spec.amiSelectorTerms", both("ami-1")),
        &["error spec.amiSelectorTerms[0].id term-exclusive"],
    );
    check_findings(
        &with(custom, "spec.amiSelectorTerms", json!([{ "owner": "self" }])),
        &["error spec.amiSelectorTerms[0] term-empty"],
    );
}

#[test]
fn terms_of_reservations_and_placement_groups_are_checked() {
    check(
        "spec.capacityReservationSelectorTerms",
        json!([{ "id": "cr-1", "ownerID": "123456789012" }]),
        &["error spec.capacityReservationSelectorTerms[0].id term-exclusive"],
    );
    check(
        "spec.capacityReservationSelectorTerms",
        json!([{ "ownerID": "123456789012" }]),
        &["error spec.capacityReservationSelectorTerms[0] term-empty"],
    );
    check(
        "spec.capacityReservationSelectorTerms",
        json!([{ "tags": { "a": "b" }, "ownerID": "12" }]),
        &["error spec.capacityReservationSelectorTerms[0].ownerID pattern"],
    );
    check(
        "spec.capacityReservationSelectorTerms",
        json!([{ "instanceMatchCriteria": "any" }]),
        &[
            "error spec.capacityReservationSelectorTerms[0].instanceMatchCriteria enum",
            "error spec.capacityReservationSelectorTerms[0] term-empty",
        ],
    );
    check(
        "spec.placementGroupSelector",
        json!({ "name": "a", "id": "pg-1" }),
        &[
            "error spec.placementGroupSelector.name term-exclusive",
            "error spec.placementGroupSelector.id term-exclusive",
        ],
    );
    check(
        "spec.placementGroupSelector",
        json!({}),
        &["error spec.placementGroupSelector term-empty"],
    );
}

#[test]
fn aliases_are_known_alone_and_agree_with_the_family() {
    let alias = |alias: &str| json!([{ "alias": alias }]);
    for text in [
        "al2@latest",
        "al2023@v20240625",
        "bottlerocket@v1.10.0",
        "windows2019@latest",
        "windows2022@latest",
        "windows2025@latest",
    ] {
        check("spec.amiSelectorTerms", alias(text), &[]);
    }
    for text in ["al2023", "al2023@", "@latest", "ubuntu@latest", "windows2022@v1"] {
        check(
            "spec.amiSelectorTerms",
            alias(text),
            &["error spec.amiSelectorTerms[0].alias alias"],
        );
    }
    check(
        "spec.amiSelectorTerms",
        json!([{ "alias": "al2@latest" }, { "id": "ami-1" }]),
        &["error spec.amiSelectorTerms alias-alone"],
    );
    check(
        "spec.amiSelectorTerms",
        json!([{ "alias": "al2@latest", "id": "ami-1" }]),
        &[
            "error spec.amiSelectorTerms[0].id term-exclusive",
            "error spec.amiSelectorTerms[0].alias term-exclusive",
        ],
    );
    check("spec.amiFamily", json!("AL2023"), &[]);
    check("spec.amiFamily", json!("Custom"), &[]);
    check("spec.amiFamily", json!("AL2"), &["error spec.amiFamily ami-family"]);
    check("spec.amiFamily", json!("Ubuntu"), &["error spec.amiFamily enum"]);
    check(
        "spec.amiSelectorTerms",
        json!([{ "id": "ami-1" }]),
        &["error spec.amiFamily ami-family"],
    );
    assert_eq!(class(&node_class()).image_family, ImageFamily::Al2023);
    let windows = with(node_class(), "spec.amiSelectorTerms", alias("windows2025@latest"));
    assert_eq!(class(&windows).image_family, ImageFamily::Windows2025);
    assert_eq!(
        class(&with(windows, "spec.amiFamily", json!("Custom"))).image_family,
        ImageFamily::Custom
    );
}

#[test]
fn exactly_one_of_role_and_instance_profile_is_given() {
    let refused = ["error spec.role role-or-instance-profile"];
    check("spec.instanceProfile", json!("p"), &refused);
    check("spec.role", Value::Null, &refused);
    check("spec.role", json!(""), &["error spec.role length"]);
    check_findings(
        &with(with(node_class(), "spec.role", Value::Null), "spec.instanceProfile", json!("p")),
        &[],
    );
}

#[test]
fn options_are_enumerated_and_bounded() {
    check(
        "spec.metadataOptions",
        json!({ "httpTokens": "maybe" }),
        &["error spec.metadataOptions.httpTokens enum"],
    );
    check(
        "spec.metadataOptions",
        json!({ "httpPutResponseHopLimit": 65 }),
        &["error spec.metadataOptions.httpPutResponseHopLimit range"],
    );
    check("spec.instanceStorePolicy", json!("RAID1"), &["error spec.instanceStorePolicy enum"]);
    check(
        "spec.networkInterfaces",
        json!([{ "interfaceType": "efa" }]),
        &["error spec.networkInterfaces[0].interfaceType enum"],
    );
    check(
        "spec.networkInterfaces",
        json!(vec![json!({}); 151]),
        &["error spec.networkInterfaces length"],
    );
    check("spec.ipPrefixCount", json!(-1), &["error spec.ipPrefixCount range"]);
    let tracking = [
        ("tcpEstablishedTimeout", 59, 432_001),
        ("udpStreamTimeout", 59, 181),
        ("udpTimeout", 29, 61),
    ];
    for (name, low, high) in tracking {
        let path = format!("spec.connectionTracking.{name}");
        for (seconds, bad) in [(low, true), (low + 1, false), (high - 1, false), (high, true)] {
            let finding = format!("error {path} range");
            let expected = if bad { vec![finding.as_str()] } else { vec![] };
            check(&path, json!(seconds), &expected);
        }
    }
    check(
        "spec.tags",
        json!({ "eks:eks-cluster-name": "x" }),
        &["error spec.tags[\"eks:eks-cluster-name\"] tag-restricted"],
    );
    check(
        "spec.kubelet",
        json!({ "containerRuntime": "containerd" }),
        &["warning spec.kubelet.containerRuntime unknown-field"],
    );
    check(
        "spec.kubelet",
        json!({ "kubeReserved": { "cpu": "-1" } }),
        &["error spec.kubelet.kubeReserved.cpu quantity-negative"],
    );
}

#[test]
fn devices_are_bounded_and_rates_need_a_snapshot() {
    let path = "spec.blockDeviceMappings";
    let ebs = |ebs: Value| json!([{ "ebs": ebs }]);
    check(path, json!(vec![json!({}); 50]), &[]);
    check(path, json!(vec![json!({}); 51]), &["error spec.blockDeviceMappings length"]);
    check(
        path,
        json!([{ "rootVolume": true }, { "rootVolume": true }]),
        &["error spec.blockDeviceMappings root-volume"],
    );
    check(
        path,
        ebs(json!({ "snapshotID": "s", "volumeInitializationRate": 301 })),
        &["error spec.blockDeviceMappings[0].ebs.volumeInitializationRate range"],
    );
    check(
        path,
        ebs(json!({ "volumeSize": "1Gi", "volumeInitializationRate": 300 })),
        &[
            "error spec.blockDeviceMappings[0].ebs.volumeInitializationRate volume-initialization-rate",
        ],
    );
}

#[test]
fn v1beta1_names_the_family_and_needs_no_image_terms() {
    let check = |path: &str, value: Value, expected: &[&str]| {
        check_findings(&with(beta_node_class(), path, value), expected);
    };
    check("spec.role", json!("nodes"), &[]);
    check("spec.amiFamily", Value::Null, &["error spec.amiFamily required"]);
    check("spec.amiFamily", json!("Ubuntu"), &[]);
    check(
        "spec.amiFamily",
        json!("Custom"),
        &["error spec.amiSelectorTerms custom-needs-ami-selector"],
    );
    check(
        "spec.amiSelectorTerms",
        json!([{ "name": "1-31-EKS-FIPS*", "owner": "143731057154" }]),
        &[],
    );
    check(
        "spec.amiSelectorTerms",
        json!([{ "alias": "al2@latest" }]),
        &[
            "warning spec.amiSelectorTerms[0].alias unknown-field",
            "error spec.amiSelectorTerms[0] term-empty",
        ],
    );
    check("spec.kubelet", json!({}), &["warning spec.kubelet unknown-field"]);
    assert_eq!(class(&beta_node_class()).image_family, ImageFamily::Al2);
}

#[test]
fn a_class_that_is_not_ready_says_why() {
    let status = json!({ "conditions": [{ "type": "Ready", "status": "False", "reason": "SubnetsNotFound" }] });
    let class = class(&with(node_class(), "status", status));
    assert_eq!(class.problem.as_deref(), Some("not ready: SubnetsNotFound"));
}
