//! Measures reading the cluster of the current kubeconfig context: cold, warm after changes, and idle.
//!
//! `cargo run --release -p joiner-observe --features live --example read_cluster [TURNS] [SECONDS] [all]` prints a line for each
//! turn, with a pause between them: what was read (all pods with `all`, else those that the turn needs), calls, bytes over the wire, milliseconds to read and to assemble the snapshot, and the most memory that the process has had.

#![allow(clippy::print_stdout, reason = "it is its purpose")]

use catalog::Catalog;
use joiner_observe::DumpOptions;
use joiner_observe::cluster::{ClusterReader, Connection, Scope};
use joiner_observe::live::assemble;
use std::error::Error;
use std::time::{Duration, Instant};

fn main() -> Result<(), Box<dyn Error>> {
    let turns = std::env::args().nth(1).map_or(Ok(4), |text| text.parse::<usize>())?;
    let pause = std::env::args().nth(2).map_or(Ok(0), |text| text.parse::<u64>())?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let all_pods = std::env::args().nth(3).as_deref() == Some("all");
    let scope = Scope { all_pods, ..Scope::default() };
    runtime.block_on(measure(turns, Duration::from_secs(pause), &scope))
}

async fn measure(turns: usize, pause: Duration, scope: &Scope) -> Result<(), Box<dyn Error>> {
    println!("{:>8} MiB before anything", peak_mib());
    let catalog = Catalog::embedded()?;
    println!("{:>8} MiB with the catalog", peak_mib());
    let connection = Connection::from_kubeconfig(None, None).await?;
    let mut reader = ClusterReader::new(connection.client);
    println!("turn    pods   nodes  claims calls      bytes  read ms  assemble ms  peak MiB");
    for turn in 1..=turns {
        let begin = Instant::now();
        let reading = reader.read(scope).await?;
        let (read, traffic, stale) = (begin.elapsed(), reading.traffic, reading.stale.len());
        let begin = Instant::now();
        let snapshot = assemble(reading, &catalog, &DumpOptions::default()).snapshot;
        println!(
            "{turn:>4} {:>7} {:>7} {:>7} {:>5} {:>10} {:>8.1} {:>12.1} {:>9}{}",
            snapshot.pods.len(),
            snapshot.nodes.len(),
            snapshot.node_claims.len(),
            traffic.calls,
            traffic.bytes,
            read.as_secs_f64() * 1000.0,
            begin.elapsed().as_secs_f64() * 1000.0,
            peak_mib(),
            if stale > 0 { format!("  ({stale} kinds not read)") } else { String::new() },
        );
        drop(snapshot);
        tokio::time::interval_at(
            tokio::time::Instant::now() + pause,
            pause.max(std::time::Duration::from_millis(1)),
        )
        .tick()
        .await;
    }
    Ok(())
}

/// The most memory that the process has had, in MiB (`VmHWM`); 0 where the system does not tell.
fn peak_mib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib = line.and_then(|line| line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok());
    kib.unwrap_or(0) / 1024
}
