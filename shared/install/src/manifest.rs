//! gen3's manifests: what `.global.karpenter` and `.global.environment` ask of an installation.
//!
//! Unlike gen3's scripts, which take every value but `false` and `null` for a yes, what is not understood is refused with its place.

use crate::options::Options;
use crate::problem::Problem;
use serde_json::Value;
use std::path::{Path, PathBuf};

/// Where a host's manifest has pools of its own: a folder beside it.
const POOLS: &str = "manifests/karpenter";

/// The options with what manifests of one VPC say; `None` where they say that nothing is to be installed. Pools of its own that the first
/// such host has take the place of the base ones, unless a folder was named.
///
/// # Errors
/// If a manifest cannot be read or says something that has no meaning, if they are of different VPCs, or if what was named otherwise is
/// of another.
pub fn apply(options: Options, files: &[PathBuf]) -> Result<Option<Options>, Problem> {
    let manifests = files.iter().map(|file| open(file)).collect::<Result<Vec<_>, _>>()?;
    let wishes = together(&manifests)?;
    let named = [Some(&options.cluster), options.vpc.as_ref()].into_iter().flatten();
    if let Some(other) =
        named.into_iter().find(|name| !name.is_empty() && **name != wishes.environment)
    {
        let place = format!("{}: global.environment", manifests[0].file);
        let cause = format!("is {}, and the arguments say {other}", wishes.environment);
        return Err(Problem::input(place, cause));
    }
    if !wishes.wish.is_on() {
        return Ok(None);
    }
    let folders = files.iter().filter_map(|file| Some(file.parent()?.join(POOLS)));
    let config = options.config.or_else(|| folders.into_iter().find(|folder| folder.is_dir()));
    let vpc = Some(wishes.environment.clone());
    let arm = Some(wishes.wish.has_arm());
    Ok(Some(Options { cluster: wishes.environment, vpc, arm, config, ..options }))
}

/// Reads a manifest from a file.
///
/// # Errors
/// As [`Manifest::read`], and if there is no such file.
pub fn open(file: &Path) -> Result<Manifest, Problem> {
    let shown = file.display().to_string();
    let text = std::fs::read_to_string(file);
    let text = text.map_err(|error| Problem::input(&shown, format!("cannot be read: {error}")))?;
    Manifest::read(&shown, &text)
}

/// What a manifest asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Wish {
    /// Nothing: Joiner is not installed, and whatever scales the cluster stays.
    Off,
    /// Joiner, with the base pools.
    On,
    /// The same, with a pool more that takes nodes of Arm.
    OnWithArm,
}

impl Wish {
    /// Whether Joiner is to be installed.
    pub fn is_on(self) -> bool {
        match self {
            Self::Off => false,
            Self::On | Self::OnWithArm => true,
        }
    }

    /// Whether the pool of Arm is to be there.
    pub fn has_arm(self) -> bool {
        match self {
            Self::Off | Self::On => false,
            Self::OnWithArm => true,
        }
    }

    /// In words.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::On => "on",
            Self::OnWithArm => "on, with a pool of Arm",
        }
    }
}

/// One manifest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Manifest {
    /// Where it came from.
    pub file: String,
    /// The VPC and the cluster, whose name is the same: `.global.environment`.
    pub environment: String,
    /// What it asks for.
    pub wish: Wish,
}

/// What several manifests of one VPC ask for together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wishes {
    /// The VPC and the cluster.
    pub environment: String,
    /// On if any asks for it, with Arm if any asks for that.
    pub wish: Wish,
    /// Who asked for something else.
    pub dissent: Vec<String>,
}

impl Manifest {
    /// Reads a manifest from its text.
    ///
    /// # Errors
    /// If it is not JSON, or a field is not what it may be: the file, the line and the field are named.
    pub fn read(file: &str, text: &str) -> Result<Self, Problem> {
        let json = serde_json::from_str::<Value>(text.trim_start_matches('\u{feff}'));
        let json = json.map_err(|error| Problem::input(file, format!("is not JSON: {error}")))?;
        let refuse = |field: &str, problem: String| {
            let line = line_of(text, field).map_or_else(String::new, |line| format!(":{line}"));
            Problem::input(format!("{file}{line}: global.{field}"), problem)
        };
        let Some(global) = json.get("global").and_then(Value::as_object) else {
            return Err(Problem::input(format!("{file}: global"), "must be an object"));
        };
        let karpenter = global.get("karpenter").unwrap_or(&Value::Null);
        let wish = wish(karpenter).map_err(|problem| refuse("karpenter", problem))?;
        let environment = global.get("environment").unwrap_or(&Value::Null);
        let environment = environment.as_str().map(str::trim).filter(|name| !name.is_empty());
        let environment = environment.ok_or_else(|| {
            refuse("environment", "must be the name of the VPC, which is the cluster's".to_owned())
        })?;
        Ok(Self { file: file.to_owned(), environment: environment.to_owned(), wish })
    }
}

fn wish(value: &Value) -> Result<Wish, String> {
    match value {
        Value::Null | Value::Bool(false) => Ok(Wish::Off),
        Value::Bool(true) => Ok(Wish::On),
        Value::String(text) => match text.as_str() {
            "false" => Ok(Wish::Off),
            "true" => Ok(Wish::On),
            "arm" => Ok(Wish::OnWithArm),
            _ => Err(refused(value)),
        },
        Value::Number(_) | Value::Array(_) | Value::Object(_) => Err(refused(value)),
    }
}

fn refused(value: &Value) -> String {
    let shown = value.to_string().chars().take(40).collect::<String>();
    format!("is {shown}; it may be true, false, \"arm\" or null")
}

/// The line of the field in the text, from 1, where it stands in `global`.
fn line_of(text: &str, field: &str) -> Option<usize> {
    let global = text.find("\"global\"")?;
    let name = format!("\"{field}\"");
    let of_key =
        |(at, _): &(usize, &str)| text[global + at + name.len()..].trim_start().starts_with(':');
    let (at, _) = text[global..].match_indices(name.as_str()).find(of_key)?;
    Some(text[..global + at].matches('\n').count() + 1)
}

/// What manifests of one VPC ask for together: several hosts may share one, and need not agree.
///
/// # Errors
/// If there are none, or they name different VPCs.
pub fn together(manifests: &[Manifest]) -> Result<Wishes, Problem> {
    let Some(first) = manifests.first() else {
        return Err(Problem::input("manifest", "none is given"));
    };
    if let Some(other) = manifests.iter().find(|each| each.environment != first.environment) {
        let cause = format!(
            "is of {}, and {} of {}; one installation serves one VPC: install them one after the other",
            other.environment, first.file, first.environment
        );
        return Err(Problem::input(format!("{}: global.environment", other.file), cause));
    }
    let wish = manifests.iter().map(|each| each.wish).max().unwrap_or(Wish::Off);
    let others = manifests.iter().filter(|each| each.wish != wish);
    let told = others.map(|each| format!("{} asks for {}", each.file, each.wish.as_str()));
    Ok(Wishes { environment: first.environment.clone(), wish, dissent: told.collect() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(karpenter: &str) -> Result<Wish, String> {
        let text = format!("{{\n \"global\": {{\n  \"environment\": \"qa\"{karpenter}\n }}\n}}");
        let read = Manifest::read("m.json", &text);
        read.map(|manifest| manifest.wish).map_err(|error| error.to_string())
    }

    fn check(value: &str, expected: Wish) {
        assert_eq!(read(&format!(",\n  \"karpenter\": {value}")), Ok(expected), "{value}");
    }

    fn check_refused(value: &str) {
        let error = read(&format!(",\n  \"karpenter\": {value}")).unwrap_err();
        let begins = "m.json:4: global.karpenter: is ";
        assert!(error.starts_with(begins), "{error}");
        assert!(error.ends_with("it may be true, false, \"arm\" or null"), "{error}");
    }

    /// Row 22 of gen3's page: Joiner is installed by the manifest's block.
    #[test]
    fn row_22_the_manifest_says_whether_joiner_is_installed() {
        assert_eq!(read(""), Ok(Wish::Off));
        check("null", Wish::Off);
        check("false", Wish::Off);
        check("\"false\"", Wish::Off);
        check("true", Wish::On);
        check("\"true\"", Wish::On);
        check("\"arm\"", Wish::OnWithArm);
        for value in
            ["\"ARM\"", "\"\"", "0", "1", "{}", "[]", "[\"arm\"]", "{\"arm\": true}", "\"no\""]
        {
            check_refused(value);
        }
    }

    fn check_text(text: &str, expected: &str) {
        let error = Manifest::read("m.json", text).unwrap_err().to_string();
        assert_eq!(error, expected);
    }

    #[test]
    fn what_is_no_manifest_is_refused_with_its_place() {
        check_text(
            "global:\n  karpenter: true",
            "m.json: is not JSON: expected value at line 1 column 1",
        );
        check_text(
            "{\"global\": {",
            "m.json: is not JSON: EOF while parsing an object at line 1 column 12",
        );
        check_text("", "m.json: is not JSON: EOF while parsing a value at line 1 column 0");
        check_text("[]", "m.json: global: must be an object");
        check_text("{\"global\": 1}", "m.json: global: must be an object");
        let environment = "must be the name of the VPC, which is the cluster's";
        check_text("{\"global\": {}}", &format!("m.json: global.environment: {environment}"));
        let empty = "{\"global\":\n{\"environment\": \" \"}}";
        check_text(empty, &format!("m.json:2: global.environment: {environment}"));
    }

    #[test]
    fn the_line_is_that_of_the_field_and_not_of_its_namesake() {
        let text = "{\"x\": {\"karpenter\": 1},\n\"global\": {\"y\": \"karpenter\",\n\"environment\": \"a\", \"karpenter\" : 7}}";
        let error = Manifest::read("m.json", text).unwrap_err().to_string();
        assert!(error.starts_with("m.json:3: global.karpenter: is 7"), "{error}");
    }

    fn manifest(file: &str, environment: &str, wish: Wish) -> Manifest {
        Manifest { file: file.to_owned(), environment: environment.to_owned(), wish }
    }

    #[test]
    fn several_manifests_share_a_vpc_and_the_widest_wish_counts() {
        let all = [
            manifest("a", "qa", Wish::Off),
            manifest("b", "qa", Wish::OnWithArm),
            manifest("c", "qa", Wish::On),
        ];
        let asked = together(&all).unwrap();
        assert_eq!((asked.environment.as_str(), asked.wish), ("qa", Wish::OnWithArm));
        assert_eq!(asked.dissent, ["a asks for off", "c asks for on"]);
        let other = [manifest("a", "qa", Wish::On), manifest("b", "prod", Wish::On)];
        let error = together(&other).unwrap_err().to_string();
        assert!(error.starts_with("b: global.environment: is of prod, and a of qa;"), "{error}");
        assert!(together(&[]).is_err());
    }
}
