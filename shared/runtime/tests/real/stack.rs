//! The real parts: one stack for each test binary, which ends with it.

use serde_json::Value;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

/// A stack that runs.
#[derive(Debug)]
pub(crate) struct Stack {
    environment: BTreeMap<String, String>,
}

impl Stack {
    /// The binary's stack, started by whoever asks first; `None` after a loud word if it cannot be had. With
    /// `JOINER_REQUIRE_CLUSTER=1` that is a failure.
    pub(crate) fn get() -> Option<&'static Self> {
        static STACK: OnceLock<Option<Stack>> = OnceLock::new();
        STACK.get_or_init(|| start().map_err(|why| skipped(&why)).ok()).as_ref()
    }

    /// A variable that the stack exports.
    pub(crate) fn variable(&self, name: &str) -> &str {
        self.environment.get(name).unwrap_or_else(|| panic!("the stack exports no {name}"))
    }

    /// Who took which pod or node away, bound it or changed its taints: the last lines of the API server's audit log, in short.
    pub(crate) fn audit(&self) -> String {
        const LAST: usize = 40;
        let path = Path::new(self.variable("JOINER_REAL_STATE")).join("logs/audit.log");
        let text = std::fs::read_to_string(path).unwrap_or_default();
        let told = text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        let told = told.map(|event| {
            let part = |pointer: &str| event.pointer(pointer).unwrap_or(&Value::Null).clone();
            let who = [part("/stageTimestamp"), part("/userAgent"), part("/verb")];
            let what =
                ["resource", "subresource", "name"].map(|key| part(&format!("/objectRef/{key}")));
            let how = [part("/responseStatus/code"), part("/requestObject/spec/taints")];
            let all = who.into_iter().chain(what).chain(how).filter(|part| !part.is_null());
            all.map(|part| part.to_string()).collect::<Vec<_>>().join(" ")
        });
        let told = told.collect::<Vec<_>>();
        told[told.len().saturating_sub(LAST)..].join("\n")
    }
}

fn skipped(why: &str) {
    let required = std::env::var("JOINER_REQUIRE_CLUSTER").is_ok_and(|value| value == "1");
    assert!(!required, "JOINER_REQUIRE_CLUSTER=1, and there are no real parts: {why}");
    eprintln!("\n!! SKIPPED: the real parts cannot be had, and nothing is proved: {why}\n");
}

fn top() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}

fn start() -> Result<Stack, String> {
    let places = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let own = std::process::id();
    forget_old(places);
    let state = places.join(format!("stack-{own}"));
    std::fs::create_dir_all(&state).map_err(|error| error.to_string())?;
    let up = Command::new(top().join("tests/real/up"))
        .args(["--boot", "0", "--parent", &own.to_string(), "--state"])
        .arg(&state)
        .stdin(Stdio::null())
        .output()
        .map_err(|error| format!("tests/real/up: {error}"))?;
    if !up.status.success() {
        return Err(String::from_utf8_lossy(&up.stderr).into_owned());
    }
    let file = String::from_utf8_lossy(&up.stdout).trim().to_owned();
    let text = std::fs::read_to_string(&file).map_err(|error| format!("{file}: {error}"))?;
    let pairs = text.lines().filter_map(|line| line.strip_prefix("export ")?.split_once('='));
    let plain =
        |(name, value): (&str, &str)| (name.to_owned(), value.trim_matches('\'').to_owned());
    Ok(Stack { environment: pairs.map(plain).collect() })
}

/// Removes what stacks of processes that have ended left behind.
fn forget_old(places: &Path) {
    let entries = std::fs::read_dir(places).into_iter().flatten().flatten();
    for entry in entries {
        let name = entry.file_name().to_string_lossy().into_owned();
        let Some(pid) = name.strip_prefix("stack-") else { continue };
        if !Path::new("/proc").join(pid).exists() {
            let _ = std::fs::remove_dir_all(entry.path());
        }
    }
}
