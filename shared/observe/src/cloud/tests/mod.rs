//! Reading AWS by its wire: what is asked, what becomes of the answers, and of errors.

mod classes;
mod failures;
mod images;
mod interruptions;
mod market;
mod wire;

use super::*;
use model::{CapacityType, InstanceState, Labels};
use wire::{NOW, Wire, class, instance, instances, usual};

#[tokio::test]
async fn instances_are_found_by_the_clusters_tag_page_by_page() {
    let wire = usual();
    let spot = instance("i-1", "pending", "<instanceLifecycle>spot</instanceLifecycle>");
    wire.answer("Action=DescribeInstances", instances(&[instance("i-2", "running", "")], "more"))
        .answer("Action=DescribeInstances NextToken=more", instances(&[spot], ""));
    let reading = wire.read(&[], &mut Facts::default(), NOW).await.unwrap();
    let [first, second] = &reading.instances[..] else { panic!("{:?}", reading.instances) };
    let tags = [("karpenter.sh/nodepool", "default"), ("kubernetes.io/cluster/demo", "owned")];
    let expected = Instance {
        id: "i-1".to_owned(),
        instance_type: "m5.large".to_owned(),
        zone: "us-east-1a".to_owned(),
        capacity_type: CapacityType::Spot,
        state: InstanceState::Pending,
        launched_at: Timestamp(1_795_392_000),
        private_dns_name: "ip-10-0-0-4.ec2.internal".to_owned(),
        image_id: "ami-1".to_owned(),
        subnet_id: "subnet-1".to_owned(),
        security_group_ids: vec!["sg-1".to_owned(), "sg-2".to_owned()],
        reservation_id: None,
        placement_group: vec!["pg-1".to_owned(), "near".to_owned()],
        interruption: None,
        tags: tags
            .map(|(key, value)| (key.to_owned(), value.to_owned()))
            .into_iter()
            .collect::<Labels>(),
    };
    assert_eq!(*first, expected);
    assert_eq!((second.id.as_str(), second.capacity_type), ("i-2", CapacityType::OnDemand));
    let asked = &wire.requests()[0];
    for part in [
        "Filter.1.Name=tag:kubernetes.io/cluster/demo&Filter.1.Value.1=owned",
        "Filter.2.Name=tag-key&Filter.2.Value.1=karpenter.sh/nodepool&Filter.2.Value.2=karpenter.sh/provisioner-name",
        "Filter.3.Name=instance-state-name&Filter.3.Value.1=pending",
        "MaxResults=1000",
    ] {
        assert!(asked.contains(part), "{asked}");
    }
    assert!(!asked.contains("terminated"));
    assert_eq!(reading.calls[&call::DESCRIBE_INSTANCES], 2);
}

#[tokio::test]
async fn a_turn_in_which_nothing_changed_reads_only_instances() {
    let wire = usual();
    let mut memory = Facts::default();
    let classes = [class(serde_json::json!({}))];
    wire.read(&classes, &mut memory, NOW).await.unwrap();
    assert_eq!(
        wire.actions(),
        [
            "DescribeImages",
            "DescribeInstances",
            "DescribeSecurityGroups",
            "DescribeSubnets",
            "GetParameter",
            "GetParameter",
            "GetParameter",
            "GetParameter",
            "GetParameter",
        ]
    );
    let check = async |seconds: i64, memory: &mut Facts, expected: &[&str]| {
        wire.read(&classes, memory, Timestamp(NOW.0 + seconds)).await.unwrap();
        assert_eq!(wire.actions(), expected, "after {seconds} s");
    };
    let network = ["DescribeInstances", "DescribeSecurityGroups", "DescribeSubnets"];
    check(59, &mut memory, &["DescribeInstances"]).await;
    check(60, &mut memory, &network).await;
    check(119, &mut memory, &["DescribeInstances"]).await;
    let all = ["DescribeImages", network[0], network[1], network[2]];
    check(300, &mut memory, &all).await;
    // A clock that was ahead when the facts were read does not make them last.
    check(
        -10,
        &mut memory,
        &[
            "DescribeImages",
            "DescribeInstances",
            "DescribeSecurityGroups",
            "DescribeSubnets",
            "GetParameter",
            "GetParameter",
            "GetParameter",
            "GetParameter",
            "GetParameter",
        ],
    )
    .await;
}

#[tokio::test]
async fn facts_survive_in_a_config_map() {
    let wire = usual();
    let mut memory = Facts::default();
    let classes = [class(serde_json::json!({}))];
    let before = wire.read(&classes, &mut memory, NOW).await.unwrap();
    wire.requests();
    let data = memory.to_config_map_data();
    assert_eq!(data, memory.clone().to_config_map_data());
    let (mut read, findings) = Facts::from_config_map_data(&data);
    assert_eq!((&read, findings), (&memory, Vec::new()));
    let after = wire.read(&classes, &mut read, NOW).await.unwrap();
    assert_eq!(wire.actions(), ["DescribeInstances"]);
    assert_eq!(after.classes, before.classes);
    let mut broken = data.clone();
    broken.insert("classes".to_owned(), "1:AAAA".to_owned());
    let (read, findings) = Facts::from_config_map_data(&broken);
    assert_eq!(read.classes, facts::ClassFacts::default());
    assert!(findings[0].starts_with("the entry classes is ignored"), "{findings:?}");
}

fn cluster_answer(network: &str) -> String {
    format!(
        r#"{{"cluster":{{"name":"demo","arn":"arn:aws:eks:us-east-1:123456789012:cluster/demo","version":"1.33",
        "endpoint":"https://demo.example","certificateAuthority":{{"data":"QUJD"}},"status":"ACTIVE",
        "resourcesVpcConfig":{{"vpcId":"vpc-1","subnetIds":[]}},"kubernetesNetworkConfig":{network}}}}}"#
    )
}

#[tokio::test]
async fn the_cluster_is_read_every_five_minutes_and_remembered() {
    let wire = Wire::default();
    wire.answer(
        "/clusters/demo",
        cluster_answer(r#"{"serviceIpv4Cidr":"10.100.0.0/16","ipFamily":"ipv4"}"#),
    );
    let mut reader = wire.reader();
    let facts = reader.cluster("demo", NOW).await.unwrap();
    let expected = ClusterFacts {
        endpoint: "https://demo.example".to_owned(),
        certificate_authority: "QUJD".to_owned(),
        service_cidr: "10.100.0.0/16".to_owned(),
        ..wire::cluster()
    };
    assert_eq!(facts, expected);
    reader.cluster("demo", Timestamp(NOW.0 + 299)).await.unwrap();
    assert_eq!(wire.requests().len(), 1);
    wire.answer(
        "/clusters/demo",
        cluster_answer(r#"{"serviceIpv6Cidr":"fd00::/108","ipFamily":"ipv6"}"#),
    );
    let facts = reader.cluster("demo", Timestamp(NOW.0 + 300)).await.unwrap();
    assert_eq!((facts.ipv6, facts.service_cidr.as_str()), (true, "fd00::/108"));
    wire.fail("/clusters/demo", 0, "");
    let later = Timestamp(NOW.0 + 900);
    assert_eq!(reader.cluster("demo", later).await.unwrap(), facts);
    wire.fail(
        "/clusters/demo",
        404,
        r#"{"__type":"ResourceNotFoundException","message":"No cluster found for name: demo."}"#,
    );
    let error = wire.reader().cluster("demo", NOW).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "eks:DescribeCluster: the EKS cluster demo in us-east-1 does not exist; correct the name"
    );
}
