//! Time between two looks at what takes its own.

use std::time::Duration;
use tokio::time::{Instant, interval_at};

/// Lets that much time pass, which is not none.
pub(crate) async fn pause(time: Duration) {
    interval_at(Instant::now() + time, time).tick().await;
}
