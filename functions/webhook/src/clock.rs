//! The one clock: time since the process began, monotonic.

use std::time::Duration;
use tokio::time::Instant;

/// The clock. Copies tell the same time.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock(Instant);

impl Clock {
    /// A clock that begins now.
    pub(crate) fn start() -> Self {
        Self(Instant::now())
    }

    /// The time since it began.
    pub(crate) fn now(self) -> Duration {
        self.0.elapsed()
    }

    /// Waits until it shows that time.
    pub(crate) async fn until(self, time: Duration) {
        match self.0.checked_add(time) {
            Some(instant) => tokio::time::sleep_until(instant).await,
            None => std::future::pending().await,
        }
    }
}
