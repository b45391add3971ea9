//! Values as entries of a ConfigMap.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::collections::BTreeMap;
use std::io::{Read, Write};

/// The version of the entries' form, which stands before them; another version's entries are read anew.
const VERSION: &str = "1:";
/// No entry that we write comes near this when it is unpacked.
const LARGEST_BYTES: u64 = 64 << 20;

/// The value as JSON, compressed with gzip, in base64.
pub(crate) fn pack(value: &impl Serialize) -> String {
    let json = serde_json::to_vec(value).unwrap_or_default();
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    // Writing to memory does not fail.
    let written = encoder.write_all(&json).and_then(|()| encoder.finish()).unwrap_or_default();
    format!("{VERSION}{}", STANDARD.encode(written))
}

/// The value of an entry; its default, with a finding, if it cannot be read.
pub(crate) fn unpack<T: DeserializeOwned + Default>(
    data: &BTreeMap<String, String>,
    name: &str,
    findings: &mut Vec<String>,
) -> T {
    let Some(text) = data.get(name) else { return T::default() };
    read(text).unwrap_or_else(|problem| {
        findings.push(format!("the entry {name} is ignored and read anew from AWS: {problem}"));
        T::default()
    })
}

fn read<T: DeserializeOwned>(text: &str) -> Result<T, String> {
    let packed = text.strip_prefix(VERSION).ok_or("it is of another version")?;
    let bytes = STANDARD.decode(packed.trim()).map_err(|error| error.to_string())?;
    let mut json = Vec::new();
    GzDecoder::new(&bytes[..])
        .take(LARGEST_BYTES)
        .read_to_end(&mut json)
        .map_err(|error| error.to_string())?;
    serde_json::from_slice(&json).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_come_back_as_they_were() {
        let value = BTreeMap::from([("a".to_owned(), 1), ("b".to_owned(), 2)]);
        let data = BTreeMap::from([("x".to_owned(), pack(&value))]);
        assert_eq!(pack(&value), pack(&value.clone()));
        let mut findings = Vec::new();
        assert_eq!(unpack::<BTreeMap<String, i32>>(&data, "x", &mut findings), value);
        assert_eq!(unpack::<BTreeMap<String, i32>>(&data, "y", &mut findings), BTreeMap::new());
        assert!(findings.is_empty());
    }

    #[test]
    fn what_cannot_be_read_is_told() {
        let check = |text: &str, expected: &str| {
            let data = BTreeMap::from([("x".to_owned(), text.to_owned())]);
            let mut findings = Vec::new();
            assert_eq!(unpack::<Vec<i32>>(&data, "x", &mut findings), Vec::<i32>::new());
            assert!(findings[0].contains(expected), "{findings:?}");
        };
        check("", "another version");
        check("2:AAAA", "another version");
        check("1:?", "Invalid");
        check("1:AAAA", "unexpected end of file");
        check("1:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", "invalid gzip header");
        check(&pack(&"text"), "invalid type");
        check(&pack(&"text")[..26], "unexpected end of file");
    }
}
