//! The facts of one installation.

mod find;
mod nodes;

use crate::clients::Clients;
use crate::names::Names;
use crate::options::Options;
use aws_config::SdkConfig;

pub use nodes::NodeRole;

/// An account's number. It has no way onto a terminal or into a log.
#[derive(Clone, PartialEq, Eq)]
pub struct Account(String);

impl Account {
    /// The twelve digits, for ARNs in requests; never for messages.
    pub fn digits(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Debug for Account {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("<account>")
    }
}

/// How AWS identities become users of the cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Authentication {
    /// By access entries, also if aws-auth is read beside them.
    AccessEntries,
    /// By the ConfigMap aws-auth alone.
    ConfigMap,
}

/// The cluster's VPC.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Vpc {
    /// Its id.
    pub id: String,
    /// Its name: the value of its tag `Name`, or the cluster's name if it has none. Discovery tags have this value.
    pub name: String,
}

/// The facts of one installation, and the ways to its account and cluster.
#[derive(Clone)]
pub struct Site {
    /// The cluster.
    pub cluster: String,
    /// The region of the cluster.
    pub region: String,
    /// The partition of its ARNs: `aws`.
    pub partition: String,
    /// The account.
    pub account: Account,
    /// The cluster's VPC.
    pub vpc: Vpc,
    /// The cluster's own subnets: those of its control plane's interfaces.
    pub cluster_subnets: Vec<String>,
    /// The URL of the API server.
    pub endpoint: String,
    /// Whether it can be reached from anywhere outside the VPC.
    pub public_endpoint: bool,
    /// The API server's authority in base64.
    pub certificate_authority: String,
    /// `1.34`
    pub version: String,
    /// The OIDC issuer without `https://`, if the cluster has one.
    pub oidc_issuer: Option<String>,
    /// The security group that EKS made for the cluster.
    pub cluster_security_group: String,
    /// How AWS identities become users.
    pub authentication: Authentication,
    /// Addresses of Services: `172.20.0.0/16`.
    pub service_cidr: String,
    /// The role of the nodes, if it could be found.
    pub node_role: Option<NodeRole>,
    /// What the installation's objects are called.
    pub names: Names,
    /// What whoever installs has decided.
    pub options: Options,
    /// The configuration of AWS.
    pub config: SdkConfig,
    /// The clients of AWS.
    pub aws: Clients,
    /// The cluster's client.
    pub kube: kube::Client,
}

impl Site {
    /// An ARN of the site's partition, region and account: `arn("lambda", "function:x")`.
    pub fn arn(&self, service: &str, rest: &str) -> String {
        let (partition, region, account) = (&self.partition, &self.region, self.account.digits());
        format!("arn:{partition}:{service}:{region}:{account}:{rest}")
    }
}
