//! Terminating instances.

use super::Ec2Cloud;
use crate::ports::CloudError;
use aws_sdk_ec2::error::ProvideErrorMetadata;
use std::collections::BTreeSet;

const CALL: &str = "TerminateInstances";
/// How many ids go into one call.
const BATCH: usize = 500;

impl Ec2Cloud {
    /// Terminates in batches. A failure after the first batch ends it: what is certain by then is the answer, and the next turn
    /// goes on with the rest.
    pub(super) async fn terminate_all(&self, ids: &[String]) -> Result<Vec<String>, CloudError> {
        let mut certain = Vec::new();
        for batch in ids.chunks(BATCH) {
            match self.terminate_batch(batch).await {
                Ok(gone) => certain.extend(gone),
                Err(error) if certain.is_empty() => return Err(error),
                Err(_) => break,
            }
        }
        Ok(certain)
    }

    /// One id that does not exist fails the whole call: those that the answer names are gone, and the rest is sent once more.
    async fn terminate_batch(&self, ids: &[String]) -> Result<Vec<String>, CloudError> {
        let mut gone = match self.terminate_call(ids).await {
            Ok(()) => return Ok(ids.to_vec()),
            Err(CallError { missing, error }) if missing.is_empty() => return Err(error),
            Err(CallError { missing, .. }) => missing,
        };
        let rest = ids.iter().filter(|id| !gone.contains(id)).cloned().collect::<Vec<_>>();
        if !rest.is_empty() {
            match self.terminate_call(&rest).await {
                Ok(()) => gone.extend(rest),
                Err(CallError { missing, .. }) => gone.extend(missing),
            }
        }
        Ok(gone)
    }

    async fn terminate_call(&self, ids: &[String]) -> Result<(), CallError> {
        let certain = |error| CallError { missing: Vec::new(), error };
        self.take(CALL, 1, |buckets| &mut buckets.terminate).map_err(certain)?;
        self.take(CALL, ids.len() as u64, |buckets| &mut buckets.instances_terminated)
            .map_err(certain)?;
        let call = self.ec2.terminate_instances().set_instance_ids(Some(ids.to_vec()));
        match call.send().await {
            Ok(_) => Ok(()),
            Err(error) => {
                let is_missing = error.code() == Some("InvalidInstanceID.NotFound");
                let named = error.message().filter(|_| is_missing).unwrap_or_default();
                let missing = named_ids(named, ids);
                Err(CallError { missing, error: self.error(CALL, &ids.join(", "), &error) })
            }
        }
    }
}

/// A failed call, and the instances that it says do not exist.
struct CallError {
    missing: Vec<String>,
    error: CloudError,
}

/// The ids of `asked` that a message names.
fn named_ids(message: &str, asked: &[String]) -> Vec<String> {
    let words = message.split(|c: char| !c.is_ascii_alphanumeric() && c != '-');
    let named = words.collect::<BTreeSet<_>>();
    asked.iter().filter(|id| named.contains(id.as_str())).cloned().collect()
}
