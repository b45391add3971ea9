//! Which catalog a command uses, and `joiner catalog`.

#[cfg(feature = "live")]
pub(crate) mod refresh;

use anyhow::Context;
use catalog::Catalog;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// The variable that names a catalog file for every command.
const VARIABLE: &str = "JOINER_CATALOG";

/// The catalog of that file, else of the one that the environment names, else the embedded one.
pub(crate) fn read(file: Option<&Path>) -> anyhow::Result<Catalog> {
    match choose(file, std::env::var_os(VARIABLE)) {
        None => Catalog::embedded().context("the embedded catalog cannot be read"),
        Some((file, source)) => {
            read_file(&file).with_context(|| format!("{source} {}", file.display()))
        }
    }
}

fn choose(file: Option<&Path>, variable: Option<OsString>) -> Option<(PathBuf, &'static str)> {
    let given = file.map(|file| (file.to_owned(), "--catalog"));
    let named = variable.filter(|name| !name.is_empty());
    given.or_else(|| named.map(|name| (PathBuf::from(name), VARIABLE)))
}

fn read_file(file: &Path) -> anyhow::Result<Catalog> {
    let bytes = std::fs::read(file).context("cannot be read")?;
    Catalog::from_bytes(&bytes).context("is not a catalog")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_given_goes_before_what_the_environment_names() {
        let check = |file: Option<&str>, variable: Option<&str>, expected: Option<(&str, &str)>| {
            let found = choose(file.map(Path::new), variable.map(OsString::from));
            let expected = expected.map(|(file, source)| (PathBuf::from(file), source.to_owned()));
            assert_eq!(found.map(|(file, source)| (file, source.to_owned())), expected);
        };
        check(None, None, None);
        check(None, Some(""), None);
        check(None, Some("b"), Some(("b", "JOINER_CATALOG")));
        check(Some("a"), Some("b"), Some(("a", "--catalog")));
    }
}
