//! What an installation may do, and where it is written.

use serde::{Deserialize, Serialize};
use std::fmt;

/// The namespace of Joiner's own objects.
pub const NAMESPACE: &str = "joiner";
/// The ConfigMap of settings there, which come before the functions' environment.
pub const SETTINGS_CONFIG_MAP: &str = "joiner-settings";
/// The setting: `act`, `observe` or `paused`.
pub const MODE: &str = "MODE";
/// Since when the mode is what it is, as RFC 3339. For people.
pub const MODE_SINCE: &str = "MODE_SINCE";
/// What the mode was before it was paused; empty if nothing was said.
pub const MODE_BEFORE: &str = "MODE_BEFORE";

/// What an installation may do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// Decide and carry out.
    #[default]
    Act,
    /// Decide and report, and write nothing but the report: beside another autoscaler, or on trial.
    Observe,
    /// Write nothing at all.
    Paused,
}

/// A mode that there is not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a mode is act, observe or paused")]
pub struct ModeError;

impl Mode {
    /// As it is written in settings.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Act => "act",
            Self::Observe => "observe",
            Self::Paused => "paused",
        }
    }
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl std::str::FromStr for Mode {
    type Err = ModeError;

    fn from_str(text: &str) -> Result<Self, ModeError> {
        let all = [Self::Act, Self::Observe, Self::Paused];
        all.into_iter().find(|mode| mode.as_str() == text).ok_or(ModeError)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modes_are_read_as_they_are_written() {
        for mode in [Mode::Act, Mode::Observe, Mode::Paused] {
            assert_eq!(mode.to_string().parse(), Ok(mode));
        }
        assert_eq!("Act".parse::<Mode>(), Err(ModeError));
    }
}
