//! `joiner catalog refresh`.

use super::super::layout::count;
use anyhow::{Context, bail};
use catalog::{Catalog, Difference};
use model::{MicroUsdPerHour, Timestamp};
use observe::cloud::{Stale, environment, read_market};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{SystemTime, UNIX_EPOCH};

/// Instance types, offerings and prices.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(clap::Subcommand)]
enum Command {
    Refresh(Refresh),
}

/// Read current types, offerings and prices of a region from AWS, and write them as a catalog file.
///
/// Uses the AWS credentials of the environment and only reads: ec2:DescribeInstanceTypes, DescribeInstanceTypeOfferings,
/// DescribeSpotPriceHistory and DescribeAvailabilityZones, and pricing:GetProducts. `joiner plan --catalog FILE` uses the
/// file; so does every command if JOINER_CATALOG names it. Exit code 0: all was read; 1: some of it; 2: nothing.
#[derive(clap::Args)]
struct Refresh {
    /// The region, if not that of the environment or profile
    #[arg(long)]
    region: Option<String>,
    /// The file to write; plain text unless its name ends in .gz
    #[arg(long, value_name = "FILE", default_value = "catalog.tsv.gz")]
    output: PathBuf,
    /// Print every type that changed
    #[arg(long)]
    all: bool,
}

/// Runs the subcommand.
pub(crate) fn run(arguments: Arguments) -> anyhow::Result<ExitCode> {
    let Command::Refresh(arguments) = arguments.command;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(refresh(&arguments))
}

async fn refresh(arguments: &Refresh) -> anyhow::Result<ExitCode> {
    let config = environment(arguments.region.clone()).await;
    let Some(region) = config.region().map(ToString::to_string) else {
        bail!("no region is known: give --region, or set AWS_REGION or a profile that has one");
    };
    let before = super::read(None)?;
    let now = SystemTime::now().duration_since(UNIX_EPOCH).context("the clock is wrong")?;
    let now = Timestamp(now.as_secs() as i64);
    let (current, stale) = read_market(&config, &before, now).await?;
    let Some(current) = current else {
        let errors = stale.iter().map(|stale| format!("\n  {}: {}", stale.what, stale.error));
        bail!("nothing could be read of {region}:{}", errors.collect::<String>());
    };
    let after = before.clone().with_current(&current);
    write(&after, &arguments.output)?;
    let difference = after.difference(&before, &region);
    let text = report(&region, &difference, arguments.all);
    let mut output = std::io::stdout().lock();
    write!(output, "{text}{} written\n{}", arguments.output.display(), not_read(&stale))?;
    Ok(if stale.is_empty() { ExitCode::SUCCESS } else { ExitCode::from(1) })
}

fn write(catalog: &Catalog, file: &Path) -> anyhow::Result<()> {
    let bytes = match file.extension().is_some_and(|extension| extension == "gz") {
        true => catalog.to_gzip()?,
        false => catalog.to_text().into_bytes(),
    };
    std::fs::write(file, bytes).with_context(|| format!("{} cannot be written", file.display()))
}

/// How many types of each list are printed unless all are wanted.
const SHOWN: usize = 10;

fn report(region: &str, difference: &Difference, all: bool) -> String {
    let Difference { added, removed, dearer, cheaper } = difference;
    let mut text = format!("{region}, against the catalog so far:\n");
    let shown = if all { usize::MAX } else { SHOWN };
    let mut line = |names: usize, what: &str, list: Vec<String>| {
        if names == 0 {
            return;
        }
        text.push_str(&format!("  {} {what}: {}", count(names, "type"), list.join(", ")));
        if names > list.len() {
            text.push_str(&format!(" and {} more (--all)", names - list.len()));
        }
        text.push('\n');
    };
    line(added.len(), "added", added.iter().take(shown).cloned().collect());
    line(removed.len(), "no longer offered", removed.iter().take(shown).cloned().collect());
    let priced = |(name, was, is): &(String, MicroUsdPerHour, MicroUsdPerHour)| {
        format!("{name} {was} -> {is}")
    };
    line(dearer.len(), "dearer", dearer.iter().take(shown).map(priced).collect());
    line(cheaper.len(), "cheaper", cheaper.iter().take(shown).map(priced).collect());
    if *difference == Difference::default() {
        text.push_str("  the same types at the same list prices\n");
    }
    text
}

fn not_read(stale: &[Stale]) -> String {
    let line = |stale: &Stale| {
        format!("not read, kept from the catalog so far: {}: {}\n", stale.what, stale.error)
    };
    stale.iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_changed_is_told_by_type() {
        let name = |name: &str| name.to_owned();
        let price =
            |name: &str, was, is| (name.to_owned(), MicroUsdPerHour(was), MicroUsdPerHour(is));
        let difference = Difference {
            added: (0..12).map(|n| format!("m{n}.large")).collect(),
            removed: vec![name("c3.large")],
            dearer: vec![price("m5.large", 96_000, 97_000)],
            cheaper: Vec::new(),
        };
        let text = report("us-east-1", &difference, false);
        let expected = "us-east-1, against the catalog so far:\n  \
            12 types added: m0.large, m1.large, m2.large, m3.large, m4.large, m5.large, m6.large, m7.large, m8.large, m9.large and 2 more (--all)\n  \
            1 type no longer offered: c3.large\n  \
            1 type dearer: m5.large $0.0960 -> $0.0970\n";
        assert_eq!(text, expected);
        assert!(report("us-east-1", &difference, true).contains("m11.large\n"));
        let same = report("us-east-1", &Difference::default(), false);
        assert_eq!(
            same,
            "us-east-1, against the catalog so far:\n  the same types at the same list prices\n"
        );
    }

    #[test]
    fn files_are_written_plain_or_compressed() {
        let catalog = Catalog::embedded().unwrap();
        for name in ["catalog.tsv", "catalog.tsv.gz"] {
            let file = std::env::temp_dir().join(format!("joiner-{}-{name}", std::process::id()));
            write(&catalog, &file).unwrap();
            let bytes = std::fs::read(&file).unwrap();
            std::fs::remove_file(&file).unwrap();
            assert_eq!(bytes.starts_with(&[0x1f, 0x8b]), name.ends_with(".gz"));
            assert_eq!(Catalog::from_bytes(&bytes).unwrap().to_text(), catalog.to_text());
        }
    }
}
