//! The upstream-like packer runs a trace, then Joiner consolidates its cluster: a line for each trace, separated by tabs.
//!
//! `cargo run --release -p joiner-simulation --example takeover -- [TRACE[@HOURS]...]`; a trace is the name of an embedded one.

use joiner_simulation::bound::PlannerBound;
use joiner_simulation::scenario::Scenario;
use joiner_simulation::takeover::{TIME_S, Takeover, frozen, take_over};
use joiner_simulation::workload::embedded;

type Failure = Box<dyn std::error::Error>;

/// The traces, and after how many hours Joiner takes over.
const TRACES: [&str; 5] = ["azure@3", "azure@12", "wide@1", "basic@1", "boutique@1"];
/// Hours in a month, as AWS counts them.
const MONTH_HOURS: f64 = 730.0;

fn main() -> Result<(), Failure> {
    let named = std::env::args().skip(1).collect::<Vec<_>>();
    let usual = TRACES.map(str::to_owned).to_vec();
    println!(
        "trace\tpods\tusd_h\tafter_usd_h\tlower_bound_usd_h\tabove_bound\tturns_with_removals\tminutes\tnodes_gone\tmoved\tmoved_per_usd_month\tover_budget\tviolations"
    );
    let all = if named.is_empty() { usual } else { named };
    all.iter().try_for_each(|text| one(text))
}

fn one(text: &str) -> Result<(), Failure> {
    let (name, hours) = text.split_once('@').unwrap_or((text, "3"));
    let at_s = hours.parse::<i64>()? * 3600;
    let workload = embedded(name).ok_or_else(|| format!("there is no trace {name}"))??;
    let catalog = catalog::Catalog::embedded()?;
    let workload = frozen(workload, at_s);
    let scenario = Scenario::from_catalog(workload, &catalog, "us-east-1", at_s + TIME_S, 1);
    print(text, &take_over(&scenario, at_s, &PlannerBound::default(), &|_| {}));
    Ok(())
}

fn print(name: &str, found: &Takeover) {
    let measured = &found.measured;
    let above = (found.after.usd() / found.bound.usd().max(1e-9) - 1.0) * 100.0;
    let saved = (found.before.usd() - found.after.usd()) * MONTH_HOURS;
    let running = measured.samples.last().map_or(0, |sample| sample.running);
    println!(
        "{name}\t{running}\t{:.4}\t{:.4}\t{:.4}\t{above:.2}%\t{}\t{}\t{}\t{}\t{:.4}\t{}\t{}",
        found.before.usd(),
        found.after.usd(),
        found.bound.usd(),
        measured.consolidations,
        found.took_s / 60,
        measured.nodes_consolidated,
        measured.pods_moved,
        measured.pods_moved as f64 / saved.max(0.01),
        measured.over_budget,
        measured.violations
    );
}
