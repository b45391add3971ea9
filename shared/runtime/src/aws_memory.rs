//! What is remembered, in the account and in the cluster: a bucket, a queue, a ConfigMap.

use crate::configuration::{Configuration, NAMESPACE};
use crate::memory::{ForgetError, KeptTurn, Memory};
use model::account::redacted;
use model::{Timestamp, UnavailableOffering};
use observe::cloud::UnavailableOfferings;
use serde_json::{Value, json};

/// The ConfigMap of offerings without capacity.
pub const OFFERINGS_CONFIG_MAP: &str = "joiner-offerings";
/// SQS delays no message longer, in seconds.
const LONGEST_DELAY_S: i64 = 900;

/// Two functions may learn of offerings without capacity at the same moment.
const TRIES: usize = 4;

/// The bucket, the queue and the ConfigMap of an installation.
#[derive(Clone)]
pub struct AwsMemory {
    s3: aws_sdk_s3::Client,
    sqs: aws_sdk_sqs::Client,
    cluster: kube::Client,
    bucket: Option<String>,
    queue_url: Option<String>,
    cluster_name: String,
}

impl AwsMemory {
    /// By these clients and settings.
    pub fn new(
        aws: &aws_config::SdkConfig,
        cluster: kube::Client,
        settings: &Configuration,
    ) -> Self {
        Self {
            s3: s3(aws),
            sqs: aws_sdk_sqs::Client::new(aws),
            cluster,
            bucket: settings.turns_bucket.clone(),
            queue_url: settings.follow_up_queue_url.clone(),
            cluster_name: settings.cluster_name.clone(),
        }
    }

    /// Sends a message that could not be read to a dead-letter queue, with the reason as an attribute.
    ///
    /// # Errors
    /// If the queue does not take it.
    pub async fn bury(&self, queue_url: &str, body: &str, reason: &str) -> Result<(), ForgetError> {
        let value = aws_sdk_sqs::types::MessageAttributeValue::builder()
            .data_type("String")
            .string_value(reason)
            .build()
            .map_err(|error| forget("dead letter", error))?;
        let send = self.sqs.send_message().queue_url(queue_url).message_body(body);
        let sent = send.message_attributes("Error", value).send().await;
        sent.map(drop)
            .map_err(|error| forget("dead letter", aws_sdk_sqs::error::DisplayErrorContext(error)))
    }

    async fn config_map(
        &self,
        method: &str,
        name: &str,
        body: &Value,
    ) -> Result<Value, kube::Error> {
        let root = format!("/api/v1/namespaces/{NAMESPACE}/configmaps");
        let path = if method == "POST" { root } else { format!("{root}/{name}") };
        let kind =
            if method == "PATCH" { "application/merge-patch+json" } else { "application/json" };
        let bytes = if body.is_null() { Vec::new() } else { body.to_string().into_bytes() };
        let request =
            http::Request::builder().method(method).uri(path).header("content-type", kind);
        let request = request.body(bytes).map_err(kube::Error::HttpError)?;
        self.cluster.request(request).await
    }

    /// Writes a ConfigMap's data, making it if it is not there.
    ///
    /// # Errors
    /// If the API server refuses.
    pub async fn write_config_map(&self, name: &str, data: Value) -> Result<(), ForgetError> {
        let patch = json!({ "data": data });
        let written = match self.config_map("PATCH", name, &patch).await {
            Err(kube::Error::Api(status)) if status.code == 404 => {
                self.config_map("POST", name, &new(name, &patch["data"])).await
            }
            other => other,
        };
        written.map(drop).map_err(|error| of_config_map(name, error))
    }

    /// Adds offerings to those that others have written, if these have not changed meanwhile.
    async fn try_add(
        &self,
        offerings: &[UnavailableOffering],
        now: Timestamp,
    ) -> Result<Value, kube::Error> {
        let found = match self.config_map("GET", OFFERINGS_CONFIG_MAP, &Value::Null).await {
            Err(kube::Error::Api(status)) if status.code == 404 => None,
            answer => Some(answer?),
        };
        let data = found.as_ref().map(|object| object["data"].clone()).unwrap_or_default();
        // What cannot be read is told by whoever reads it next to observe; here it is replaced.
        let data = serde_json::from_value(data).unwrap_or_default();
        let (mut all, _) = UnavailableOfferings::from_config_map_data(&data);
        all.drop_expired(now);
        offerings.iter().cloned().for_each(|offering| all.add(offering));
        let data = json!(all.to_config_map_data());
        match found {
            None => {
                self.config_map("POST", OFFERINGS_CONFIG_MAP, &new(OFFERINGS_CONFIG_MAP, &data))
                    .await
            }
            Some(object) => {
                let version = &object["metadata"]["resourceVersion"];
                let patch = json!({ "metadata": { "resourceVersion": version }, "data": data });
                self.config_map("PATCH", OFFERINGS_CONFIG_MAP, &patch).await
            }
        }
    }

    /// A ConfigMap's data; empty if it is not there.
    ///
    /// # Errors
    /// If the API server refuses.
    pub async fn read_config_map(&self, name: &str) -> Result<Value, ForgetError> {
        match self.config_map("GET", name, &Value::Null).await {
            Ok(object) => Ok(object["data"].clone()),
            Err(kube::Error::Api(status)) if status.code == 404 => Ok(Value::Null),
            Err(error) => Err(of_config_map(name, error)),
        }
    }
}

/// A ConfigMap of that name.
fn new(name: &str, data: &Value) -> Value {
    let metadata = json!({ "name": name, "namespace": NAMESPACE });
    json!({ "apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data })
}

/// Emulators serve buckets by path; the stack's bucket has no dots in its name, so that both ways work.
fn s3(aws: &aws_config::SdkConfig) -> aws_sdk_s3::Client {
    let config = aws_sdk_s3::config::Builder::from(aws).force_path_style(true).build();
    aws_sdk_s3::Client::from_conf(config)
}

fn key(cluster: &str, turn: &str) -> String {
    format!("turns/{cluster}/{turn}.json.gz")
}

/// Reads a turn that was kept, as its compressed bytes.
///
/// # Errors
/// If it is not there or may not be read.
pub async fn read_turn(
    aws: &aws_config::SdkConfig,
    bucket: &str,
    cluster: &str,
    turn: &str,
) -> Result<Vec<u8>, ForgetError> {
    const WHAT: &str = "kept turn";
    let get = s3(aws).get_object().bucket(bucket).key(key(cluster, turn)).send().await;
    let object =
        get.map_err(|error| forget(WHAT, aws_sdk_s3::error::DisplayErrorContext(error)))?;
    let bytes = object.body.collect().await.map_err(|error| forget(WHAT, error))?;
    Ok(bytes.to_vec())
}

fn forget(what: &'static str, problem: impl std::fmt::Display) -> ForgetError {
    ForgetError { what, problem: redacted(&problem.to_string()) }
}

/// In the API server's own words, which name whoever may not, but for the account.
fn of_config_map(name: &str, error: kube::Error) -> ForgetError {
    let problem = if let kube::Error::Api(status) = &error {
        format!("{} (HTTP {})", status.message, status.code)
    } else {
        error.to_string()
    };
    forget("ConfigMap", format!("{NAMESPACE}/{name}: {problem}"))
}

impl Memory for AwsMemory {
    async fn add_unavailable(
        &self,
        offerings: &[UnavailableOffering],
        now: Timestamp,
    ) -> Result<(), ForgetError> {
        let mut last = None;
        for _ in 0..TRIES {
            match self.try_add(offerings, now).await {
                Err(kube::Error::Api(status)) if status.code == 409 => last = Some(status.message),
                Err(error) => return Err(of_config_map(OFFERINGS_CONFIG_MAP, error)),
                Ok(_) => return Ok(()),
            }
        }
        Err(forget("ConfigMap", last.unwrap_or_default()))
    }

    async fn keep(&self, turn: &KeptTurn) -> Result<(), ForgetError> {
        let Some(bucket) = &self.bucket else { return Ok(()) };
        // Compressing is work for a processor: the turn is carried out meanwhile.
        let work = turn.clone();
        let bytes = tokio::task::spawn_blocking(move || work.to_bytes()).await;
        let bytes = bytes.map_err(|error| forget("turn", error))?;
        let bytes = bytes.map_err(|error| forget("turn", error))?;
        let put = self
            .s3
            .put_object()
            .bucket(bucket)
            .key(key(&self.cluster_name, &turn.turn))
            .body(bytes.into());
        put.send()
            .await
            .map(drop)
            .map_err(|error| forget("turn", aws_sdk_s3::error::DisplayErrorContext(error)))
    }

    async fn wake_in(&self, seconds: i64) -> Result<(), ForgetError> {
        let Some(queue_url) = &self.queue_url else { return Ok(()) };
        let delay = i32::try_from(seconds.clamp(0, LONGEST_DELAY_S)).unwrap_or(0);
        let send = self.sqs.send_message().queue_url(queue_url).delay_seconds(delay);
        let sent = send.message_body(r#"{"joiner":"follow-up"}"#).send().await;
        sent.map(drop)
            .map_err(|error| forget("follow-up", aws_sdk_sqs::error::DisplayErrorContext(error)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_account_is_told_with_what_cannot_be_remembered() {
        let text = r#"User "arn:aws:sts::123456789012:assumed-role/x" cannot patch configmaps"#;
        let status = kube::core::Status::failure(text, "Forbidden").with_code(403);
        let told = of_config_map("a", kube::Error::Api(Box::new(status))).to_string();
        assert!(told.contains("sts::<account>:assumed-role/x") && told.contains("403"), "{told}");
        let told = forget("turn", "arn:aws:sts::123456789012:x may not s3:PutObject").to_string();
        assert!(!told.contains("123456789012"), "{told}");
    }
}
