//! `joiner simulate --faults`.

use anyhow::{Context, bail};
use simulation::faults::{Outcome, run, run_many};
use std::io::Write;
use std::process::ExitCode;

/// Replays one seed with its log, or runs many.
pub(super) fn simulate(seed: u64, seeds: Option<&str>) -> anyhow::Result<ExitCode> {
    let violations = match seeds {
        Some(range) => many(range)?,
        None => one(seed)?,
    };
    Ok(ExitCode::from(u8::from(violations > 0)))
}

fn one(seed: u64) -> anyhow::Result<usize> {
    let outcome = run(seed, true);
    let mut out = std::io::stdout().lock();
    for line in &outcome.log {
        writeln!(out, "{line}")?;
    }
    writeln!(out, "1 seeds, {} violations", outcome.violations.len())?;
    Ok(outcome.violations.len())
}

/// From the first to the last, both included.
fn many(range: &str) -> anyhow::Result<usize> {
    let wrong = || format!("--seeds {range}: write the first and the last seed, as in 0..999");
    let (first, last) = range.split_once("..").with_context(wrong)?;
    let (first, last) = (first.parse().with_context(wrong)?, last.parse().with_context(wrong)?);
    if first > last {
        bail!(wrong());
    }
    let (mut seeds, mut violations) = (0_u64, 0);
    run_many(first..=last, &mut |outcome| {
        seeds += 1;
        violations += outcome.violations.len();
        tell(&outcome);
    });
    println!("{seeds} seeds, {violations} violations");
    Ok(violations)
}

fn tell(outcome: &Outcome) {
    for violation in &outcome.violations {
        println!("seed {}: {violation}", outcome.seed);
    }
    if !outcome.violations.is_empty() {
        println!("replay it: joiner simulate --faults --seed {}", outcome.seed);
    }
}
