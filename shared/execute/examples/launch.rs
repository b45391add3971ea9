//! Launches one instance through the port, terminates it, and prints what happened.
//!
//! `AWS_ENDPOINT_URL=http://127.0.0.1:5000 SUBNET=subnet-1 ZONE=us-east-1a IMAGE=ami-1 [USER_DATA=FILE] cargo run --example launch`:
//! meant for an emulator, and any credentials do there.

#![allow(clippy::expect_used, reason = "an example that cannot go on says why and ends")]

use aws_sdk_ec2::config::{BehaviorVersion, Credentials, Region};
use joiner_execute::Cloud;
use joiner_execute::ec2::Ec2Cloud;
use joiner_execute::ports::{FleetRequest, TypeFacts};
use model::node_class::{ClusterFacts, Image, NodeClassSpec, ResolvedNodeClass};
use model::pool::ApiVersion;
use model::{Alternative, CapacityType, Labels, MicroUsdPerHour, Subnet};
use std::sync::Arc;

fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

fn clients() -> (aws_sdk_ec2::Config, aws_sdk_iam::Config) {
    let endpoint = variable("AWS_ENDPOINT_URL").expect("AWS_ENDPOINT_URL");
    let credentials = Credentials::new("example", "example", None, None, "example");
    let region = Region::new("us-east-1");
    let ec2 = aws_sdk_ec2::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .endpoint_url(&endpoint)
        .region(region.clone())
        .credentials_provider(credentials.clone());
    let iam = aws_sdk_iam::Config::builder()
        .behavior_version(aws_sdk_iam::config::BehaviorVersion::latest())
        .endpoint_url(&endpoint)
        .region(region)
        .credentials_provider(credentials);
    (ec2.build(), iam.build())
}

fn class() -> ResolvedNodeClass {
    let spec = NodeClassSpec {
        name: "default".to_owned(),
        uid: "example".to_owned(),
        api_version: Some(ApiVersion::V1),
        role: variable("ROLE"),
        instance_profile: variable("ROLE").is_none().then(|| "nodes".to_owned()),
        user_data: variable("USER_DATA").and_then(|file| std::fs::read_to_string(file).ok()),
        ..NodeClassSpec::default()
    };
    let subnet = Subnet {
        id: variable("SUBNET").expect("SUBNET"),
        zone: variable("ZONE").expect("ZONE"),
        free_addresses: 100,
        ..Subnet::default()
    };
    let image = Image { id: variable("IMAGE").expect("IMAGE"), ..Image::default() };
    ResolvedNodeClass {
        spec: Arc::new(spec),
        subnets: vec![subnet],
        images: vec![image],
        ..ResolvedNodeClass::default()
    }
}

fn request(batch: &str) -> FleetRequest {
    let types = ["m7i.large", "c7i.large"];
    let offering = |(place, name): (usize, &&str)| Alternative {
        instance_type: (*name).to_owned(),
        zone: variable("ZONE").unwrap_or_default(),
        capacity_type: CapacityType::OnDemand,
        price: MicroUsdPerHour(80_000 + place as u64),
        estimated: false,
        reservation: None,
    };
    FleetRequest {
        batch: batch.to_owned(),
        size: 1,
        node_pool: "general".to_owned(),
        capacity_type: CapacityType::OnDemand,
        offerings: types.iter().enumerate().map(offering).collect(),
        labels: Labels::new(),
        taints: Vec::new(),
        pool_kubelet: None,
        max_pods: types.iter().map(|name| ((*name).to_owned(), 29)).collect(),
        types: types.iter().map(|name| ((*name).to_owned(), TypeFacts::default())).collect(),
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let cluster = ClusterFacts {
        name: "demo".to_owned(),
        endpoint: "https://127.0.0.1:6443".to_owned(),
        certificate_authority: "Y2E=".to_owned(),
        service_cidr: "10.100.0.0/16".to_owned(),
        region: "us-east-1".to_owned(),
        ..ClusterFacts::default()
    };
    let (ec2, iam) = clients();
    let cloud = Ec2Cloud::new(&ec2, &iam, &cluster.name, None);
    let batch = variable("BATCH").unwrap_or_else(|| "example-1".to_owned());
    let answer = cloud.launch(&request(&batch), &class(), &cluster).await;
    println!("launch: {answer:#?}");
    println!("again: {:?}", cloud.launch(&request(&batch), &class(), &cluster).await);
    let ids = answer.map(|answer| answer.bought.into_iter().map(|one| one.id).collect::<Vec<_>>());
    let mut ids = ids.unwrap_or_default();
    let name = Labels::from([("Name".to_owned(), "node-1".to_owned())]);
    for id in &ids {
        println!("tag: {:?}", cloud.tag(id, &name).await);
    }
    ids.push("i-00000000000000000".to_owned());
    println!("terminate: {:?}", cloud.terminate(&ids).await);
    println!("launch templates deleted: {:?}", cloud.clean_launch_templates(0).await);
}
