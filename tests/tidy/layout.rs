//! Every `main.rs` is in `functions/` and small, every `lib.rs` in `shared/`.

use crate::Finding;

/// Lines that a main stays under.
const MAIN: usize = 40;

/// What lies where it should not, or is missing where it should lie.
pub(crate) fn findings(files: &[String], read: &dyn Fn(&str) -> String) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut add = |file: &str, message: &str| findings.push(Finding::new(file, 0, message));
    for file in files {
        let parts = file.split('/').collect::<Vec<_>>();
        let lacks = |beside: String| !files.contains(&beside);
        match parts[..] {
            ["functions", _, "src", "main.rs"] if read(file).lines().count() >= MAIN => {
                add(file, "a main stays under 40 lines: move decisions to shared/");
            }
            ["functions", _, "src", "main.rs"] | ["shared", _, "src", "lib.rs"] => {}
            [.., "main.rs"] => add(file, "a main.rs belongs in functions/<name>/src"),
            [.., "lib.rs"] => add(file, "a lib.rs belongs in shared/<name>/src"),
            ["functions", name, "Cargo.toml"] if lacks(format!("functions/{name}/src/main.rs")) => {
                add(file, "a package in functions/ has a src/main.rs");
            }
            ["shared", name, "Cargo.toml"] if lacks(format!("shared/{name}/src/lib.rs")) => {
                add(file, "a package in shared/ has a src/lib.rs");
            }
            ["Cargo.toml"]
            | ["tests", "Cargo.toml"]
            | ["functions" | "shared", _, "Cargo.toml"] => {}
            [.., "Cargo.toml"] => {
                add(file, "packages are functions/<name>, shared/<name> and tests");
            }
            _ => {}
        }
    }
    findings
}

#[cfg(test)]
mod proofs {
    use super::*;

    fn check(files: &[&str], lines: usize, expected: &[&str]) {
        let files = files.iter().map(|file| (*file).to_owned()).collect::<Vec<_>>();
        let found = findings(&files, &|_| "x\n".repeat(lines));
        assert_eq!(found.iter().map(|finding| finding.file.as_str()).collect::<Vec<_>>(), expected);
    }

    #[test]
    fn what_is_in_the_wrong_place_is_found() {
        let sound = [
            "Cargo.toml",
            "functions/a/Cargo.toml",
            "functions/a/src/main.rs",
            "shared/b/Cargo.toml",
            "shared/b/src/lib.rs",
        ];
        check(&sound, 39, &[]);
        check(&sound, 40, &["functions/a/src/main.rs"]);
        check(&["shared/b/src/main.rs"], 1, &["shared/b/src/main.rs"]);
        check(&["functions/a/src/lib.rs"], 1, &["functions/a/src/lib.rs"]);
        check(&["functions/a/Cargo.toml"], 1, &["functions/a/Cargo.toml"]);
        check(&["shared/b/Cargo.toml"], 1, &["shared/b/Cargo.toml"]);
        check(&["tools/Cargo.toml"], 1, &["tools/Cargo.toml"]);
    }
}
