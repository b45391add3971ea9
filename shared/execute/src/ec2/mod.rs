//! The `Cloud` port on EC2 and IAM.

mod adopt;
mod bucket;
mod errors;
mod fleet;
mod overrides;
mod profile;
mod subnets;
mod template_calls;
mod terminate;
mod wire;

pub use bucket::TokenBucket;
pub use errors::statement_for;

use crate::launch_template::{self, TemplateError, Templates};
use crate::ports::{Cloud, CloudError, FleetAnswer, FleetRequest};
use aws_sdk_ec2::config::retry::RetryConfig;
use aws_sdk_ec2::config::timeout::TimeoutConfig;
use bucket::Buckets;
use model::node_class::{ClusterFacts, ResolvedNodeClass};
use model::{CapacityType, Labels};
use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use subnets::{Chosen, InFlight};

/// How long one attempt of a call may take.
pub const ATTEMPT: Duration = Duration::from_secs(5);
/// How long a call may take with its second attempt: well inside a function's time.
pub const WHOLE: Duration = Duration::from_secs(15);

/// EC2 and IAM, for one cluster. What it remembers are hints whose loss costs only calls: the launch templates and instance
/// profiles that are there, the addresses that its own launches will take, and how much of EC2's rate limits it has used.
#[derive(Debug)]
pub struct Ec2Cloud {
    ec2: aws_sdk_ec2::Client,
    iam: aws_sdk_iam::Client,
    cluster: String,
    default_instance_profile: Option<String>,
    started: Instant,
    memory: Mutex<Memory>,
    making_profile: tokio::sync::Mutex<()>,
    making_template: tokio::sync::Mutex<()>,
}

#[derive(Debug, Default)]
struct Memory {
    buckets: Buckets,
    /// Launch templates that are there, and when a call last named them, in milliseconds.
    templates: BTreeMap<String, u64>,
    /// Instance profiles that are there, and from when EC2 knows them, in milliseconds.
    profiles: BTreeMap<String, u64>,
    in_flight: InFlight,
    chosen: Chosen,
}

impl Ec2Cloud {
    /// From the configurations of the two clients, whose time-outs and retries are set here: 5 s an attempt, 15 s a call, two
    /// attempts, the second only after a lost connection, a 5xx or throttling, and with the same token.
    /// `default_instance_profile` serves classes that name neither a profile nor a role (legacy `aws.defaultInstanceProfile`).
    pub fn new(
        ec2: &aws_sdk_ec2::Config,
        iam: &aws_sdk_iam::Config,
        cluster: &str,
        default_instance_profile: Option<String>,
    ) -> Self {
        let timeouts =
            TimeoutConfig::builder().operation_attempt_timeout(ATTEMPT).operation_timeout(WHOLE);
        let timeouts = timeouts.connect_timeout(Duration::from_secs(3)).build();
        let retries = RetryConfig::standard().with_max_attempts(2);
        let ec2 = ec2.to_builder().timeout_config(timeouts.clone()).retry_config(retries.clone());
        let iam = iam.to_builder().timeout_config(timeouts).retry_config(retries);
        Self {
            ec2: aws_sdk_ec2::Client::from_conf(ec2.build()),
            iam: aws_sdk_iam::Client::from_conf(iam.build()),
            cluster: cluster.to_owned(),
            default_instance_profile,
            started: Instant::now(),
            memory: Mutex::default(),
            making_profile: tokio::sync::Mutex::default(),
            making_template: tokio::sync::Mutex::default(),
        }
    }

    fn now_ms(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    fn memory(&self) -> MutexGuard<'_, Memory> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes tokens for a call, before it is made.
    fn take(
        &self,
        call: &'static str,
        tokens: u64,
        bucket: impl FnOnce(&mut Buckets) -> &mut TokenBucket,
    ) -> Result<(), CloudError> {
        let now = self.now_ms();
        let enough = bucket(&mut self.memory().buckets).take(tokens, now);
        if enough { Ok(()) } else { Err(CloudError::Throttled { call }) }
    }

    fn error<E>(
        &self,
        call: &'static str,
        what: &str,
        error: &aws_sdk_ec2::error::SdkError<E, aws_sdk_ec2::config::http::HttpResponse>,
    ) -> CloudError
    where
        E: aws_sdk_ec2::error::ProvideErrorMetadata + std::error::Error + 'static,
    {
        errors::cloud_error(call, what, &self.cluster, error)
    }

    /// Makes sure of the templates and buys. `Err` with a code of a missing template tells the caller to make them anew.
    async fn try_launch(
        &self,
        request: &FleetRequest,
        class: &ResolvedNodeClass,
        cluster: &ClusterFacts,
        templates: &Templates,
    ) -> Result<FleetAnswer, CloudError> {
        for template in &templates.templates {
            self.ensure_template(template).await?;
        }
        self.create_fleet(request, class, cluster, templates).await
    }
}

/// A class that cannot be brought to the nodes is refused like a request that AWS refuses: it would be again.
fn invalid_class(error: &TemplateError) -> CloudError {
    CloudError::Refused {
        call: "CreateLaunchTemplate",
        code: "InvalidNodeClass".to_owned(),
        message: error.to_string(),
    }
}

fn template_is_gone(error: &CloudError) -> bool {
    match error {
        CloudError::NotFound { code, .. } => errors::is_template_gone(code),
        CloudError::Throttled { .. }
        | CloudError::Denied { .. }
        | CloudError::Credentials { .. }
        | CloudError::Refused { .. }
        | CloudError::Unknown { .. } => false,
    }
}

/// Whether the batch's token was used before by a call with other parameters.
fn is_other_parameters(error: &CloudError) -> bool {
    match error {
        CloudError::Refused { code, .. } => code == "IdempotentParameterMismatch",
        CloudError::Throttled { .. }
        | CloudError::Denied { .. }
        | CloudError::Credentials { .. }
        | CloudError::NotFound { .. }
        | CloudError::Unknown { .. } => false,
    }
}

/// The token was used with other subnets or images. What it bought cannot be seen yet: a later turn looks again.
fn used_token(error: CloudError) -> CloudError {
    let CloudError::Refused { call, code, .. } = &error else { return error };
    if code != "IdempotentParameterMismatch" {
        return error;
    }
    let message = "its token was used before, and what it bought is not to be seen yet".to_owned();
    CloudError::Unknown { call, message }
}

impl Cloud for Ec2Cloud {
    async fn launch(
        &self,
        request: &FleetRequest,
        class: &ResolvedNodeClass,
        cluster: &ClusterFacts,
    ) -> Result<FleetAnswer, CloudError> {
        let profile = self.instance_profile(&class.spec, cluster).await?;
        let templates = launch_template::templates(request, class, cluster, profile.as_deref())
            .map_err(|error| invalid_class(&error))?;
        let answer = match self.try_launch(request, class, cluster, &templates).await {
            Err(error) if template_is_gone(&error) => {
                self.forget(&templates);
                self.try_launch(request, class, cluster, &templates).await
            }
            answer => answer,
        };
        let mut answer = match answer {
            Err(error) if is_other_parameters(&error) => {
                let first = self.first_answer(request, class, &templates, error).await;
                first.map_err(used_token)?
            }
            answer => answer?,
        };
        answer.refused.extend(templates.refused);
        answer.refused.sort();
        answer.refused.dedup();
        Ok(answer)
    }

    async fn prepare(
        &self,
        class: &ResolvedNodeClass,
        cluster: &ClusterFacts,
    ) -> Result<Option<String>, CloudError> {
        self.instance_profile(&class.spec, cluster).await
    }

    async fn terminate(&self, ids: &[String]) -> Result<Vec<String>, CloudError> {
        self.terminate_all(ids).await
    }

    async fn tag(&self, id: &str, tags: &Labels) -> Result<(), CloudError> {
        self.take("CreateTags", 1, |buckets| &mut buckets.create_tags)?;
        let call = self.ec2.create_tags().resources(id).set_tags(Some(wire::tags(tags)));
        call.send().await.map_err(|error| self.error("CreateTags", id, &error))?;
        Ok(())
    }

    async fn clean_launch_templates(&self, unused_for_s: i64) -> Result<usize, CloudError> {
        self.clean_templates(unused_for_s).await
    }
}

/// How what a call bought is paid for.
fn paid_for(request: &FleetRequest, spot: bool) -> CapacityType {
    match (spot, request.capacity_type) {
        (true, _) => CapacityType::Spot,
        (false, CapacityType::Reserved) => CapacityType::Reserved,
        (false, CapacityType::Spot | CapacityType::OnDemand) => CapacityType::OnDemand,
    }
}

#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
