//! Waiting for what takes its time, with a deadline.

use crate::problem::Problem;
use std::future::Future;
use std::time::{Duration, Instant};

/// How often it is looked at.
const EVERY: Duration = Duration::from_secs(2);

/// What was found on looking.
pub(crate) enum Looked {
    /// It is as it should be.
    Ready,
    /// Not yet; how it is.
    NotYet(String),
}

/// Looks until it is ready; each news is told once.
///
/// # Errors
/// If looking fails, or it is not ready in time: `object` and `todo` name what and what to do.
pub(crate) async fn until<F: Future<Output = Result<Looked, Problem>>>(
    (object, todo): (&str, &str),
    patience: Duration,
    progress: &dyn Fn(&str),
    look: impl Fn() -> F,
) -> Result<(), Problem> {
    let begun = Instant::now();
    let mut told = String::new();
    let mut ticks = tokio::time::interval(EVERY);
    loop {
        ticks.tick().await;
        match look().await? {
            Looked::Ready => return Ok(()),
            Looked::NotYet(how) if begun.elapsed() >= patience => {
                let waited = patience.as_secs();
                let cause = if waited == 0 { how } else { format!("{how}, after {waited} s") };
                return Err(Problem::unfinished(object, cause, todo));
            }
            Looked::NotYet(how) if how != told => {
                progress(&how);
                told = how;
            }
            Looked::NotYet(_) => {}
        }
    }
}
