//! The token by which an AWS identity is known to an EKS cluster.
//!
//! It is the URL of an STS call, signed but not sent: the cluster sends it and learns from STS who signed it. Source: what
//! `aws eks get-token` makes and aws-iam-authenticator checks (`GetCallerIdentity`, header `x-k8s-aws-id`, expiry 60 s, prefix
//! `k8s-aws-v1.`); the authenticator takes a token for 15 minutes from its date.

use aws_credential_types::provider::{ProvideCredentials, SharedCredentialsProvider};
use aws_sigv4::http_request::{
    SignableBody, SignableRequest, SignatureLocation, SigningSettings, sign,
};
use aws_sigv4::sign::v4;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::{HeaderValue, Request, header};
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use thiserror::Error;
use tokio::sync::Mutex;

const PREFIX: &str = "k8s-aws-v1.";
/// How long the signature itself holds: `X-Amz-Expires`.
const EXPIRES: Duration = Duration::from_secs(60);
/// When a new token is made: the authenticator's 15 minutes less room for clocks and for the longest request.
const RENEWED_AFTER: Duration = Duration::from_secs(11 * 60);

/// No token could be made.
#[derive(Debug, Error)]
pub enum TokenError {
    /// There are no AWS credentials, or they cannot be had.
    #[error(
        "no AWS credentials for the cluster's token: {0}; check the function's role, or log in to AWS"
    )]
    Credentials(String),
    /// The token could not be signed.
    #[error("the cluster's token cannot be signed: {0}")]
    Signing(String),
}

/// Makes tokens for one cluster and keeps the last one while it holds.
#[derive(Clone, Debug)]
pub struct EksToken {
    cluster: String,
    region: String,
    credentials: SharedCredentialsProvider,
    kept: Arc<Mutex<Option<(SystemTime, HeaderValue)>>>,
}

impl EksToken {
    /// Tokens for the cluster of this name in this region.
    pub fn new(cluster: &str, region: &str, credentials: SharedCredentialsProvider) -> Self {
        let (cluster, region) = (cluster.to_owned(), region.to_owned());
        Self { cluster, region, credentials, kept: Arc::default() }
    }

    /// The `Authorization` header, of a token that holds for some minutes yet.
    async fn authorization(&self, now: SystemTime) -> Result<HeaderValue, TokenError> {
        let mut kept = self.kept.lock().await;
        if let Some((made_at, value)) = kept.as_ref() {
            // A clock that was set back makes the age unknown.
            let age = now.duration_since(*made_at).unwrap_or(RENEWED_AFTER);
            if age < RENEWED_AFTER {
                return Ok(value.clone());
            }
        }
        let token = self.sign(now).await?;
        let mut value = HeaderValue::from_str(&format!("Bearer {token}"))
            .map_err(|error| TokenError::Signing(error.to_string()))?;
        value.set_sensitive(true);
        *kept = Some((now, value.clone()));
        Ok(value)
    }

    async fn sign(&self, now: SystemTime) -> Result<String, TokenError> {
        let credentials = self.credentials.provide_credentials().await;
        let identity =
            credentials.map_err(|error| TokenError::Credentials(super::causes(&error)))?.into();
        let mut settings = SigningSettings::default();
        settings.signature_location = SignatureLocation::QueryParams;
        settings.expires_in = Some(EXPIRES);
        let signing = |error: &dyn std::error::Error| TokenError::Signing(super::causes(error));
        let parameters = v4::SigningParams::builder()
            .identity(&identity)
            .region(&self.region)
            .name("sts")
            .time(now)
            .settings(settings)
            .build()
            .map_err(|error| signing(&error))?
            .into();
        let url = format!(
            "https://{}/?Action=GetCallerIdentity&Version=2011-06-15",
            sts_host(&self.region)
        );
        let headers = [("x-k8s-aws-id", self.cluster.as_str())];
        let body = SignableBody::Bytes(&[]);
        let request = SignableRequest::new("GET", &url, headers.into_iter(), body)
            .map_err(|error| signing(&error))?;
        let signed = sign(request, &parameters).map_err(|error| signing(&error))?;
        let (instructions, _) = signed.into_parts();
        let mut request = Request::get(&url).body(()).map_err(|error| signing(&error))?;
        instructions.apply_to_request_http1x(&mut request);
        Ok(format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(request.uri().to_string())))
    }
}

/// The region's own STS endpoint.
fn sts_host(region: &str) -> String {
    let suffix = if region.starts_with("cn-") { "amazonaws.com.cn" } else { "amazonaws.com" };
    format!("sts.{region}.{suffix}")
}

impl<B: Send + 'static> tower::filter::AsyncPredicate<Request<B>> for EksToken {
    type Future =
        std::pin::Pin<Box<dyn Future<Output = Result<Request<B>, tower::BoxError>> + Send>>;
    type Request = Request<B>;

    fn check(&mut self, mut request: Request<B>) -> Self::Future {
        let token = self.clone();
        Box::pin(async move {
            let value = token.authorization(SystemTime::now()).await?;
            request.headers_mut().insert(header::AUTHORIZATION, value);
            Ok(request)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use aws_credential_types::Credentials;
    use std::time::UNIX_EPOCH;

    fn token(region: &str) -> EksToken {
        let credentials =
            Credentials::new("AKID", "SECRET", Some("SESSION".to_owned()), None, "test");
        EksToken::new("demo", region, SharedCredentialsProvider::new(credentials))
    }

    fn at(seconds: u64) -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(1_800_000_000 + seconds)
    }

    async fn url(region: &str) -> String {
        let value = token(region).authorization(at(0)).await.unwrap();
        let text = value.to_str().unwrap().strip_prefix("Bearer k8s-aws-v1.").unwrap().to_owned();
        assert!(!text.contains('='), "{text}");
        String::from_utf8(URL_SAFE_NO_PAD.decode(text).unwrap()).unwrap()
    }

    #[tokio::test]
    async fn a_token_is_a_signed_call_of_the_regions_sts() {
        let url = url("eu-west-1").await;
        let expected = [
            "https://sts.eu-west-1.amazonaws.com/?Action=GetCallerIdentity&Version=2011-06-15",
            "X-Amz-Algorithm=AWS4-HMAC-SHA256",
            "X-Amz-Credential=AKID%2F20270115%2Feu-west-1%2Fsts%2Faws4_request",
            "X-Amz-Date=20270115T080000Z",
            "X-Amz-Expires=60",
            "X-Amz-SignedHeaders=host%3Bx-k8s-aws-id",
            "X-Amz-Security-Token=SESSION",
            "X-Amz-Signature=",
        ];
        for part in expected {
            assert!(url.contains(part), "{part} in {url}");
        }
        assert!(!url.contains("SECRET"));
    }

    #[tokio::test]
    async fn china_has_endpoints_of_its_own() {
        assert!(url("cn-north-1").await.starts_with("https://sts.cn-north-1.amazonaws.com.cn/?"));
    }

    #[tokio::test]
    async fn a_token_is_kept_while_it_holds_and_renewed_before_its_end() {
        let token = token("us-east-1");
        let first = token.authorization(at(0)).await.unwrap();
        assert_eq!(token.authorization(at(600)).await.unwrap(), first);
        let second = token.authorization(at(14 * 60)).await.unwrap();
        assert_ne!(second, first);
        assert!(second.is_sensitive(), "it must not reach logs");
        assert_ne!(token.authorization(at(0)).await.unwrap(), second, "a clock set back");
    }
}
