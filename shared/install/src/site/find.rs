//! Finding the facts, before any step.

use super::{Account, Authentication, Site, Vpc, nodes};
use crate::calls::{EC2_DESCRIBE_VPCS, EKS_DESCRIBE_CLUSTER};
use crate::clients::Clients;
use crate::names::Names;
use crate::options::Options;
use crate::problem::Problem;
use crate::problem_of::of_aws;
use aws_config::SdkConfig;
use aws_sdk_ec2::types::Filter;
use aws_sdk_eks::types::{AuthenticationMode, Cluster, ClusterStatus, IpFamily, VpcConfigResponse};
use kube::client::Body;
use model::ClusterFacts;
use observe::cluster::Connection;
use std::time::Duration;
use tower::BoxError;

/// The API server answers in less, or not at all.
const DEADLINE: Duration = Duration::from_secs(30);

impl Site {
    /// Asks AWS for the cluster's facts and connects to it. Changes nothing.
    ///
    /// # Errors
    /// Names that cannot be used, a cluster or VPC that is not there or not the cluster's, and calls that fail.
    pub async fn find(config: &SdkConfig, options: Options) -> Result<Self, Problem> {
        let input =
            |error: crate::names::NameError| Problem::input("the arguments", error.to_string());
        Names::check(&options.cluster).map_err(input)?;
        options.vpc.as_deref().map_or(Ok(()), Names::check_vpc).map_err(input)?;
        options.proxy.as_deref().map_or(Ok(()), crate::proxy::check)?;
        let Some(region) = config.region().map(ToString::to_string) else {
            return Err(Problem::input("the region", "it is not known; set AWS_REGION"));
        };
        let aws = Clients::new(config);
        let cluster = describe(&aws, &options.cluster, &region).await?;
        let arn = cluster.arn().unwrap_or_default().split(':').collect::<Vec<_>>();
        let [_, partition, _, _, account, ..] = arn[..] else {
            return Err(Problem::input(
                format!("cluster {}", options.cluster),
                "EKS tells no ARN of it",
            ));
        };
        let network = cluster.resources_vpc_config();
        let text = |text: Option<&str>| text.unwrap_or_default().to_owned();
        let vpc_id = text(network.and_then(|network| network.vpc_id()));
        let vpc = find_vpc(&aws, &vpc_id, &options).await?;
        let facts = facts(&cluster, &options.cluster, &region, &vpc_id);
        let kube = with_deadline(connect(config, &options, &facts).await?);
        let node_role = nodes::find(&aws, &options, &vpc.name).await?;
        Ok(Self {
            names: Names::new(&options.cluster, &region, account),
            cluster: options.cluster.clone(),
            partition: partition.to_owned(),
            account: Account(account.to_owned()),
            cluster_subnets: network
                .map(|network| network.subnet_ids().to_vec())
                .unwrap_or_default(),
            public_endpoint: network.is_none_or(is_public),
            oidc_issuer: issuer(&cluster),
            cluster_security_group: text(
                network.and_then(|network| network.cluster_security_group_id()),
            ),
            authentication: authentication(&cluster),
            endpoint: facts.endpoint,
            certificate_authority: facts.certificate_authority,
            version: facts.version,
            service_cidr: facts.service_cidr,
            region,
            vpc,
            node_role,
            options,
            config: config.clone(),
            aws,
            kube,
        })
    }
}

/// Whether functions outside the VPC, whose addresses nobody knows, reach the API server.
fn is_public(network: &VpcConfigResponse) -> bool {
    let everyone = network.public_access_cidrs().iter().any(|cidr| cidr == "0.0.0.0/0");
    network.endpoint_public_access() && (everyone || network.public_access_cidrs().is_empty())
}

async fn describe(aws: &Clients, name: &str, region: &str) -> Result<Cluster, Problem> {
    let object = format!("cluster {name} in {region}");
    let todo = "say the name that `aws eks list-clusters` tells, and the right AWS_REGION";
    let cluster = match aws.eks.describe_cluster().name(name).send().await {
        Ok(answer) => answer.cluster,
        Err(error)
            if error
                .as_service_error()
                .is_some_and(|error| error.is_resource_not_found_exception()) =>
        {
            None
        }
        Err(error) => return Err(of_aws(EKS_DESCRIBE_CLUSTER, object, &error)),
    };
    let cluster = cluster.ok_or_else(|| Problem::not_found(object.clone(), "", todo))?;
    match cluster.status() {
        None | Some(ClusterStatus::Active | ClusterStatus::Updating) => Ok(cluster),
        Some(status) => Err(Problem::unfinished(
            object,
            format!("it is {status}"),
            "wait until it is ACTIVE and run the same command again",
        )),
    }
}

/// The cluster's VPC, which must have the name that was given.
async fn find_vpc(aws: &Clients, id: &str, options: &Options) -> Result<Vpc, Problem> {
    let object = format!("VPC {id}");
    let by_id = Filter::builder().name("vpc-id").values(id).build();
    let answer = aws.ec2.describe_vpcs().filters(by_id).send().await;
    let answer = answer.map_err(|error| of_aws(EC2_DESCRIBE_VPCS, &object, &error))?;
    let tags = answer.vpcs().iter().flat_map(|vpc| vpc.tags());
    let named = tags.filter(|tag| tag.key() == Some("Name")).find_map(|tag| tag.value());
    let name = named.filter(|name| !name.is_empty());
    match (&options.vpc, name) {
        (Some(wanted), Some(name)) if wanted != name => Err(Problem::conflict(
            format!("cluster {}", options.cluster),
            format!("it is in the VPC {name} ({id}), not in {wanted}"),
            format!("say --vpc {name}, or leave it out"),
        )),
        (Some(wanted), None) => Ok(Vpc { id: id.to_owned(), name: wanted.clone() }),
        (_, name) => {
            Ok(Vpc { id: id.to_owned(), name: name.unwrap_or(&options.cluster).to_owned() })
        }
    }
}

fn facts(cluster: &Cluster, name: &str, region: &str, vpc_id: &str) -> ClusterFacts {
    let text = |text: Option<&str>| text.unwrap_or_default().to_owned();
    let network = cluster.kubernetes_network_config();
    let ipv6 = network.and_then(|network| network.ip_family()) == Some(&IpFamily::Ipv6);
    let cidr = network.and_then(|network| match ipv6 {
        true => network.service_ipv6_cidr(),
        false => network.service_ipv4_cidr(),
    });
    ClusterFacts {
        name: name.to_owned(),
        endpoint: text(cluster.endpoint()),
        certificate_authority: text(
            cluster.certificate_authority().and_then(|authority| authority.data()),
        ),
        version: text(cluster.version()),
        service_cidr: text(cidr),
        ipv6,
        vpc_id: vpc_id.to_owned(),
        region: region.to_owned(),
    }
}

fn issuer(cluster: &Cluster) -> Option<String> {
    let issuer = cluster.identity()?.oidc()?.issuer()?;
    let issuer = issuer.trim_start_matches("https://");
    (!issuer.is_empty()).then(|| issuer.to_owned())
}

fn authentication(cluster: &Cluster) -> Authentication {
    match cluster.access_config().and_then(|access| access.authentication_mode()) {
        Some(AuthenticationMode::Api | AuthenticationMode::ApiAndConfigMap) => {
            Authentication::AccessEntries
        }
        // Clusters from before access entries do not tell.
        _ => Authentication::ConfigMap,
    }
}

/// As the AWS identity of these credentials, or by a kubeconfig, which must be of the same cluster.
async fn connect(
    config: &SdkConfig,
    options: &Options,
    facts: &ClusterFacts,
) -> Result<kube::Client, Problem> {
    let object = format!("the API server of cluster {}", facts.name);
    let wrong = |cause: String| {
        Problem::unfinished(
            object.clone(),
            cause,
            "check the kubeconfig, or leave --kubeconfig and --context out to go there by EKS",
        )
    };
    if options.kubeconfig.is_none() && options.context.is_none() {
        let Some(credentials) = config.credentials_provider() else {
            return Err(wrong("there are no credentials".to_owned()));
        };
        let connection = Connection::from_eks(facts, credentials, &facts.region);
        return connection
            .map(|connection| connection.client)
            .map_err(|error| wrong(error.to_string()));
    }
    let (file, context) = (options.kubeconfig.as_deref(), options.context.as_deref());
    let connection = Connection::from_kubeconfig(file, context).await;
    let connection = connection.map_err(|error| wrong(error.to_string()))?;
    match server(options) {
        Some(server) if !same_server(&server, &facts.endpoint) => Err(Problem::conflict(
            format!("context {}", connection.name),
            format!("it is of another API server than cluster {}", facts.name),
            "choose its context with --context, or leave --kubeconfig and --context out",
        )),
        _ => Ok(connection.client),
    }
}

/// The client with an end to every request: one that is never answered must not keep whoever installs waiting. Reading is tried twice.
fn with_deadline(client: kube::Client) -> kube::Client {
    let service = tower::service_fn(move |request: http::Request<Body>| {
        let client = client.clone();
        async move {
            let again = (request.method() == http::Method::GET).then(|| copy(&request));
            let late = match tokio::time::timeout(DEADLINE, client.send(request)).await {
                Ok(answer) => return answer.map_err(BoxError::from),
                Err(late) => late,
            };
            let Some(again) = again else { return Err(BoxError::from(late)) };
            tokio::time::timeout(DEADLINE, client.send(again)).await?.map_err(BoxError::from)
        }
    });
    kube::Client::new(service, "default")
}

/// A request without a body, once more.
fn copy(request: &http::Request<Body>) -> http::Request<Body> {
    let mut again = http::Request::new(Body::empty());
    *again.method_mut() = request.method().clone();
    *again.uri_mut() = request.uri().clone();
    *again.headers_mut() = request.headers().clone();
    again
}

/// The URL that the kubeconfig has for the chosen context.
fn server(options: &Options) -> Option<String> {
    use kube::config::Kubeconfig;
    let read = options.kubeconfig.as_ref().map_or_else(Kubeconfig::read, Kubeconfig::read_from);
    let read = read.ok()?;
    let wanted = options.context.as_ref().or(read.current_context.as_ref())?;
    let context = read.contexts.iter().find(|context| context.name == *wanted)?;
    let name = &context.context.as_ref()?.cluster;
    let cluster = read.clusters.iter().find(|cluster| cluster.name == *name)?;
    cluster.cluster.as_ref()?.server.clone()
}

fn same_server(one: &str, other: &str) -> bool {
    one.trim_end_matches('/').eq_ignore_ascii_case(other.trim_end_matches('/'))
}
