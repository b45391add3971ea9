//! Who may import whom, by each package's manifest.

use crate::Finding;
use serde_json::Value;
use std::path::Path;

/// Our crates that each of our libraries may import. A library without a line here imports none of ours.
const MAY_IMPORT: [(&str, &[&str]); 7] = [
    ("api", &["model"]),
    ("catalog", &["model"]),
    ("planner", &["model"]),
    ("observe", &["model", "api", "catalog"]),
    ("execute", &["model"]),
    ("install", &["model", "api", "catalog", "observe", "planner", "execute"]),
    ("simulation", &["model", "planner", "catalog"]),
];
/// The one that wires the others.
const WIRES: &str = "runtime";
/// Libraries that take nothing of others' either, but for what is named.
const BARE: [(&str, &[&str]); 2] = [("planner", &[]), ("model", &["serde", "thiserror"])];

/// A package of ours.
pub(crate) struct Package {
    /// The manifest's path from the top of the repository.
    pub(crate) file: String,
    /// The manifest.
    pub(crate) manifest: String,
    /// Dependencies of the product, not those of its tests: by name, without our prefix if they are ours.
    pub(crate) dependencies: Vec<Dependency>,
}

/// What a package depends on.
pub(crate) struct Dependency {
    /// The name: of ours, that of its directory.
    pub(crate) name: String,
    /// Whether it is ours.
    pub(crate) ours: bool,
}

/// The packages of the workspace, from `cargo metadata`.
pub(crate) fn packages(metadata: &Value, top: &Path) -> Vec<Package> {
    let text = |value: &Value, key: &str| value[key].as_str().unwrap_or_default().to_owned();
    let dependency = |value: &Value| {
        let path = value["path"].as_str().map(Path::new);
        let own = path.and_then(Path::file_name).map(|name| name.to_string_lossy().into_owned());
        Dependency { ours: own.is_some(), name: own.unwrap_or_else(|| text(value, "name")) }
    };
    let package = |value: &Value| {
        let manifest_path = text(value, "manifest_path");
        let file = Path::new(&manifest_path).strip_prefix(top).unwrap();
        let all = value["dependencies"].as_array().unwrap().iter();
        Package {
            file: file.to_string_lossy().replace('\\', "/"),
            manifest: std::fs::read_to_string(&manifest_path).unwrap(),
            dependencies: all.filter(|value| value["kind"] != "dev").map(dependency).collect(),
        }
    };
    metadata["packages"].as_array().unwrap().iter().map(package).collect()
}

/// What the package imports and may not, and lints that it does not take from the workspace.
pub(crate) fn findings(package: &Package) -> Vec<Finding> {
    let mut findings = Vec::new();
    let inherits = package.manifest.split("[lints]").nth(1).map(str::trim_start);
    if !inherits.is_some_and(|rest| rest.starts_with("workspace = true")) {
        let message = "add [lints] workspace = true, which forbids unsafe code";
        findings.push(Finding::new(&package.file, 0, message));
    }
    let Some(name) = package.file.strip_prefix("shared/").and_then(|rest| rest.split('/').next())
    else {
        return findings;
    };
    for dependency in package.dependencies.iter().filter(|dependency| !allowed(name, dependency)) {
        let imported = &dependency.name;
        let line = package.manifest.lines().position(|line| line.starts_with(imported.as_str()));
        let message = format!("{name} may not import {imported}: see the walls in ARCHITECTURE.md");
        findings.push(Finding::new(&package.file, line.map_or(0, |line| line + 1), message));
    }
    findings
}

fn allowed(name: &str, dependency: &Dependency) -> bool {
    let of = |table: &[(&str, &'static [&'static str])]| {
        table.iter().find(|(own, _)| *own == name).map(|(_, allowed)| *allowed)
    };
    if dependency.ours {
        let allowed = of(&MAY_IMPORT).unwrap_or_default();
        return name == WIRES || allowed.contains(&dependency.name.as_str());
    }
    of(&BARE).is_none_or(|allowed| allowed.contains(&dependency.name.as_str()))
}

#[cfg(test)]
mod proofs {
    use super::*;

    const LINTS: &str = "[lints]\nworkspace = true\n";

    fn check(name: &str, imported: &str, ours: bool, found: bool) {
        let manifest = format!("[dependencies]\n{imported}.workspace = true\n{LINTS}");
        let dependencies = vec![Dependency { name: imported.to_owned(), ours }];
        let package = Package { file: format!("shared/{name}/Cargo.toml"), manifest, dependencies };
        let lines = findings(&package).into_iter().map(|finding| finding.line).collect::<Vec<_>>();
        assert_eq!(lines, if found { vec![2] } else { vec![] }, "{name} {imported}");
    }

    #[test]
    fn imports_through_a_wall_are_found() {
        check("model", "api", true, true);
        check("api", "model", true, false);
        check("api", "catalog", true, true);
        check("observe", "catalog", true, false);
        check("observe", "planner", true, true);
        check("execute", "observe", true, true);
        check("simulation", "observe", true, true);
        check("runtime", "execute", true, false);
        check("new", "model", true, true);
        check("planner", "tokio", false, true);
        check("planner", "jiff", false, true);
        check("model", "serde", false, false);
        check("model", "rand", false, true);
        check("api", "jiff", false, false);
    }

    #[test]
    fn a_package_without_the_lints_is_found() {
        let bare = |manifest: &str| Package {
            file: "functions/a/Cargo.toml".to_owned(),
            manifest: manifest.to_owned(),
            dependencies: Vec::new(),
        };
        assert_eq!(findings(&bare("[package]\n")).len(), 1);
        assert_eq!(findings(&bare(LINTS)).len(), 0);
    }
}
