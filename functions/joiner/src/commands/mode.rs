//! `joiner pause` and `joiner resume`.

use super::cluster::Settings;
use super::input::ClusterArguments;
use anyhow::{Result, bail};
use model::mode::{MODE, MODE_BEFORE, MODE_SINCE, Mode};
use serde_json::{Value, json};
use std::process::ExitCode;

/// Stop all writes: from the next turn on nothing is bought, drained or written, until `joiner resume`.
///
/// The functions go on being woken and say that they are paused. What they miss is found again when they resume: the cluster and AWS are
/// asked anew in every turn. A turn that has begun ends.
#[derive(clap::Args)]
pub(crate) struct Pause {
    #[command(flatten)]
    cluster: ClusterArguments,
}

/// End a pause: what was done before it, acting or observing, goes on.
#[derive(clap::Args)]
pub(crate) struct Resume {
    #[command(flatten)]
    cluster: ClusterArguments,
}

/// Runs the subcommand.
pub(crate) fn pause(arguments: Pause) -> Result<ExitCode> {
    change(&arguments.cluster, paused)
}

/// Runs the subcommand.
pub(crate) fn resume(arguments: Resume) -> Result<ExitCode> {
    change(&arguments.cluster, resumed)
}

/// What is written, and what is said; nothing is written if there is nothing to change.
type Changed = (Option<Value>, String);

fn change(
    cluster: &ClusterArguments,
    how: impl Fn(&Value, &str) -> Result<Changed>,
) -> Result<ExitCode> {
    let settings = Settings::open(cluster)?;
    let now = jiff::Timestamp::now();
    let (patch, said) = how(&settings.read()?, &format!("{now:.0}"))?;
    if let Some(patch) = patch {
        settings.write(&patch)?;
    }
    println!("{said}");
    Ok(ExitCode::SUCCESS)
}

fn text<'a>(data: &'a Value, name: &str) -> &'a str {
    data[name].as_str().unwrap_or_default()
}

fn paused(data: &Value, now: &str) -> Result<Changed> {
    if text(data, MODE) == Mode::Paused.as_str() {
        return Ok((None, format!("Paused already, since {}.", text(data, MODE_SINCE))));
    }
    let patch = json!({ MODE: Mode::Paused, MODE_SINCE: now, MODE_BEFORE: text(data, MODE) });
    Ok((Some(patch), format!("Paused since {now}; `joiner resume` ends it.")))
}

fn resumed(data: &Value, now: &str) -> Result<Changed> {
    let mode = text(data, MODE);
    if mode != Mode::Paused.as_str() {
        if !mode.is_empty() && mode.parse::<Mode>().is_err() {
            bail!(
                "the setting {MODE} of joiner-settings is {mode:?}, and not act, observe or paused"
            );
        }
        let mode = if mode.is_empty() { "what the functions were given" } else { mode };
        return Ok((None, format!("Not paused: the mode is {mode}.")));
    }
    let before = text(data, MODE_BEFORE);
    // Without a word of its own the ConfigMap leaves it to the functions' environment.
    let mode = if before.is_empty() { Value::Null } else { json!(before) };
    let patch = json!({ MODE: mode, MODE_SINCE: now, MODE_BEFORE: null });
    let goes_on = if before.is_empty() { "as before" } else { before };
    let since = text(data, MODE_SINCE);
    Ok((Some(patch), format!("Resumed ({goes_on}) at {now}; it was paused since {since}.")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check((patch, said): Changed, expected: Option<Value>, about: &str) {
        assert_eq!(patch, expected);
        assert_eq!(said, about);
    }

    #[test]
    fn a_pause_tells_since_when_and_what_was_before() {
        let patch = json!({ "MODE": "paused", "MODE_SINCE": "T2", "MODE_BEFORE": "observe" });
        let before = json!({ "MODE": "observe", "MODE_SINCE": "T1" });
        let said = "Paused since T2; `joiner resume` ends it.";
        check(paused(&before, "T2").unwrap(), Some(patch.clone()), said);
        check(paused(&patch, "T3").unwrap(), None, "Paused already, since T2.");
        let patch = json!({ "MODE": "paused", "MODE_SINCE": "T2", "MODE_BEFORE": "" });
        check(paused(&Value::Null, "T2").unwrap(), Some(patch), said);
    }

    #[test]
    fn a_pause_ends_in_what_was_before() {
        let data = json!({ "MODE": "paused", "MODE_SINCE": "T1", "MODE_BEFORE": "observe" });
        let patch = json!({ "MODE": "observe", "MODE_SINCE": "T2", "MODE_BEFORE": null });
        let said = "Resumed (observe) at T2; it was paused since T1.";
        check(resumed(&data, "T2").unwrap(), Some(patch), said);
        let data = json!({ "MODE": "paused", "MODE_SINCE": "T1", "MODE_BEFORE": "" });
        let patch = json!({ "MODE": null, "MODE_SINCE": "T2", "MODE_BEFORE": null });
        let said = "Resumed (as before) at T2; it was paused since T1.";
        check(resumed(&data, "T2").unwrap(), Some(patch), said);
        check(
            resumed(&json!({ "MODE": "act" }), "T").unwrap(),
            None,
            "Not paused: the mode is act.",
        );
        let unsaid = "Not paused: the mode is what the functions were given.";
        check(resumed(&Value::Null, "T").unwrap(), None, unsaid);
        assert!(resumed(&json!({ "MODE": "off" }), "T").is_err());
    }
}
