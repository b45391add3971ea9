//! The clients of AWS.

use aws_config::retry::RetryConfig;
use aws_config::timeout::TimeoutConfig;
use aws_config::{AppName, SdkConfig};
use std::time::Duration;

/// One attempt may take this long: an upload of some megabytes on a slow line.
const ATTEMPT: Duration = Duration::from_secs(60);
const WHOLE: Duration = Duration::from_secs(180);
const CONNECT: Duration = Duration::from_secs(5);

/// What CloudTrail calls these calls, to tell them from the functions'.
const NAME: &str = "joiner-install";

/// A client for each service that an installation needs.
#[derive(Clone, Debug)]
pub struct Clients {
    /// Subnets, security groups, VPCs, instances.
    pub ec2: aws_sdk_ec2::Client,
    /// The cluster and its access.
    pub eks: aws_sdk_eks::Client,
    /// Roles, profiles, providers.
    pub iam: aws_sdk_iam::Client,
    /// The two nodes' group.
    pub autoscaling: aws_sdk_autoscaling::Client,
    /// The stack.
    pub cloudformation: aws_sdk_cloudformation::Client,
    /// The functions.
    pub lambda: aws_sdk_lambda::Client,
    /// The code of the functions, and the kept turns.
    pub s3: aws_sdk_s3::Client,
    /// The webhook's image.
    pub ecr: aws_sdk_ecr::Client,
    /// Quotas.
    pub quotas: aws_sdk_servicequotas::Client,
    /// Who installs.
    pub sts: aws_sdk_sts::Client,
}

impl Clients {
    /// With this configuration, and deadlines.
    pub fn new(config: &SdkConfig) -> Self {
        let timeouts = TimeoutConfig::builder()
            .connect_timeout(CONNECT)
            .operation_attempt_timeout(ATTEMPT)
            .operation_timeout(WHOLE);
        let config = config
            .clone()
            .into_builder()
            .timeout_config(timeouts.build())
            .retry_config(RetryConfig::standard())
            .build();
        let mut config = config.into_builder();
        config.set_app_name(AppName::new(NAME).ok());
        let config = config.build();
        // Names of buckets as a part of the path: emulators and endpoints of VPCs know these.
        let s3 = aws_sdk_s3::config::Builder::from(&config).force_path_style(true).build();
        Self {
            ec2: aws_sdk_ec2::Client::new(&config),
            eks: aws_sdk_eks::Client::new(&config),
            iam: aws_sdk_iam::Client::new(&config),
            autoscaling: aws_sdk_autoscaling::Client::new(&config),
            cloudformation: aws_sdk_cloudformation::Client::new(&config),
            lambda: aws_sdk_lambda::Client::new(&config),
            s3: aws_sdk_s3::Client::from_conf(s3),
            ecr: aws_sdk_ecr::Client::new(&config),
            quotas: aws_sdk_servicequotas::Client::new(&config),
            sts: aws_sdk_sts::Client::new(&config),
        }
    }
}
