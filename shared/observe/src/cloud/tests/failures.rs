//! What a failed read does: only instances stop a turn.

use super::wire::{NOW, Wire, class, subnet, subnets, usual};
use crate::cloud::{CloudReadError, CloudReader, Facts, Stale};
use aws_credential_types::provider::error::CredentialsError;
use aws_credential_types::provider::{ProvideCredentials, SharedCredentialsProvider, future};
use catalog::Catalog;
use model::Timestamp;
use serde_json::json;

async fn check_error(wire: &Wire, begins: &str) {
    let error = wire.read(&[], &mut Facts::default(), NOW).await.unwrap_err();
    let text = error.to_string();
    assert!(text.starts_with(begins), "{text}");
    assert!(!text.contains("123456789012"), "{text}");
}

#[tokio::test]
async fn instances_that_cannot_be_read_stop_the_turn_with_what_to_do() {
    let failing = |status, code| {
        let wire = usual();
        wire.ec2_error("Action=DescribeInstances", status, code);
        wire
    };
    check_error(&failing(503, "RequestLimitExceeded"), "ec2:DescribeInstances is throttled").await;
    check_error(
        &failing(403, "UnauthorizedOperation"),
        r#"ec2:DescribeInstances is not allowed: add to the role's policy {"Effect":"Allow","Action":"ec2:DescribeInstances","Resource":"*"}"#,
    )
    .await;
    check_error(&failing(400, "RequestExpired"), "ec2:DescribeInstances: the credentials are refused (RequestExpired): check that this machine's clock is right").await;
    check_error(
        &failing(401, "AuthFailure"),
        "ec2:DescribeInstances: the credentials are refused (AuthFailure)",
    )
    .await;
    check_error(
        &failing(500, "InternalError"),
        "ec2:DescribeInstances got no usable answer: InternalError, HTTP status 500",
    )
    .await;
    let cut = usual();
    cut.fail("Action=DescribeInstances", 0, "");
    check_error(
        &cut,
        "ec2:DescribeInstances got no usable answer: connection refused; check the route",
    )
    .await;
    let html = usual();
    html.fail("Action=DescribeInstances", 500, "<!doctype html><title>500</title>");
    check_error(&html, "ec2:DescribeInstances got no usable answer: ").await;
}

#[derive(Debug)]
struct NoCredentials;

impl ProvideCredentials for NoCredentials {
    fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        future::ProvideCredentials::ready(Err(CredentialsError::not_loaded("none in the test")))
    }
}

#[tokio::test]
async fn missing_credentials_are_named() {
    let wire = usual();
    let config = wire.config_without_credentials();
    let provider = SharedCredentialsProvider::new(NoCredentials);
    let config = config.into_builder().credentials_provider(provider).build();
    let mut reader = CloudReader::new(&config, Catalog::embedded().unwrap());
    let error = reader.cluster("demo", NOW).await.unwrap_err();
    assert!(matches!(error, CloudReadError::Credentials { .. }), "{error:?}");
    let text = error.to_string();
    assert!(
        text.starts_with("eks:DescribeCluster: no credentials were found: set AWS_PROFILE"),
        "{text}"
    );
    assert!(text.contains("aws sso login"), "{text}");
}

#[tokio::test]
async fn the_last_copy_serves_with_its_age() {
    let wire = usual();
    let mut memory = Facts::default();
    let classes = [class(json!({}))];
    let before = wire.read(&classes, &mut memory, NOW).await.unwrap();
    wire.ec2_error("Action=DescribeSubnets", 503, "RequestLimitExceeded")
        .ec2_error("Action=DescribeSecurityGroups", 403, "UnauthorizedOperation")
        .ec2_error("Action=DescribeImages", 500, "InternalError");
    let after = wire.read(&classes, &mut memory, Timestamp(NOW.0 + 400)).await.unwrap();
    assert_eq!(after.classes, before.classes);
    let told = |stale: &Stale| {
        let call = stale.error.split(' ').next().unwrap();
        format!("{} {:?} {call}", stale.what, stale.age_s)
    };
    assert_eq!(
        after.stale.iter().map(told).collect::<Vec<_>>(),
        [
            "subnets Some(400) ec2:DescribeSubnets",
            "security groups Some(400) ec2:DescribeSecurityGroups",
            "images Some(400) ec2:DescribeImages"
        ],
    );
}

#[tokio::test]
async fn one_class_that_cannot_be_read_costs_only_itself() {
    let wire = usual();
    wire.ec2_error("Action=DescribeSubnets tag:team", 403, "UnauthorizedOperation")
        .ec2_error("Action=DescribeImages golden", 500, "InternalError")
        .fail(
            "target=GetParameter /golden",
            400,
            r#"{"__type":"AccessDeniedException","message":"arn:aws:iam::123456789012:user/x"}"#,
        );
    let broken = |name: &str, fields: serde_json::Value| {
        let mut fields = fields;
        fields["name"] = json!(name);
        class(fields)
    };
    let classes = [
        broken("a", json!({ "subnetSelectorTerms": [{ "tags": { "team": "x" } }] })),
        broken("b", json!({ "amiFamily": "AL2023", "amiSelectorTerms": [{ "name": "golden" }] })),
        broken(
            "c",
            json!({ "amiFamily": "AL2023", "amiSelectorTerms": [{ "ssmParameter": "/golden" }] }),
        ),
        class(json!({})),
    ];
    let reading = wire.read(&classes, &mut Facts::default(), NOW).await.unwrap();
    let problem = |index: usize| reading.classes[index].problems.clone();
    let begins = |index: usize, condition: &str, text: &str| {
        let [(found, message)] = &problem(index)[..] else { panic!("{:?}", problem(index)) };
        assert!(found == condition && message.starts_with(text), "{found}: {message}");
        assert!(!message.contains("123456789012"), "{message}");
    };
    begins(
        0,
        "SubnetsReady",
        "its subnets could not be read: ec2:DescribeSubnets is not allowed: add",
    );
    begins(1, "AMIsReady", "its images could not be read: ec2:DescribeImages got no usable answer");
    begins(
        2,
        "AMIsReady",
        r#"its images could not be read: ssm:GetParameter is not allowed: add to the role's policy {"Effect":"Allow","Action":"ssm:GetParameter","Resource":"arn:aws:ssm:us-east-1:*:parameter/golden"}"#,
    );
    assert_eq!(problem(3), []);
    assert_eq!(reading.stale.len(), 3);
}

#[tokio::test]
async fn a_subnet_that_fills_up_is_seen_after_a_minute() {
    let wire = usual();
    let mut memory = Facts::default();
    let classes = [class(json!({}))];
    wire.read(&classes, &mut memory, NOW).await.unwrap();
    let full = subnet("subnet-1", 'a', 0, &[("karpenter.sh/discovery", "demo")]);
    wire.answer("Action=DescribeSubnets", subnets(&[full]));
    let reading = wire.read(&classes, &mut memory, Timestamp(NOW.0 + 60)).await.unwrap();
    assert!(reading.classes[0].problems[0].1.starts_with("no address is free in subnet-1"));
}
