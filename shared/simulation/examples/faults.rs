//! Runs seeds of the simulation with faults: `faults SEED` with its log, `faults FROM..TO` many.

use joiner_simulation::faults;
use std::process::ExitCode;

fn main() -> ExitCode {
    let wanted = std::env::args().nth(1).unwrap_or_else(|| "0..100".to_owned());
    let parse = |text: &str| text.parse::<u64>().unwrap_or(0);
    let Some((from, to)) = wanted.split_once("..") else {
        let outcome = faults::run(parse(&wanted), true);
        outcome.log.iter().for_each(|line| println!("{line}"));
        println!("seed {}: {} violations", outcome.seed, outcome.violations.len());
        return ExitCode::from(u8::from(!outcome.violations.is_empty()));
    };
    let (mut seeds, mut violations, mut cost, mut bound) = (0_u64, 0, 0, 0);
    let begun = std::time::Instant::now();
    faults::run_many(parse(from)..=parse(to), &mut |outcome| {
        seeds += 1;
        violations += outcome.violations.len();
        if let Some(end) = outcome.cost {
            (cost, bound) = (cost + end.cost.0, bound + end.bound.0);
        }
        for violation in outcome.violations.iter().take(3) {
            println!("seed {} ({} turns): {violation}", outcome.seed, outcome.turns);
        }
    });
    let over = (cost as f64 / bound.max(1) as f64 - 1.0) * 100.0;
    println!("nodes that may be replaced cost {over:.1}% over the bound in the end");
    println!("{seeds} seeds, {violations} violations ({:.1} s)", begun.elapsed().as_secs_f64());
    ExitCode::from(u8::from(violations > 0))
}
