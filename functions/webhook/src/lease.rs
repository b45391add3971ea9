//! The Lease object by which the replicas elect a leader.

use crate::clock::Clock;
use crate::election::{Election, LEASE, Move, Record};
use jiff::Timestamp;
use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta};
use kube::api::PostParams;
use kube::{Api, Client};
use std::time::Duration;
use tokio::sync::watch;

/// The lease's name.
const NAME: &str = "joiner-webhook";
/// The longest that a call for the lease may take.
const CALL: Duration = Duration::from_secs(4);

/// A replica in the election.
pub(crate) struct Candidate {
    leases: Api<Lease>,
    me: String,
    election: Election,
    clock: Clock,
    /// The lease as it was read or written last.
    lease: Option<Lease>,
}

/// Why the lease could not be looked at or written.
#[derive(Debug, thiserror::Error)]
enum LeaseError {
    #[error("lease {NAME}: {0}")]
    Call(#[from] kube::Error),
    #[error("lease {NAME}: the API server did not answer within 4 s")]
    Late(#[from] tokio::time::error::Elapsed),
}

impl Candidate {
    /// Replica `me` of the webhook in the namespace.
    pub(crate) fn new(client: Client, namespace: &str, me: &str, clock: Clock) -> Self {
        let leases = Api::namespaced(client, namespace);
        Self { leases, me: me.to_owned(), election: Election::new(me), clock, lease: None }
    }

    /// Stands for election until `stop`, tells until when this replica leads, and then releases the lease.
    pub(crate) async fn run(
        mut self,
        leading: watch::Sender<Option<Duration>>,
        mut stop: watch::Receiver<bool>,
    ) {
        loop {
            let looked = self.look().await;
            if let Err(error) = &looked {
                tracing::warn!(%error, "the lease could not be renewed or looked at");
            }
            let now = self.clock.now();
            leading.send_replace(self.election.leads_until(now));
            let next = self.election.next(now, looked.is_ok());
            tokio::select! {
                () = self.clock.until(next) => {}
                _ = stop.wait_for(|stop| *stop) => break,
            }
        }
        let led = leading.send_replace(None).is_some();
        if led && let Err(error) = self.write(String::new(), Duration::from_secs(1)).await {
            tracing::warn!(%error, "the lease could not be released; it runs out by itself");
        }
    }

    async fn look(&mut self) -> Result<(), LeaseError> {
        let asked = self.clock.now();
        self.lease = tokio::time::timeout(CALL, self.leases.get_opt(NAME)).await??;
        let record = self.lease.as_ref().map(record);
        match self.election.decide(record, self.clock.now()) {
            Move::Wait => return Ok(()),
            Move::Create | Move::Take | Move::Renew => {}
        }
        match self.write(self.me.clone(), LEASE).await {
            Ok(()) => self.election.written(asked),
            Err(LeaseError::Call(kube::Error::Api(status))) if status.code == 409 => {
                self.election.lost()
            }
            Err(error) => return Err(error),
        }
        Ok(())
    }

    async fn write(&mut self, holder: String, duration: Duration) -> Result<(), LeaseError> {
        let lease = held(self.lease.as_ref(), holder, duration, Timestamp::now());
        let params = PostParams::default();
        let written = match self.lease {
            Some(_) => {
                tokio::time::timeout(CALL, self.leases.replace(NAME, &params, &lease)).await??
            }
            None => tokio::time::timeout(CALL, self.leases.create(&params, &lease)).await??,
        };
        self.lease = Some(written);
        Ok(())
    }
}

fn record(lease: &Lease) -> Record {
    let spec = lease.spec.clone().unwrap_or_default();
    let seconds = spec.lease_duration_seconds.and_then(|seconds| u64::try_from(seconds).ok());
    Record {
        holder: spec.holder_identity.unwrap_or_default(),
        renewed: spec.renew_time.map(|time| time.0.to_string()).unwrap_or_default(),
        duration: seconds.map_or(LEASE, Duration::from_secs),
    }
}

/// The lease with a holder: renewed if it is the same as before, else taken over (or released, if empty).
fn held(before: Option<&Lease>, holder: String, duration: Duration, now: Timestamp) -> Lease {
    let spec = before.and_then(|lease| lease.spec.clone()).unwrap_or_default();
    let same = spec.holder_identity.as_deref() == Some(&holder);
    let taken = if same || holder.is_empty() { 0 } else { 1 };
    let metadata = before.map(|lease| lease.metadata.clone());
    let named = || ObjectMeta { name: Some(NAME.to_owned()), ..ObjectMeta::default() };
    Lease {
        metadata: metadata.unwrap_or_else(named),
        spec: Some(LeaseSpec {
            holder_identity: Some(holder),
            lease_duration_seconds: i32::try_from(duration.as_secs()).ok(),
            acquire_time: spec.acquire_time.filter(|_| same).or(Some(MicroTime(now))),
            renew_time: Some(MicroTime(now)),
            lease_transitions: Some(spec.lease_transitions.unwrap_or(0) + taken),
            ..spec
        }),
    }
}

#[cfg(test)]
#[path = "lease/tests.rs"]
mod tests;
