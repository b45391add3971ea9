//! Writes a live cluster to a file.

use super::super::cluster;
use super::super::input::ClusterArguments;
use anyhow::{Context, Result, bail};
use std::fs::OpenOptions;
use std::io::{BufWriter, Write};
use std::path::Path;
use std::process::ExitCode;

/// The kinds of a dump, in the script's order.
const KINDS: [&str; 13] = [
    "Pod",
    "Node",
    "DaemonSet",
    "PodDisruptionBudget",
    "PersistentVolumeClaim",
    "PersistentVolume",
    "StorageClass",
    "CSINode",
    "Provisioner",
    "AWSNodeTemplate",
    "NodePool",
    "EC2NodeClass",
    "NodeClaim",
];

/// Reads the cluster and writes the dump; a file only when all is read, and for its owner alone.
pub(super) fn dump(arguments: &ClusterArguments, output: &Path) -> Result<ExitCode> {
    let text = collect(arguments)?;
    if output == Path::new("-") {
        std::io::stdout().write_all(&text)?;
        return Ok(ExitCode::SUCCESS);
    }
    let name = output.display();
    write(output, &text).with_context(|| format!("{name} cannot be written"))?;
    eprintln!("joiner: written to {name}");
    Ok(ExitCode::SUCCESS)
}

fn collect(arguments: &ClusterArguments) -> Result<Vec<u8>> {
    let mut text = b"{\"apiVersion\":\"v1\",\"kind\":\"List\",\"items\":[\n".to_vec();
    let mut separator = "";
    cluster::objects(arguments, &KINDS, &mut |kind, objects| {
        let objects = match objects {
            Ok(Some(objects)) => objects,
            Ok(None) => {
                eprintln!("joiner: {kind}: the cluster has no such kind, skipped");
                return Ok(());
            }
            Err(error) if matches!(kind, "Pod" | "Node") => bail!(error),
            Err(error) => {
                eprintln!("joiner: {kind}: left out: {error:#}");
                return Ok(());
            }
        };
        eprintln!("joiner: {kind}: {}", objects.len());
        for object in objects {
            text.extend_from_slice(separator.as_bytes());
            serde_json::to_writer(&mut text, &object)?;
            separator = ",\n";
        }
        Ok(())
    })?;
    text.extend_from_slice(b"\n]}\n");
    Ok(text)
}

fn write(output: &Path, text: &[u8]) -> std::io::Result<()> {
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = BufWriter::new(options.open(output)?);
    file.write_all(text)?;
    file.flush()
}
