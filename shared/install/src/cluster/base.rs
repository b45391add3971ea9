//! The objects that the installer brings along, and those of a folder of one's own, with the VPC's name put in.

use crate::problem::Problem;
use observe::documents::{Document, DocumentError, read_stream};
use serde_json::Value;
use std::path::{Path, PathBuf};

/// What stands for the VPC's name in pools and classes.
const VPC_NAME: &str = "VPC_NAME";
/// Places that gen3's templates have and nothing here fills in.
const OTHER_PLACES: [&str; 5] =
    ["SQS_NAME", "WORKFLOW_NAME", "GEN3_USERNAME", "GEN3_TEAMNAME", "ENVIRONMENT_TYPE_CODE"];

/// A file's name and its text.
pub(crate) type File = (&'static str, &'static str);

macro_rules! infra {
    ($path:literal) => {
        (concat!("infra/", $path), include_str!(concat!("../../../../infra/", $path)))
    };
}

/// The custom resources.
pub(crate) const CRDS: [File; 6] = [
    infra!("chart/crds/awsnodetemplates.karpenter.k8s.aws.yaml"),
    infra!("chart/crds/ec2nodeclasses.karpenter.k8s.aws.yaml"),
    infra!("chart/crds/nodeclaims.karpenter.sh.yaml"),
    infra!("chart/crds/nodeoverlays.karpenter.sh.yaml"),
    infra!("chart/crds/nodepools.karpenter.sh.yaml"),
    infra!("chart/crds/provisioners.karpenter.sh.yaml"),
];
/// What the functions may do in the cluster.
pub(crate) const FUNCTIONS: File = infra!("kubernetes/functions.yaml");
/// The webhook, with places for its names.
pub(crate) const WEBHOOK: File = infra!("kubernetes/webhook.yaml");
/// The pools and classes of every installation.
pub(crate) const POOLS: [File; 3] =
    [infra!("base/default.yaml"), infra!("base/jupyter.yaml"), infra!("base/workflow.yaml")];
/// A pool of Arm beside the default one, and what lets its nodes run images of amd64.
pub(crate) const ARM: [File; 2] = [infra!("base/binfmt.yaml"), infra!("base/arm.yaml")];
/// Pools of nodes with accelerators, and what tells the kubelets of them.
pub(crate) const GPU: [File; 2] = [infra!("base/device-plugin.yaml"), infra!("base/gpu.yaml")];

/// An object, and where it was written.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Written {
    /// `default.yaml:12`.
    pub(crate) place: String,
    /// The object.
    pub(crate) object: Value,
}

/// The objects of a text.
///
/// # Errors
/// The first document that cannot be read, with its place.
pub(crate) fn documents(file: &str, text: &str) -> Result<Vec<Written>, Problem> {
    let mut all = Vec::new();
    let mut failed = None;
    let mut sink = |read: Result<Document, DocumentError>| match read {
        Ok(document) => {
            let line = document.line.map_or_else(String::new, |line| format!(":{line}"));
            all.push(Written { place: format!("{file}{line}"), object: document.value });
        }
        Err(error) => {
            failed.get_or_insert(error);
        }
    };
    let read = read_stream(file, &mut text.as_bytes(), &mut sink);
    read.map_err(|error| Problem::input(file, error.to_string()))?;
    match failed {
        None => Ok(all),
        Some(error) => {
            Err(Problem::input(error.to_string(), "nothing of the configuration is applied"))
        }
    }
}

/// The objects of files, with the VPC's name put in.
///
/// # Errors
/// As `documents`, and if a place is left that nothing fills in.
pub(crate) fn of_vpc(files: &[(String, String)], vpc: &str) -> Result<Vec<Written>, Problem> {
    let mut all = Vec::new();
    for (file, text) in files {
        let text = substituted(text, vpc);
        let (file, base) = (file.as_str(), &text);
        if let Some(place) = OTHER_PLACES.iter().find(|place| has_word(base, place)) {
            let cause = format!("has the place {place}, which nothing here fills in");
            return Err(Problem::input(file, cause));
        }
        all.extend(documents(file, base)?);
    }
    Ok(all)
}

/// Files as they were brought along.
pub(crate) fn brought(files: &[File]) -> Vec<(String, String)> {
    files.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect()
}

/// All files of a folder with a name as YAML or JSON has it, in the order of their names.
///
/// # Errors
/// If the folder or a file cannot be read, or there are none.
pub(crate) fn folder(path: &Path) -> Result<Vec<(String, String)>, Problem> {
    let shown = path.display().to_string();
    let failed = |error: std::io::Error| Problem::input(&shown, format!("cannot be read: {error}"));
    let entries = std::fs::read_dir(path).map_err(failed)?;
    let paths = entries.map(|entry| entry.map(|entry| entry.path()));
    let mut paths = paths.collect::<Result<Vec<PathBuf>, _>>().map_err(failed)?;
    let wanted = |path: &PathBuf| {
        let extension = path.extension().and_then(|text| text.to_str()).unwrap_or_default();
        ["yaml", "yml", "json"].contains(&extension)
    };
    paths.retain(wanted);
    paths.sort();
    if paths.is_empty() {
        return Err(Problem::input(
            shown,
            "has no files with names that end in .yaml, .yml or .json",
        ));
    }
    let read = |path: PathBuf| {
        let text = std::fs::read_to_string(&path);
        let text = text.map_err(|error| {
            Problem::input(path.display().to_string(), format!("cannot be read: {error}"))
        });
        Ok((path.display().to_string(), text?))
    };
    paths.into_iter().map(read).collect()
}

/// `VPC_NAME`, also with a default as gen3 writes it (`VPC_NAME|-qa-|`), becomes the VPC's name, inside of words too.
fn substituted(text: &str, vpc: &str) -> String {
    let mut parts = text.split(VPC_NAME);
    let mut all = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let rest = part.strip_prefix("|-").and_then(|rest| Some(rest.split_once("-|")?.1));
        all += vpc;
        all += rest.unwrap_or(part);
    }
    all
}

fn has_word(text: &str, word: &str) -> bool {
    let joins = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '$' || c == '{';
    text.match_indices(word).any(|(at, _)| {
        let before = text[..at].chars().next_back().is_some_and(joins);
        let after = text[at + word.len()..].chars().next().is_some_and(joins);
        !before && !after
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_that_is_brought_along_can_be_read_and_filled_in() {
        let files = [CRDS.as_slice(), &[FUNCTIONS, WEBHOOK], &POOLS, &ARM, &GPU].concat();
        for written in of_vpc(&brought(&files), "qa").unwrap() {
            assert!(written.object["kind"].is_string(), "{}", written.place);
            assert!(!written.object.to_string().contains("VPC_NAME"), "{}", written.place);
        }
    }

    /// Rows 29 and 30 of gen3's page: the tag's value is the VPC's name, also in the selectors of the configuration.
    #[test]
    fn rows_29_and_30_the_vpcs_name_is_put_in_everywhere() {
        let check = |text: &str, expected: &str| assert_eq!(substituted(text, "qa"), expected);
        check("eks-VPC_NAME-jupyter", "eks-qa-jupyter");
        check("VPC_NAME|-default-|_EKS", "qa_EKS");
        check("VPC_NAME|-x VPC_NAME", "qa|-x qa");
        check("none", "none");
    }

    #[test]
    fn places_that_nothing_fills_in_are_refused() {
        let of = |text: &str| of_vpc(&[("a.yaml".to_owned(), text.to_owned())], "qa");
        let error = of("kind: A\nqueue: SQS_NAME\n").unwrap_err().to_string();
        assert_eq!(error, "a.yaml: has the place SQS_NAME, which nothing here fills in");
        assert!(of("kind: A\nuserData: echo $SQS_NAME MY_SQS_NAME\n").is_ok());
    }

    #[test]
    fn a_document_that_cannot_be_read_is_told_with_its_place() {
        let error = documents("a.yaml", "kind: A\n---\nkind: [\n").unwrap_err().to_string();
        assert!(error.starts_with("a.yaml:"), "{error}");
        assert!(error.contains("document 2"), "{error}");
    }

    #[test]
    fn a_folder_is_read_in_the_order_of_its_names() {
        let path = std::env::temp_dir().join(format!("joiner-folder-{}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        assert!(folder(&path).unwrap_err().to_string().contains("has no files"));
        for name in ["b.yaml", "a.yml", "c.txt"] {
            std::fs::write(path.join(name), name).unwrap();
        }
        let texts = folder(&path).unwrap().into_iter().map(|(_, text)| text);
        assert_eq!(texts.collect::<Vec<_>>(), ["a.yml", "b.yaml"]);
        std::fs::remove_dir_all(&path).unwrap();
        assert!(folder(&path).unwrap_err().to_string().contains("cannot be read"));
    }
}
