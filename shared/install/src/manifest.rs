//! gen3's manifest, whose block `.global.karpenter` decides what is installed.

use crate::options::Options;
use crate::problem::Problem;
use std::path::Path;

/// The options with what the manifest says; `None` where it says that nothing is to be installed.
///
/// # Errors
/// The manifest cannot be read, or says something that has no meaning.
pub fn apply(_options: Options, file: &Path) -> Result<Option<Options>, Problem> {
    Err(Problem::input(file.display().to_string(), "manifests are not read yet"))
}
