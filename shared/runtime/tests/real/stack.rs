//! The real parts: one stack for each test binary, which ends with it.

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
