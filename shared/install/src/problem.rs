//! Why a step fails, by what can be done about it.

use thiserror::Error;

/// Why a step fails. Messages name the object, the cause and what to do, and no account ids.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Problem {
    /// Too many calls; the same command again goes on where this one ended.
    #[error("{object}: {call} is throttled; wait a minute and run the same command again")]
    Throttled {
        /// What the call was about.
        object: String,
        /// The call.
        call: String,
    },
    /// A permission is missing.
    #[error("{object}: {call} is not allowed; add to the policy of whoever installs: {statement}")]
    Denied {
        /// What the call was about.
        object: String,
        /// The call: `ec2:CreateTags`, or `patch deployments`.
        call: String,
        /// The policy statement, or the rule of a ClusterRole, that would allow it.
        statement: String,
    },
    /// There are no credentials, or they are refused.
    #[error("{object}: the credentials are refused ({cause}); {todo}")]
    Credentials {
        /// What the call was about.
        object: String,
        /// What is wrong with them.
        cause: String,
        /// What to do.
        todo: String,
    },
    /// Something that must be there is not.
    #[error("{object} is not there{}; {todo}", because(cause))]
    NotFound {
        /// What is missing.
        object: String,
        /// Why that is known, or why it matters; may be empty.
        cause: String,
        /// What to do.
        todo: String,
    },
    /// Something is there that is not ours, or that somebody has changed.
    #[error("{object}: {cause}; {todo}")]
    Conflict {
        /// What is in the way.
        object: String,
        /// How it is.
        cause: String,
        /// What to do.
        todo: String,
    },
    /// No answer, or none that makes sense.
    #[error(
        "{object}: {call} got no usable answer ({cause}); check the network and run the same command again"
    )]
    Unreachable {
        /// What the call was about.
        object: String,
        /// The call.
        call: String,
        /// What happened instead.
        cause: String,
    },
    /// AWS or the cluster refuses what was asked.
    #[error("{object}: {call} was refused: {cause}")]
    Refused {
        /// What the call was about.
        object: String,
        /// The call.
        call: String,
        /// The code and the message.
        cause: String,
    },
    /// Something was begun and does not become what it should.
    #[error("{object}: {cause}; {todo}")]
    Unfinished {
        /// What was begun.
        object: String,
        /// How it is.
        cause: String,
        /// What to do.
        todo: String,
    },
    /// What was given cannot be used.
    #[error("{object}: {cause}")]
    Input {
        /// The file, field or argument.
        object: String,
        /// What is wrong with it and what to write.
        cause: String,
    },
}

fn because(cause: &str) -> String {
    if cause.is_empty() { String::new() } else { format!(": {cause}") }
}

impl Problem {
    /// Something that must be there is not.
    pub fn not_found(
        object: impl Into<String>,
        cause: impl Into<String>,
        todo: impl Into<String>,
    ) -> Self {
        Self::NotFound { object: object.into(), cause: cause.into(), todo: todo.into() }
    }

    /// Something was begun and does not become what it should.
    pub fn unfinished(
        object: impl Into<String>,
        cause: impl Into<String>,
        todo: impl Into<String>,
    ) -> Self {
        Self::Unfinished { object: object.into(), cause: cause.into(), todo: todo.into() }
    }

    /// Something stands in the way.
    pub fn conflict(
        object: impl Into<String>,
        cause: impl Into<String>,
        todo: impl Into<String>,
    ) -> Self {
        Self::Conflict { object: object.into(), cause: cause.into(), todo: todo.into() }
    }

    /// What was given cannot be used.
    pub fn input(object: impl Into<String>, cause: impl Into<String>) -> Self {
        Self::Input { object: object.into(), cause: cause.into() }
    }
}
