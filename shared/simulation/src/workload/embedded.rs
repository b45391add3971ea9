//! The traces that are part of the program; see `data/README.md` for their sources and licences.

use super::{TraceError, Workload, read};
use flate2::read::GzDecoder;
use std::io::Read;

/// Names and one-line descriptions of the embedded traces.
pub const EMBEDDED: &[(&str, &str)] = &[
    ("azure", "VM requests of Microsoft Azure tenants, 24 hours (AzurePublicDatasetV1, CC-BY-4.0)"),
    (
        "boutique",
        "Online Boutique, 12 small Deployments (GoogleCloudPlatform/microservices-demo, Apache-2.0)",
    ),
    (
        "wide",
        "30 Deployments of 1,000 pods with spread and anti-affinity (shapes of Karpenter's performance suite, Apache-2.0)",
    ),
    ("basic", "2 Deployments of 500 pods (shapes of Karpenter's performance suite, Apache-2.0)"),
];

/// The embedded trace of that name, if there is one.
///
/// # Errors
/// The embedded data cannot be read, which a test excludes.
pub fn embedded(name: &str) -> Option<Result<Workload, TraceError>> {
    let bytes: &[u8] = match name {
        "azure" => include_bytes!("../../data/azure.csv.gz"),
        "boutique" => include_bytes!("../../data/boutique.csv"),
        "wide" => include_bytes!("../../data/wide.csv"),
        "basic" => include_bytes!("../../data/basic.csv"),
        _ => return None,
    };
    let described = EMBEDDED.iter().find(|(known, _)| *known == name)?;
    Some(text(bytes).and_then(|text| {
        let (mut workload, problems) = read(name, &text)?;
        described.1.clone_into(&mut workload.source);
        problems.into_iter().next().map_or(Ok(workload), Err)
    }))
}

/// The text of a trace file, unpacked if it is gzip.
///
/// # Errors
/// The bytes are neither UTF-8 nor gzip of it.
pub(super) fn text(bytes: &[u8]) -> Result<String, TraceError> {
    let mut text = String::new();
    let mut plain = bytes;
    let read = if bytes.starts_with(&[0x1f, 0x8b]) {
        GzDecoder::new(bytes).read_to_string(&mut text)
    } else {
        plain.read_to_string(&mut text)
    };
    read.map(|_| text).map_err(|error| TraceError::Encoding(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_embedded_trace_is_read_whole() {
        let check = |name: &str, requests: usize, pods: u64| {
            let workload = embedded(name).unwrap().unwrap();
            let read = (workload.requests.len(), workload.pods_before(i64::MAX));
            assert_eq!(read, (requests, pods), "{name}");
        };
        check("azure", 5979, 18_354);
        check("boutique", 12, 12);
        check("wide", 30, 1000);
        check("basic", 2, 1000);
        assert!(EMBEDDED.iter().all(|(name, _)| embedded(name).is_some()));
        assert!(embedded("unknown").is_none());
    }
}
