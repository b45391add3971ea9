//! A spot storm on 30% of a cluster, and what becomes of its pods: `storm [PODS [OBSERVE_MS [CALLS MARKS WRITES FLEETS]]]`.

use joiner_simulation::faults::{Storm, StormOutcome, StormPace};
use std::time::Instant;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let wanted = std::env::args().skip(1).map(|text| text.parse::<usize>());
    let wanted = wanted.collect::<Result<Vec<_>, _>>()?;
    let number = |at: usize, default: usize| wanted.get(at).copied().unwrap_or(default);
    let usual = StormPace::default();
    let pace = StormPace {
        observe_ms: number(1, usual.observe_ms as usize) as i64,
        calls: number(2, usual.calls),
        marks: number(3, usual.marks),
        writes: number(4, usual.writes),
        fleets: number(5, usual.fleets),
    };
    for within_s in [0, 60] {
        let storm = Storm { pods: number(0, 12_000) as u32, percent: 30, within_s, seed: 1, pace };
        let begun = Instant::now();
        let outcome = storm.run(std::env::var_os("LOG").is_some())?;
        outcome.log.iter().for_each(|line| println!("{line}"));
        tell(&storm, &outcome, begun.elapsed().as_secs_f64());
    }
    Ok(())
}

fn tell(storm: &Storm, outcome: &StormOutcome, took_s: f64) {
    let StormOutcome { nodes, warned, pods, asked_ms, plans_ms, calls, .. } = outcome;
    println!("{warned} of {nodes} nodes with {pods} pods are warned within {} s", storm.within_s);
    let at = |percent: usize| asked_ms.get(asked_ms.len() * percent / 100).copied().unwrap_or(0);
    let last = asked_ms.last().copied().unwrap_or(0);
    println!(
        "  a pod's new node is asked for after: p50 {} ms, p99 {} ms, last {last} ms; never: {}",
        at(50),
        at(99),
        outcome.never_asked
    );
    println!("  plans until all were: {}, at {plans_ms:?} ms", plans_ms.len());
    let bought = calls.iter().map(|(_, size)| size).sum::<u32>();
    let last = calls.last().map_or(0, |(at, _)| *at);
    println!(
        "  CreateFleet: {} calls for {bought} nodes (a claim each), the last sent after {last} ms",
        calls.len()
    );
    println!(
        "  evicted before: {} with time left, {} without; pods lost with their instances: {}",
        outcome.evicted_early, outcome.evicted_in_need, outcome.lost
    );
    println!("  {} violations; simulated in {took_s:.1} s", outcome.violations.len());
    outcome.violations.iter().take(5).for_each(|violation| println!("    {violation}"));
    if let Some(seen) = &outcome.seen {
        let begun = Instant::now();
        let plan = planner::plan(seen, &planner::Options::default());
        let (planned, launches) = (begun.elapsed().as_millis(), plan.launches.len());
        let begun = Instant::now();
        planner::heed(seen, plan);
        let checked = begun.elapsed().as_millis();
        println!("  the first plan: {launches} nodes in {planned} ms, checked in {checked} ms");
    }
}
