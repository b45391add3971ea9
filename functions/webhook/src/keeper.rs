//! The certificate's Secret: the leader makes and renews it and tells the API servers whom to trust; every replica serves it.

use crate::certificate::{CertificateError, Served, Stored};
use crate::clock::Clock;
use crate::metrics::Metrics;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use futures::{StreamExt, pin_mut};
use jiff::Timestamp;
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::api::{Patch, PatchParams, PostParams};
use kube::core::{ApiResource, DynamicObject};
use kube::runtime::watcher;
use kube::{Api, Client};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;

/// The Secret's name.
const SECRET: &str = "joiner-webhook-cert";
/// The name of both webhook configurations.
const CONFIGURATION: &str = "joiner-webhook";
/// Annotations of the Secret: when the certificate ends, and the names that it is for.
const UNTIL: &str = "joiner.dev/certificate-until";
const HOSTS: &str = "joiner.dev/certificate-hosts";
/// How often the leader looks whether all is in place.
const LOOK: Duration = Duration::from_secs(15);
/// How soon after a failure it looks again.
const RETRY: Duration = Duration::from_secs(5);
/// The longest that one look may take.
const CALLS: Duration = Duration::from_secs(20);

/// Why the certificate is not in place.
#[derive(Debug, thiserror::Error)]
enum KeeperError {
    #[error("secret {SECRET} or webhook configuration {CONFIGURATION}: {0}")]
    Call(#[from] kube::Error),
    #[error(transparent)]
    Certificate(#[from] CertificateError),
    #[error("secret {SECRET}: the API server did not answer within 20 s")]
    Late(#[from] tokio::time::error::Elapsed),
}

/// What keeps the certificate.
#[derive(Clone)]
pub(crate) struct Keeper {
    client: Client,
    secrets: Api<Secret>,
    hosts: Vec<String>,
    served: Arc<Served>,
    metrics: Arc<Metrics>,
    clock: Clock,
}

impl Keeper {
    /// Keeps a certificate for the hosts in a Secret of the namespace.
    pub(crate) fn new(
        client: Client,
        namespace: &str,
        hosts: Vec<String>,
        served: Arc<Served>,
        metrics: Arc<Metrics>,
        clock: Clock,
    ) -> Self {
        let secrets = Api::namespaced(client.clone(), namespace);
        Self { client, secrets, hosts, served, metrics, clock }
    }

    /// Serves what the Secret holds, whenever it changes.
    pub(crate) async fn follow(self) {
        let stream = watcher::watch_object(self.secrets.clone(), SECRET);
        pin_mut!(stream);
        while let Some(event) = stream.next().await {
            match event {
                Ok(Some(secret)) => self.serve(&secret),
                Ok(None) => {}
                Err(error) => {
                    tracing::warn!(%error, "the watch of the certificate broke; it begins again");
                    self.clock.until(self.clock.now() + RETRY).await;
                }
            }
        }
    }

    fn serve(&self, secret: &Secret) {
        let stored = stored(secret);
        match stored.served() {
            Ok(key) => {
                self.served.set(key);
                self.metrics.certificate(stored.until.as_second().max(1));
                tracing::info!(until = %stored.until, "certificate loaded");
            }
            Err(error) => tracing::warn!(%error, "the last certificate is served on"),
        }
    }

    /// Makes and renews the certificate while this replica leads.
    pub(crate) async fn run(self, mut leading: watch::Receiver<Option<Duration>>) {
        while leading.wait_for(Option::is_some).await.is_ok() {
            let kept = tokio::time::timeout(CALLS, self.keep()).await.map_err(KeeperError::Late);
            let pause = match kept.and_then(|kept| kept) {
                Ok(()) => LOOK,
                Err(error) => {
                    tracing::warn!(%error, "the certificate is not in place");
                    RETRY
                }
            };
            self.clock.until(self.clock.now() + pause).await;
        }
    }

    async fn keep(&self) -> Result<(), KeeperError> {
        let now = Timestamp::now();
        let secret = self.secrets.get_opt(SECRET).await?;
        let before = secret.as_ref().map(stored);
        let stored = match &before {
            Some(stored) if !stored.is_due(&self.hosts, now) => {
                return self.trust(&stored.authorities).await;
            }
            _ => Stored::renew(&self.hosts, before.as_ref(), now)?,
        };
        // Whoever trusts the new authority first trusts the old one still, so nobody is ever without.
        self.trust(&stored.authorities).await?;
        let written = written(secret.as_ref(), &stored);
        let params = PostParams::default();
        match secret {
            Some(_) => self.secrets.replace(SECRET, &params, &written).await?,
            None => self.secrets.create(&params, &written).await?,
        };
        tracing::info!(until = %stored.until, "certificate renewed");
        Ok(())
    }

    /// Writes the authorities into both webhook configurations, as far as these are there and say otherwise.
    async fn trust(&self, authorities: &str) -> Result<(), KeeperError> {
        let bundle = STANDARD.encode(authorities);
        for kind in ["ValidatingWebhookConfiguration", "MutatingWebhookConfiguration"] {
            let configurations =
                Api::<DynamicObject>::all_with(self.client.clone(), &configuration(kind));
            let Some(found) = configurations.get_opt(CONFIGURATION).await? else { continue };
            if let Some(patch) = bundle_patch(&found.data, &bundle) {
                let patch = Patch::Strategic(patch);
                configurations.patch(CONFIGURATION, &PatchParams::default(), &patch).await?;
            }
        }
        Ok(())
    }
}

fn configuration(kind: &str) -> ApiResource {
    ApiResource {
        group: "admissionregistration.k8s.io".to_owned(),
        version: "v1".to_owned(),
        api_version: "admissionregistration.k8s.io/v1".to_owned(),
        kind: kind.to_owned(),
        plural: format!("{}s", kind.to_lowercase()),
    }
}

/// The patch that gives each webhook the bundle; `None` if all have it. Webhooks of a configuration are merged by name.
fn bundle_patch(configuration: &Value, bundle: &str) -> Option<Value> {
    let webhooks = configuration["webhooks"].as_array().map(Vec::as_slice).unwrap_or_default();
    let differs = |webhook: &&Value| webhook["clientConfig"]["caBundle"] != bundle;
    let patched = webhooks
        .iter()
        .filter(differs)
        .map(|webhook| json!({ "name": webhook["name"], "clientConfig": { "caBundle": bundle } }));
    let patched = patched.collect::<Vec<_>>();
    (!patched.is_empty()).then(|| json!({ "webhooks": patched }))
}

fn stored(secret: &Secret) -> Stored {
    let data = |key: &str| {
        let bytes =
            secret.data.as_ref().and_then(|data| data.get(key)).map(|value| value.0.clone());
        String::from_utf8(bytes.unwrap_or_default()).unwrap_or_default()
    };
    let annotation = |key: &str| secret.metadata.annotations.as_ref()?.get(key).cloned();
    Stored {
        authorities: data("ca.crt"),
        certificate: data("tls.crt"),
        key: data("tls.key"),
        hosts: annotation(HOSTS).unwrap_or_default(),
        until: annotation(UNTIL)
            .and_then(|until| until.parse().ok())
            .unwrap_or(Timestamp::UNIX_EPOCH),
    }
}

fn written(before: Option<&Secret>, stored: &Stored) -> Secret {
    let named = || ObjectMeta { name: Some(SECRET.to_owned()), ..ObjectMeta::default() };
    let mut metadata = before.map_or_else(named, |secret| secret.metadata.clone());
    let annotations = metadata.annotations.get_or_insert_default();
    annotations.insert(UNTIL.to_owned(), stored.until.to_string());
    annotations.insert(HOSTS.to_owned(), stored.hosts.clone());
    let data = [
        ("ca.crt", &stored.authorities),
        ("tls.crt", &stored.certificate),
        ("tls.key", &stored.key),
    ];
    let data = data.map(|(key, value)| (key.to_owned(), ByteString(value.clone().into_bytes())));
    Secret {
        metadata,
        data: Some(BTreeMap::from(data)),
        type_: Some("kubernetes.io/tls".to_owned()),
        ..Secret::default()
    }
}

#[cfg(test)]
#[path = "keeper/tests.rs"]
mod tests;
