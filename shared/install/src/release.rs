//! A release: the functions' code and the webhook's image, in one archive or in a directory, as `infra/release` makes either.

mod image;

use crate::names::hex;
use crate::problem::Problem;
use flate2::read::GzDecoder;
pub(crate) use image::Image;
use serde::Deserialize;
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::io::Read;
use std::path::Path;

/// The functions, by the names of their packages.
pub(crate) const FUNCTIONS: [&str; 3] = ["on-interruption", "on-pending-pods", "on-schedule"];
/// What a release says of itself, the digests of all its files (as sha256sum writes them), and the webhook's image as an OCI archive.
const ABOUT: &str = "release.json";
const SUMS: &str = "SHA256SUMS";
const IMAGE: &str = "webhook.tar";
/// A file of a release is not larger than this many bytes.
const LARGEST: u64 = 512 << 20;

/// What a release says of itself.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
struct About {
    version: String,
    architecture: String,
}

/// A release, all of it read and found whole.
#[derive(Clone)]
pub(crate) struct Release {
    /// `0.1.0`
    pub(crate) version: String,
    /// `x86_64` or `arm64`, as Lambda has them.
    pub(crate) architecture: String,
    /// The functions' zips, by name.
    pub(crate) functions: BTreeMap<&'static str, Vec<u8>>,
    /// The webhook's image.
    pub(crate) image: Image,
}

impl Release {
    /// Reads an archive (`.tar`, also gzip) or a directory, and compares every file with its digest.
    ///
    /// # Errors
    /// What is missing, cannot be read or is not what its digest says.
    pub(crate) fn open(path: &Path) -> Result<Self, Problem> {
        let object = format!("release {}", path.display());
        let wrong = |cause: String| Problem::input(object.clone(), cause);
        let mut files = match path.is_dir() {
            true => of_directory(path),
            false => of_archive(path),
        }
        .map_err(|error| wrong(format!("it cannot be read: {error}")))?;
        compare(&files).map_err(&wrong)?;
        let about = files.get(ABOUT).map(|bytes| serde_json::from_slice::<About>(bytes));
        let about = match about {
            Some(Ok(about)) => about,
            Some(Err(error)) => return Err(wrong(format!("its {ABOUT} cannot be read: {error}"))),
            None => return Err(wrong(lacks(ABOUT))),
        };
        if !["x86_64", "arm64"].contains(&about.architecture.as_str()) {
            return Err(wrong(format!(
                "its architecture {:?} is neither x86_64 nor arm64",
                about.architecture
            )));
        }
        let mut functions = BTreeMap::new();
        for name in FUNCTIONS {
            let zip = files.remove(&format!("{name}.zip"));
            functions.insert(name, zip.ok_or_else(|| wrong(lacks(&format!("{name}.zip"))))?);
        }
        let image = files.remove(IMAGE).ok_or_else(|| wrong(lacks(IMAGE)))?;
        let image = Image::read(&image).map_err(|cause| wrong(format!("its {IMAGE}: {cause}")))?;
        Ok(Self { version: about.version, architecture: about.architecture, functions, image })
    }
}

fn lacks(name: &str) -> String {
    format!("it has no {name}; make one with infra/release")
}

type Files = BTreeMap<String, Vec<u8>>;

fn of_directory(path: &Path) -> std::io::Result<Files> {
    let mut files = Files::new();
    for entry in std::fs::read_dir(path)? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if entry.file_type()?.is_file() && is_of_release(&name) {
            files.insert(name, std::fs::read(entry.path())?);
        }
    }
    Ok(files)
}

fn of_archive(path: &Path) -> std::io::Result<Files> {
    let bytes = std::fs::read(path)?;
    untar(&bytes, &is_of_release)
}

fn is_of_release(name: &str) -> bool {
    [ABOUT, SUMS, IMAGE].contains(&name)
        || FUNCTIONS.iter().any(|each| name.strip_suffix(".zip") == Some(each))
}

/// The files of a tar, also gzip, whose names are wanted; without a leading `./`.
fn untar(bytes: &[u8], wanted: &dyn Fn(&str) -> bool) -> std::io::Result<Files> {
    let plain: Box<dyn Read + '_> = match bytes.starts_with(&[0x1f, 0x8b]) {
        true => Box::new(GzDecoder::new(bytes)),
        false => Box::new(bytes),
    };
    let mut files = Files::new();
    for entry in tar::Archive::new(plain).entries()? {
        let mut entry = entry?;
        let name = entry.path()?.to_string_lossy().trim_start_matches("./").to_owned();
        if !entry.header().entry_type().is_file() || !wanted(&name) {
            continue;
        }
        if entry.size() > LARGEST {
            return Err(std::io::Error::other(format!("{name} is larger than {LARGEST} bytes")));
        }
        let mut content = Vec::new();
        entry.read_to_end(&mut content)?;
        files.insert(name, content);
    }
    Ok(files)
}

/// Every file has the digest that the list tells.
fn compare(files: &Files) -> Result<(), String> {
    let sums = files.get(SUMS).ok_or_else(|| lacks(SUMS))?;
    let sums = String::from_utf8_lossy(sums).into_owned();
    let told = sums.lines().filter_map(|line| line.split_once("  ")).collect::<Vec<_>>();
    for (name, content) in files.iter().filter(|(name, _)| *name != SUMS) {
        let Some((sum, _)) = told.iter().find(|(_, file)| file == name) else {
            return Err(format!(
                "its {SUMS} does not name {name}; make it again with infra/release"
            ));
        };
        if *sum != hex(&Sha256::digest(content)) {
            return Err(format!(
                "{name} is not what {SUMS} says: it was damaged or changed; get it again"
            ));
        }
    }
    Ok(())
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A release as a directory's files, without digests.
    fn files() -> Files {
        let mut files = Files::new();
        files.insert(ABOUT.to_owned(), br#"{"version":"1.2.3","architecture":"x86_64"}"#.to_vec());
        for name in FUNCTIONS {
            files.insert(format!("{name}.zip"), name.as_bytes().to_vec());
        }
        files.insert(IMAGE.to_owned(), image::tests::archive("sha256:layer"));
        files
    }

    fn sums(files: &Files) -> Vec<u8> {
        let line = |(name, content): (&String, &Vec<u8>)| {
            format!("{}  {name}\n", hex(&Sha256::digest(content)))
        };
        files.iter().map(line).collect::<String>().into_bytes()
    }

    pub(crate) fn tar(files: &Files) -> Vec<u8> {
        let mut builder = tar::Builder::new(Vec::new());
        for (name, content) in files {
            let mut header = tar::Header::new_gnu();
            header.set_size(content.len() as u64);
            header.set_mode(0o644);
            builder.append_data(&mut header, name, &content[..]).unwrap();
        }
        builder.into_inner().unwrap()
    }

    fn open(bytes: &[u8]) -> Result<Release, String> {
        let name =
            format!("joiner-release-{}-{:?}.tar", std::process::id(), std::thread::current().id());
        let path = std::env::temp_dir().join(name.replace(['(', ')'], ""));
        std::fs::write(&path, bytes).unwrap();
        let opened = Release::open(&path).map_err(|problem| problem.to_string());
        std::fs::remove_file(&path).unwrap();
        opened
    }

    #[test]
    fn a_whole_release_is_opened() {
        let mut all = files();
        all.insert(SUMS.to_owned(), sums(&all));
        let release = open(&tar(&all)).unwrap_or_else(|problem| panic!("{problem}"));
        assert_eq!((release.version.as_str(), release.architecture.as_str()), ("1.2.3", "x86_64"));
        assert_eq!(release.functions["on-schedule"], b"on-schedule");
        assert_eq!(release.image.blobs.len(), 2);
    }

    #[test]
    fn what_is_missing_or_damaged_is_told() {
        let check = |spoil: &dyn Fn(&mut Files), part: &str| {
            let mut all = files();
            all.insert(SUMS.to_owned(), sums(&all));
            spoil(&mut all);
            let told = open(&tar(&all)).err().unwrap_or_default();
            assert!(told.contains(part), "{part:?} is not in {told:?}");
        };
        check(&|all| drop(all.remove(SUMS)), "it has no SHA256SUMS");
        check(
            &|all| drop(all.remove("on-schedule.zip")),
            "it has no on-schedule.zip; make one with infra/release",
        );
        check(
            &|all| drop(all.insert("on-schedule.zip".to_owned(), vec![0])),
            "on-schedule.zip is not what",
        );
        check(&|all| drop(all.insert(SUMS.to_owned(), Vec::new())), "does not name");
        assert!(open(b"no tar at all").is_err());
        assert!(Release::open(Path::new("/nowhere/x.tar")).is_err());
    }
}
