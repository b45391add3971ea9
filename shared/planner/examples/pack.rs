//! Packs problem files with the real `plan` and `check` and prints a line for each.
//!
//! `cargo run --release --example pack -- [--effort fast|default|max] FILE...` prints, separated by tabs:
//! `problem cost_usd_h lower_bound_usd_h nodes unscheduled plan_ms violations`.
//! A file (gzip or plain) is `{name, instance_types: [{name, arch, capacity, overhead, offerings: [{zone, capacity_type, price}]}],
//! pods: [{name, count, requests, zone_spread?, host_spread?, anti_affinity_host?}]}` with Kubernetes quantities and USD per hour.

use joiner_planner as planner;
use std::time::Instant;

mod problem;

type Failure = Box<dyn std::error::Error>;

fn main() -> Result<(), Failure> {
    println!("problem\tcost_usd_h\tlower_bound_usd_h\tnodes\tunscheduled\tplan_ms\tviolations");
    let mut arguments = std::env::args().skip(1).peekable();
    let options = match arguments.next_if(|first| first == "--effort") {
        Some(_) => effort(&arguments.next().unwrap_or_default())?,
        None => planner::Options::default(),
    };
    for path in arguments {
        let read = problem::read(&path).map_err(|error| format!("{path}: {error}"))?;
        let snapshot =
            problem::snapshot(&read).ok_or_else(|| format!("{path}: not a packing problem"))?;
        let start = Instant::now();
        let plan = planner::plan(&snapshot, &options);
        let elapsed = start.elapsed();
        let violations = planner::check(&snapshot, &plan);
        let name = read["name"].as_str().unwrap_or(&path);
        let (cost, bound) = (plan.cost.planned.usd(), plan.cost.lower_bound.usd());
        let (nodes, left, ms) =
            (plan.launches.len(), plan.unschedulable.len(), elapsed.as_secs_f64() * 1000.0);
        println!("{name}\t{cost:.4}\t{bound:.4}\t{nodes}\t{left}\t{ms:.1}\t{}", violations.len());
        violations.iter().take(5).for_each(|violation| eprintln!("{name}: {violation}"));
    }
    Ok(())
}

fn effort(name: &str) -> Result<planner::Options, Failure> {
    match name {
        "fast" => Ok(planner::Options::FAST),
        "default" => Ok(planner::Options::default()),
        "max" => Ok(planner::Options::MAX),
        other => Err(format!("--effort {other:?}: say fast, default or max").into()),
    }
}
