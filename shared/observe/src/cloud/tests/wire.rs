//! AWS as tests need it: answers by what a request holds, and a log of all requests. The answers have the form that the
//! services' own have, cut down to what is read; they were taken down from an emulator and checked against the API reference.

use crate::cloud::{Ask, CloudReadError, CloudReader, CloudReading, Facts};
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use aws_smithy_runtime_api::client::http::{
    HttpConnector, HttpConnectorFuture, SharedHttpConnector, http_client_fn,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_types::body::SdkBody;
use catalog::Catalog;
use model::{ClusterFacts, NodeClassSpec, Timestamp};
use serde_json::Value;
use std::sync::{Arc, Mutex};

pub(super) const NOW: Timestamp = Timestamp(1_795_392_000);

#[derive(Clone, Debug)]
struct Rule {
    holds: Vec<String>,
    status: u16,
    body: String,
}

/// Answers and the requests that they were given for. The last rule that fits a request answers it.
#[derive(Clone, Debug, Default)]
pub(super) struct Wire(Arc<Mutex<(Vec<Rule>, Vec<String>)>>);

impl Wire {
    /// Answers requests that hold all these words (separated by blanks).
    pub(super) fn answer(&self, holds: &str, body: impl Into<String>) -> &Self {
        self.fail(holds, 200, body)
    }

    /// Answers such requests with that status; 0 cuts the connection.
    pub(super) fn fail(&self, holds: &str, status: u16, body: impl Into<String>) -> &Self {
        let holds = holds.split_whitespace().map(str::to_owned).collect();
        self.0.lock().unwrap().0.push(Rule { holds, status, body: body.into() });
        self
    }

    /// An error as EC2 writes it.
    pub(super) fn ec2_error(&self, holds: &str, status: u16, code: &str) -> &Self {
        self.fail(
            holds,
            status,
            format!("<Response><Errors><Error><Code>{code}</Code><Message>User arn:aws:iam::123456789012:user/x may not</Message></Error></Errors><RequestID>r</RequestID></Response>"),
        )
    }

    /// Forgets the requests so far and returns them.
    pub(super) fn requests(&self) -> Vec<String> {
        std::mem::take(&mut self.0.lock().unwrap().1)
    }

    /// The actions asked for since the last time, sorted.
    pub(super) fn actions(&self) -> Vec<String> {
        let action = |request: String| {
            let after = |mark: &str| {
                let rest = request.split_once(mark)?.1;
                Some(rest.split(['&', ' ', '\n']).next().unwrap_or_default().to_owned())
            };
            after("Action=")
                .or_else(|| after("target="))
                .unwrap_or_else(|| "DescribeCluster".into())
        };
        let mut actions = self.requests().into_iter().map(action).collect::<Vec<_>>();
        actions.sort();
        actions
    }

    fn take(&self, request: &HttpRequest) -> Result<HttpResponse, ConnectorError> {
        let body = request.body().bytes().map(String::from_utf8_lossy).unwrap_or_default();
        let target = request.headers().get("x-amz-target").unwrap_or_default();
        let target = target.rsplit('.').next().unwrap_or_default();
        let text = decoded(&format!("{} target={target} {body}", request.uri()));
        let mut state = self.0.lock().unwrap();
        state.1.push(text.clone());
        let fits = |rule: &&Rule| rule.holds.iter().all(|word| text.contains(word.as_str()));
        let rule = state.0.iter().rev().find(fits).cloned();
        let rule = rule.unwrap_or_else(|| panic!("no answer to {text}"));
        if rule.status == 0 {
            return Err(ConnectorError::io("connection refused".into()));
        }
        let status = rule.status.try_into().unwrap();
        Ok(HttpResponse::new(status, SdkBody::from(rule.body)))
    }

    pub(super) fn config(&self) -> SdkConfig {
        let credentials = Credentials::new("AKIAX", "secret", None, None, "test");
        let credentials = SharedCredentialsProvider::new(credentials);
        self.config_without_credentials().into_builder().credentials_provider(credentials).build()
    }

    pub(super) fn config_without_credentials(&self) -> SdkConfig {
        let wire = self.clone();
        let client = http_client_fn(move |_, _| SharedHttpConnector::new(wire.clone()));
        SdkConfig::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new("us-east-1"))
            .http_client(client)
            .build()
    }

    pub(super) fn reader(&self) -> CloudReader {
        CloudReader::new(&self.config(), Catalog::embedded().unwrap())
    }

    /// Reads for these classes, without the market.
    pub(super) async fn read(
        &self,
        classes: &[Value],
        memory: &mut Facts,
        now: Timestamp,
    ) -> Result<CloudReading, CloudReadError> {
        let classes = specs(classes);
        let cluster = cluster();
        let ask = Ask {
            now,
            cluster: &cluster,
            classes: &classes,
            refresh_market: false,
            isolated_vpc: false,
            has_instances: false,
            has_spot: false,
        };
        self.reader().read(&ask, memory).await
    }
}

impl HttpConnector for Wire {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        HttpConnectorFuture::ready(self.take(&request))
    }
}

fn decoded(text: &str) -> String {
    let escapes = [
        ("%3A", ":"),
        ("%2F", "/"),
        ("%2A", "*"),
        ("%2C", ","),
        ("%40", "@"),
        ("+", " "),
        ("%20", "_"),
    ];
    escapes.into_iter().fold(text.to_owned(), |text, (from, to)| text.replace(from, to))
}

pub(super) fn specs(classes: &[Value]) -> Vec<Arc<NodeClassSpec>> {
    classes.iter().map(|class| Arc::new(api::node_class_spec(class).unwrap())).collect()
}

pub(super) fn cluster() -> ClusterFacts {
    ClusterFacts {
        name: "demo".to_owned(),
        version: "1.33".to_owned(),
        vpc_id: "vpc-1".to_owned(),
        region: "us-east-1".to_owned(),
        ..ClusterFacts::default()
    }
}

/// An answer of EC2: the action's response with these elements in it.
pub(super) fn ec2(action: &str, elements: &str) -> String {
    format!(
        r#"<?xml version="1.0" encoding="UTF-8"?><{action}Response xmlns="http://ec2.amazonaws.com/doc/2016-11-15/"><requestId>r</requestId>{elements}</{action}Response>"#
    )
}

fn tag_set(tags: &[(&str, &str)]) -> String {
    let tag = |(key, value): &(&str, &str)| {
        format!("<item><key>{key}</key><value>{value}</value></item>")
    };
    format!("<tagSet>{}</tagSet>", tags.iter().map(tag).collect::<String>())
}

pub(super) fn instance(id: &str, state: &str, extra: &str) -> String {
    let tags =
        tag_set(&[("kubernetes.io/cluster/demo", "owned"), ("karpenter.sh/nodepool", "default")]);
    format!(
        "<item><reservationId>r-1</reservationId><ownerId>123456789012</ownerId><instancesSet><item><instanceId>{id}</instanceId>\
         <imageId>ami-1</imageId><instanceState><code>16</code><name>{state}</name></instanceState>\
         <privateDnsName>ip-10-0-0-4.ec2.internal</privateDnsName><instanceType>m5.large</instanceType>\
         <launchTime>2026-11-23T00:00:00.000Z</launchTime><placement><availabilityZone>us-east-1a</availabilityZone><groupName>near</groupName><groupId>pg-1</groupId></placement>\
         <subnetId>subnet-1</subnetId><groupSet><item><groupId>sg-2</groupId></item><item><groupId>sg-1</groupId></item></groupSet>\
         {extra}{tags}</item></instancesSet></item>"
    )
}

pub(super) fn instances(list: &[String], next: &str) -> String {
    let next =
        if next.is_empty() { String::new() } else { format!("<nextToken>{next}</nextToken>") };
    ec2("DescribeInstances", &format!("<reservationSet>{}</reservationSet>{next}", list.concat()))
}

pub(super) fn subnet(id: &str, zone: char, free: i64, tags: &[(&str, &str)]) -> String {
    format!(
        "<item><subnetId>{id}</subnetId><vpcId>vpc-1</vpcId><availableIpAddressCount>{free}</availableIpAddressCount>\
         <availabilityZone>us-east-1{zone}</availabilityZone><availabilityZoneId>use1-az{zone}</availabilityZoneId>{}</item>",
        tag_set(tags)
    )
}

pub(super) fn subnets(list: &[String]) -> String {
    ec2("DescribeSubnets", &format!("<subnetSet>{}</subnetSet>", list.concat()))
}

pub(super) fn group(id: &str, name: &str, tags: &[(&str, &str)]) -> String {
    format!("<item><groupId>{id}</groupId><groupName>{name}</groupName>{}</item>", tag_set(tags))
}

pub(super) fn groups(list: &[String]) -> String {
    let list = list.concat();
    ec2("DescribeSecurityGroups", &format!("<securityGroupInfo>{list}</securityGroupInfo>"))
}

/// An image made on that day of 2026; with a day after which it is deprecated, perhaps.
pub(super) fn image(
    id: &str,
    arch: &str,
    day: &str,
    deprecated: &str,
    tags: &[(&str, &str)],
) -> String {
    let deprecated = match deprecated {
        "" => String::new(),
        day => format!("<deprecationTime>2026-{day}T00:00:00.000Z</deprecationTime>"),
    };
    format!(
        "<item><imageId>{id}</imageId><name>name of {id}</name><imageState>available</imageState><architecture>{arch}</architecture>\
         <creationDate>2026-{day}T00:00:00.000Z</creationDate>{deprecated}{}</item>",
        tag_set(tags)
    )
}

pub(super) fn images(list: &[String]) -> String {
    ec2("DescribeImages", &format!("<imagesSet>{}</imagesSet>", list.concat()))
}

pub(super) fn parameter(id: &str) -> String {
    format!(r#"{{"Parameter":{{"Name":"x","Type":"String","Value":"{id}","Version":1}}}}"#)
}

/// A wire with no instances, one subnet, one group, and an image for every parameter.
pub(super) fn usual() -> Wire {
    let wire = Wire::default();
    let demo = [("karpenter.sh/discovery", "demo")];
    wire.answer("Action=DescribeInstances", instances(&[], ""))
        .answer("Action=DescribeSubnets", subnets(&[subnet("subnet-1", 'a', 100, &demo)]))
        .answer("Action=DescribeSecurityGroups", groups(&[group("sg-1", "nodes", &demo)]))
        .answer("Action=DescribeImages", images(&[image("ami-1", "x86_64", "11-01", "", &[])]))
        .answer("target=GetParameter", parameter("ami-1"));
    wire
}

/// An EC2NodeClass of v1 with these fields, and the usual ones where they are not given.
pub(super) fn class(fields: Value) -> Value {
    let mut spec = serde_json::json!({
        "role": "nodes",
        "amiSelectorTerms": [{ "alias": "al2023@latest" }],
        "subnetSelectorTerms": [{ "tags": { "karpenter.sh/discovery": "demo" } }],
        "securityGroupSelectorTerms": [{ "tags": { "karpenter.sh/discovery": "demo" } }]
    });
    for (key, value) in fields.as_object().unwrap() {
        spec[key] = value.clone();
    }
    let name = spec.as_object_mut().unwrap().remove("name");
    serde_json::json!({
        "apiVersion": "karpenter.k8s.aws/v1", "kind": "EC2NodeClass",
        "metadata": { "name": name.unwrap_or_else(|| "default".into()) }, "spec": spec
    })
}
