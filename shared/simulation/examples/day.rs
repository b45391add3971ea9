//! A day of a large cluster with churn, beside two oracles and the lower bound.
//!
//! `cargo run --release -p joiner-simulation --example day` runs 24 hours of about 1,000 nodes; `-- NODES HOURS SEED` others.

use joiner_simulation::bound::PlannerBound;
use joiner_simulation::day::{self, Ideal, Point, Size};
use joiner_simulation::world::Measured;
use model::MicroUsdPerHour;
use std::process::ExitCode;
use std::time::Instant;

type Failure = Box<dyn std::error::Error>;

/// Hours in a month, as AWS counts them.
const MONTH_HOURS: f64 = 730.0;

fn main() -> Result<ExitCode, Failure> {
    let mut numbers = std::env::args().skip(1).map(|text| text.parse::<u32>());
    let mut next = |usual| numbers.next().transpose().map(|given| given.unwrap_or(usual));
    let (nodes, hours, seed) = (next(1_000)?, next(24)?.max(1), u64::from(next(1)?));
    let catalog = catalog::Catalog::embedded()?;
    let scenario = day::scenario(&catalog, Size { nodes, hours, seed });
    let quiet = |_: i64| {};
    let begun = Instant::now();
    let hour = |at_s: i64| {
        if at_s > 0 && at_s % 3600 == 0 {
            eprintln!("hour {} done after {} s", at_s / 3600, begun.elapsed().as_secs());
        }
    };
    let measured = day::joiner(&scenario, &hour);
    let took_s = begun.elapsed().as_secs();
    let hourly = MicroUsdPerHour(measured.cost_microusd / u64::from(hours));
    report(&measured, hours, took_s, hourly);
    let ideal = day::ideal(&scenario, true, &quiet);
    by_hour(&measured, &ideal, hours);
    let bounded = day::average(&ideal.bounded);
    beside("oracle, every 10 min, same budget and floor", hourly, bounded);
    println!("    it moves {} pods", ideal.moved);
    beside("oracle, all packed anew every 10 min", hourly, day::average(&ideal.unbounded));
    let bound = day::bound(&scenario, &PlannerBound::default(), &quiet);
    beside("lower bound", hourly, day::average(&bound));
    println!("run in {} s, of it Joiner's day {took_s} s", begun.elapsed().as_secs());
    let right = measured.flaps == 0 && measured.violations == 0 && measured.over_budget == 0;
    Ok(ExitCode::from(u8::from(!right)))
}

fn report(measured: &Measured, hours: u32, took_s: u64, hourly: MicroUsdPerHour) {
    let nodes = measured.node_ms / (u128::from(hours) * 3_600_000);
    println!(
        "{hours} h, {nodes} nodes on average, {} pods, {} turns in {took_s} s",
        measured.pods, measured.turns
    );
    println!("Joiner: ${:.2} an hour", hourly.usd());
    let saved = measured.saved as f64 / 1e6 * MONTH_HOURS;
    let moved = measured.pods_moved as f64;
    println!(
        "    {} nodes consolidated, {moved} pods moved, {:.4} pods per dollar a month, ${:.2} a month per pod",
        measured.nodes_consolidated,
        moved / saved.max(0.01),
        saved / moved.max(1.0)
    );
    println!(
        "    replaced again within an hour: {}; emptied again: {}; over budget: {}; violations: {}; never bound: {}",
        measured.flaps,
        measured.emptied_again,
        measured.over_budget,
        measured.violations,
        measured.never_bound
    );
    measured.violation_texts.iter().take(3).for_each(|text| println!("    {text}"));
}

/// Hour by hour, for what a mean hides: the cluster's first minutes, and the hours that grow and shrink.
fn by_hour(measured: &Measured, ideal: &Ideal, hours: u32) {
    println!("hour   Joiner   oracle   above   packed anew");
    for hour in 0..i64::from(hours) {
        let within = |at_s: i64| (hour * 3600..(hour + 1) * 3600).contains(&at_s);
        let own = measured.samples.iter().filter(|sample| within(sample.at_s));
        let of = |points: &[Point]| {
            mean(points.iter().filter(|point| within(point.at_s)).map(|point| point.cost))
        };
        let (own, bounded) = (mean(own.map(|sample| sample.cost)), of(&ideal.bounded));
        let above = (own / bounded.max(1e-9) - 1.0) * 100.0;
        println!("{hour:4} {own:8.2} {bounded:8.2} {above:+6.2}% {:8.2}", of(&ideal.unbounded));
    }
}

/// In dollars an hour.
fn mean(costs: impl Iterator<Item = MicroUsdPerHour>) -> f64 {
    let (sum, count) = costs.fold((0.0, 0), |(sum, count), cost| (sum + cost.usd(), count + 1));
    sum / f64::from(count.max(1))
}

fn beside(name: &str, hourly: MicroUsdPerHour, other: MicroUsdPerHour) {
    let above = (hourly.usd() / other.usd().max(1e-9) - 1.0) * 100.0;
    println!("{name}: ${:.2} an hour, Joiner {above:+.2}%", other.usd());
}
