//! Why the cluster cannot be read, by what the caller can do.

use thiserror::Error;

/// A read that failed.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ClusterReadError {
    /// There was no answer, or it broke off.
    #[error(
        "{what} cannot be read: the API server cannot be reached: {cause}; check that its endpoint is open to this network"
    )]
    Unreachable {
        /// What was asked for: `nodes`.
        what: String,
        /// The cause.
        cause: String,
    },
    /// The API server does not know who asks (401), or no credentials could be made.
    #[error(
        "{what} cannot be read: the API server does not accept the credentials: {cause}; renew them, and check that the role or user has an access entry in the cluster"
    )]
    Unauthenticated {
        /// What was asked for.
        what: String,
        /// The cause.
        cause: String,
    },
    /// The API server forbids it (403).
    #[error(
        "{verb} {resource} is forbidden: add to the ClusterRole of Joiner's group the rule apiGroups: [{group:?}], resources: [{resource}], verbs: [get, list, watch]"
    )]
    Denied {
        /// `list` or `watch`.
        verb: String,
        /// `nodes`.
        resource: String,
        /// The API group, empty for the core one.
        group: String,
    },
    /// The API server is too busy (429).
    #[error("{what} cannot be read: the API server answers 429, too many requests{}; the next turn tries again", after(.retry_after_s))]
    Throttled {
        /// What was asked for.
        what: String,
        /// After how many seconds it may be asked again, if it says so.
        retry_after_s: Option<u64>,
    },
    /// The version asked for is no longer known (410), again and again.
    #[error(
        "{what} cannot be read: the list expires faster than it can be read; the next turn tries again"
    )]
    Gone {
        /// What was asked for.
        what: String,
    },
    /// There is no such resource (404).
    #[error("{what} cannot be read: the API server does not serve them")]
    NotFound {
        /// What was asked for.
        what: String,
    },
    /// The API server fails.
    #[error(
        "{what} cannot be read: the API server answers {status}: {message}; the next turn tries again"
    )]
    Server {
        /// What was asked for.
        what: String,
        /// The HTTP status.
        status: u16,
        /// What it says.
        message: String,
    },
    /// The answer is not what Kubernetes answers.
    #[error("{what} cannot be read: the answer is not understood: {cause}")]
    Malformed {
        /// What was asked for.
        what: String,
        /// The cause.
        cause: String,
    },
}

fn after(seconds: &Option<u64>) -> String {
    seconds.map(|seconds| format!(" (retry after {seconds} s)")).unwrap_or_default()
}
