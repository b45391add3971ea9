//! The clients, their deadlines, and paging.

use super::call::Call;
use super::error::CloudReadError;
use super::gate::Gate;
use aws_config::retry::RetryConfig;
use aws_config::timeout::TimeoutConfig;
use aws_config::{Region, SdkConfig};
use aws_sdk_ec2::error::{ProvideErrorMetadata, SdkError};
use aws_smithy_async::future::pagination_stream::PaginationStream;
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use std::error::Error;
use std::time::Duration;

/// One attempt may take this long.
const ATTEMPT: Duration = Duration::from_secs(5);
/// A call with its retry may take this long.
const WHOLE: Duration = Duration::from_secs(15);
/// One retry, for connections that were closed while they were idle; anything else is for the next turn.
const ATTEMPTS: u32 = 2;
const BACKOFF: Duration = Duration::from_millis(100);
/// Calls that wait for answers at the same time.
pub(crate) const CONCURRENCY: usize = 8;

/// What all readers share.
#[derive(Debug)]
pub(crate) struct Clients {
    pub(crate) ec2: aws_sdk_ec2::Client,
    pub(crate) eks: aws_sdk_eks::Client,
    pub(crate) ssm: aws_sdk_ssm::Client,
    /// None where there is no price list in dollars (GovCloud, China).
    pub(crate) pricing: Option<aws_sdk_pricing::Client>,
    pub(crate) region: String,
    pub(crate) gate: Gate,
}

impl Clients {
    pub(crate) fn new(config: &SdkConfig) -> Self {
        let timeouts =
            TimeoutConfig::builder().operation_attempt_timeout(ATTEMPT).operation_timeout(WHOLE);
        let retry = RetryConfig::standard()
            .with_max_attempts(ATTEMPTS)
            .with_initial_backoff(BACKOFF)
            .with_max_backoff(BACKOFF);
        let config = config
            .clone()
            .into_builder()
            .timeout_config(timeouts.build())
            .retry_config(retry)
            .build();
        let region = config.region().map(Region::to_string).unwrap_or_default();
        let pricing = price_list_region(&region).map(|at| {
            let config = config.clone().into_builder().region(Region::new(at)).build();
            aws_sdk_pricing::Client::new(&config)
        });
        Self {
            ec2: aws_sdk_ec2::Client::new(&config),
            eks: aws_sdk_eks::Client::new(&config),
            ssm: aws_sdk_ssm::Client::new(&config),
            pricing,
            region,
            gate: Gate::default(),
        }
    }

    /// Hands each page of a paged call to `take`.
    pub(crate) async fn pages<P, E>(
        &self,
        call: Call,
        mut stream: PaginationStream<Result<P, SdkError<E, HttpResponse>>>,
        mut take: impl FnMut(P),
    ) -> Result<(), CloudReadError>
    where
        E: ProvideErrorMetadata + Error + Send + Sync + 'static,
    {
        loop {
            self.gate.pass(call)?;
            match stream.next().await {
                Some(Ok(page)) => take(page),
                Some(Err(error)) => {
                    return Err(CloudReadError::of(call, &self.region, "", &error));
                }
                None => {
                    self.gate.give_back(call);
                    return Ok(());
                }
            }
        }
    }
}

/// The region of the price list's endpoint that is nearest (AWS Price List Query API endpoints). GovCloud has none, and China's
/// is not in dollars.
fn price_list_region(region: &str) -> Option<&'static str> {
    match region.split('-').next()? {
        "cn" => None,
        "us" if region.starts_with("us-gov-") => None,
        "ap" | "me" => Some("ap-south-1"),
        "eu" | "af" | "il" => Some("eu-central-1"),
        _ => Some("us-east-1"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_price_list_is_asked_where_it_is_nearest() {
        let check = |region: &str, expected: Option<&str>| {
            assert_eq!(price_list_region(region), expected, "{region}");
        };
        check("us-west-2", Some("us-east-1"));
        check("ca-central-1", Some("us-east-1"));
        check("eu-west-1", Some("eu-central-1"));
        check("ap-northeast-1", Some("ap-south-1"));
        check("us-gov-west-1", None);
        check("cn-north-1", None);
        check("iso-west-1", Some("us-east-1"));
    }
}
