//! What is remembered between turns, outside of the objects that it is about.

use model::{Plan, Snapshot, UnavailableOffering};
use serde::{Deserialize, Serialize};
use std::future::Future;
use std::io::Read;
use std::sync::Arc;

/// What an acting turn saw and decided: enough to decide it again.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct KeptTurn {
    /// The turn's name.
    pub turn: String,
    /// What woke it.
    pub trigger: String,
    /// How hard the planner looked.
    pub planner_steps: u64,
    /// What it saw.
    pub snapshot: Arc<Snapshot>,
    /// What it decided.
    pub plan: Plan,
}

/// What was kept cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("a kept turn cannot be read: {0}")]
pub struct KeptError(String);

impl KeptTurn {
    /// As compressed JSON.
    ///
    /// # Errors
    /// Never in practice: the types are plain.
    pub fn to_bytes(&self) -> Result<Vec<u8>, KeptError> {
        let failed = |error: &dyn std::fmt::Display| KeptError(error.to_string());
        let encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        // The text of a large cluster is never in memory as a whole.
        let mut writer = std::io::BufWriter::new(encoder);
        serde_json::to_writer(&mut writer, self).map_err(|error| failed(&error))?;
        let encoder = writer.into_inner().map_err(|error| failed(&error))?;
        encoder.finish().map_err(|error| failed(&error))
    }

    /// From compressed or plain JSON.
    ///
    /// # Errors
    /// If the bytes are neither.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, KeptError> {
        let failed = |error: &dyn std::fmt::Display| KeptError(error.to_string());
        if !bytes.starts_with(&[0x1f, 0x8b]) {
            return serde_json::from_slice(bytes).map_err(|error| failed(&error));
        }
        let mut json = Vec::new();
        let read = flate2::read::GzDecoder::new(bytes).read_to_end(&mut json);
        read.map_err(|error| failed(&error))?;
        serde_json::from_slice(&json).map_err(|error| failed(&error))
    }
}

/// A thing that could not be remembered. The turn goes on without.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{what}: {problem}")]
pub struct ForgetError {
    /// What was to be remembered.
    pub what: &'static str,
    /// Why it was not.
    pub problem: String,
}

/// Where it is remembered.
pub trait Memory: Send + Sync {
    /// Remembers that offerings have no capacity, until they may again.
    fn add_unavailable(
        &self,
        offerings: &[UnavailableOffering],
        now: model::Timestamp,
    ) -> impl Future<Output = Result<(), ForgetError>> + Send;

    /// Keeps what an acting turn saw and decided.
    fn keep(&self, turn: &KeptTurn) -> impl Future<Output = Result<(), ForgetError>> + Send;

    /// Has a turn begin in so many seconds.
    fn wake_in(&self, seconds: i64) -> impl Future<Output = Result<(), ForgetError>> + Send;
}
